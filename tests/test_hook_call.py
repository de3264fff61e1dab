"""What hooks answer, and what that means: the numeric conventions, and what is closed where nothing is said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Backup, BackupResult, Connection, Server, SystemEvent, session
from onserver.errors import ConnectionVetoed, HookFailed
from onserver.interrupt import Interrupted
from onserver.life.connections import close_connection, open_connection
from onserver.life.hook import (
    ARGUMENTS,
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    CLOSE_CONNECTION,
    KINDS,
    OPEN_CONNECTION,
    REFUSING,
    SYSTEM_EVENT,
    Hook,
)
from onserver.life.hook_arguments import HookArgument
from onserver.life.hook_call import FAILED_CODE, HookOutcome, call_hook, call_hooks, refusal
from onserver.life.hook_records import read_runs
from onserver.redis.address import Address
from onserver.registry import declare, keep, kept
from tests.inline_worker import make_server

HUGE = 2**40
#: Seconds that a hook may hang.
LIMIT = 0.25


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    before = kept()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made
    keep(before)


def told(kind: str) -> HookArgument | None:
    facts = {"code": 2, "name": "foreground"} if kind == SYSTEM_EVENT else {"user": 3, "connection": 17}
    made = ARGUMENTS.get(kind)
    return None if made is None else made.read(facts)


def hook(kind: str, function: Callable[..., Any], name: str = "shop.hook", **options: Any) -> Hook:
    made = Hook(kind, function, name, options.pop("timeout", None), **options)
    declare(kind, made)
    return made


def answering(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def raising(error: BaseException) -> Callable[..., Any]:
    def raises(*_: object) -> None:
        raise error

    return raises


# ---- the conventions


@pytest.mark.parametrize("kind", sorted(REFUSING))
@pytest.mark.parametrize(
    ("value", "outcome", "code"),
    [
        (None, "ok", 0),
        (0, "ok", 0),
        (1, "veto", 1),
        (-1, "veto", -1),
        (201, "veto", 201),
        (22000, "veto", 22000),
        (HUGE, "veto", HUGE),
        (True, "failed", FAILED_CODE),
        (False, "failed", FAILED_CODE),
        (0.0, "failed", FAILED_CODE),
        ("", "failed", FAILED_CODE),
        ("0", "failed", FAILED_CODE),
        ([], "failed", FAILED_CODE),
    ],
)
def test_what_may_refuse_goes_on_with_nothing_and_zero_alone(
    server: Server, kind: str, value: Any, outcome: str, code: int
) -> None:
    found = call_hook(server, hook(kind, answering(value)), told(kind))
    assert (found.outcome, found.code, found.refuses) == (outcome, code, code != 0)
    [run] = read_runs(server.store)
    assert (run.kind, run.hook, run.outcome) == (kind, "shop.hook", outcome)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSING])
@pytest.mark.parametrize("value", [None, 0, 1, -1, True, False, "no", {"rows": 3}])
def test_what_any_other_hook_answers_means_nothing(server: Server, kind: str, value: Any) -> None:
    found = call_hook(server, hook(kind, answering(value)), told(kind))
    assert (found.outcome, found.code, found.value) == ("ok", 0, value)
    assert [run.value for run in read_runs(server.store)] == [value]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [ValueError("no rates"), SystemExit(3), ExceptionGroup("two", [OSError("a")])])
def test_one_that_raises_refuses_where_it_may_and_is_recorded_everywhere(
    server: Server, capsys: pytest.CaptureFixture[str], kind: str, error: BaseException
) -> None:
    found = call_hook(server, hook(kind, raising(error)), told(kind))
    assert (found.outcome, found.code) == ("failed", FAILED_CODE if kind in REFUSING else 0)
    assert found.error is error
    [run] = read_runs(server.store)
    assert (run.outcome, run.reason) == ("failed", found.reason)
    assert f"{kind} hook shop.hook failed: {type(error).__name__}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_hangs_is_ended_and_refuses_where_it_may(server: Server, kind: str) -> None:
    ended, over = threading.Event(), threading.Event()

    def hangs(*_: object) -> None:
        try:
            while not over.is_set():
                over.wait(0.01)
        finally:
            ended.set()

    with server.client.holding():  # a member already, so that the hook begins at once
        found = call_hook(server, hook(kind, hangs, timeout=LIMIT), told(kind))
    over.set()
    assert (found.outcome, found.code) == ("timeout", FAILED_CODE if kind in REFUSING else 0)
    assert found.reason == f"it ran for more than {LIMIT} s"
    assert isinstance(found.error, Interrupted)
    assert ended.wait(20)
    assert [run.outcome for run in read_runs(server.store)] == ["timeout"]


def test_one_that_does_not_even_heed_that_is_left_to_itself(server: Server) -> None:
    over = threading.Event()
    found = call_hook(server, hook(BACKUP_STARTUP, lambda _: over.wait(), timeout=0.05), Backup(number=1))
    over.set()
    assert (found.outcome, found.code) == ("timeout", FAILED_CODE)


def test_the_first_refusal_counts_and_those_behind_are_not_asked(server: Server) -> None:
    asked: list[str] = []

    def says(name: str, value: int | None) -> None:
        def answer(_: Backup) -> int | None:
            asked.append(name)
            return value

        hook(BACKUP_STARTUP, answer, name)

    for name, value in (("a", None), ("b", 0), ("c", 7), ("d", 9)):
        says(name, value)
    outcomes = call_hooks(server, BACKUP_STARTUP, Backup(number=1))
    refused = refusal(outcomes)
    assert refused is not None
    assert (refused.name, refused.code) == ("c", 7)
    assert asked == ["a", "b", "c"]
    all_of_them = call_hooks(server, BACKUP_STARTUP, Backup(number=1), ask_all=True)
    assert [outcome.code for outcome in all_of_them] == [0, 0, 7, 9]
    assert refusal(all_of_them) == all_of_them[2]


def test_one_that_raises_keeps_no_other_from_being_told(server: Server) -> None:
    heard: list[str] = []
    hook(BACKUP_SHUTDOWN, raising(OSError("no mail today")), "first")
    hook(BACKUP_SHUTDOWN, lambda result: heard.append(f"{result.code} {result.reason}"), "second")
    outcomes = call_hooks(server, BACKUP_SHUTDOWN, BackupResult(code=201, reason="month-end close"))
    assert [outcome.outcome for outcome in outcomes] == ["failed", "ok"]
    assert heard == ["201 month-end close"]


def test_a_reason_is_kept_with_the_code(server: Server) -> None:
    found = call_hook(server, hook(BACKUP_STARTUP, lambda b: b.veto(201, "month-end close")), Backup(number=1))
    assert (found.code, found.reason) == (201, "month-end close")
    [run] = read_runs(server.store)
    assert (run.outcome, run.value, run.reason) == ("veto", 201, "month-end close")


def test_hooks_run_in_their_order_and_only_where_they_are_to(server: Server) -> None:
    heard: list[str] = []
    hook(SYSTEM_EVENT, lambda _: heard.append("last"), "last", after="once", run_on="every")
    hook(SYSTEM_EVENT, lambda _: heard.append("once"), "once", run_on="once")
    hook(SYSTEM_EVENT, lambda _: heard.append("here"), "here")
    event = SystemEvent(code=2, name="foreground")
    call_hooks(server, SYSTEM_EVENT, event)
    assert heard == ["once", "last", "here"]
    heard.clear()
    assert [outcome.name for outcome in call_hooks(server, SYSTEM_EVENT, event, run_on="once")] == ["once"]
    assert heard == ["once"]


def test_where_there_is_no_hook_nothing_happens(server: Server) -> None:
    assert call_hooks(server, BACKUP_STARTUP, Backup(number=1)) == []
    assert refusal([]) is None
    assert read_runs(server.store) == []


# ---- how they run


@pytest.mark.parametrize("kind", KINDS)
def test_an_async_hook_is_awaited(server: Server, kind: str) -> None:
    async def waits(*_: object) -> int:
        await asyncio.sleep(0)
        return 0

    assert call_hook(server, hook(kind, waits), told(kind)) == HookOutcome(
        name="shop.hook", outcome="ok", value=0, seconds=read_seconds(server)
    )


def read_seconds(server: Server) -> Any:
    """What equals any time that is not less than what the record says, which counts whole milliseconds."""

    class NotLess(float):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, float) and other >= read_runs(server.store)[0].seconds

        __hash__ = float.__hash__

    return NotLess()


def test_an_async_hook_that_hangs_is_cancelled(server: Server) -> None:
    cancelled = threading.Event()

    async def hangs(_: Backup) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with server.client.holding():
        found = call_hook(server, hook(BACKUP_STARTUP, hangs, timeout=LIMIT), Backup(number=1))
    assert (found.outcome, found.code) == ("timeout", FAILED_CODE)
    assert cancelled.wait(20)


def test_a_hook_runs_in_the_session_of_stored_procedures(server: Server) -> None:
    seen: list[Any] = []

    def looks(_: Backup) -> None:
        seen.append(session().user_name)
        with session().storage.use("seen") as entry:
            entry["number"] = 4

    found = call_hook(server, hook(BACKUP_STARTUP, looks), Backup(number=4))
    assert found.outcome == "ok", found
    assert seen == [server.settings.session.user_name]
    assert server.storage["seen"] == {"number": 4}


def test_what_ends_the_run_around_it_passes_through(server: Server) -> None:
    with pytest.raises(Interrupted):
        call_hook(server, hook(BACKUP_STARTUP, raising(Interrupted("asked to stop"))), Backup(number=1))
    with pytest.raises(KeyboardInterrupt):
        call_hook(server, hook(BACKUP_STARTUP, raising(KeyboardInterrupt())), Backup(number=1))
    assert read_runs(server.store) == []


def test_what_a_hook_returns_that_cannot_be_kept_is_left_out_of_the_record(server: Server) -> None:
    found = call_hook(server, hook(SYSTEM_EVENT, answering(object())), told(SYSTEM_EVENT))
    assert found.outcome == "ok"
    [run] = read_runs(server.store)
    assert (run.outcome, run.value) == ("ok", None)


def test_the_traceback_that_is_kept_begins_in_the_hook(server: Server) -> None:
    found = call_hook(server, hook(SYSTEM_EVENT, raising(ValueError("no"))), told(SYSTEM_EVENT))
    assert found.error is not None
    assert found.error.__traceback__ is not None
    assert found.error.__traceback__.tb_frame.f_code.co_name == "raises"


# ---- connections


def test_a_connection_is_accepted_when_no_hook_refuses(server: Server) -> None:
    assert open_connection(server, Connection(user=3, connection=17)) == []
    hook(OPEN_CONNECTION, answering(None), "a")
    hook(OPEN_CONNECTION, answering(0), "b")
    assert [outcome.name for outcome in open_connection(server, Connection(user=3, connection=17))] == ["a", "b"]


def test_a_refused_connection_carries_code_and_reason(server: Server) -> None:
    hook(OPEN_CONNECTION, lambda c: c.veto(22000, "closed for the night"), "shop.admit")
    with pytest.raises(ConnectionVetoed) as refused:
        open_connection(server, Connection(user=3, connection=17))
    assert (refused.value.hook, refused.value.answer, refused.value.reason) == (
        "shop.admit",
        22000,
        "closed for the night",
    )


@pytest.mark.parametrize("bad", [raising(ValueError("no")), answering("yes"), answering(True)])
def test_a_connection_is_refused_when_a_hook_cannot_say(server: Server, bad: Callable[..., Any]) -> None:
    hook(OPEN_CONNECTION, bad, "shop.admit")
    with pytest.raises(ConnectionVetoed) as refused:
        open_connection(server, Connection(user=3, connection=17))
    assert refused.value.answer == FAILED_CODE == HookFailed.code
    assert refused.value.__cause__ is not None


def test_the_closing_hook_gets_the_pair_of_the_opening_and_refuses_nothing(server: Server) -> None:
    seen: list[tuple[int, int, int]] = []

    def left(connection: Connection) -> int:
        seen.append((connection.user, connection.connection, connection.zero))
        return 22000

    hook(CLOSE_CONNECTION, raising(ValueError("no")), "first")
    hook(CLOSE_CONNECTION, left, "second")
    outcomes = close_connection(server, Connection(user=3, connection=17))
    assert [outcome.outcome for outcome in outcomes] == ["failed", "ok"]
    assert seen == [(3, 17, 0)]
