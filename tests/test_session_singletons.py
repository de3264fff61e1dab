"""Session singletons: one object for each session, whose attributes are in its storage (specification 4.9)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, ClassVar

import pytest

from onserver import Server, Session, SessionSingleton, shared
from onserver.errors import NoSession, NotInUse, NotShareable, PrivilegeDenied, SyncInAsyncError
from onserver.redis.address import Address
from onserver.session.context import serving
from onserver.session.roles import Roles
from onserver.session.roles_resources import Permission, Resource
from onserver.session.sessions import Sessions
from tests.floor import Floor, open_floor


class Basket(SessionSingleton):
    lines: list[str]
    currency = "EUR"
    made: ClassVar[list[str]] = []

    def __init__(self) -> None:
        _made.append(self._session.id)
        self.lines = []

    @shared
    def add(self, line: str, *, fail: bool = False) -> int:
        self.lines.append(line)
        self.total = len(self.lines)
        if fail:
            raise KeyError
        return self.count()

    def count(self) -> int:
        return len(self.lines)

    def spoil(self) -> None:
        self.currency = "USD"

    @shared
    async def await_add(self, line: str) -> int:
        await asyncio.sleep(0)
        self.lines.append(line)
        return len(self.lines)

    @property
    def first(self) -> str:
        return self.lines[0]


class Larger(Basket):
    size = 3


_made: list[str] = []


class Made:
    """Two sessions of the web, and roles that a test may replace."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.roles = Roles(restricted_by_default=False)
        server = floor.server
        owner = (server.client.holder, server.client.holding)
        self.sessions = Sessions(server.store, server.settings, lambda: self.roles, *owner, common=server.storage)
        self.ann, self.bob = self.sessions.open("web"), self.sessions.open("web")


@pytest.fixture
def made(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    _made.clear()
    with open_floor(redis_address) as floor:
        yield Made(floor)
        assert floor.orphans() == []


def test_there_is_one_for_each_session(made: Made) -> None:
    with serving(made.ann):
        assert Basket.me == Basket.me
        assert Basket.me.add("chair") == 1
    with serving(made.bob):
        assert Basket.me.lines == []
    with serving(made.sessions.find(made.ann.id)):  # another request of it
        assert (Basket.me.lines, Basket.me.total, Basket.me.first) == (["chair"], 1, "chair")
        assert Basket.me == Basket.of(made.ann) != Basket.of(made.bob)
    assert _made == [made.ann.id, made.bob.id]
    made.sessions.close(made.ann.id)
    made.sessions.close(made.bob.id)


def test_all_programs_have_the_same(made: Made) -> None:
    Basket.of(made.ann).add("chair")
    elsewhere = Sessions(
        made.floor.store, made.floor.server.settings, lambda: made.roles, made.floor.server.client.holder,
        made.floor.server.client.holding, common=made.floor.server.storage,
    )  # fmt: skip
    found = elsewhere.find(made.ann.id)
    assert found is not None
    assert found.storage is not made.ann.storage
    assert Basket.of(found).add("table") == 2
    assert Basket.of(made.ann).lines == ["chair", "table"]


def test_threads_do_not_lose_each_others_changes(made: Made) -> None:
    def some() -> None:
        for _ in range(5):
            Basket.of(made.ann).add("chair")

    threads = [threading.Thread(target=some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Basket.of(made.ann).count() == 20
    assert _made == [made.ann.id]


def test_what_a_function_changes_is_kept_whole_or_not_at_all(made: Made) -> None:
    basket = Basket.of(made.ann)
    with pytest.raises(KeyError):
        basket.add("chair", fail=True)
    assert basket.lines == []
    with pytest.raises(NotShareable), basket.use():
        basket.lines = {"a set"}  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    assert basket.lines == []


def test_it_is_changed_in_shared_functions_and_in_use_only(made: Made) -> None:
    basket = Basket.of(made.ann)
    assert basket.currency == "EUR"
    for change in (basket.spoil, lambda: setattr(basket, "currency", "USD"), lambda: basket.lines.append("chair")):
        with pytest.raises(NotInUse):
            change()
    with basket.use() as held:
        held.currency = "USD"
        basket.spoil()
        with pytest.raises(NotInUse):
            basket._hidden = 1
        with pytest.raises(NotInUse):
            Basket.of(made.bob).currency = "USD"
    assert basket.currency == "USD"
    with basket.use():
        del basket.currency
    with pytest.raises(AttributeError, match="currency"):
        _ = basket.currency


def test_a_subclass_is_another_one(made: Made) -> None:
    Basket.of(made.ann).add("chair")
    larger = Larger.of(made.ann)
    assert (larger.size, larger.currency, larger.lines) == (3, "EUR", [])


def test_coroutines(made: Made) -> None:
    async def several() -> None:
        with serving(made.ann):
            await asyncio.gather(*(Basket.me.await_add("chair") for _ in range(5)))
            assert Basket.me.count() == 5
            with pytest.raises(SyncInAsyncError):
                Basket.me.add("table")
            async with Basket.me.ause() as basket:
                basket.lines.append("table")

    asyncio.run(several())
    assert Basket.of(made.ann).lines == ["chair"] * 5 + ["table"]


def test_without_a_session_there_is_none(made: Made) -> None:
    with pytest.raises(NoSession, match=r"Basket"):
        _ = Basket.me
    with serving(None), pytest.raises(NoSession):
        _ = Basket.me


def test_the_stored_procedure_session_has_one(made: Made) -> None:
    server = made.floor.server
    session = server.session()
    assert Basket.of(session).add("chair") == 1
    assert Basket.of(Server.current().session()).lines == ["chair"]


@pytest.mark.parametrize("web", [True, False])
def test_roles_json_decides_in_the_web(made: Made, *, web: bool) -> None:
    name = f"{__name__}.Basket"
    method, singleton = Resource("singletonMethod", f"{name}.add"), Resource("singleton", name)
    made.roles = Roles(
        privileges={"buy": (), "look": ()},
        permissions={
            method: Permission(resource=method, actions={"execute": ("buy",)}, promote=("look",)),
            singleton: Permission(resource=singleton, actions={"execute": ("look",)}),
        },
    )

    def refused(call: Any) -> bool:
        try:
            call()
        except PrivilegeDenied:
            return True
        return False

    def answers(session: Session) -> tuple[bool, bool]:
        basket = Basket.of(session)
        with serving(session) if web else nullcontext():
            return refused(lambda: basket.add("chair")), refused(basket.count)

    assert answers(made.ann) == (web, web)
    made.ann.set_privileges("buy")
    assert answers(made.ann) == (False, web)  # `add` is promoted to `look`, and calls `count`
    assert made.ann.get_privileges() == ["buy"]
