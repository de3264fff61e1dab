"""Wide pauses: of a queue, a procedure, everything; kept in Redis, honoured wherever a process may begin."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from onserver import procedure
from onserver.errors import BadArguments, ProcedureNotFound
from onserver.process import gates
from onserver.process.put import Sender
from onserver.redis.address import Address, unix_address
from onserver.session.context import Run, entered
from onserver.views.processes import Seen
from tests.cluster.redis_program import redis_program
from tests.floor import Floor, open_floor

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="gates.one")
def one(n: int = 0) -> int:
    return n


@procedure(name="gates.two", queue="reports")
def two(n: int = 0) -> int:
    return n


@procedure(name="gates.new", aliases=["gates.old"])
def new(n: int = 0) -> int:
    return n


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with ExitStack() as opened:
        yield opened.enter_context(open_floor(redis_address))


def why(floor: Floor, number: int) -> str:
    (row,) = Seen(floor.store).rows([number])
    return row.why


def test_a_paused_queue_lets_nothing_begin_and_the_others_go_on(floor: Floor) -> None:
    both = floor.executor("default", "reports")
    gate = gates.pause_queue(floor.server, "reports", by="ann")
    assert (gate.kind, gate.name, gate.by, gate.until_ms) == ("queue", "reports", "ann", 0)
    waiting, running = floor.put(two), floor.put(one)
    assert both.claim() == running
    assert both.end(running, claim=True) == 0
    assert why(floor, waiting).startswith("queue `reports` is paused by ann since ")
    assert gates.paused(floor.server) == [gate]
    assert gates.resume_queue(floor.server, "reports") is True
    assert both.given() == waiting  # at once, to an idle executor
    assert gates.resume_queue(floor.server, "reports") is False
    assert gates.paused(floor.server) == []
    both.end(waiting)
    assert floor.orphans() == []


def test_a_paused_procedure_waits_in_every_queue_and_is_in_nobodys_way(floor: Floor) -> None:
    executor = floor.executor("default", "reports")
    gates.pause_procedure(floor.server, "gates.one")
    held = [floor.put(one) for _ in range(20)] + [floor.put(one, queue="reports")]
    others = [floor.put(two), floor.put(two, queue="default")]
    assert executor.claim() == others[1]
    assert executor.end(others[1], claim=True) == others[0]
    assert executor.end(others[0], claim=True) == 0
    assert why(floor, held[0]).startswith("procedure `gates.one` is paused by ")
    gates.resume_procedure(floor.server, "gates.one")
    assert executor.given() == held[0]


def renamed(floor: Floor, queue: str = "default") -> int:
    """Put by a program that has the old code, in which `gates.new` was `gates.old`."""
    return Sender(floor.server).put(replace(new.order, procedure="gates.old", queue=queue), [0], {}).number


@pytest.mark.parametrize("asked", ["gates.new", "gates.old"])
def test_a_paused_procedure_is_paused_under_all_its_names(floor: Floor, asked: str) -> None:
    first, second = floor.executors(2)
    assert first.claim() == 0
    gate = gates.pause_procedure(floor.server, asked)
    assert gate.name == "gates.new"
    held = [renamed(floor), floor.put(new)]
    assert (first.given(), second.claim()) == (0, 0)
    assert [why(floor, number) for number in held] == [gate.text, gate.text]
    assert gates.resume_procedure(floor.server, asked) is True
    assert sorted((first.given(), second.given())) == held


def test_a_pause_from_before_a_procedure_was_renamed_holds_and_ends_under_its_new_name(floor: Floor) -> None:
    executor = floor.executor()
    floor.store.run("shut_gate", floor.store.nonce(), "p:gates.old", "ann", "")
    held = [floor.put(new), renamed(floor)]
    assert executor.claim() == 0
    assert why(floor, held[0]).startswith("procedure `gates.old` is paused by ann since ")
    assert gates.resume_procedure(floor.server, "new") is True
    assert executor.given() == held[0]
    assert gates.paused(floor.server) == []


def test_what_runs_under_an_alias_is_paused_and_resumed_with_its_procedure(floor: Floor) -> None:
    executor = floor.executor()
    number = renamed(floor)
    assert executor.claim() == number
    gates.pause_procedure(floor.server, "gates.new", running=True)
    assert floor.field(number, "pz") == "1"
    gates.resume_procedure(floor.server, "gates.new", running=True)
    assert floor.field(number, "pz") == ""


def test_everything_is_paused_but_hooks_and_what_descends_from_them(floor: Floor) -> None:
    first, second = floor.executors(2)
    assert first.claim() == 0
    gates.pause_all(floor.server)
    gates.pause_procedure(floor.server, "gates.one")
    gates.pause_queue(floor.server, "default")
    held = floor.put(one)
    session = floor.server.session()
    hook = Run(
        number=7,
        delivery=1,
        holder=first.holder,
        procedure="h",
        name="h",
        root=7,
        session=session,
        caller=None,
        started=0,
    )
    with entered(hook):
        descendants = [Sender(floor.server).put(one.order, [0], {}).number for _ in range(2)]
    assert first.given() == descendants[0]
    assert second.claim() == descendants[1]
    first.end(descendants[0])
    assert first.claim() == 0
    assert [gate.kind for gate in gates.paused(floor.server)] == ["all", "procedure", "queue"]
    assert why(floor, held).startswith("everything is paused by ")
    for resume in (gates.resume_all, lambda s: gates.resume_procedure(s, "gates.one")):
        resume(floor.server)
        assert first.given() == 0
    gates.resume_queue(floor.server, "default")
    assert first.given() == held


def test_what_runs_goes_on_and_what_comes_back_waits(floor: Floor) -> None:
    executor, idle = floor.executors(2)
    number = floor.put(one)
    assert executor.claim() == number
    assert idle.claim() == 0
    gates.pause_all(floor.server)
    assert floor.state(number) == "running"
    executor.back(number, "begun")
    assert (floor.state(number), idle.given(), executor.claim()) == ("queued", 0, 0)
    gates.resume_all(floor.server)
    assert number in (idle.given(), executor.given())


def test_a_pause_for_some_time_ends_by_itself(floor: Floor) -> None:
    executor = floor.executor()
    gates.pause_all(floor.server, for_seconds=60)
    number = floor.put(one)
    assert executor.claim() == 0
    assert ", until " in why(floor, number)
    floor.advance(59)
    assert executor.given() == 0
    floor.advance(1.1)  # the leader does it
    assert executor.given() == number
    assert gates.paused(floor.server) == []
    executor.end(number)
    assert floor.orphans() == []


def test_a_pause_that_is_over_holds_nobody_where_no_leader_was_up_to_end_it(floor: Floor) -> None:
    gates.pause_all(floor.server, for_seconds=60)
    number = floor.put(one)
    floor.store.command("INCRBY", floor.store.key("clock"), 61_000)
    assert floor.executor().claim() == number


def test_a_pause_survives_a_restart_of_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with redis_program(tmp_path) as redis, open_floor(unix_address(str(redis.socket))) as floor:
        gates.pause_queue(floor.server, "default", by="ann")
        number = floor.put(one)
        redis.kill()
        redis.start()
        executor = floor.executor()
        assert executor.claim() == 0
        (gate,) = gates.paused(floor.server)
        assert (gate.by, why(floor, number)) == ("ann", gate.text)
        gates.resume_queue(floor.server, "default")
        assert executor.given() == number


def test_the_last_word_counts(floor: Floor) -> None:
    gates.pause_queue(floor.server, "default", by="ann", for_seconds=60)
    longer = gates.pause_queue(floor.server, "default", by="bob")
    assert gates.paused(floor.server) == [longer]
    number = floor.put(one)
    executor = floor.executor()
    assert executor.claim() == 0
    floor.advance(120)
    assert executor.given() == 0
    gates.resume_queue(floor.server, "default")
    assert executor.given() == number


def test_a_delayed_process_waits_for_the_end_of_the_pause(floor: Floor) -> None:
    executor = floor.executor()
    assert executor.claim() == 0
    number = floor.put(one, delay=5)
    gates.pause_procedure(floor.server, "gates.one")
    floor.advance(6)
    assert (executor.given(), floor.state(number)) == (0, "queued")
    gates.resume_procedure(floor.server, "gates.one")
    assert executor.given() == number


@pytest.mark.parametrize("waiting", [1000])
def test_many_that_wait_behind_a_pause_cost_the_claims_of_others_nothing(floor: Floor, waiting: int) -> None:
    gates.pause_procedure(floor.server, "gates.one")
    floor.many(one, [(n,) for n in range(waiting)])
    executor = floor.executor("default")
    others = [floor.put(two, queue="default") for _ in range(2)]
    assert executor.claim() == others[0]
    before = commands(floor)
    assert executor.end(others[0], claim=True) == others[1]
    assert commands(floor) - before < 60


def commands(floor: Floor) -> int:
    return int(floor.store.command("INFO", "stats").split(b"total_commands_processed:")[1].split()[0])


@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_a_time_that_is_none_is_refused(floor: Floor, seconds: float) -> None:
    pause: Callable[..., object] = gates.pause_all
    with pytest.raises(BadArguments, match="for_seconds"):
        pause(floor.server, for_seconds=seconds)


def test_a_procedure_that_nobody_knows_is_refused(floor: Floor) -> None:
    with pytest.raises(ProcedureNotFound, match=r"gates\.one"):
        gates.pause_procedure(floor.server, "gates.onne")
