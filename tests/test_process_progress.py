"""Progress: what a body reports is in the record, at the followers', and in `ps`; the last report always is."""

import asyncio
import threading
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from uuid import uuid4

import pytest

from onserver import Process, Server, execute_on_server, procedure, process
from onserver.errors import BadArguments, MemberFenced, ProcessNotFound, ProcessTimeout, SyncInAsyncError
from onserver.process.progress import EVERY_SECONDS, LONGEST_NOTE, Progress, Reporter
from onserver.redis.address import Address
from onserver.session.context import Run
from onserver.testing.wait import wait_for
from tests.inline_worker import make_server, working

gates = {name: threading.Event() for name in ("first", "second", "end")}


@procedure
def counts(total: int) -> None:
    for done in range(1, total + 1):
        process().report(done, total, f"item {done}")


@procedure
def steps() -> None:
    process().report(1, 4, "one")
    gates["first"].wait(60)
    process().report(2, 4, "two")
    gates["second"].wait(60)
    process().report(3, 4, "three")
    gates["end"].wait(60)


@procedure
def silent() -> None:
    gates["end"].wait(60)


@procedure
def fails_half_way() -> None:
    process().report(5, 10)
    raise ValueError("half way")


@procedure
def says_nonsense() -> None:
    process().report("half")  # type: ignore[arg-type]


@procedure
def from_a_thread() -> None:
    context = copy_context()
    thread = threading.Thread(target=lambda: context.run(lambda: process().report(7)))
    thread.start()
    thread.join()


@procedure
def follows(number: int) -> list[float]:
    seen: list[float] = []
    for progress in Process.get(number).progress(timeout=60):
        seen.append(progress.done)
        gates[("first", "second", "end")[len(seen) - 1]].set()
    return seen


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    for gate in gates.values():
        gate.clear()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


@pytest.fixture
def worker(server: Server) -> Iterator[Server]:
    with working(server):
        yield server
        for gate in gates.values():
            gate.set()


def kept(process: Process[None]) -> Progress:
    found = process.record().progress
    assert found is not None
    return found


def has_reported(process: Process[None], done: float) -> bool:
    found = process.record().progress
    return found is not None and found.done == done


def all_have(seen: list[list[float]], done: float) -> bool:
    return all(done in into for into in seen)


def writes(server: Server) -> int:
    text: bytes = server.store.command("INFO", "commandstats")
    calls = [line for line in text.decode().splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(calls[0].partition("calls=")[2].partition(",")[0])


# ---- the words of a report


@pytest.mark.parametrize(
    ("done", "total", "percent", "text"),
    [(71, 100, 71, "71 %"), (0.5, 1, 50, "50 %"), (3, None, None, "3"), (0, 0, 100, "100 %"), (9, 8, 100, "100 %"),
     (999, 1000, 99, "99 %"), (-1, 10, 0, "0 %")],
)  # fmt: skip
def test_percent(done: float, total: float | None, percent: int | None, text: str) -> None:
    progress = Progress(done, total, "", 0)
    assert (progress.percent, str(progress)) == (percent, text)


@pytest.mark.parametrize("bad", [("half", None), (1, "ten"), (True, None), (float("nan"), None), (1, float("inf"))])
def test_what_is_no_number_is_refused(server: Server, bad: tuple[float, float | None]) -> None:
    run = Run(number=1, delivery=1, holder="1.1", procedure="x", name="x", root=None, session=server.session(),
              caller=None, started=0.0)  # fmt: skip
    with pytest.raises(BadArguments, match="which is no number"):
        server.part(Reporter).report(run, *bad, "")


def test_a_wrong_report_is_the_error_of_the_process(worker: Server) -> None:
    with pytest.raises(BadArguments, match="done='half'"):
        execute_on_server(says_nonsense).result(timeout=60)


# ---- the record


def test_the_last_report_is_kept_whatever_came_before(worker: Server) -> None:
    handle = execute_on_server(counts, 20_000)
    handle.result(timeout=60)
    assert (kept(handle).done, kept(handle).total, kept(handle).note) == (20_000, 20_000, "item 20000")


def test_a_report_is_kept_while_the_body_does_something_else(worker: Server) -> None:
    handle = execute_on_server(steps)
    for done, gate in ((1, "first"), (2, "second"), (3, "end")):
        wait_for(partial(has_reported, handle, done), 60)
        assert handle.state == "running"
        gates[gate].set()
    handle.result(timeout=60)


def test_many_reports_are_few_writes(worker: Server) -> None:
    before, started = writes(worker), worker.store.now_ms()
    handle = execute_on_server(counts, 50_000)
    handle.result(timeout=60)
    seconds = (worker.store.now_ms() - started) / 1000
    assert writes(worker) - before < 20 + seconds / EVERY_SECONDS


def test_what_a_process_that_failed_had_reported_is_kept(worker: Server) -> None:
    handle = execute_on_server(fails_half_way)
    with pytest.raises(ValueError, match="half way"):
        handle.result(timeout=60)
    assert kept(handle).percent == 50


def test_a_thread_of_the_body_reports_for_it(worker: Server) -> None:
    handle = execute_on_server(from_a_thread)
    handle.result(timeout=60)
    assert (kept(handle).done, kept(handle).total) == (7, None)


def test_a_note_is_cut_off(worker: Server) -> None:
    run = Run(number=1, delivery=1, holder="1.1", procedure="x", name="x", root=None, session=worker.session(),
              caller=None, started=0.0)  # fmt: skip
    reporter = worker.part(Reporter)
    reporter.report(run, 1, None, "n" * 500)
    assert len(reporter._slots[run.owner].unwritten.note) == LONGEST_NOTE  # type: ignore[union-attr]


def test_nothing_is_kept_without_a_report(worker: Server) -> None:
    handle = execute_on_server(silent)
    gates["end"].set()
    handle.result(timeout=60)
    assert handle.record().progress is None


def test_one_that_was_declared_dead_is_told_at_its_next_report(server: Server) -> None:
    run = Run(number=1, delivery=1, holder="9.9", procedure="x", name="x", root=None, session=server.session(),
              caller=None, started=0.0)  # fmt: skip
    reporter = server.part(Reporter)
    reporter.report(run, 1, None, "")

    def refused() -> bool:
        try:
            reporter.report(run, 2, None, "")
        except MemberFenced:
            return True
        return False

    wait_for(refused, 60)


# ---- following


def test_a_follower_gets_what_was_reported_and_what_comes_and_then_the_loop_ends(worker: Server) -> None:
    handle = execute_on_server(steps)
    seen: list[tuple[float, str]] = []
    for progress in handle.progress(timeout=60):
        seen.append((progress.done, progress.note))
        gates[("first", "second", "end")[len(seen) - 1]].set()
    assert seen == [(1, "one"), (2, "two"), (3, "three")]
    assert handle.state == "done"


def test_several_follow_one_process(worker: Server) -> None:
    handle = execute_on_server(steps)
    seen: list[list[float]] = [[], [], []]

    def follow(into: list[float]) -> None:
        for progress in Process.get(handle.number).progress(timeout=60):
            into.append(progress.done)  # noqa: PERF401  # one by one: the test waits for each

    threads = [threading.Thread(target=follow, args=(into,)) for into in seen]
    for thread in threads:
        thread.start()
    for done, gate in ((1, "first"), (2, "second"), (3, "end")):
        wait_for(partial(all_have, seen, done), 60)
        gates[gate].set()
    for thread in threads:
        thread.join(60)
    assert seen == [[1, 2, 3]] * 3


def test_a_coroutine_follows(worker: Server) -> None:
    async def follow() -> list[float]:
        handle = execute_on_server(steps)
        seen: list[float] = []
        async for progress in handle.progress(timeout=60):
            seen.append(progress.done)
            gates[("first", "second", "end")[len(seen) - 1]].set()
        await handle
        return seen

    assert asyncio.run(follow()) == [1, 2, 3]


def test_a_plain_loop_would_block_the_running_loop(worker: Server) -> None:
    async def follow() -> None:
        for _ in execute_on_server(silent).progress():
            pass

    with pytest.raises(SyncInAsyncError, match="async for"):
        asyncio.run(follow())
    gates["end"].set()


def test_one_process_follows_another(server: Server) -> None:
    with working(server), working(server):
        handle = execute_on_server(steps)
        following = execute_on_server(follows, handle.number)
        assert following.result(timeout=60) == [1, 2, 3]


def test_following_what_has_ended_gives_its_last_report(worker: Server) -> None:
    handle = execute_on_server(counts, 10)
    handle.result(timeout=60)
    assert [progress.done for progress in handle.progress(timeout=60)] == [10]


def test_following_what_reports_nothing_ends_with_it(worker: Server) -> None:
    handle = execute_on_server(silent)
    threading.Timer(0.3, gates["end"].set).start()
    assert list(handle.progress(timeout=60)) == []


def test_a_follower_that_leaves_is_forgotten(worker: Server) -> None:
    handle = execute_on_server(silent)
    with pytest.raises(ProcessTimeout):
        list(handle.progress(timeout=0.1))
    for key in ("pw", "w"):
        assert worker.store.command("SMEMBERS", worker.store.key(f"{key}:{handle.number}")) == []
    gates["end"].set()


def test_following_nobody(worker: Server) -> None:
    handle = execute_on_server(counts, 1)
    handle.result(timeout=60)
    worker.store.command("DEL", worker.store.key(f"p:{handle.number}"))
    with pytest.raises(ProcessNotFound):
        list(handle.progress(timeout=60))
