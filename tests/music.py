"""A shop of music in SQLite, as the tests of data have it: classes, entities, and a source that REST asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, synonym

from onserver.web.rest_classes import DataClass


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


class Place(Base):
    """Where an album stands, in a shelf: it has a key of two."""

    __tablename__ = "place"
    shelf: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)


class Music:
    """The source.

    Args:
        file: of SQLite; a new one.
    """

    def __init__(self, file: Path) -> None:
        self.engine = sa.create_engine(f"sqlite:///{file}")
        event.listen(self.engine, "connect", _keep_references)
        Base.metadata.create_all(self.engine)
        self._classes = {model: DataClass(model) for model in (Artist, Album, Place)}
        with self.open() as data:
            fill(data)

    def dataclasses(self) -> Sequence[DataClass]:
        return list(self._classes.values())

    def of(self, model: type[Any]) -> DataClass:
        return self._classes[model]

    @contextmanager
    def open(self) -> Iterator[Session]:
        with Session(self.engine) as data, data.begin():
            yield data


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
