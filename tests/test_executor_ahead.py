"""An executor that claims what comes next while it runs something: what may go wrong in between, and what must not.

The real loop of an executor runs in this program, on a real Redis; what happens while a process runs, its body does.
"""

from __future__ import annotations

import mmap
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import pytest

from onserver import Limit, Procedure, Retry, procedure
from onserver.life import executor, page, trips
from onserver.life.executor import FENCED_STATUS, Settles
from onserver.life.page import Page
from onserver.life.unsent import Unsent
from onserver.process.claim import Claim, Settlement
from onserver.process.limits import rule
from onserver.redis.address import Address
from onserver.redis.answers import Lost, Silent
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.testing.wait import wait_for
from onserver.values import encode_call
from tests.floor import Floor, open_floor

MANY = 12


@procedure(name="ahead.body")
def body(number: int) -> int:
    """Do what the test wants to happen in the run of this number."""
    return happen(number)


def happen(number: int) -> int:
    driven.ran.append(number)
    driven.happens.get(number, lambda: None)()
    if number == len(driven.numbers) - 1:
        driven.page.drain()
    return number


@procedure(name="ahead.once", rerun=False)
def once(number: int) -> int:
    """Do the same, and never twice."""
    return happen(number)


@procedure(name="ahead.again", retry=Retry(OSError, times=3, delays=[0]))
def again(number: int) -> int:
    """Do the same, and again where that raises."""
    return happen(number)


class Driven:
    """An executor whose processes, numbered from 0, do what `happens` says; the last one drains it."""

    def __init__(
        self,
        floor: Floor,
        tracer: Any = None,
        what: Procedure[[int], int] = body,
        but: Mapping[int, Procedure[[int], int]] = MappingProxyType({}),
        many: int = MANY,
    ) -> None:
        self.floor, self.page = floor, Page()
        self.wakes: list[int] = []
        self.happens: dict[int, Callable[[], object]] = {}
        self.ran: list[int] = []
        self.numbers = [floor.put(but.get(number, what), number) for number in range(many)]
        self.holder = floor.member.enlist(floor.code.digest, ["default"])
        self._executor = executor.Executor(
            floor.server, self.holder, self.page, floor.code.digest, ["default"], tracer, self._wake
        )

    def put(self, more: int) -> None:
        """Put so many more, of `body`."""
        self.numbers += [self.floor.put(body, len(self.numbers) + number) for number in range(more)]

    def run(self) -> int:
        global driven
        driven = self
        return self._executor.run()

    def _wake(self) -> None:
        self.wakes.append(len(self.ran))

    def held(self) -> list[int]:
        """Which of them are held now, counted from 0."""
        held = self.floor.store.command("LRANGE", self.floor.store.key(f"held:{self.holder}"), 0, -1)
        return [self.numbers.index(int(number)) for number in held]

    def wait_claimed(self, number: int) -> None:
        """While this one runs: wait until as many as may be are claimed behind it."""
        claimed = list(range(number, min(number + executor.MOST_AHEAD, MANY - 1) + 1))
        wait_for(lambda: self.held() == claimed, what="the next ones to be claimed")

    def wait_claimed_next(self, number: int) -> None:
        """While this one runs: wait until the next one is claimed."""
        wait_for(lambda: self.held()[:2] == [number, number + 1], what="the next one to be claimed")

    def states(self) -> list[str]:
        return [self.floor.state(number) for number in self.numbers]

    def hand_back(self) -> int:
        """Do what the supervisor does: hand back what has not begun."""
        self.page.renew()
        back, _ = self.floor.member.give(self.holder, self.page.generation, self.page.may_have_run)
        self.page.renewed()
        return back


driven: Driven


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


def all_short(monkeypatch: pytest.MonkeyPatch, *, after: int, more: int, most: int) -> None:
    """Every run is short; after so many the next one is claimed ahead, after so many more another one, up to `most`."""
    monkeypatch.setattr(page, "_SHORT_SECONDS", inf)
    monkeypatch.setattr(executor, "SHORT_RUNS", after)
    monkeypatch.setattr(executor, "MORE_RUNS", more)
    monkeypatch.setattr(executor, "MOST_AHEAD", most)
    monkeypatch.setattr(executor, "_ALL_AHEAD", after + more * (most - 1))


@pytest.fixture(params=[1, 4])
def always(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """From the first process on, the next one is claimed ahead; and with each run, all of them short, one more."""
    all_short(monkeypatch, after=0, more=1, most=request.param)


def once_each(one: Driven) -> None:
    """All have run, none twice, in their order, and Redis knows."""
    assert one.ran == list(range(MANY))
    assert one.states() == ["done"] * MANY
    assert [one.floor.field(number, "d") for number in one.numbers] == [""] * MANY
    assert one.held() == []


# ---- when it does


def test_after_eight_short_ones_in_a_row_the_next_is_claimed_ahead(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_SHORT_SECONDS", inf)
    one = Driven(floor)
    seen: list[list[int]] = []

    def look(number: int) -> None:
        if 8 <= number < MANY - 1:
            one.wait_claimed_next(number)
        seen.append(one.held())

    one.happens = {number: lambda number=number: look(number) for number in range(MANY)}  # type: ignore[misc]
    assert one.run() == 0
    assert seen == [*([number] for number in range(8)), *([number, number + 1] for number in range(8, 11)), [11]]
    assert one.wakes == [8]  # the supervisor looks at it from then on
    once_each(one)


def test_after_as_many_again_one_more_is_claimed_ahead_and_fewer_once_nothing_is_left(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_short(monkeypatch, after=2, more=2, most=3)
    one = Driven(floor)
    seen: list[int] = []

    def look(number: int) -> None:
        ahead = min(max(0, number // 2), 3, MANY - 1 - number)
        wait_for(lambda: len(one.held()) == 1 + ahead, what="as many to be claimed")
        seen.append(len(one.held()) - 1)

    one.happens = {number: lambda number=number: look(number) for number in range(MANY)}  # type: ignore[misc]
    assert one.run() == 0
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 3, 2, 1, 0]
    once_each(one)


def test_one_that_takes_longer_lets_the_next_begin_with_nothing_claimed_ahead(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_short(monkeypatch, after=2, more=1, most=3)
    one = Driven(floor)
    seen: list[int] = []

    def long() -> None:
        one.wait_claimed(5)
        monkeypatch.setattr(page, "_SHORT_SECONDS", -1.0)

    one.happens = {number: lambda: seen.append(len(one.held()) - 1) for number in range(6, MANY)}
    one.happens[5] = long
    assert one.run() == 0
    assert seen == [2, 0, 0, 0, 0, 0]  # after the second one it hands back what is left
    once_each(one)


def test_where_a_claim_finds_nothing_there_are_half_as_many_and_not_none(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_short(monkeypatch, after=4, more=4, most=8)
    one = Driven(floor, many=49)
    seen: dict[int, int] = {}

    def told(number: int) -> None:
        wait_for(lambda: floor.state(one.numbers[number - 1]) == "done", what="what was sent with the end before")
        seen[number] = len(one.held()) - 1
        if number == 41:
            one.put(40)  # while nobody knows yet that the claim sent before this one has found nothing

    one.happens = {number: lambda number=number: told(number) for number in range(1, 89)}  # type: ignore[misc]
    assert one.run() == 0
    assert [seen[number] for number in (39, 40, 41)] == [8, 8, 7]
    assert min(seen[number] for number in range(42, 81)) == 5  # four may be ahead, and one more when that is so
    assert seen[75] == 8
    assert one.ran == list(range(89))


def test_where_they_are_long_nothing_is_claimed_that_does_not_begin(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_SHORT_SECONDS", -1.0)
    one = Driven(floor)
    seen: list[list[int]] = []
    one.happens = dict.fromkeys(range(MANY), lambda: seen.append(one.held()))
    assert one.run() == 0
    assert seen == [[number] for number in range(MANY)]
    once_each(one)


@pytest.mark.usefixtures("always")
def test_what_must_not_run_twice_begins_when_all_before_it_is_known_to_have_ended(floor: Floor) -> None:
    """Who buries a whole worker takes what an executor has claimed first for what had begun."""
    one = Driven(floor, what=once)
    seen: list[tuple[list[int], Sequence[int]]] = []
    one.happens = dict.fromkeys(range(MANY), lambda: seen.append((one.held(), one.page.unsent.numbers)))
    assert one.run() == 0
    assert seen == [([number], ()) for number in range(MANY)]
    once_each(one)


@pytest.mark.usefixtures("always")
def test_what_must_not_run_twice_begins_so_behind_what_may(floor: Floor) -> None:
    one = Driven(floor, but={7: once})
    seen: list[tuple[int, Sequence[int]]] = []
    one.happens[7] = lambda: seen.append((one.held()[0], one.page.unsent.numbers))
    assert one.run() == 0
    assert seen == [(7, ())]
    once_each(one)


@pytest.mark.usefixtures("always")
def test_what_is_to_be_run_again_is_not_claimed_by_the_trip_that_says_so(floor: Floor) -> None:
    """It would stand among what has ended and not been said, and would be handed back to nobody."""
    one = Driven(floor, what=again)
    seen: dict[int, Sequence[int]] = {}

    def fails() -> None:
        if one.ran.count(4) == 1:
            raise OSError

    one.happens[4] = fails
    one.happens[5] = lambda: seen.setdefault(5, one.page.unsent.numbers)
    assert one.run() == 0
    assert Counter(one.ran) == {number: 2 if number == 4 else 1 for number in range(MANY)}
    assert one.states() == ["done"] * MANY
    assert seen == {5: ()}  # it was claimed before that, and all was said before it began


def test_who_claims_ahead_and_finds_nothing_is_not_idle(floor: Floor) -> None:
    busy, idle = floor.executor(), floor.executor()
    assert idle.claim() == 0
    process = floor.server.settings.process
    keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
    found = floor.store.run("step", busy.holder, 1, 2, *keep, floor.code.digest, 1, "default")
    assert found[3:] == []
    numbers = [floor.put(body, n) for n in range(2)]
    assert (idle.given(), busy.given()) == (numbers[0], 0)
    assert floor.state(numbers[1]) == "queued"


# ---- what may happen in between


@pytest.mark.usefixtures("always")
def test_what_was_claimed_ahead_is_handed_back_and_run_by_whoever_comes_first(floor: Floor) -> None:
    one = Driven(floor)
    other = floor.executor()

    def handed_back() -> None:
        one.wait_claimed(5)
        assert one.hand_back() == executor.MOST_AHEAD
        assert floor.state(one.numbers[6]) == "queued"
        assert other.claim() == one.numbers[6]
        other.end(one.numbers[6])

    one.happens[5] = handed_back
    assert one.run() == 0
    assert one.ran == [n for n in range(MANY) if n != 6]
    assert one.states() == ["done"] * MANY


@pytest.mark.usefixtures("always")
def test_what_was_handed_back_and_nobody_took_runs_here_once(floor: Floor) -> None:
    one = Driven(floor)

    def handed_back() -> None:
        one.wait_claimed(5)
        assert one.hand_back() == executor.MOST_AHEAD

    one.happens[5] = handed_back
    assert one.run() == 0
    once_each(one)


@pytest.mark.usefixtures("always")
def test_nothing_begins_until_redis_has_said_that_it_was_handed_back(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor could be told that the next one is still its own, and then it is handed back."""
    one = Driven(floor)
    waits: list[list[int]] = []

    def begun_to_hand_back() -> None:
        one.wait_claimed(5)
        one.page.renew()

    def sleep(_seconds: float) -> None:
        waits.append(list(one.ran))
        one.wait_claimed(6)
        back = executor.MOST_AHEAD + 1
        assert floor.member.give(one.holder, one.page.generation, one.page.may_have_run) == (back, [])
        one.page.renewed()

    one.happens[5] = begun_to_hand_back
    monkeypatch.setattr(executor, "sleep", sleep)
    assert one.run() == 0
    assert waits == [list(range(6))]
    once_each(one)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("nth", range(1, 5))
def test_a_trip_ahead_whose_reply_is_lost_doubles_and_loses_nothing(
    redis_address: Address, tmp_path: Path, nth: int
) -> None:
    with Proxy(redis_address, tmp_path / "proxy") as proxy, open_floor(proxy.address) as floor:
        sha = floor.store.script("step").sha

        def is_it(words: Words) -> bool:
            return words[0] in RUNS and words[1] == sha

        one = Driven(floor)
        one.happens[4] = lambda: proxy.swallow_reply(nth, matching=is_it)
        assert one.run() == 0
        assert proxy.broken
        once_each(one)


@pytest.mark.usefixtures("always")
def test_a_connection_that_breaks_between_a_trip_ahead_and_its_answer_doubles_and_loses_nothing(
    redis_address: Address, tmp_path: Path
) -> None:
    with Proxy(redis_address, tmp_path / "proxy") as proxy, open_floor(proxy.address) as floor:
        one = Driven(floor)
        one.happens[4] = one.happens[7] = proxy.reset
        assert one.run() == 0
        once_each(one)


@pytest.mark.usefixtures("always")
def test_what_redis_claims_late_for_a_connection_that_was_lost_is_found(redis_address: Address, tmp_path: Path) -> None:
    """Nothing is claimed ahead meanwhile: what is held and unknown would stand before it."""
    with Proxy(redis_address, tmp_path / "proxy") as proxy, open_floor(proxy.address) as floor:
        one = Driven(floor)
        process = floor.server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)

        def claim_late() -> None:
            held = one.held()  # what has got through, and nothing after that
            floor.store.run("step", one.holder, 1, 0, *keep, floor.code.digest, 1, "default")
            assert one.held() == [*held, held[-1] + 1]
            assert held[0] == 6

        one.happens[4] = proxy.reset
        one.happens[6] = claim_late
        assert one.run() == 0
        once_each(one)


@pytest.mark.usefixtures("always")
def test_scripts_that_redis_forgot_are_loaded_again(floor: Floor) -> None:
    one = Driven(floor)

    def forget() -> None:
        floor.store.command("FUNCTION", "FLUSH")
        floor.store.command("SCRIPT", "FLUSH")

    one.happens[4] = forget
    assert one.run() == 0
    once_each(one)


@pytest.mark.usefixtures("always")
def test_who_was_declared_dead_while_it_was_frozen_begins_nothing_more(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Driven(floor)

    def frozen() -> None:
        one.wait_claimed(5)
        floor.member.bury(one.holder, one.numbers[5])
        one.page.stamp(monotonic() - 3600)

    one.happens[5] = frozen
    monkeypatch.setattr(executor, "sleep", lambda _seconds: one.page.stamp(monotonic()))
    assert one.run() == FENCED_STATUS
    assert one.ran == list(range(6))
    assert one.states() == [*["done"] * 5, *["queued"] * 7]
    # what had not begun is no delivery
    assert [floor.field(number, "d") for number in one.numbers[5:8]] == ["1", "", ""]


@pytest.mark.usefixtures("always")
def test_what_one_that_is_dead_began_all_the_same_is_not_accepted(floor: Floor) -> None:
    one = Driven(floor)

    def buried() -> None:
        one.wait_claimed(5)
        floor.member.bury(one.holder, one.numbers[5])

    one.happens[5] = buried
    assert one.run() == FENCED_STATUS
    assert one.ran == list(range(6 + executor.MOST_AHEAD))  # what it had been told was its own
    assert one.states() == [*["done"] * 5, *["queued"] * 7]


@pytest.mark.usefixtures("always")
def test_one_that_is_told_to_leave_gives_back_what_it_claimed_ahead(floor: Floor) -> None:
    one = Driven(floor)

    def drained() -> None:
        one.wait_claimed(5)
        one.page.drain()
        assert one.hand_back() == executor.MOST_AHEAD

    one.happens[5] = drained
    assert one.run() == 0
    assert one.ran == list(range(6))
    assert one.states() == [*["done"] * 6, *["queued"] * 6]
    assert one.held() == []


@pytest.mark.usefixtures("always")
def test_an_order_for_one_that_was_claimed_ahead_is_obeyed_before_it_begins(floor: Floor) -> None:
    one = Driven(floor)

    def aborted() -> None:
        one.wait_claimed(5)
        words = (floor.store.nonce(), one.numbers[6], "somebody", "", "", 60)
        assert floor.store.run("abort", *words)[0] == b"asked"
        one.page.board.write({one.numbers[6]: 1})

    one.happens[5] = aborted
    assert one.run() == 0
    assert one.ran == [n for n in range(MANY) if n != 6]
    assert floor.state(one.numbers[6]) == "aborted"


@pytest.mark.usefixtures("always")
def test_an_end_that_did_not_get_through_is_said_while_the_next_one_runs(
    redis_address: Address, tmp_path: Path
) -> None:
    with Proxy(redis_address, tmp_path / "proxy") as proxy, open_floor(proxy.address) as floor:
        one = Driven(floor)

        def asked() -> None:
            signal.raise_signal(signal.SIGUSR2)  # as the supervisor sends it, and in this thread
            assert floor.state(one.numbers[4]) == "done"

        one.happens[4] = lambda: proxy.cut_request(10)
        one.happens[5] = asked
        assert one.run() == 0
        once_each(one)


@pytest.mark.usefixtures("always")
def test_for_what_is_under_way_a_run_is_held_up_for_half_a_second_and_it_is_said_once_more(floor: Floor) -> None:
    one = Driven(floor)
    link = one._executor._trips._link
    receive, waited = link.receive, list[float]()

    def silent(timeout: float) -> Any:
        waited.append(timeout)
        raise Silent("it", 1, timeout, "gave no answer")

    def asked() -> None:
        link.receive = silent  # type: ignore[method-assign]
        signal.raise_signal(signal.SIGUSR2)
        link.receive = receive  # type: ignore[method-assign]
        assert one.page.unsent.numbers == ()
        assert floor.state(one.numbers[4]) == "done"

    one.happens[5] = asked
    assert one.run() == 0
    once_each(one)
    assert waited == [pytest.approx(0.5, abs=0.1)]


def test_a_late_copy_of_a_handing_back_does_nothing(floor: Floor) -> None:
    one = floor.executor()
    numbers = floor.many(body, [(n,) for n in range(3)])
    assert one.claim() == numbers[0]
    assert floor.member.give(one.holder, 7, [numbers[0]]) == (0, [numbers[0]])
    assert one.end(numbers[0], claim=True) == numbers[1]
    assert floor.member.give(one.holder, 6) == (0, [])
    assert floor.member.give(one.holder, 7, [numbers[1]]) == (0, [numbers[1]])
    assert floor.running() == [numbers[1]]
    assert floor.member.give(one.holder, 8) == (1, [])
    assert floor.running() == []


def test_who_was_handed_something_that_is_handed_back_looks_again(floor: Floor) -> None:
    """It is among the idle no more, and nobody would give it anything."""
    one = floor.executor()
    assert one.claim() == 0
    number = floor.put(body, 0)
    assert floor.member.give(one.holder, 1) == (1, [])
    assert floor.state(number) == "queued"
    assert floor.store.command("LINDEX", floor.store.key(f"x:{one.holder}"), 0) == b"wake"


class StoresFirst:
    """A tracer that stores every other result while the process still runs, as Celery's does."""

    def begin(self) -> bool:
        return True

    def run(self, claim: Claim, holding: Settles) -> None:
        number = driven.numbers.index(claim.number)
        if not number % 2:
            happen(number)
            holding.settle(claim.number, "end", "done", b"\xc0")
            return
        if number < MANY - 1:
            driven.wait_claimed_next(number)
        holding.settle(claim.number, "store", "done", b"\xc0")
        assert driven.states()[number] == "done"
        happen(number)
        holding.settle(claim.number, "free", "", b"")


@pytest.mark.usefixtures("always")
def test_what_has_to_be_said_during_a_run_is_said_after_the_trip_ahead(floor: Floor) -> None:
    one = Driven(floor, StoresFirst())
    assert one.run() == 0
    once_each(one)


# ---- what has ended and was not said yet


@pytest.mark.usefixtures("always")
def test_what_is_under_way_stands_among_what_was_not_said_yet(floor: Floor) -> None:
    one = Driven(floor)
    seen: dict[int, Sequence[int]] = {}

    def look() -> None:
        seen[5] = one.page.unsent.numbers

    one.happens[5] = look
    assert one.run() == 0
    before = one.numbers[5 - min(executor.MOST_AHEAD, 3) : 5]  # of what was before, the answer that brought it told
    assert seen == {5: tuple(before)}
    assert one.page.unsent.numbers == ()


class Torn:
    """Words of memory that somebody else writes when the first of a slice of them has been read."""

    def __init__(self, words: Any, between: Callable[[], object]) -> None:
        self._words, self._between = words, between

    def __getitem__(self, at: Any) -> Any:
        if not isinstance(at, slice):
            return self._words[at]
        return self._read(range(*at.indices(len(self._words))))

    def _read(self, places: range) -> Iterator[int]:
        for count, at in enumerate(places):
            yield self._words[at]
            if not count:
                self._between()


def test_what_was_not_said_yet_is_read_although_an_answer_is_heard_meanwhile() -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    writes, reads = Unsent(memory, 0), Unsent(memory, 0)
    for number in (1, 2, 3):
        writes.add(number)
    left: list[Settlement] = [(2, "end", "", b"", ""), (3, "end", "", b"", "")]
    torn: Any = Torn(reads._words, lambda: writes.keep(left))
    reads._words = torn
    assert {2, 3} <= set(reads.numbers)


# ---- what Redis does not know any more


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("how", ["lost", "another master"])
def test_what_another_has_by_now_does_not_begin(floor: Floor, how: str) -> None:
    """A Redis that has lost its last second, or one that has taken over: it knows nothing of what was claimed ahead."""
    one, other = Driven(floor, but={7: once}), floor.executor()
    link = one._executor._trips._link
    connect, taken = link._connect, list[int]()

    def another(deadline: float) -> None:
        if one.ran and one.ran[-1] == 6 and not taken:
            assert floor.member.give(one.holder, 1, [one.numbers[6]])[0] >= 1
            taken.append(other.claim())
            other.end(taken[0])
            link.close()
            if how == "lost":
                raise Lost("it", 1, 0.0, "closed the connection")
        connect(deadline)

    link._connect = another  # type: ignore[method-assign]
    assert one.run() == 0
    assert taken == [one.numbers[7]]
    assert one.ran == [number for number in range(MANY) if number != 7]
    assert one.states() == ["done"] * MANY


# ---- a Redis that refuses


@pytest.mark.usefixtures("always")
def test_a_redis_that_takes_no_writes_for_a_while_doubles_and_loses_nothing(floor: Floor) -> None:
    """As with a full disk: of the trips that are under way some are carried out, and the others are refused."""
    one = Driven(floor)
    refused = "min-replicas-to-write"

    def refuses() -> None:
        one.wait_claimed(5)
        floor.store.command("CONFIG", "SET", refused, 1)

    def writes_again(_seconds: float) -> None:
        tries.append(list(one.ran))
        floor.store.command("CONFIG", "SET", refused, 0)

    tries: list[list[int]] = []
    one.happens[5] = refuses
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(trips, "sleep", writes_again)
            assert one.run() == 0
    finally:
        floor.store.command("CONFIG", "SET", refused, 0)
    assert tries[0] == list(range(6 + executor.MOST_AHEAD))  # what was claimed before runs
    once_each(one)


@pytest.mark.usefixtures("always")
def test_a_forged_process_among_those_that_were_claimed_ahead_does_not_run(floor: Floor) -> None:
    one = Driven(floor)

    def forged() -> None:
        one.wait_claimed_next(4)
        floor.store.command("HSET", floor.store.key(f"p:{one.numbers[10]}"), "b", encode_call((3,), {}))

    one.happens[4] = forged
    assert one.run() == 0
    assert one.ran == [number for number in range(MANY) if number != 10]
    assert one.states()[10] == "failed"
    assert [state for number, state in enumerate(one.states()) if number != 10] == ["done"] * (MANY - 1)


# ---- what a claim took


@procedure(name="ahead.rated", limit=Limit(rate=10, per=3600))
def rated(number: int) -> int:
    """One of ten in an hour."""
    return happen(number)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("limit", ["p:ahead.rated", "q:default"])
def test_tokens_of_what_is_handed_back_are_given_back_and_who_is_idle_has_one(floor: Floor, limit: str) -> None:
    floor.member.set_limits({limit: rule(Limit(rate=10, per=3600), "ahead.rated")})
    one, other = Driven(floor, what=rated), floor.executor()

    def tokens() -> int:
        return int(floor.store.command("LLEN", floor.store.key(f"rate:{limit}")))

    def handed_back() -> None:
        claimed = min(10, 6 + executor.MOST_AHEAD)
        wait_for(lambda: one.held() == list(range(5, claimed)), what="all that may be claimed")
        assert tokens() == claimed
        if claimed == 10:
            assert other.claim() == 0  # it waits
        assert one.hand_back() == claimed - 6
        if claimed == 10:
            assert other.given() == one.numbers[6]
        else:
            assert other.claim() == one.numbers[6]
        assert tokens() == 7
        other.end(one.numbers[6])
        one.happens[9] = one.page.drain

    one.happens[5] = handed_back
    assert one.run() == 0
    assert one.ran == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert one.states() == [*["done"] * 10, *["queued"] * 2]
    assert tokens() == 10
