"""Mailboxes: the specification's workers (5.10) row by row, and whoever dies in one."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, Signal, execute_on_server, mailbox, procedure, process, session
from onserver.errors import BadArguments, NotSendable, ProcedureNotFound
from onserver.process.mailbox import Mailbox
from onserver.process.record import State
from onserver.redis.address import Address, parse
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.testing import OnServer, wait_for
from onserver.testing.cluster import open_cluster
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.cluster.conftest import Open, cluster_of
from tests.inline_worker import make_server, working

__all__ = ["cluster_of"]

TASKS = """
import os, time
from onserver import mailbox, procedure, process, session
from onserver.testing.ledger import note

@procedure
def step(n, seconds=0.0):
    note("in", process().number, n, process().deliveries, os.getpid(), time.monotonic())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    note("out", process().number, n, process().deliveries, os.getpid(), time.monotonic())

@procedure
def die(n):
    note("in", process().number, n, process().deliveries, os.getpid(), time.monotonic())
    os.kill(os.getpid(), 9)

@procedure(rerun=False)
def die_once(n):
    os.kill(os.getpid(), 9)

def mortal(n):
    # kills whoever runs it, until it is cured
    note("in", process().number, n, process().deliveries, os.getpid(), time.monotonic())
    if "cured" not in session().storage:
        os.kill(os.getpid(), 9)
    note("out", process().number, n, process().deliveries, os.getpid(), time.monotonic())
    mailbox(None).call(step, 99)  # it is no mailbox's any more: nothing is asked
    return n

mortal_once = procedure(name="jobs.mortal_once", rerun=False)(mortal)
mortal = procedure(name="jobs.mortal")(mortal)
"""

ran: list[Any] = []


@procedure
def note(word: Any) -> str:
    ran.append(word)
    return str(word)


@procedure
def wait(one: Signal) -> None:
    ran.append("waits")
    one.wait(20)


@procedure
def fail(word: str) -> None:
    ran.append(word)
    raise ValueError(word)


@procedure
def begin() -> None:
    ran.append(f"begin in #{process().number}")


@procedure
def count() -> None:
    mine = process().variables
    mine["n"] = mine.get("n", 0) + 1
    ran.append((process().number, process().name, mine["n"]))


@procedure
def stop_itself(then: str) -> None:
    assert mailbox().kill()
    mailbox("box").call(note, then)  # from the killed worker to itself: nothing
    mailbox("other").call(note, "from it")
    ran.append("stopped")


@procedure
def call_another(name: str, word: str) -> None:
    mailbox(name).call(note, word)


@procedure
def change(box: dict[str, int]) -> None:
    box["n"] += 1
    ran.append(box["n"])


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    ran.clear()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made
        assert find_orphans(made.store) == []


def idle(box: Mailbox) -> Process[Any]:
    """Wait until the box has worked off its calls; answer its process."""
    wait_for(lambda: (one := box.process) is not None and one.record().why == "calls" and box.waiting == 0, 20)
    one = box.process
    assert one is not None
    return one


# -- specification 5.10, row by row


def names_are_unique_and_case_sensitive() -> None:
    mailbox("box").call(note, 1)
    mailbox("Box").call(note, 2)
    assert idle(mailbox("box")).number != idle(mailbox("Box")).number


def a_call_answers_nothing_before_it_has_run() -> None:
    gate = Signal()
    assert mailbox("box").call(wait, gate) is None
    mailbox("box").call(note, 1)
    wait_for(lambda: ran == ["waits"], 20)
    assert mailbox("box").waiting == 1
    gate.trigger()
    idle(mailbox("box"))
    assert ran == ["waits", 1]


def by_name_it_is_made() -> None:
    assert mailbox("box").process is None
    mailbox("box").call(note, 1)
    assert idle(mailbox("box")).name == "box"


def by_number_only_a_worker_is_called() -> None:
    mailbox("box").call(note, "first")
    number = idle(mailbox("box")).number
    mailbox(number).call(note, "by number")
    idle(mailbox("box"))
    assert ran == ["first", "by number"]
    other = execute_on_server(note, "no worker")
    other.result(timeout=20)
    for wrong in (other.number, 999_999):
        mailbox(wrong).call(note, "never")
        assert mailbox(wrong).process is None
    mailbox("box").kill()
    mailbox(number).call(note, "too late")
    assert Server.current().store.command("HLEN", Server.current().store.key("boxes")) == 0
    assert ran == ["first", "by number", "no worker"]


def an_empty_formula_runs_the_start_again() -> None:
    mailbox("box", start=begin).call(note, "call")
    number = idle(mailbox("box")).number
    mailbox("box").call()
    idle(mailbox("box"))
    assert ran == [f"begin in #{number}", "call", f"begin in #{number}"]


def without_a_start_it_is_the_first_call_that_is_run_again() -> None:
    mailbox("box").call(note, "first")
    mailbox("box").call(note, "second")
    mailbox("box").call()
    idle(mailbox("box"))
    assert ran == ["first", "second", "first"]


def an_empty_formula_begins_one_that_has_a_start() -> None:
    mailbox("box", start=begin).call()
    assert ran == [f"begin in #{idle(mailbox('box')).number}"]


def an_empty_formula_for_what_is_no_worker_does_nothing() -> None:
    mailbox("box").call()
    mailbox(1).call()
    assert mailbox("box").process is None
    assert ran == []


def they_run_one_after_the_other_and_share_variables() -> None:
    for _ in range(5):
        mailbox("box").call(count)
    number = idle(mailbox("box")).number
    assert ran == [(number, "box", n) for n in range(1, 6)]
    assert mailbox("box").process is not None
    assert mailbox(number).process.variables["n"] == 5  # type: ignore[union-attr]


def it_lives_until_it_is_killed() -> None:
    mailbox("box").call(note, 1)
    first = idle(mailbox("box"))
    assert first.state == State.WAITING
    assert mailbox("box").kill()
    assert first.wait(timeout=20) == State.DONE
    assert first.result() is None
    assert mailbox("box").process is None
    mailbox("box").call(note, 2)
    assert idle(mailbox("box")).number != first.number


def parameters_are_copied() -> None:
    box = {"n": 1}
    mailbox("box").call(change, box)
    mailbox("box").call(change, box)
    idle(mailbox("box"))
    assert (ran, box) == ([2, 2], {"n": 1})


def kill_forgets_what_waits_and_ends_after_the_present_call() -> None:
    gate = Signal()
    mailbox("box").call(wait, gate)
    for n in range(3):
        mailbox("box").call(note, n)
    wait_for(lambda: ran == ["waits"], 20)
    one = mailbox("box").process
    assert mailbox("box").kill()
    assert one is not None
    assert not one.state.ended  # its present call goes on
    assert mailbox("box").waiting == 0
    gate.trigger()
    assert one.wait(timeout=20) == State.DONE
    assert ran == ["waits"]


def kill_without_an_argument_ends_itself_and_its_own_call_is_nothing() -> None:
    gate = Signal()
    mailbox("box").call(wait, gate)  # until somebody has looked at its process
    mailbox("box").call(stop_itself, "never")
    one = mailbox("box").process
    assert one is not None
    gate.trigger()
    assert one.wait(timeout=20) == State.DONE
    idle(mailbox("other"))
    assert sorted(ran) == ["from it", "stopped", "waits"]
    assert mailbox("box").process is None


def kill_of_none_does_nothing() -> None:
    assert not mailbox("box").kill()
    assert not mailbox(999_999).kill()
    assert not mailbox().kill()  # nothing runs here
    other = execute_on_server(note, 1)
    other.result(timeout=20)
    assert not mailbox(other.number).kill()


def a_call_to_one_just_killed_begins_a_new_process_after_the_old_one() -> None:
    gate = Signal()
    mailbox("box").call(wait, gate)
    wait_for(lambda: ran == ["waits"], 20)
    old = mailbox("box").process
    mailbox("box").kill()
    mailbox("box").call(count)
    assert old is not None
    assert (mailbox("box").process, mailbox("box").waiting) != (None, 0)
    assert len(ran) == 1
    gate.trigger()
    assert old.wait(timeout=20) == State.DONE
    wait_for(lambda: len(ran) == 2, 20)
    new = idle(mailbox("box"))
    assert ran == ["waits", (new.number, "box", 1)]
    assert new.number != old.number


def an_ordinary_process_can_call_and_cannot_be_called() -> None:
    calling = execute_on_server(call_another, "box", "from a process")
    calling.result(timeout=20)
    idle(mailbox("box"))
    assert ran == ["from a process"]
    mailbox(calling.number).call(note, "never")
    assert ran == ["from a process"]


def if_its_process_dies_the_box_stays() -> None:
    gate = Signal()
    mailbox("box", start=begin).call(wait, gate)
    mailbox("box").call(note, "after")
    wait_for(lambda: "waits" in ran, 20)
    old = mailbox("box").process
    assert old is not None
    store = Server.current().store
    store.run("unlock", "st:")  # a trip, so that the abort below is certainly later
    old.abort("for a test")
    gate.trigger()  # its next checkpoint: the call ends, and the process with it
    assert old.wait(timeout=20) in (State.ABORTED, State.DONE)
    new = idle(mailbox("box"))
    assert ran == [f"begin in #{old.number}", "waits", f"begin in #{new.number}", "after"]


ROWS: list[Callable[[], None]] = [
    names_are_unique_and_case_sensitive, a_call_answers_nothing_before_it_has_run, by_name_it_is_made,
    by_number_only_a_worker_is_called, an_empty_formula_runs_the_start_again,
    without_a_start_it_is_the_first_call_that_is_run_again, an_empty_formula_begins_one_that_has_a_start,
    an_empty_formula_for_what_is_no_worker_does_nothing, they_run_one_after_the_other_and_share_variables,
    it_lives_until_it_is_killed, parameters_are_copied, kill_forgets_what_waits_and_ends_after_the_present_call,
    kill_without_an_argument_ends_itself_and_its_own_call_is_nothing, kill_of_none_does_nothing,
    a_call_to_one_just_killed_begins_a_new_process_after_the_old_one,
    an_ordinary_process_can_call_and_cannot_be_called, if_its_process_dies_the_box_stays,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(server: Server, row: Callable[[], None]) -> None:
    row()


# -- ours


def test_a_call_that_raises_ends_and_the_next_one_runs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    mailbox("box").call(fail, "bad")
    mailbox("box").call(note, "good")
    idle(mailbox("box"))
    assert ran == ["bad", "good"]
    assert "a call of test_mailbox.fail failed\nTraceback" in capsys.readouterr().err


def test_what_cannot_be_sent_is_refused_at_once(server: Server) -> None:
    box = mailbox("box")
    with pytest.raises(BadArguments):
        box.call(note)  # type: ignore[call-overload]
    with pytest.raises(NotSendable):
        box.call(note, {1, 2})
    with pytest.raises(ProcedureNotFound):
        box.call("no.such_procedure")
    with pytest.raises(BadArguments, match="options that a call cannot keep"):
        box.call(note.options(delay=5), 1)
    with pytest.raises(BadArguments):
        mailbox("")
    assert box.process is None


def test_a_paused_box_takes_calls_and_runs_none(server: Server) -> None:
    mailbox("box").call(note, 1)
    one = idle(mailbox("box"))
    one.pause()
    assert one.state == State.PAUSED
    mailbox("box").call(note, 2)
    assert (one.state, ran) == (State.PAUSED, [1])
    one.resume()
    idle(mailbox("box"))
    assert ran == [1, 2]
    one.pause()
    one.resume()  # with no call in it
    assert idle(mailbox("box")).number == one.number
    assert ran == [1, 2]


def test_an_idle_box_can_be_aborted(server: Server) -> None:
    mailbox("box").call(note, 1)
    one = idle(mailbox("box"))
    one.abort("enough")
    assert one.state == State.ABORTED
    mailbox("box").call(note, 2)
    assert idle(mailbox("box")).number != one.number


def test_the_calls_of_one_box_do_not_keep_others_from_running(server: Server) -> None:
    """A box that is never empty has a low number; its calls queue behind what was put before them all the same."""
    mailbox("box").call(note, "call")
    idle(mailbox("box"))
    gate = Signal()
    execute_on_server(wait, gate)  # holds the one worker
    wait_for(lambda: ran[-1] == "waits", 20)
    execute_on_server(note, "process")
    mailbox("box").call(note, "later call")
    gate.trigger()
    idle(mailbox("box"))
    wait_for(lambda: len(ran) == 4, 20)
    assert ran == ["call", "waits", "process", "later call"]


def test_in_a_loop(server: Server) -> None:
    async def scene() -> None:
        await mailbox("box").acall(note, 1)
        await asyncio.to_thread(idle, mailbox("box"))
        assert await mailbox("box").akill()

    asyncio.run(scene())
    assert ran == [1]


def test_inline(onserver: OnServer) -> None:
    ran.clear()
    for n in range(3):
        mailbox("box").call(note, n)
    assert ran == [0, 1, 2]
    mailbox("box").kill()


def test_a_call_runs_in_the_one_session(server: Server) -> None:
    mailbox("box").call(note, 1)
    idle(mailbox("box"))
    assert session() is None  # outside


# -- whoever dies


def spans(ledger: Any) -> list[tuple[float, float]]:
    began: dict[tuple[str, ...], float] = {}
    ended: dict[tuple[str, ...], float] = {}
    for word, *facts, at in ledger:
        (began if word == "in" else ended)[tuple(facts)] = float(at)
    return sorted((at, ended.get(run, at)) for run, at in began.items())


def test_calls_never_run_two_at_a_time_under_kill_9(cluster_of: Open) -> None:
    cluster = cluster_of(2, executors=2, tasks=TASKS, settings={"process.deliveries": 50})
    calls = 60
    with cluster.as_current():
        box = mailbox("box")
        for n in range(calls):
            box.call("jobs.step", n, 0.02)
        killed = set[int]()
        for at in (10, 25, 40):
            cluster.wait_for(lambda: len(cluster.ledger.of("out")) >= at)  # noqa: B023
            pid = int(cluster.ledger.of("in")[-1][4])
            if pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        cluster.wait_for(lambda: len({words[2] for words in cluster.ledger.of("out")}) == calls, 60)
        one = idle(box)
    order = list(dict.fromkeys(int(words[2]) for words in cluster.ledger.of("in")))
    assert order == list(range(calls))  # each began after the one before it
    found = spans(cluster.ledger)
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(found))
    assert {int(words[1]) for words in cluster.ledger.of("in")} == {one.number}  # one process, through all of it


@pytest.mark.parametrize(("poison", "times", "state"), [("jobs.die", 3, State.DEAD), ("jobs.die_once", 0, State.LOST)])
def test_a_call_that_kills_its_workers_takes_the_process_with_it_and_not_the_box(
    cluster_of: Open, poison: str, times: int, state: State
) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        box = mailbox("box")
        box.call(poison, 0)
        old = box.process
        for n in (1, 2):
            box.call("jobs.step", n)
        cluster.wait_for(lambda: len(cluster.ledger.of("out")) == 2, 30)
        assert old is not None
        assert old.state == state
        assert idle(box).number != old.number
        assert sum(words[2] == "0" for words in cluster.ledger.of("in")) == times


@pytest.mark.parametrize(
    ("poison", "runs", "state"), [("jobs.mortal", 3, State.DEAD), ("jobs.mortal_once", 1, State.LOST)]
)
def test_a_call_whose_box_died_is_replayed_as_a_process_of_its_own(
    cluster_of: Open, poison: str, runs: int, state: State
) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    with cluster.as_current():
        box = mailbox("box")
        box.call(poison, 0)
        old = box.process
        assert old is not None
        box.call("jobs.step", 1)
        assert old.wait(timeout=60) == state
        new = idle(box)
        assert new.number != old.number
        with cluster.storage.use() as root:
            root["cured"] = True
        box.call("jobs.step", 2, 0.3)
        assert old.replay().level == "queued"
        assert old.result(timeout=60) == 0
        assert (old.name, old.record().replays) == ("box", 1)
        assert old.replay().level == "ended"
        box.call("jobs.step", 3)
        assert idle(box).number == new.number
        ran = [(int(words[1]), int(words[2])) for words in cluster.ledger.of("in")]
        assert sorted(ran) == sorted([(old.number, 0)] * (runs + 1) + [(new.number, n) for n in (1, 2, 3)])
        assert box.kill()
        assert new.wait(timeout=20) == State.DONE


def test_an_aborted_call_is_interrupted_and_the_next_one_runs_in_a_new_process(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        box = mailbox("box")
        box.call("jobs.step", 0, 60.0)
        box.call("jobs.step", 1)
        cluster.wait_for(lambda: len(cluster.ledger.of("in")) == 1)
        old = box.process
        assert old is not None
        old.abort("enough")
        assert old.wait(timeout=20) == State.ABORTED
        assert idle(box).number != old.number
        assert [words[2] for words in cluster.ledger.of("out")] == ["1"]


def test_celerys_pools_run_the_calls_one_at_a_time(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    cluster.start(1, pool="threads", executors=3)
    with cluster.as_current():
        box = mailbox("box")
        for n in range(5):
            box.call("jobs.step", n, 0.02)
        cluster.wait_for(lambda: len(cluster.ledger.of("out")) == 5, 30)
        idle(box)
    found = spans(cluster.ledger)
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(found))


# -- lost replies


@pytest.mark.parametrize(("name", "nth"), [("call", 1), ("call", 2), ("call", 3), ("kill_box", 1)])
def test_a_lost_reply_of_a_client(redis_address: Address, tmp_path: Path, name: str, nth: int) -> None:
    sha = script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    ran.clear()
    server_name = f"t{uuid4().hex[:8]}"
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(server_name, f"unix://{redis_address.path}") as behind,
        working(behind),
        make_server(server_name, f"unix://{proxy.address.path}") as client,
    ):
        client.store.command("PING")
        proxy.swallow_reply(nth, matching=is_it)
        box = mailbox("box", start=begin)
        for n in range(3):
            box.call(note, n)
        idle(box)
        assert ran[1:] == [0, 1, 2]
        assert box.kill()
        assert box.process is None
        assert proxy.broken == 1


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_lost_reply_of_a_worker(onserver_redis: str, tmp_path: Path, nth: int) -> None:
    """A settlement that is sent again touches the next call, which the same executor may have by then, in no way."""
    sha = script("step", testing=True).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=TASKS) as cluster,
        cluster.as_current(),
    ):
        cluster.start(1, executors=1, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        proxy.swallow_reply(nth, matching=is_it)
        box = mailbox("box")
        for n in range(8):
            box.call("jobs.step", n, 0.02)
        idle(box)
        assert [words[2] for words in cluster.ledger.of("out")] == [str(n) for n in range(8)]
        assert proxy.broken == 1
        box.kill()
