"""Sets of entities of a session: their number, their time, and who sees them (specification 2.11)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server
from onserver.redis.address import Address
from onserver.session.entity_sets import EntitySet, EntitySets, TooManySets
from onserver.session.session import Session
from tests.inline_worker import make_server


class Clock:
    """A clock that a test sets."""

    now = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


@pytest.fixture
def ann(server: Server) -> Session:
    return server.sessions.open("web")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(sets: EntitySets, **facts: Any) -> EntitySet:
    options: dict[str, Any] = {"ordered": False, "timeout": 600, "most": None, **facts}
    return sets.make(options.pop("dataclass", "Company"), options.pop("keys", ["3", "1", "2"]), **options)


def test_a_set_is_kept_in_its_order_and_seen_everywhere(server: Server, ann: Session, clock: Clock) -> None:
    made = make(EntitySets(ann.storage, clock), ordered=True)
    other = server.sessions.find(ann.id)
    assert other is not None
    elsewhere = EntitySets(other.storage, clock)
    assert list(elsewhere.keys("Company", made.id) or ()) == ["3", "1", "2"]
    assert elsewhere.listed() == [made]
    assert (made.size, made.ordered, made.until_ms - clock.now) == (3, True, 600_000)
    assert len(made.id) == 32


def test_a_set_is_of_its_class_and_of_its_session(server: Server, ann: Session, clock: Clock) -> None:
    made, bobs = make(EntitySets(ann.storage, clock)), EntitySets(server.sessions.open("web").storage, clock)
    assert bobs.keys("Company", made.id) is None
    assert not bobs.release("Company", made.id)
    mine = EntitySets(ann.storage, clock)
    assert mine.keys("Staff", made.id) is None
    assert not mine.release("Staff", made.id)
    assert mine.keys("Company", "A" * 32) is None
    assert mine.keys("Company", made.id)


def test_a_set_that_is_not_used_for_its_time_is_over(ann: Session, clock: Clock) -> None:
    sets = EntitySets(ann.storage, clock)
    short, long = make(sets, timeout=60), make(sets, timeout=600)
    clock.go(59)
    assert sets.keys("Company", short.id)
    clock.go(59)
    assert sets.keys("Company", short.id)  # its time began anew
    clock.go(60)
    assert sets.keys("Company", short.id) is None
    assert [one.id for one in sets.listed()] == [long.id]
    make(sets)
    assert not [name for name in ann.storage if name.endswith(short.id)]  # whoever makes the next takes it away


def test_there_are_no_more_sets_than_there_may_be(ann: Session, clock: Clock) -> None:
    sets = EntitySets(ann.storage, clock)
    first = make(sets, most=2)
    make(sets, most=2, timeout=60)
    with pytest.raises(TooManySets):
        make(sets, most=2)
    clock.go(60)
    make(sets, most=2)  # one was over
    with pytest.raises(TooManySets):
        make(sets, most=2)
    assert sets.release("Company", first.id)
    assert not sets.release("Company", first.id)
    make(sets, most=2)
    assert len(sets.listed()) == 2


def test_requests_side_by_side_make_no_more_sets_than_there_may_be(ann: Session, clock: Clock) -> None:
    refused: list[str] = []

    def ask() -> None:
        try:
            make(EntitySets(ann.storage, clock), most=3)
        except TooManySets:
            refused.append("")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(EntitySets(ann.storage, clock).listed()), len(refused)) == (3, 5)


@pytest.mark.parametrize(
    ("asked", "default", "most", "seconds"),
    [(None, None, None, 7200), (60, None, None, 60), (None, 900, None, 900), (900, None, 600, 600),
     (None, 900, 600, 600), (60, 900, 600, 60), (0, None, None, 7200)],
)  # fmt: skip
def test_the_time_of_a_set_keeps_to_the_quotas(
    ann: Session, asked: int | None, default: int | None, most: int | None, seconds: int
) -> None:
    quotas = ann.quotas
    quotas.default_entity_set_timeout = default
    quotas.max_entity_set_timeout = most
    assert quotas.timeout_of_set(asked) == seconds
