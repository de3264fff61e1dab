"""Data: functions of its classes, triggers, and permissions of code of the web (specification 5.2, 8.4, 8.5).

Rows of the specification's table 1.3 are named by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, object_session, relationship
from sqlalchemy.orm import Session as Data

from onserver import Session, execute_on_server, procedure, session
from onserver.data import Datastore, data_function, datastore, trigger
from onserver.data.datastore import Datastores
from onserver.errors import BadDeclaration, EntityNotFound, PrivilegeDenied
from onserver.session.context import serving
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.music import Album, Artist, Base, Place, require
from tests.test_rest import OPEN, problem
from tests.test_rest_data import allowed, shop
from tests.web_project import browser


@pytest.fixture
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A shop where everybody may everything."""
    yield from shop(request, monkeypatch, tmp_path, OPEN)


@pytest.fixture
def music(opened: OnServer) -> Datastore:
    return require(opened.server)


@pytest.fixture
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A shop where guests may read all but what albums cost, and clerks may everything."""
    clerk = {action: ["CreateInvoices"] for action in ("create", "update", "drop")}
    album = {"applyTo": "Album", "type": "dataclass", "read": ["guest"], **clerk}
    cost = {"applyTo": "Album.cost", "type": "attribute", "read": ["ReadInvoices"], "update": ["ReadInvoices"]}
    artist = {"applyTo": "Artist", "type": "dataclass", "read": ["CreateInvoices"]}
    margin = {"applyTo": "Album.margin", "type": "method", "execute": ["guest"], "promote": ["ReadInvoices"]}
    yield from shop(request, monkeypatch, tmp_path, allowed(album, cost, artist, margin))


def web(opened: OnServer, *privileges: str) -> Any:
    """A request of the web, in a session with these privileges."""
    ann = opened.server.sessions.open("web")
    if privileges:
        ann.set_privileges({"userName": "ann", "privileges": list(privileges)})
    return serving(ann, web="")


def nothing(*_anything: object) -> None: ...


# ---- the datastore


def test_a_session_is_committed_or_rolled_back_as_a_whole(music: Datastore) -> None:
    with music.session() as data:
        data.add(Album(id=10, name="Ten"))
        with music.session() as inner:
            assert inner is data
            inner.add(Album(id=11, name="Eleven"))
    with pytest.raises(ZeroDivisionError), music.session() as data:
        data.add(Album(id=12, name="Twelve"))
        data.flush()
        raise ZeroDivisionError
    with music.session() as data:
        assert data.scalars(sa.select(Album.id).where(Album.id > 9).order_by(Album.id)).all() == [10, 11]


def test_what_is_no_class_of_data_is_refused() -> None:
    with pytest.raises(BadDeclaration, match="no class that SQLAlchemy maps"):
        datastore(int)(lambda: sa.create_engine("sqlite://"))
    with pytest.raises(BadDeclaration, match="two classes of the name"):
        datastore(Album, Album)(lambda: sa.create_engine("sqlite://"))
    with pytest.raises(BadDeclaration, match="no class that SQLAlchemy maps"):
        trigger(int)(nothing)
    with pytest.raises(BadDeclaration, match="The events are"):
        trigger(Album, on="select")(nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("options", [{"on": "table"}, {"on": "class"}, {"name": "x"}, {"aliases": ["x"]}])
def test_an_option_that_a_function_cannot_have_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadDeclaration):
        data_function(**options)(nothing)


def test_a_function_of_a_class_of_no_datastore_says_so(opened: OnServer) -> None:
    class Alone:
        @data_function
        def alone(self) -> None: ...

    assert opened.server.name
    with pytest.raises(BadDeclaration, match="is of no datastore"):
        Alone().alone()


# ---- functions: row 7


async def test_rest_calls_functions_in_the_session_of_the_request(opened: OnServer) -> None:
    async with browser(Gateway(opened.server)) as ann:
        margin = await ann.post("/rest/Album(1)/margin", content=b"[2]")
        assert margin.json() == {"result": ["15.80", ""]}
        await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        assert (await ann.post("/rest/Album(1)/margin")).json() == {"result": ["7.90", "ann"]}
        [alpha, alp] = (await ann.post("/rest/Album/cheap", content=b"[10]")).json()["result"]
        assert (alpha["name"], alpha["__KEY"], alpha["__ENTITY"], alpha["price"]) == ("Alpha", "1", True, "9.90")
        assert alp["__DATACLASS"] == "Album"
        renamed = await ann.post("/rest/Album/rename?$filter=price>6", content=b'["!"]')
        assert renamed.json() == {"result": 2}
        kept = (await ann.get("/rest/Album?$filter=live=true&$method=entityset")).json()["__ENTITYSET"]
        assert (await ann.post(kept.replace("Album/", "Album/rename/"), content=b'["?"]')).json() == {"result": 1}
        names = [one["name"] for one in (await ann.get("/rest/Album")).json()["__ENTITIES"]]
        assert names == ["Alpha!", "Beta!", "Gamma?", "alp"]


async def test_what_is_no_published_function_is_not_there(opened: OnServer) -> None:
    async with browser(Gateway(opened.server)) as guest:
        paths = [
            "Album(1)/hidden", "Album(1)/shout", "Album(1)/cheap", "Album/margin", "Album/nothing", "Album(1)/name",
            "Album/__init__", "Artist/cheap", "Nothing/cheap", "Album/cheap/cheap",
        ]  # fmt: skip
        for path in paths:
            assert (await guest.post(f"/rest/{path}", content=b"[1]")).status_code in {400, 404}, path
        assert (await guest.post("/rest/Album(99)/margin")).status_code in {404, 500}
        for body in (b"[1, 2, 3]", b"{}", b"["):
            assert (await guest.post("/rest/Album(1)/margin", content=body)).status_code == 400, body
        refused = await guest.post("/rest/Album/rename?$filter=id=1", content=b'["!"]')
        assert (refused.status_code, problem(refused)["errCode"]) == (403, 4103)  # `requires=`
        assert (await guest.post("/rest/Album/rename?$filter=no=1", content=b'["!"]')).status_code == 400


def test_functions_run_in_place_on_the_server(opened: OnServer, music: Datastore) -> None:
    with serving(opened.server.session(), remote=True), music.session() as data:
        album = data.get_one(Album, 1)
        assert album.margin() == ("7.90", "server")
        assert album.shout() == "ALPHA"
        assert [one.name for one in Album.cheap(10)] == ["Alpha", "alp"]
        assert Album.rename([album], "!") == 1
    with music.session() as data:
        assert data.get_one(Album, 1).name == "Alpha!"


def test_a_worker_runs_a_function_by_key(opened: OnServer) -> None:
    assert opened.server.name
    assert execute_on_server("Album.margin", "1").result(timeout=10) == ["7.90", "server"]
    with pytest.raises(EntityNotFound):
        execute_on_server("Album.margin", "99").result(timeout=10)


# ---- permissions of code of the web


def test_an_attribute_that_may_not_be_read_is_null_in_code_of_the_web(guarded: OnServer) -> None:
    music = require(guarded.server)
    with web(guarded), music.session() as data:
        album = data.get_one(Album, 1)
        assert (album.name, album.cost) == ("Alpha", None)
        album.price = album.price
    with music.session() as data:
        assert data.get_one(Album, 1).cost == Decimal("2.00")  # code of the server reads it, and it is there
    with web(guarded, "ReadInvoices"), music.session() as data:
        assert data.get_one(Album, 1).cost == Decimal("2.00")


def test_a_function_that_is_promoted_reads_what_its_caller_may_not(guarded: OnServer) -> None:
    music = require(guarded.server)
    with web(guarded):
        with music.session() as data:
            assert data.get_one(Album, 2).cost is None
        with music.session() as data:
            album = data.get(Album, 1, options=())
            assert album is not None
    assert execute_on_server("Album.margin", "1").result(timeout=10)[0] == "7.90"


@pytest.mark.parametrize("inside", [True, False])
def test_what_code_of_the_web_may_not_do_is_refused_and_undone(guarded: OnServer, *, inside: bool) -> None:
    music = require(guarded.server)

    def refused(work: Callable[[Data], object], *privileges: str) -> bool:
        with web(guarded, *privileges) if inside else nullcontext():
            try:
                with music.session() as data:
                    work(data)
                    data.flush()
                    data.rollback()
            except PrivilegeDenied:
                return True
        return False

    def change(data: Data, **facts: Any) -> None:
        album = data.scalars(sa.select(Album).where(Album.id == 1)).one()
        for name, value in facts.items():
            setattr(album, name, value)

    works: list[Callable[[Data], object]] = [
        lambda data: data.add(Album(name="New")),
        lambda data: change(data, name="New"),
        lambda data: data.delete(data.get_one(Album, 1)),
        lambda data: data.execute(sa.update(Album).values(price=1)),
        lambda data: data.execute(sa.delete(Album)),
        lambda data: data.scalars(sa.select(Artist)).all(),
    ]
    for number, work in enumerate(works):
        assert refused(work) is inside, number
    if inside:
        assert not refused(lambda data: change(data, name="New"), "CreateInvoices")
        assert refused(lambda data: change(data, cost=1), "CreateInvoices")  # the attribute adds to its class
        assert not refused(lambda data: change(data, cost=1), "CreateInvoices", "ReadInvoices")
        assert refused(lambda data: data.delete(data.get_one(Album, 1)), "CreateInvoices")  # what it costs is unread
        assert not refused(lambda data: data.add(Place(shelf="Z", number=1)))  # nothing is said of it


def test_a_function_that_is_promoted_sees_in_place_what_its_caller_may_not(guarded: OnServer) -> None:
    with web(guarded), require(guarded.server).session() as data:
        album = data.get_one(Album, 1)
        assert album.cost is None
        assert album.margin() == ("7.90", "")  # 9.90 less 2.00
        assert album.cost is None


class Family(DeclarativeBase):
    """Classes of data of the tests below."""


class Order(Family):
    """What was ordered."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    customer: Mapped[str] = mapped_column(default="")
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "order"}  # noqa: RUF012  # as SQLAlchemy has it


class Rush(Order):
    """An order in a hurry: of no datastore by name."""

    __mapper_args__ = {"polymorphic_identity": "rush"}  # noqa: RUF012


class Line(Family):
    """A line of an order."""

    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))


@pytest.fixture
def orders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """Orders that readers may change but not drop lines of, and guests may nothing of."""
    every = ("read", "create", "update", "drop")
    order = {"applyTo": "Order", "type": "dataclass", **{action: ["ReadInvoices"] for action in every}}
    line = {"applyTo": "Line", "type": "dataclass", "read": ["guest"], "update": ["guest"], "drop": ["CreateInvoices"]}
    for opened in shop(request, monkeypatch, tmp_path, allowed(order, line)):

        @datastore(Order, Line)
        def family() -> sa.Engine:
            return sa.create_engine(f"sqlite:///{tmp_path / 'orders.sqlite'}")

        Family.metadata.create_all(family.engine)
        with family.session() as data:
            data.add(Rush(id=1, customer="ann", lines=[Line(id=1), Line(id=2)]))
        yield opened
        family.close()


def family_of(opened: OnServer) -> Datastore:
    [found] = [one for one in opened.server.part(Datastores).all() if one.has(Order)]
    return found


def test_a_derived_class_is_guarded_as_its_base(orders: OnServer) -> None:
    family = family_of(orders)
    works: list[Callable[[Data], object]] = [
        lambda data: data.scalars(sa.select(Rush)).all(),
        lambda data: data.get_one(Rush, 1),
        lambda data: data.add(Rush(customer="bob")),
    ]
    for work in works:
        with web(orders), pytest.raises(PrivilegeDenied), family.session() as data:
            work(data)
    with web(orders, "ReadInvoices"), family.session() as data:
        assert data.get_one(Rush, 1).customer == "ann"


@pytest.mark.parametrize("allowed_to_drop", [False, True])
def test_what_is_taken_from_its_owner_is_dropped_as_by_delete(orders: OnServer, *, allowed_to_drop: bool) -> None:
    family, heard = family_of(orders), list[tuple[str, int]]()

    @trigger(Line)
    def hear(line: Line, event: str) -> None:
        heard.append((event, line.id))

    asked = ("ReadInvoices", *(["CreateInvoices"] if allowed_to_drop else []))
    outcome = nullcontext() if allowed_to_drop else pytest.raises(PrivilegeDenied)
    with web(orders, *asked), outcome, family.session() as data:
        order = data.get_one(Order, 1)
        del order.lines[0]
    with family.session() as data:
        left = data.scalars(sa.select(Line.id).order_by(Line.id)).all()
    assert (left, heard) == (([2], [("delete", 1)]) if allowed_to_drop else ([1, 2], []))


# ---- triggers


def test_a_trigger_sees_what_whoever_saves_may_not_read(guarded: OnServer) -> None:
    music = require(guarded.server)

    @trigger(Album, on="update")
    def reckon(album: Album, _event: str) -> None:
        data = object_session(album)
        assert data is not None
        other = data.get_one(Album, 2).cost  # loaded by the trigger, or before it by the code of the web
        assert other is not None
        assert album.cost is not None
        assert data.scalars(sa.select(Artist)).first() is not None  # whoever saves may read no artist
        album.price = album.cost + other

    for known in (False, True):
        with web(guarded, "CreateInvoices"), music.session() as data:
            album, other = data.get_one(Album, 1), data.get_one(Album, 2) if known else None
            album.name = f"Alpha {known}"
            data.flush()
            assert (album.cost, album.price) == (None, Decimal("5.00"))
            other = other or data.get_one(Album, 2)
            assert other.cost is None
    with music.session() as data:
        assert (data.get_one(Album, 1).price, data.get_one(Album, 1).cost) == (Decimal("5.00"), Decimal("2.00"))


def test_a_trigger_runs_where_the_work_is_done_and_sees_its_session(opened: OnServer, music: Datastore) -> None:
    heard: list[tuple[str, str, str]] = []

    @trigger(Album, on=("insert", "update"))
    def note(album: Album, event: str) -> None:
        heard.append((event, album.name, session().user_name))
        album.live = True

    @trigger(Base, on="delete")
    def gone(entity: Base, event: str) -> None:
        heard.append((event, type(entity).__name__, session().user_name))

    @procedure
    def sell() -> None:  # row 20: a stored procedure
        with music.session() as data:
            data.get_one(Album, 2).name = "Sold"

    with web(opened, "ReadInvoices"), music.session() as data:  # a request of the web
        data.add(Album(id=20, name="New"))
    execute_on_server(sell).result(timeout=10)
    with serving(opened.server.session(), remote=True), music.session() as data:  # row 12: as a remote client's call is
        assert data.get_one(Album, 20).live
        data.delete(data.get_one(Album, 20))
        data.delete(data.get_one(Place, ("A", 2)))
    server = opened.server.session().user_name
    assert heard == [
        ("insert", "New", "ann"), ("update", "Sold", server), ("delete", "Album", server), ("delete", "Place", server),
    ]  # fmt: skip


def test_a_trigger_may_refuse_and_may_make_others(music: Datastore) -> None:
    @trigger(Album, on="insert")
    def refuse(album: Album, _event: str) -> None:
        if album.name == "bad":
            raise ValueError(album.name)
        if not album.name.endswith("copy"):
            data = object_session(album)
            assert data is not None
            data.add(Album(name=f"{album.name} copy"))

    with pytest.raises(ValueError, match="bad"), music.session() as data:
        data.add_all([Album(name="fine"), Album(name="bad")])
    with music.session() as data:
        data.add(Album(name="good"))
    with music.session() as data:
        names = data.scalars(sa.select(Album.name).where(Album.id > 4).order_by(Album.id)).all()
    assert names == ["good", "good copy"]


async def test_triggers_run_for_changes_by_rest(opened: OnServer) -> None:
    @trigger(Album, on="update")
    def sign(album: Album, _event: str) -> None:
        here: Session = session()
        album.name += f" by {here.user_name}"

    async with browser(Gateway(opened.server)) as ann:
        await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        told = await ann.post("/rest/Album?$method=update", json={"__KEY": "1", "name": "Omega"})
        assert told.json()["name"] == "Omega by ann"
