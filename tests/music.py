"""A shop of music in SQLite, as the tests of data have it: classes, entities, and a source that REST asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, synonym

from onserver import Server, session
from onserver.data import Datastore, data_function, datastore, local
from onserver.data.datastore import Datastores
from onserver.registry import keep, kept


def require(server: Server) -> Datastore:
    """Answer the datastore that is declared."""
    [found] = server.part(Datastores).all()
    return found


class Base(DeclarativeBase):
    """What all of them have in common."""


class Artist(Base):
    """Who made the music."""

    __tablename__ = "artist"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    country: Mapped[str | None] = mapped_column(sa.String(40))
    albums: Mapped[list[Album]] = relationship(back_populates="artist", order_by="Album.id")
    title = synonym("name")


class Album(Base):
    """What was made."""

    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(160), unique=True)
    released: Mapped[date | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    cost: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    live: Mapped[bool] = mapped_column(default=False)
    artist_id: Mapped[int | None] = mapped_column(sa.ForeignKey("artist.id"))
    artist: Mapped[Artist | None] = relationship(back_populates="albums")
    changes: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"version_id_col": changes}  # noqa: RUF012  # as SQLAlchemy has it

    @hybrid_property
    def label(self) -> str:
        """What stands on its back."""
        return f"{self.id}: {self.name}"

    @data_function(published=True)
    def margin(self, times: int = 1) -> tuple[str, str]:
        """Tell what is earned with it, and whose session asks."""
        earned = ((self.price or 0) - (self.cost or 0)) * times
        return str(earned), session().user_name

    @data_function(published=True)
    @classmethod
    def cheap(cls, most: float) -> list[Album]:
        """Find what is not dear."""
        with require(Server.current()).session() as data:
            return list(data.scalars(sa.select(Album).where(Album.price <= most).order_by(Album.id)))

    @data_function(on="selection", published=True, requires="CreateInvoices")
    @classmethod
    def rename(cls, albums: Sequence[Album], end: str) -> int:
        """Add something to the names of some."""
        for album in albums:
            album.name += end
        return len(albums)

    @data_function
    def hidden(self) -> str:
        """Not for REST."""
        return self.name

    @local
    def shout(self) -> str:
        """Run wherever it is called."""
        return self.name.upper()


class Place(Base):
    """Where an album stands, in a shelf: it has a key of two."""

    __tablename__ = "place"
    shelf: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)


#: What the classes above have declared.
FUNCTIONS = {key: one for key, one in kept().items() if key[1] == __name__}


def declare_music(file: Path) -> Datastore:
    """Declare the shop's datastore, with something in it.

    Args:
        file: of SQLite; a new one.
    """

    keep({**kept(), **FUNCTIONS})  # a test may have begun with nothing declared

    @datastore(Artist, Album, Place)
    def music() -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{file}")
        event.listen(engine, "connect", _keep_references)
        return engine

    Base.metadata.create_all(music.engine)
    with music.session() as data:
        fill(data)
    return music


def _keep_references(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def fill(data: Session) -> None:
    """Put in what the tests know."""
    data.add_all([
        Artist(id=1, name="Ann", country="NO"), Artist(id=2, name="Bob", country=None), Artist(id=3, name="100%_Cy"),
        Album(id=1, name="Alpha", released=date(2001, 2, 3), price=Decimal("9.90"), cost=Decimal("2.00"), artist_id=1),
        Album(id=2, name="Beta", released=date(2010, 5, 6), price=Decimal("19.90"), cost=Decimal("3.00"), artist_id=1),
        Album(id=3, name="Gamma", price=None, cost=Decimal("1.00"), live=True, artist_id=2),
        Album(id=4, name="alp", price=Decimal("5.00")),
        Place(shelf="A", number=1, facts={"of": "oak"}), Place(shelf="A", number=2),
    ])  # fmt: skip
