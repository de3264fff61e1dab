"""Starting processes: declaration, arguments, options, handles, results and failures."""

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from onserver import (
    Process,
    Server,
    as_completed,
    as_server,
    caller,
    execute_many,
    execute_on_server,
    procedure,
    process,
    wait_all,
)
from onserver import registry as registries
from onserver.celery_app.app import make_app
from onserver.errors import (
    AlreadyRunning,
    BadArguments,
    BadDeclaration,
    DuplicateName,
    NotSendable,
    NoWorker,
    ProcedureFailed,
    ProcedureNotFound,
    ProcessNotFound,
    ProcessTimeout,
    SyncInAsyncError,
)
from onserver.redis.address import Address
from onserver.registry import Registry
from onserver.testing.wait import wait_for
from tests.inline_worker import make_server, working


class Odd(Exception):
    """An exception of a module that is not allowed at the caller."""


gate = threading.Event()


@procedure
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


@procedure(name="things.echo")
def echo(*values: Any, **named: Any) -> list[Any]:
    return [list(values), named]


@procedure
def fails(kind: str) -> None:
    if kind == "odd":
        raise Odd("strange", 7)
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer", 42) from error


@procedure
def waits() -> str:
    gate.wait(60)
    return "released"


@procedure(pass_process=True)
def knows(this: Process[Any], n: int) -> list[int]:
    return [this.number, process().number, process().deliveries, n]


@procedure
def who_asked() -> list[Any]:
    return [caller().user, caller().is_server, caller().host]


@procedure
def asks_another() -> list[Any]:
    return execute_on_server(who_asked).result(timeout=60)


ran: list[int] = []


@procedure
def notes(n: int) -> None:
    ran.append(n)


@procedure
def large() -> str:
    return "x" * 5000


@procedure
def unsendable() -> Any:
    return {1, 2}


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    gate.clear()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}", max_result_bytes=4096) as made:
        yield made


@pytest.fixture
def worker(server: Server) -> Iterator[Server]:
    with working(server):
        yield server
        gate.set()


# ---- declaring


def test_a_procedure_is_still_the_function() -> None:
    assert add(1, 2) == 3
    assert str(inspect.signature(add)) == "(x: int, y: int) -> int"
    assert (add.__doc__, add.function.__name__, echo.name) == ("Add two numbers.", "add", "things.echo")
    assert add.name == f"{__name__}.add"


def test_what_cannot_be_kept_is_refused_by_name() -> None:
    async def generator() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(BadDeclaration, match="generator"):
        procedure(generator)
    for option in ("retry", "timeout", "schedule"):
        with pytest.raises(BadDeclaration, match=option):
            procedure(**{option: "x"})(lambda: None)  # type: ignore[call-overload]


def test_two_of_one_name_name_both_files() -> None:
    registry = Registry()
    registry.bind()
    namespace = {"__name__": __name__}
    exec("from onserver import procedure\n@procedure(name='things.echo')\ndef quarrels() -> None: ...", namespace)
    try:
        with pytest.raises(DuplicateName, match=r"things\.echo"):
            registry.bind()
    finally:
        registries.keep({key: value for key, value in registries.kept().items() if key[2] != "quarrels"})


# ---- arguments


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((1,), {}, "`add()` misses `y`: its signature is `add(x: int, y: int) -> int`. Nothing was sent."),
        ((1, 2, 3), {}, "takes 2 arguments, 3 were given"),
        ((1,), {"z": 2}, "`z`"),
        ((1, 2), {"x": 3}, "`x`"),
    ],
)
def test_arguments_are_bound_before_anything_is_sent(
    server: Server, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadArguments) as refused:
        execute_on_server(add, *args, **kwargs)
    assert text in str(refused.value)
    assert isinstance(refused.value, TypeError)
    assert server.store.command("EXISTS", server.store.key("numbers")) == 0


def test_an_argument_that_cannot_be_sent_is_named(server: Server) -> None:
    with pytest.raises(NotSendable, match=r"when"):
        execute_on_server(echo, when=datetime.now)
    with pytest.raises(NotSendable, match=r"set"):
        execute_on_server(echo, {"deep": [{1}]})
    assert server.store.command("EXISTS", server.store.key("numbers")) == 0


def test_an_argument_that_is_too_large_is_refused_with_its_size(redis_address: Address) -> None:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}", max_argument_bytes=1024) as server:
        with pytest.raises(NotSendable, match="at most 1,024 can be sent"):
            execute_on_server(echo, "x" * 1024)
        with pytest.raises(NotSendable):
            execute_many(echo, ["x", "x" * 1024])
        assert not server.store.command("KEYS", server.store.key("p:*"))


def test_arguments_and_results_are_copied_as_what_they_are(worker: Server) -> None:
    values = [None, True, 1, 2**70, 1.5, "ü", b"\x00", Decimal("1.10"), datetime(2026, 1, 2, tzinfo=UTC), timedelta(1)]
    assert execute_on_server(echo, *values, named={"a": [1]}).result(timeout=60) == [values, {"named": {"a": [1]}}]


def test_a_name_that_was_never_registered(worker: Server) -> None:
    with pytest.raises(ProcedureNotFound, match=r"Did you mean `things\.echo`") as refused:
        execute_on_server("things.ecko")
    assert isinstance(refused.value, LookupError)
    assert execute_on_server("echo", 1).result(timeout=60) == [[1], {}]


def test_a_process_that_nobody_takes_is_kept_and_said(server: Server) -> None:
    with pytest.warns(NoWorker, match=r"Kept as #1"):
        started = execute_on_server(add, 1, 2)
    assert started.state == "queued"
    with working(server):
        assert started.result(timeout=60) == 3


# ---- options


def test_a_unique_name(worker: Server) -> None:
    once = waits.options(name="totals", unique=True)
    first = execute_on_server(once)
    assert first.name == "totals"
    assert execute_on_server(once).number == first.number
    with pytest.raises(AlreadyRunning) as refused:
        execute_on_server(waits.options(name="totals", unique="error"))
    assert f"#{first.number}" in str(refused.value)
    gate.set()
    assert first.result(timeout=60) == "released"
    assert execute_on_server(once).number != first.number


def test_a_key_is_one_process(worker: Server) -> None:
    order = add.options(key="order-17")
    first = execute_on_server(order, 1, 2)
    assert first.result(timeout=60) == 3
    assert execute_on_server(order, 1, 2).number == first.number
    with pytest.raises(BadArguments, match="order-17"):
        execute_on_server(order, 1, 3)


@pytest.mark.parametrize("by_celery", [False, True])
@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
def test_higher_priority_goes_first(server: Server, by_celery: bool) -> None:
    ran.clear()
    app = make_app(server)
    for priority in (0, 9, 5, 3):
        if by_celery:
            app.send_task(notes.name, (priority,), priority=priority)
        else:
            execute_on_server(notes.options(priority=priority), priority)
    with working(server):
        wait_for(lambda: len(ran) == 4)
    assert ran == [9, 5, 3, 0]


# ---- handles


def test_a_handle_is_found_again_by_its_number(worker: Server) -> None:
    started = execute_on_server(add, 1, 2)
    assert started.result(timeout=60) == 3
    found = Process.get(started.number)
    assert (found.result(), found.state, found.name) == (3, "done", f"{__name__}.add")
    with pytest.raises(ProcessNotFound) as unknown:
        Process.get(4711)
    assert isinstance(unknown.value, LookupError)


def test_a_result_that_does_not_come_in_time(worker: Server) -> None:
    started = execute_on_server(waits)
    with pytest.raises(ProcessTimeout) as late:
        started.result(timeout=0.1)
    assert isinstance(late.value, TimeoutError)
    gate.set()
    assert started.wait(timeout=60) == "done"


def test_many_at_once(worker: Server) -> None:
    many = execute_many(add, [(n, n) for n in range(250)])
    assert [p.number for p in many] == list(range(many[0].number, many[0].number + 250))
    assert wait_all(many, timeout=60) == [2 * n for n in range(250)]
    assert {p.number for p in as_completed(many, timeout=60)} == {p.number for p in many}
    with pytest.raises(BadArguments):
        execute_many(add, [(1, 2), (3,)])


async def test_awaiting_does_not_block_the_loop(worker: Server) -> None:
    started = execute_on_server(waits)
    with pytest.raises(SyncInAsyncError, match="await"):
        started.result(timeout=1)
    waiting = asyncio.ensure_future(started._awaited())
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting == "released"
    assert await asyncio.gather(*execute_many(add, [(1, 1), (2, 2)])) == [2, 4]


def test_a_child_waits_by_itself(worker: Server) -> None:
    assert execute_on_server(add, 1, 1).result(timeout=60) == 2
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(execute_on_server(add, 20, 22).result(timeout=60)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"42"
    assert execute_on_server(add, 2, 2).result(timeout=60) == 4


# ---- what comes back


def test_an_exception_comes_back_as_what_it_was(worker: Server) -> None:
    with pytest.raises(ValueError, match="outer") as failed:
        execute_on_server(fails, "value").result(timeout=60)
    assert failed.value.args == ("outer", 42)
    cause = failed.value.__cause__
    assert isinstance(cause, ProcedureFailed)
    assert "KeyError: 'inner'" in cause.remote_traceback
    assert 'raise ValueError("outer", 42) from error' in cause.remote_traceback


def test_an_exception_that_is_not_allowed_here_is_told(worker: Server) -> None:
    with pytest.raises(ProcedureFailed) as failed:
        execute_on_server(fails, "odd").result(timeout=60)
    assert failed.value.remote_type == f"{__name__}.Odd"
    assert "strange" in str(failed.value)


def test_a_result_that_cannot_be_kept_is_a_failure(worker: Server) -> None:
    with pytest.raises(NotSendable, match=r"5,00\d bytes; at most 4,096"):
        execute_on_server(large).result(timeout=60)
    with pytest.raises(NotSendable, match="set"):
        execute_on_server(unsendable).result(timeout=60)


def test_a_body_knows_its_process(worker: Server) -> None:
    started = execute_on_server(knows, 5)
    assert started.result(timeout=60) == [started.number, started.number, 1, 5]


def test_the_caller_travels_through_nested_starts(server: Server) -> None:
    with working(server), working(server):
        direct = execute_on_server(who_asked).result(timeout=60)
        assert direct[:2] == ["server", True]
        assert execute_on_server(asks_another).result(timeout=60) == direct
        with as_server():
            assert caller().is_server
