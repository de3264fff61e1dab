"""Twins: the calls of a remote client are worked off in order, once each, and answered."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, Signal, mailbox, process, server_method, session
from onserver.connections.records import Connections
from onserver.errors import BadArguments, CallNotFound, MaintenanceMode, SessionExpired
from onserver.process.maintenance import begin_maintenance, end_maintenance
from onserver.process.put import Sender
from onserver.process.record import State
from onserver.process.twin import (
    CallEnd,
    await_call,
    drop_twin,
    end_twin,
    forget_calls,
    put_call,
    twin_box,
    twin_number,
    wait_call,
)
from onserver.redis.address import Address
from onserver.redis.keys import all_keys, find_orphans
from onserver.redis.scripts import script
from onserver.session.context import serving
from onserver.testing import wait_for
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.values import decode
from tests.inline_worker import make_server, working
from tests.twin_client import Client

ran: list[Any] = []


@server_method
def note(word: Any) -> Any:
    ran.append(word)
    return word


@server_method
def fail(word: str) -> None:
    ran.append(word)
    raise ValueError(word)


@server_method
def wait(one: Signal) -> str:
    ran.append("waits")
    one.wait(20)
    return "waited"


@server_method
def wait_in_vain(one: Signal) -> None:
    ran.append("waits")
    one.wait(20)
    raise ValueError("in vain")


@server_method
def count() -> list[Any]:
    mine = process().variables
    mine["n"] = mine.get("n", 0) + 1
    here = session()
    return [process().number, process().name, mine["n"], here.id]


@server_method
def stop_itself() -> bool:
    return mailbox().kill()


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    ran.clear()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made
        assert find_orphans(made.store) == []


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server)


def waiting(client: Client) -> int:
    """How many calls wait in the twin of its first connection."""
    store = client.server.store
    return int(store.command("LLEN", store.key(f"box:{twin_box(client.session, client.connection)}")))


def twin(client: Client) -> Process[Any]:
    number = twin_number(client.server, client.session, client.connection)
    assert number is not None
    return Process.get(number)


def test_calls_run_in_order_in_the_session_of_the_client_and_share_variables(client: Client) -> None:
    calls = [client.put(count) for _ in range(5)]
    answers = [decode(client.end(call).result) for call in calls]
    number = twin(client).number
    assert answers == [[number, "Main process", n, client.session] for n in range(1, 6)]


def test_each_connection_has_a_twin_of_its_own(client: Client) -> None:
    other = client.connect("Invoices")
    answers = [decode(client.end(client.put(count, connection=at)).result) for at in (other, client.connection, other)]
    assert [answer[1:3] for answer in answers] == [["Invoices", 1], ["Main process", 1], ["Invoices", 2]]


def test_people_see_the_connection_and_not_the_secret_of_the_client(client: Client) -> None:
    client.call(note, 1)
    record = twin(client).record()
    assert (record.name, record.state, record.why) == ("Main process", State.WAITING, "calls")
    assert (record.caller, record.in_session) == ("ann (remote)", True)
    assert client.session not in record.name + record.procedure + record.queue + record.key


@pytest.mark.parametrize("times", [1, 5])
def test_a_call_runs_once_however_often_it_is_sent(client: Client, times: int) -> None:
    gate, call = Signal(), token_hex(16)

    def put_again(_: int) -> bool:
        return client.put_again(call, note, "once")

    first = client.put(wait, gate)
    assert client.put_again(call, note, "once")
    with ThreadPoolExecutor(times) as threads:  # while it waits
        assert not any(threads.map(put_again, range(times)))
    assert not client.put_again(call, note, "another")  # the id decides, as for any message that was sent again
    gate.trigger()
    assert [client.end(one).state for one in (first, call)] == ["done", "done"]
    for _ in range(times):  # after its end
        assert not client.put_again(call, note, "once")
        assert decode(client.end(call).result) == "once"
    client.call(note, "last")
    assert ran == ["waits", "once", "last"]


def test_an_id_belongs_to_the_session_that_has_used_it(server: Server, client: Client) -> None:
    call, stranger = client.put(note, "mine"), Client(server)
    client.end(call)
    with pytest.raises(BadArguments, match="another session"):
        stranger.put(note, "theirs", call_id=call)
    with pytest.raises(CallNotFound):
        stranger.end(call)
    assert forget_calls(server, stranger.session, [call]) == 0
    assert decode(client.end(call).result) == "mine"
    assert ran == ["mine"]


@pytest.mark.parametrize("wrong", ["", "0" * 31, "A" * 32, "0" * 32 + "\n", "é" * 32])
def test_an_id_of_another_form_is_refused(client: Client, wrong: str) -> None:
    with pytest.raises(BadArguments, match="32 hexadecimal digits"):
        client.put_again(wrong, note, 1)
    with pytest.raises(CallNotFound):
        client.end(wrong)
    assert ran == []


def test_what_a_call_raises_is_its_answer_and_the_next_one_runs(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = client.put(fail, "bad"), client.put(note, "good")
    end = client.end(bad)
    assert (end.state, end.result, decode(end.error)["type"]) == ("failed", b"", "ValueError")
    assert decode(client.end(good).result) == "good"
    assert capsys.readouterr().err == ""  # the client tells it


def test_a_wait_that_is_over_leaves_nothing(server: Server, client: Client) -> None:
    gate = Signal()
    call = client.put(wait, gate)
    assert wait_call(server, call, client.session, 0) is None
    assert wait_call(server, call, client.session, 0.2) is None
    assert asyncio.run(await_call(server, call, client.session, 0.2)) is None
    assert server.store.command("EXISTS", server.store.key(f"cw:{call}")) == 0
    gate.trigger()
    assert client.end(call) == CallEnd("done", client.end(call).result, b"")


def test_in_a_loop_many_wait_at_once(server: Server, client: Client) -> None:
    gate = Signal()
    calls = [client.put(wait, gate), *(client.put(note, n) for n in range(20))]

    async def scene() -> list[CallEnd | None]:
        waits = [asyncio.create_task(await_call(server, call, client.session, 20)) for call in calls * 2]
        await asyncio.to_thread(gate.trigger)
        return await asyncio.gather(*waits)

    answers = [decode(end.result) for end in asyncio.run(scene()) if end is not None]
    assert answers == ["waited", *range(20)] * 2


# -- ends


def test_an_abort_of_the_process_ends_its_present_call_and_no_other(server: Server, client: Client) -> None:
    gate = Signal()
    present, later = client.put(wait_in_vain, gate), client.put(count)
    wait_for(lambda: ran == ["waits"], 20)
    old = twin(client)
    old.abort("for a test")
    gate.trigger()  # a worker in a thread is not interrupted
    end = client.end(present)
    assert (end.state, decode(end.error)["reason"]) == ("aborted", "for a test")
    number, name, n, _ = decode(client.end(later).result)
    assert (number != old.number, name, n) == (True, "Main process", 1)
    twin(client).abort("idle")
    assert twin_number(server, client.session, client.connection) is None
    assert client.call(note, 1) == 1


def test_a_call_that_was_not_begun_ends_with_its_process(client: Client) -> None:
    client.call(note, 1)
    twin(client).pause()
    call, later = client.put(note, "never"), client.put(note, "later")
    twin(client).abort("for a test")
    assert client.end(call).state == "aborted"
    assert client.end(later).state == "done"
    assert ran == [1, "later"]


def test_the_end_of_a_twin_lets_its_present_call_end_and_aborts_those_that_wait(server: Server, client: Client) -> None:
    gate = Signal()
    present, later = client.put(wait, gate), [client.put(note, n) for n in range(3)]
    wait_for(lambda: ran == ["waits"], 20)
    one = twin(client)
    for _ in range(2):
        assert end_twin(server, client.session, client.connection)
    for call in later:
        end = client.end(call)
        assert (end.state, decode(end.error)["reason"]) == ("aborted", "its connection was closed")
    gate.trigger()
    assert decode(client.end(present).result) == "waited"
    assert one.wait(timeout=20) == State.DONE
    assert not end_twin(server, client.session, client.connection)
    assert ran == ["waits"]


def test_a_twin_that_is_dropped_loses_its_present_call_too(server: Server, client: Client) -> None:
    gate = Signal()
    present, later = client.put(wait_in_vain, gate), client.put(note, 1)
    wait_for(lambda: ran == ["waits"], 20)
    one = twin(client)
    assert drop_twin(server, client.session, client.connection)
    gate.trigger()
    assert [client.end(call).state for call in (present, later)] == ["aborted", "aborted"]
    assert one.wait(timeout=20) == State.ABORTED
    assert not drop_twin(server, client.session, client.connection)
    assert ran == ["waits"]


def test_a_twin_ends_before_its_present_call_has_begun(server: Server, client: Client) -> None:
    client.call(note, 1)
    one = twin(client)
    one.pause()
    calls = [client.put(note, n) for n in range(3)]
    assert end_twin(server, client.session, client.connection)
    assert [client.end(call).state for call in calls] == ["aborted"] * 3
    assert one.state == State.DONE
    assert ran == [1]


def test_a_call_that_ought_to_have_begun_is_told_so(server: Server, client: Client) -> None:
    client.call(note, 1)
    one, call = twin(client), token_hex(16)
    one.pause()
    client.put_again(call, note, "late", expires=0.001)
    made = server.store.now_ms()
    wait_for(lambda: server.store.now_ms() > made + 1, 20)
    one.resume()
    assert decode(client.end(call).error)["type"] == "ProcessTimeout"
    assert client.call(note, 2) == 2
    assert ran == [1, 2]


# -- who may not


def nothing_ran(client: Client) -> None:
    assert twin_number(client.server, client.session, client.connection) is None
    assert ran == []


def test_a_connection_that_is_not_open_takes_no_calls(server: Server, client: Client) -> None:
    number, _, _ = server.store.run("remote_connect", client.session, "a" * 32, "new", 10)
    for connection in (number, client.connection + 7):  # the hooks of the one were not asked yet
        with pytest.raises(SessionExpired):
            client.put(note, 1, connection=connection)
    assert client.put_again("a" * 32, note, "the hooks", connection=number)  # the very call that asks them
    client.end("a" * 32)
    assert ran == ["the hooks"]


def test_a_session_that_ends_takes_no_calls(server: Server, client: Client) -> None:
    here = server.sessions.take(client.session)
    assert here is not None
    body = server.part(Sender).body(note.order, (1,), {})
    assert server.part(Connections).end(client.session, "closed")
    with serving(here, remote=True), pytest.raises(SessionExpired):
        put_call(server, client.session, client.connection, note.call_order, body, token_hex(16))
    nothing_ran(client)


def test_in_maintenance_no_call_is_taken(server: Server, client: Client) -> None:
    begin_maintenance("for a test")
    with pytest.raises(MaintenanceMode):
        client.put(note, 1)
    end_maintenance()
    nothing_ran(client)
    assert client.call(note, 1) == 1


def test_a_twin_is_no_mailbox_of_anybody_else(server: Server, client: Client) -> None:
    with pytest.raises(BadArguments, match="twin of a remote client"):
        mailbox(twin_box(client.session, client.connection))
    assert client.call(stop_itself) is False
    by_number = mailbox(twin(client).number)
    by_number.call(note, "never")  # nothing is asked of a process that is no mailbox's
    assert not by_number.kill()
    assert (by_number.process, by_number.waiting) == (None, 0)
    assert client.call(note, 1) == 1
    assert ran == [1]
    assert mailbox("remote printing").process is None


# -- what stays


def test_nothing_stays_of_calls_whose_ends_their_client_has(server: Server, client: Client) -> None:
    def cycle() -> None:
        calls = [client.put(note, n) for n in range(20)]
        for call in calls:
            client.end(call)
        assert forget_calls(server, client.session, calls) == 20

    def keys() -> tuple[list[str], list[str]]:
        found = [key for key in all_keys(server.store) if ":once:" not in key]
        return [key for key in found if ":call:" in key], [key for key in found if ":call:" not in key]

    cycle()
    one, (_, before) = twin(client), keys()
    for _ in range(3):
        cycle()
    kept, after = keys()
    assert set(after) <= set(before)
    assert len(kept) == 80  # their ids, for the messages that may be under way
    for key in kept:
        fields, left_ms = server.store.pipeline([("HKEYS", key), ("PTTL", key)])
        assert {field.decode() for field in fields} == {"session", "by", "s", "n"}
        assert 0 < left_ms <= 600_000
    assert server.store.command("HLEN", server.store.key(f"p:{one.number}")) < 40
    assert forget_calls(server, client.session, []) == 0


def test_a_call_whose_end_was_forgotten_is_not_put_again(server: Server, client: Client) -> None:
    gate = Signal()
    call, present = client.put(note, "once"), client.put(wait, gate)
    client.end(call)
    assert forget_calls(server, client.session, [call, present, "f" * 32]) == 1  # the other has not ended
    assert not client.put_again(call, note, "once")
    gate.trigger()
    assert decode(client.end(present).result) == "waited"
    assert ran == ["once", "waits"]


# -- lost replies


@pytest.mark.parametrize("nth", [2, 3, 5])
def test_a_lost_reply_of_a_worker(redis_address: Address, tmp_path: Path, nth: int) -> None:
    """A settlement that is sent again does not touch the next call, which the same worker may have by then."""
    ran.clear()
    name, sha = f"t{uuid4().hex[:8]}", script("step").sha
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(name, f"unix://{proxy.address.path}") as behind,
        working(behind),
        make_server(name, f"unix://{redis_address.path}") as here,
    ):
        proxy.swallow_reply(nth, matching=lambda words: words[0] in RUNS and words[1] == sha)
        client = Client(here)
        calls = [client.put(note, n) for n in range(8)]
        assert [decode(client.end(call).result) for call in calls] == list(range(8))
        assert proxy.broken == 1
        assert find_orphans(here.store) == []
    assert ran == list(range(8))


def put(client: Client) -> None:
    call = token_hex(16)
    assert client.put_again(call, note, 1)
    assert not client.put_again(call, note, 1)
    client.end(call)
    assert client.call(note, 2) == 2
    assert ran == [1, 2]


def forget(client: Client) -> None:
    call = client.put(note, 1)
    client.end(call)
    assert forget_calls(client.server, client.session, [call]) == 1


def end(client: Client) -> None:
    assert client.call(note, 1) == 1
    assert end_twin(client.server, client.session, client.connection)
    assert client.call(note, 2) == 2


CASES: list[tuple[str, int, Callable[[Client], None]]] = [
    ("twin_call", 1, put), ("twin_call", 2, put), ("twin_call", 3, put), ("watch_call", 1, put),
    ("forget_calls", 1, forget), ("kill_box", 1, end),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nth", "scene"), CASES, ids=[f"{name}-{nth}" for name, nth, _ in CASES])
def test_a_lost_reply(
    redis_address: Address, tmp_path: Path, name: str, nth: int, scene: Callable[[Client], None]
) -> None:
    ran.clear()
    server_name, sha = f"t{uuid4().hex[:8]}", script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    with (
        make_server(server_name, f"unix://{redis_address.path}") as worker,
        working(worker),
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(server_name, f"unix://{proxy.address.path}") as behind,
    ):
        client = Client(behind)
        proxy.swallow_reply(nth, matching=is_it)
        scene(client)
        assert proxy.broken == 1
        assert find_orphans(worker.store) == []
