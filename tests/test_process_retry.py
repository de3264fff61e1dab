"""`retry=`: what is run again and when, under one number, with its attempts in its record; and what comes after."""

from __future__ import annotations

from typing import Any

import pytest

from onserver import Process, Retry, execute_on_server, mailbox, procedure, process, session
from onserver.errors import BadDeclaration, ProcedureFailed, ProcessAborted, ProcessDead
from onserver.process.attempts import next_attempt
from onserver.redis.store import Store
from onserver.testing.inline import OnServer
from onserver.values import encode

seen: list[tuple[int, int, int]] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    seen.clear()


def fails_until(attempt: int, error: BaseException) -> int:
    this = process()
    seen.append((this.number, this.attempt, this.deliveries))
    if this.attempt < attempt:
        raise error
    return this.attempt


@procedure(retry=Retry(OSError, delays=[0, 0, 0]))
def at_once(attempt: int) -> int:
    return fails_until(attempt, OSError(f"no {attempt}"))


@procedure(retry=Retry(OSError, times=2, delay=10, backoff=3, jitter=0))
def later(attempt: int) -> int:
    return fails_until(attempt, OSError("not yet"))


@procedure(retry=Retry(OSError, times=5), dead_letter=True)
def choosy(attempt: int) -> int:
    return fails_until(attempt, ValueError("never"))


@procedure(retry=Retry(times=1, delay=0), dead_letter=True)
def buried(attempt: int) -> int:
    return fails_until(attempt, RuntimeError("spaces and\nlines ü"))


@procedure(retry=Retry(times=1, delay=0))
def unsendable() -> object:
    seen.append((process().number, process().attempt, 1))
    return object()


@procedure(retry=Retry(times=3, delay=0))
def leaves_a_lock() -> int:
    with session().storage.use("kept") as kept:
        kept["by"] = process().attempt
        if process().attempt < 3:
            raise OSError
    return process().attempt


@procedure
def note(n: int) -> None:
    seen.append((process().number, n, 0))


# -- the policy


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (Retry(times=4, delay=1, backoff=2, jitter=0), [1.0, 2.0, 4.0, 8.0, None]),
        (Retry(times=3, delay=100, backoff=10, longest=500, jitter=0), [100.0, 500.0, 500.0, None]),
        (Retry(delays=[0, 5], jitter=0, times=9), [0.0, 5.0, None]),
    ],
)
def test_pauses(policy: Retry, pauses: list[float | None]) -> None:
    assert [policy.delay_after(OSError(), failed) for failed in range(1, len(pauses) + 1)] == pauses


def test_a_pause_grows_to_its_longest_however_often() -> None:
    policy = Retry(times=100_000, delay=1, backoff=10, longest=60, jitter=0)
    assert policy.delay_after(OSError(), 50_000) == 60


def test_jitter_only_takes_off_and_spreads() -> None:
    policy = Retry(delays=[100], jitter=0.4)
    drawn = {policy.delay_after(OSError(), 1) for _ in range(200)}
    assert all(60 <= float(pause or 0) <= 100 for pause in drawn)
    assert len(drawn) > 100


def test_only_what_is_listed() -> None:
    policy = Retry(OSError, LookupError, times=3)
    assert [policy.delay_after(error, 1) is not None for error in (FileNotFoundError(), KeyError(), ValueError())] == [
        True, True, False,
    ]  # fmt: skip
    assert Retry().delay_after(SystemExit(), 1) is None
    assert next_attempt(None, 0, OSError()) == ""


@pytest.mark.parametrize("wrong", [{"times": 0}, {"delay": -1}, {"jitter": 2}, {"delays": [-1]}, {"backoff": 0.5}])
def test_a_policy_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadDeclaration, match=f"has {next(iter(wrong))}="):
        Retry(**wrong)


def test_what_is_no_policy_is_refused() -> None:
    errors: Any = "OSError"
    with pytest.raises(BadDeclaration, match="among its errors"):
        Retry(errors)
    with pytest.raises(BadDeclaration, match="has retry=3"):
        procedure(retry=3)(note.function)  # type: ignore[call-overload]


# -- runs


def test_it_runs_again_under_its_number(onserver: OnServer) -> None:
    started = execute_on_server(at_once, 3)
    assert started.result(timeout=10) == 3
    assert seen == [(started.number, 1, 1), (started.number, 2, 1), (started.number, 3, 1)]
    record = started.record()
    assert [(one.number, one.type, one.error, one.delay_seconds) for one in record.attempts] == [
        (1, "OSError", "no 3", 0.0),
        (2, "OSError", "no 3", 0.0),
    ]
    assert all(one.holder == record.holder for one in record.attempts)
    assert record.attempts[0].at_ms >= record.accepted_ms
    assert record.deliveries == 0


def test_it_waits_in_redis_and_grows(onserver: OnServer) -> None:
    started = execute_on_server(later, 3)
    assert started.state == "delayed"
    assert [one.delay_seconds for one in started.record().attempts] == [10.0]
    onserver.advance(9)
    assert len(seen) == 1
    onserver.advance(2)
    assert len(seen) == 2
    assert [one.delay_seconds for one in started.record().attempts] == [10.0, 30.0]
    onserver.advance(31)
    assert started.result(timeout=0) == 3


def test_then_it_has_failed_with_its_last_error(onserver: OnServer) -> None:
    started = execute_on_server(at_once, 99)
    assert started.wait(timeout=10) == "failed"
    with pytest.raises(OSError, match="no 99") as raised:
        started.result()
    assert isinstance(raised.value.__cause__, ProcedureFailed)
    assert [attempt for _, attempt, _ in seen] == [1, 2, 3, 4]
    assert [one.number for one in started.record().attempts] == [1, 2, 3]
    assert onserver.dead == []


def test_what_is_not_listed_is_not_retried_and_may_be_dead_lettered(onserver: OnServer) -> None:
    started = execute_on_server(choosy, 2)
    assert started.wait(timeout=10) == "dead"
    assert len(seen) == 1
    assert [process.number for process in onserver.dead] == [started.number]
    with pytest.raises(ProcessDead, match="was dead-lettered: it raised ValueError: never") as raised:
        started.result()
    assert isinstance(raised.value.__cause__, ProcedureFailed)
    assert "fails_until" in raised.value.__cause__.remote_traceback


def test_with_its_retries_used_up_it_may_be_dead_lettered(onserver: OnServer) -> None:
    started = execute_on_server(buried, 3)
    assert started.wait(timeout=10) == "dead"
    assert [attempt for _, attempt, _ in seen] == [1, 2]
    assert [one.error for one in started.record().attempts] == ["spaces and\nlines ü"]


def test_a_result_that_cannot_be_sent_is_no_reason_to_run_again(onserver: OnServer) -> None:
    started = execute_on_server(unsendable)
    assert started.wait(timeout=10) == "failed"
    assert len(seen) == 1


def test_locks_are_free_between_attempts(onserver: OnServer) -> None:
    assert execute_on_server(leaves_a_lock).result(timeout=10) == 3
    assert onserver.storage["kept"] == {"by": 3}


def test_the_last_twenty_attempts_are_kept(onserver: OnServer) -> None:
    @procedure(name="stubborn", retry=Retry(times=30, delay=0))
    def stubborn() -> None:
        raise OSError

    started = execute_on_server(stubborn)
    assert started.wait(timeout=10) == "failed"
    assert [one.number for one in started.record().attempts] == list(range(11, 31))


def test_one_that_waits_for_its_retry_can_be_aborted_paused_and_hurried(onserver: OnServer) -> None:
    gone, paused, hurried = (execute_on_server(later, 2) for _ in range(3))
    assert gone.abort("enough").level == "removed"
    with pytest.raises(ProcessAborted, match="enough"):
        gone.result(timeout=0)
    assert paused.pause().state == "paused"
    onserver.advance(11)
    assert paused.state == "paused"
    assert paused.resume().level == "queued"
    onserver.run_waiting()
    assert paused.result(timeout=0) == 2
    assert hurried.result(timeout=0) == 2
    assert [attempt for number, attempt, _ in seen if number == gone.number] == [1]


def test_calls_of_a_mailbox_wait_for_the_retries_of_the_one_before(onserver: OnServer) -> None:
    box = mailbox("retries")
    box.call(later, 2)
    working = box.process
    assert working is not None
    box.call(note, 7)
    assert seen == [(working.number, 1, 1)]
    onserver.advance(11)
    assert [(attempt, deliveries) for _, attempt, deliveries in seen] == [(1, 1), (2, 1), (7, 0)]
    assert working.record().attempts == ()  # of the present call there are none
    box.kill()


def test_a_live_worker_retries(onserver_live: OnServer) -> None:
    started = execute_on_server(at_once, 3)
    assert started.result(timeout=10) == 3
    assert [attempt for _, attempt, _ in seen] == [1, 2, 3]


# -- the script


@pytest.fixture
def held(onserver: OnServer) -> tuple[Store, str, int]:
    """A process that is held, and is not run."""
    store, member = onserver.server.store, onserver.engine.member
    member.register("c1", {"jobs.x": ""})
    holder = member.enlist("c1", ["apart"])
    start = ("apart", 5, 0, "", "", "", "", 0, "t", "jobs.x", "b", b"\x92\x90\x80")
    number, _, _ = store.run("put", store.nonce(), "", store.now_ms(), *start)
    step(store, holder, 1)
    return store, holder, number


def step(store: Store, holder: str, claim: int, *words: Any) -> list[Any]:
    answer = store.run("step", holder, claim, 0, 60, 120, 3, "c1", 1, "apart", *words)
    return list(answer[3:])


def stands(store: Store, number: int) -> list[str]:
    found = store.command("HMGET", store.key(f"p:{number}"), "s", "tr", "o", "d")
    return [(word or b"").decode() for word in found]


ERROR = encode({"type": "OSError", "message": "no"})


def test_a_retry_that_is_said_twice_is_one(held: tuple[Store, str, int]) -> None:
    store, holder, number = held
    words = (number, "retry", "1 0 OSError no", ERROR, "")
    (again,) = step(store, holder, 1, *words)  # settled, and claimed anew in the same step: its answer is lost
    assert (int(again[0]), int(again[17])) == (number, 1)
    step(store, holder, 0, *words)
    assert stands(store, number) == ["running", "1", holder, ""]
    step(store, holder, 0, number, "retry", "2 60000 OSError no", ERROR, "")
    step(store, holder, 0, number, "retry", "2 60000 OSError no", ERROR, "")
    assert stands(store, number) == ["delayed", "2", "", ""]
    assert len(Process.get(number).record().attempts) == 2


def test_a_worker_that_dies_in_an_attempt_is_a_delivery(held: tuple[Store, str, int], onserver: OnServer) -> None:
    store, holder, number = held
    step(store, holder, 1, number, "retry", "1 0 OSError no", ERROR, "")
    onserver.engine.member.bury(holder, number)
    assert stands(store, number) == ["queued", "1", "", "1"]


def test_one_that_was_asked_to_stop_is_not_retried(held: tuple[Store, str, int]) -> None:
    store, holder, number = held
    Process.get(number).abort("no more")
    step(store, holder, 0, number, "retry", "1 0 OSError no", ERROR, "")
    assert stands(store, number)[0] == "aborted"
    assert Process.get(number).record().attempts == ()
