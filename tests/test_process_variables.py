"""Variables of processes, from both sides: the specification's numbers and edges (5.7), and its example (5.1)."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, execute_on_server, procedure, process
from onserver.errors import NotSendable, ProcessNotFound, SyncInAsyncError, VariableTimeout
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.redis.scripts import script
from onserver.testing import wait_for
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.inline_worker import make_server, working

UNKNOWN = 999_999


@procedure
def remember(value: Any) -> None:
    process().variables["value"] = value


@procedure
def wait_for_word() -> str:
    word: str = process().variables.wait_for("word", timeout=60)
    return f"heard {word}"


@procedure
def import_services(rows: int) -> int:
    """The stored procedure of the example: an error code that is polled, and acknowledged by setting it back."""
    mine = process().variables
    mine["error"] = 1  # the operation is not finished yet
    done = sum(range(rows))
    mine["error"] = 0 if rows else -1  # finished: well, or not
    mine.wait_for("error", lambda code: code > 0, timeout=20)  # until the caller has got it
    return done


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made


def ended(value: Any = 0) -> Process[None]:
    process = execute_on_server(remember, value)
    process.result(timeout=60)
    return process


# -- specification 5.7, row by row


def get_of_an_unknown_process_does_nothing() -> None:
    unknown = Process(Server.current(), UNKNOWN).variables
    assert unknown.get("x") is None
    assert unknown.get("x", 7) == 7
    assert "x" not in unknown
    assert list(unknown) == []
    assert (len(unknown), unknown.copy(), dict(unknown)) == (0, {}, {})
    with pytest.raises(KeyError):
        unknown["x"]


def set_of_an_unknown_process_is_an_error() -> None:
    unknown = Process(Server.current(), UNKNOWN).variables
    with pytest.raises(ProcessNotFound):
        unknown.update(x=1)
    with pytest.raises(ProcessNotFound):
        unknown["x"] = 1
    assert not Server.current().store.command("EXISTS", Server.current().store.key(f"vars:{UNKNOWN}"))


def set_creates_the_variable() -> None:
    variables = ended().variables
    variables["new"] = 1
    assert variables["new"] == 1


def a_variable_that_is_not_there_is_undefined() -> None:
    variables = ended().variables
    assert variables.get("nothing") is None
    with pytest.raises(KeyError, match="nothing"):
        variables["nothing"]


def whole_arrays_are_accepted_here() -> None:
    variables = ended().variables
    variables["array"] = [[1, 2], [3, [4]]]
    assert variables["array"] == [[1, 2], [3, [4]]]


def pointers_are_not_accepted() -> None:
    variables = ended(5).variables
    with pytest.raises(NotSendable, match="Variable `there` is a `set`"):
        variables.update(value=6, there={1, 2})
    assert dict(variables) == {"value": 5}  # nothing was written


def values_of_every_kind_that_can_be_sent() -> None:
    variables = ended().variables
    moment = datetime(2026, 11, 26, tzinfo=UTC)
    variables.update(a=None, b=b"\0\xff", c=2**70, d=moment, e={"x": [1.5]}, f="ä ")
    assert variables.copy() == {
        "value": 0,
        "a": None,
        "b": b"\0\xff",
        "c": 2**70,
        "d": moment,
        "e": {"x": [1.5]},
        "f": "ä ",
    }


def the_process_sees_what_its_caller_writes() -> None:
    waiting = execute_on_server(wait_for_word)
    waiting.variables["word"] = "hello"
    assert waiting.result(timeout=60) == "heard hello"


def several_are_written_at_once_and_read_at_once() -> None:
    variables = ended().variables
    variables.update({"a": 1, "b": 2}, c=3)
    assert variables.copy() == {"value": 0, "a": 1, "b": 2, "c": 3}
    assert sorted(variables) == ["a", "b", "c", "value"]
    assert sorted(variables.items()) == [("a", 1), ("b", 2), ("c", 3), ("value", 0)]


def they_are_removed_one_by_one_or_all() -> None:
    variables = ended().variables
    variables.update(a=1, b=2)
    del variables["a"]
    assert variables.pop("b") == 2
    with pytest.raises(KeyError):
        del variables["a"]
    assert dict(variables) == {"value": 0}
    variables.clear()
    assert len(variables) == 0


def a_name_is_a_text() -> None:
    for name in ("", 5):
        with pytest.raises(NotSendable):
            ended().variables[name] = 1  # type: ignore[index]


def they_live_as_long_as_the_record() -> None:
    store, one = Server.current().store, ended()
    keys = store.key(f"p:{one.number}"), store.key(f"vars:{one.number}")
    record, variables = (store.command("PTTL", key) for key in keys)
    assert 0 < variables <= record + 10  # asked for one after the other
    one.variables["late"] = 1  # after its end as well
    record, variables = (store.command("PTTL", key) for key in keys)
    assert abs(record - variables) < 1000


ROWS: list[Callable[[], None]] = [
    get_of_an_unknown_process_does_nothing, set_of_an_unknown_process_is_an_error, set_creates_the_variable,
    a_variable_that_is_not_there_is_undefined, whole_arrays_are_accepted_here, pointers_are_not_accepted,
    values_of_every_kind_that_can_be_sent, the_process_sees_what_its_caller_writes,
    several_are_written_at_once_and_read_at_once, they_are_removed_one_by_one_or_all, a_name_is_a_text,
    they_live_as_long_as_the_record,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(server: Server, row: Callable[[], None]) -> None:
    row()


def test_what_is_too_large_is_refused(redis_address: Address) -> None:
    with (
        make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}", max_argument_bytes=1024) as made,
        working(made),
    ):
        one = ended()
        with pytest.raises(NotSendable, match="at most 1,024"):
            one.variables["large"] = "x" * 2000
        assert list(one.variables) == ["value"]


# -- the example of commands/execute-on-server.md


@pytest.mark.parametrize(("rows", "code"), [(10, 0), (0, -1)])
def test_the_import_example_as_it_is_written_there(server: Server, rows: int, code: int) -> None:
    importing = execute_on_server(import_services, rows)
    # Repeat: DELAY PROCESS, GET PROCESS VARIABLE; what is undefined yet counts as 1. Until it is 0 or less.
    wait_for(lambda: importing.variables.get("error", 1) <= 0, 60)
    assert importing.variables["error"] == code
    assert importing.state in (State.RUNNING, State.WAITING)  # it waits until the caller has got it
    importing.variables["error"] = 1  # tell the stored procedure that we acknowledge
    assert importing.result(timeout=60) == sum(range(rows))


def test_the_import_example_without_polling(server: Server) -> None:
    importing = execute_on_server(import_services, 10)
    assert importing.variables.wait_for("error", lambda code: code <= 0, timeout=60) == 0
    importing.variables["error"] = 1
    assert importing.result(timeout=60) == 45


# -- waiting


def test_a_wait_answers_at_once_what_is_there(server: Server) -> None:
    assert ended(5).variables.wait_for("value", timeout=0) == 5


def test_a_wait_that_is_not_fulfilled_says_so(server: Server) -> None:
    waiting = execute_on_server(wait_for_word)
    with pytest.raises(VariableTimeout, match=f"Variable `x` of #{waiting.number} was not as wanted within") as raised:
        waiting.variables.wait_for("x", timeout=0.2)
    assert (raised.value.number, raised.value.name, raised.value.state) == (waiting.number, "x", "")
    store = server.store
    assert b"x" not in store.command("HVALS", store.key(f"vw:{waiting.number}"))  # it watches no more
    waiting.variables["word"] = "end"
    waiting.result(timeout=60)


def test_a_wait_ends_with_the_process(server: Server) -> None:
    waiting, said = execute_on_server(wait_for_word), list[str]()

    def watch() -> None:
        with pytest.raises(VariableTimeout) as raised:
            waiting.variables.wait_for("never")
        said.append(raised.value.state)

    thread = threading.Thread(target=watch)
    thread.start()
    key = server.store.key(f"vw:{waiting.number}")
    wait_for(lambda: b"never" in server.store.command("HVALS", key), 60)
    waiting.variables["word"] = "end"
    thread.join(60)
    assert said == ["done"]


def test_a_wait_for_an_unknown_process(server: Server) -> None:
    with pytest.raises(ProcessNotFound):
        Process(server, UNKNOWN).variables.wait_for("x")


def test_the_process_that_waits_says_so(server: Server) -> None:
    waiting = execute_on_server(wait_for_word)
    wait_for(lambda: waiting.state == State.WAITING, 60)
    assert waiting.record().why == f"variable word of #{waiting.number}"
    waiting.variables["word"] = "end"
    assert waiting.result(timeout=60) == "heard end"
    assert waiting.record().why == ""


def test_only_the_condition_ends_a_wait(server: Server) -> None:
    one, seen = execute_on_server(wait_for_word), list[int]()
    one.variables["value"] = 0

    def enough(value: int) -> bool:
        seen.append(value)
        return value >= 3

    def write() -> None:
        for n in (1, 2, 3):
            one.variables["value"] = n

    writing = threading.Thread(target=write)
    writing.start()
    assert one.variables.wait_for("value", enough, timeout=60) == 3
    writing.join(60)
    assert seen == sorted(set(seen))
    assert seen[-1] == 3
    one.variables["word"] = "end"
    one.result(timeout=60)


def test_in_a_loop(server: Server) -> None:
    async def scene() -> None:
        waiting = await wait_for_word.astart()
        with pytest.raises(SyncInAsyncError, match="await_for"):
            waiting.variables.wait_for("x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await waiting.variables.await_for("x")
        hearing = asyncio.ensure_future(waiting.variables.await_for("word"))
        await waiting.variables.aset("word", "hello")
        assert await hearing == "hello"
        assert await waiting == "heard hello"
        await waiting.variables.aupdate(a=1)
        assert await waiting.variables.aget("a") == 1
        assert await waiting.variables.aget("b", 2) == 2
        assert await waiting.variables.acopy() == {"word": "hello", "a": 1}

    asyncio.run(scene())


# -- lost replies


@pytest.mark.parametrize("name", ["set_variables", "watch_variable", "unwatch_variable"])
def test_a_lost_reply(redis_address: Address, tmp_path: Path, name: str) -> None:
    sha = script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    server_name = f"t{uuid4().hex[:8]}"
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(server_name, f"unix://{redis_address.path}") as behind,
        working(behind),
        make_server(server_name, f"unix://{proxy.address.path}") as client,
    ):
        waiting = execute_on_server(wait_for_word)
        client.store.command("PING")
        proxy.swallow_reply(1, matching=is_it)
        with pytest.raises(VariableTimeout):
            waiting.variables.wait_for("x", timeout=0.1)
        waiting.variables["word"] = "hello"
        assert waiting.result(timeout=60) == "heard hello"
        assert proxy.broken == 1
