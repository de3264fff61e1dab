"""Remote clients over both ways, with the server, its gateway and its worker in this program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import msgspec
import pytest

from onserver import Process, Server, on_server_open_connection, procedure, process, remote, server_method, session
from onserver.connections.wire import CONTENT, Call, Facts
from onserver.errors import (
    BadArguments,
    CallNotFound,
    ConnectionVetoed,
    NotSendable,
    ProcedureFailed,
    ProcedureNotFound,
    ProcessAborted,
    ProcessTimeout,
    ServerSideOnly,
    ServerUnreachable,
    SessionExpired,
)
from onserver.redis.address import Address
from onserver.registry import keep, kept
from onserver.remote import Client, ClientSession, Message
from onserver.remote_settings import RemoteSettings
from onserver.settings import MemberSettings, Settings, SigningSettings
from onserver.testing import wait_for
from onserver.web import Gateway
from tests.gateway_served import Wire, served
from tests.inline_worker import KEY, make_server, working
from tests.web_project import browser as asked_in_place
from tests.web_project import make_project

calls: list[Any] = []
gates: dict[str, threading.Event] = {}


class OutOfStock(Exception):
    """An exception of the project."""


@server_method(name="shop.total")
def total(items: list[int], *, tax: int = 0) -> int:
    items.append(tax)  # of a copy
    return sum(items)


@server_method(name="shop.whose")
def whose() -> list[Any]:
    here = session()
    return [here.info.type, here.id, here.storage.get("basket"), process().number]


@server_method(name="shop.fill")
def fill(basket: list[int]) -> None:
    with session().storage.use() as storage:
        storage["basket"] = basket


@server_method(name="shop.sell")
def sell(what: str) -> None:
    raise OutOfStock(what) if what else KeyError("what")


@server_method(name="shop.count")
def count() -> int:
    variables = process().variables
    variables["calls"] = variables.get("calls", 0) + 1
    return int(variables["calls"])


@server_method(name="shop.note")
def note(word: str, gate: str = "") -> str:
    if gate and not gates[gate].wait(30):
        raise TimeoutError(gate)
    calls.append(word)
    return word


@server_method(name="shop.of_server")
def of_server() -> Any:
    return Server.current().session().storage.get("stock")


@server_method(name="shop.marked", published=True)
def marked() -> str:
    return f"{session().info.type} {session().storage.get('basket')}"


@procedure(name="shop.stock")
def stock(number: int) -> str:
    with session().storage.use() as storage:
        storage["stock"] = number
    return str(session().info.type)


@procedure(name="shop.show")
def show(word: str) -> None:
    calls.append((word, session(), total([1], tax=1)))


class Here(NamedTuple):
    """A server, and the two ways to it."""

    server: Server
    url: str
    wire: Wire

    def where(self, way: str) -> Any:
        return {"in place": self.server, "over the web": self.url, "wire": self.wire.url}[way]


@pytest.fixture(scope="module")
def kept_here(embedded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    address: Address = embedded.start()
    project = make_project(tmp_path_factory.mktemp("remote") / "shop")
    settings = Settings(
        project=project,
        name=f"remote{uuid4().hex[:6]}",
        redis=f"unix://{address.path}",
        signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=60.0),
        remote=RemoteSettings(over_web=True, beat_seconds=0.2),
    )
    with (
        Server(project=project, settings=settings) as server,
        server.as_current(),
        working(server),
        served(server) as url,
    ):
        wire = Wire(url)
        yield Here(server, url, wire)
        wire.close()


@pytest.fixture
def here(kept_here: Here) -> Iterator[Here]:
    calls.clear()
    before = kept()
    kept_here.wire.mend()
    yield kept_here
    keep(before)


@pytest.fixture(params=["in place", "over the web"])
def client(request: pytest.FixtureRequest, here: Here) -> Iterator[Client]:
    with remote.connect(here.where(request.param)) as client:
        yield client


# -- calls


def test_a_server_method_is_called_as_if_it_were_local(client: Client) -> None:
    items = [1, 2]
    assert total(items, tax=3) == 6
    assert items == [1, 2]  # copied
    assert client.call("shop.total", [5]) == 5
    assert client.call("total", [5]) == 5  # the end of its name will do
    assert client.call(total, [5], tax=1) == 6


def test_it_runs_in_the_session_of_the_client(client: Client, here: Here) -> None:
    kind, identity, _, number = whose()  # row 11
    assert kind == "remote"
    assert here.server.sessions.find(identity) is not None
    assert whose()[3] == number  # its twin
    assert session() is None  # row 17
    assert total.function([1]) == 1  # and what is no call of a server method, is none


def test_exceptions_come_back_as_themselves(client: Client, here: Here) -> None:
    with pytest.raises(KeyError) as caught:
        sell("")
    assert caught.value.args == ("what",)
    cause = caught.value.__cause__
    assert isinstance(cause, ProcedureFailed)
    assert "in sell" in cause.remote_traceback
    with pytest.raises(ProcedureFailed, match="OutOfStock: apples"):
        sell("apples")  # a class that this program was not told to trust
    with (
        remote.connect(here.server, exception_modules=[OutOfStock.__module__]) as trusting,
        pytest.raises(OutOfStock, match="apples"),
    ):
        trusting.call(sell, "apples")


def test_what_cannot_be_called_is_refused(client: Client) -> None:
    with pytest.raises(ProcedureNotFound):
        client.call("shop.totl", [1])
    with pytest.raises(ProcedureNotFound):
        client.call("shop.stock", 1)  # a procedure is started, not called
    with pytest.raises(BadArguments):
        client.call("shop.total")
    with pytest.raises(NotSendable):
        client.call("shop.total", [object()])
    with pytest.raises(BadArguments):
        client.submit(len, [])


def test_calls_of_one_connection_process_keep_their_order_and_variables(client: Client) -> None:
    gates["order"] = threading.Event()
    pending = [client.submit(note, word, gate="order") for word in "abc"]
    gates["order"].set()
    assert [call.result(20) for call in pending] == ["a", "b", "c"]
    assert calls == ["a", "b", "c"]
    assert [count(), count()] == [1, 2]
    with client.process("another") as another:
        assert another.number == 0  # made with its first call
        assert count() == 1
        assert another.number > client.main.number
    assert count() == 3


def test_a_call_may_last_longer_than_its_caller_waits(client: Client) -> None:
    gates["long"] = threading.Event()
    pending = client.submit(note, "late", gate="long")
    with pytest.raises(ProcessTimeout):
        pending.result(0.05)
    gates["long"].set()
    assert client.fetch(pending.id).result(20) == "late"
    assert calls == ["late"]


def test_errors_of_a_call_name_it_and_no_process(client: Client) -> None:
    twin: Process[Any] = Process.get(whose()[3])
    twin.pause()
    call, later = client.submit(note, "never"), client.submit("shop.note", "later")
    with pytest.raises(ProcessTimeout) as timed:
        call.result(0.05)
    assert str(timed.value) == (
        f"Remote call `shop.note` gave no result within 0.05 s. It goes on; `client.fetch({call.id!r}).result()` "
        "waits again."
    )
    with pytest.raises(ProcessTimeout, match=f"Remote call `{later.id}` gave no result"):
        client.fetch(later.id).result(0.05)  # without a name, by its id
    twin.abort("for a test")
    with pytest.raises(ProcessAborted) as aborted:
        call.result(20)
    assert aborted.value.call == "shop.note"
    assert str(aborted.value).startswith("Remote call `shop.note` was aborted by ")
    assert str(aborted.value).endswith(": for a test.")
    assert later.result(20) == "later"
    assert calls == ["later"]
    with pytest.raises(CallNotFound, match="No call `" + "0" * 32):
        client.fetch("0" * 32).result(20)


def test_awaited_calls_do_not_block_the_loop(client: Client) -> None:
    async def both() -> list[Any]:
        gates["loop"] = threading.Event()
        waiting = asyncio.ensure_future(client.acall(note, "awaited", gate="loop"))
        await asyncio.sleep(0)
        gates["loop"].set()  # by the loop, which is free meanwhile
        first = await waiting
        async with client.process() as another:
            beside = await another.acall(whose)
        return [first, beside[0]]

    assert asyncio.run(both()) == ["awaited", "remote"]


@pytest.mark.parametrize("way", ["in place", "over the web"])
async def test_a_client_of_a_loop(here: Here, way: str) -> None:
    async with await remote.aconnect(here.where(way), client_session=True) as client:
        assert await client.acall(total, [1, 2]) == 3
        started = await client.aexecute_on_server("shop.stock", 3)
        assert await started == "storedProcedure"
        others = await asyncio.gather(*(client.acall(total, [number]) for number in range(5)))
        assert others == list(range(5))
    assert client.ended == "closed"
    with pytest.raises(SessionExpired):
        await client.acall(total, [1])


# -- sessions


def test_two_clients_never_see_each_others_storage(here: Here) -> None:
    with remote.connect(here.url) as one, remote.connect(here.server) as two:
        one.call(fill, [1])
        assert two.call(whose)[2] is None
        two.call(fill, [2])
        assert (one.call(whose)[2], two.call(whose)[2]) == ([1], [2])
        assert one.execute_on_server("shop.stock", 9).result(20) == "storedProcedure"
        assert (one.call(of_server), two.call(of_server)) == (9, 9)  # that of the server both see


def test_the_session_on_the_clients_side(here: Here) -> None:
    with remote.connect(here.url, client_session=True) as client:
        mine: Any = session()  # row 18
        assert mine is client.session
        assert isinstance(mine, ClientSession)
        assert mine.id == whose()[1]
        with mine.storage.use() as storage:
            storage["basket"] = ["here"]
        assert whose()[2] is None
        fill([7])
        assert mine.storage["basket"] == ["here"]
        with pytest.raises(TypeError), mine.storage.use() as storage:
            storage["basket"] = object()
        assert mine.storage["basket"] == ["here"]
        refused: dict[str, list[Any]] = {
            "set_privileges": ["p"],
            "clear_privileges": [],
            "promote": ["p"],
            "demote": [1],
            "restore": ["t"],
        }
        for name, args in refused.items():
            with pytest.raises(ServerSideOnly, match=name):
                getattr(mine, name)(*args)
        assert (mine.get_privileges(), mine.has_privilege("nothing"), mine.isGuest()) == ([], False, False)
        assert mine.info.type == "remote"
        assert mine.info["ID"] == mine.id


def test_a_page_is_opened_in_the_session_of_the_client(here: Here) -> None:
    with remote.connect(here.url, client_session=True) as client:
        fill([4])
        mine: Any = client.session
        token = mine.create_otp()
        page = httpx.get(f"{here.url}/action/shop.marked", params={"$4DSID": token})
        assert page.text == "remote [4]"  # row 26: the storage of the server's side
        again = httpx.get(f"{here.url}/action/shop.marked", params={"$4DSID": token})
        assert again.text != "remote [4]"


def test_what_a_process_returns_is_for_who_has_started_it(here: Here) -> None:
    with remote.connect(here.url) as one, remote.connect(here.url) as two:
        started = one.execute_on_server(stock.options(name="restock", priority=9), 4)
        assert started.result(20) == "storedProcedure"
        strange: remote.RemoteProcess[Any] = remote.RemoteProcess(two.main._trips, started.number, "", lambda _: True)
        with pytest.raises(LookupError):
            strange.result(0)


def test_client_and_server_in_one_program_without_workers(here: Here, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text('name = "alone"\n')
    with here.server.as_current(), Server.standalone(tmp_path) as server:
        one, two = remote.connect(server), remote.connect(server, client_session=True)
        with one:
            fill([1])
            assert whose()[:1] + whose()[2:3] == ["remote", [1]]
        assert two.call(whose)[2] is None
        assert two.execute_on_server("shop.stock", 2).result(20) == "standalone"
    assert (one.ended, two.ended) == ("closed", "closed")  # a server that is closed has no clients


def test_a_refused_connection_has_no_client(here: Here) -> None:
    @on_server_open_connection(name="refuse")
    def refuse(_: Any) -> int:
        return 22000

    with pytest.raises(ConnectionVetoed) as caught:
        remote.connect(here.url)
    assert caught.value.answer == 22000
    assert session.__module__.startswith("onserver")  # and the program is as it was: nothing goes anywhere
    with pytest.raises(Exception, match="No process is running"):
        count()


# -- what a client is told


def test_clients_are_told_and_run_what_they_are_asked(client: Client, here: Here) -> None:
    heard: list[Message] = []
    client.on_message(heard.append)
    assert client.register("till") is True
    assert client.register("till") is False
    assert client.execute_on_client("till", "shop.show", "hello") == 1
    wait_for(lambda: calls, 20)
    assert calls == [("hello", None, 2)]  # in the client's own program, from where the server is called
    assert here.server.sessions.message(whose()[1], "closing time", by="ann")
    wait_for(lambda: heard, 20)
    assert (heard[0].text, heard[0].by) == ("closing time", "ann")
    assert client.unregister() is True


def test_a_dropped_client_hears_it(client: Client, here: Here) -> None:
    why: list[str] = []
    client.on_end(why.append)
    here.server.sessions.drop(whose()[1], by="root", reason="late")
    wait_for(lambda: why, 20)
    assert why[0] in {"dropped", "expired"}
    with pytest.raises(SessionExpired):
        client.call(total, [1])


def test_a_client_that_sleeps_finds_its_session_again(client: Client, here: Here) -> None:
    fill([3])
    identity = whose()[1]
    client.sleep()
    found = here.server.sessions.find(identity)
    assert found is not None
    assert found.info.state == "sleeping"
    client.wake()
    assert whose()[1:3] == [identity, [3]]


# -- the network


def test_a_call_whose_reply_was_lost_runs_once(here: Here) -> None:
    with remote.connect(here.wire.url) as client:
        for path in ("connect", "call", "answer"):
            here.wire.swallow(f"/remote/{path}")
        gates["lost"] = threading.Event()
        with client.process():
            pending = client.submit(note, "once", gate="lost")
            gates["lost"].set()
            assert pending.result(20) == "once"
            assert note("other") == "other"
        assert calls == ["once", "other"]
        assert here.wire.swallowed >= 2


def test_a_call_goes_on_while_its_client_is_cut_off(here: Here) -> None:
    gates["cut"] = threading.Event()
    with remote.connect(here.wire.url) as client:
        pending = client.submit(note, "during", gate="cut")
        here.wire.cut()
        gates["cut"].set()
        wait_for(lambda: calls, 20)
        threading.Timer(0.3, here.wire.mend).start()
        assert pending.result(30) == "during"
        assert calls == ["during"]


def test_who_has_no_patience_fetches_the_answer_later(here: Here) -> None:
    gates["away"] = threading.Event()
    with remote.connect(here.wire.url, patience=0.2) as client:
        pending = client.submit(note, "fetched", gate="away")
        here.wire.cut()
        with pytest.raises(ServerUnreachable) as caught:
            pending.result(20)
        assert caught.value.call == pending.id
        gates["away"].set()
        here.wire.mend()
        assert client.fetch(caught.value.call).result(20) == "fetched"
        assert calls == ["fetched"]


def test_where_nobody_answers_there_is_no_client(here: Here) -> None:
    here.wire.cut()
    with pytest.raises(ServerUnreachable, match="gave no answer"):
        remote.connect(here.wire.url, patience=0.1)
    for address in ("shop.example", "ftp://shop.example", "http://shop.example"):
        with pytest.raises(BadArguments):
            remote.connect(address)


# -- the gateway


@pytest.fixture
def browser(here: Here) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=here.url) as browser:
        yield browser


def ask(browser: httpx.Client, verb: str, body: bytes, secret: str = "", kind: str = CONTENT) -> int:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {secret}"}
    return browser.post(f"/remote/{verb}", content=body, headers=headers).status_code


async def test_a_gateway_takes_no_clients_where_nobody_has_said_so(here: Here) -> None:
    with here.server.as_current():
        closed = make_server("closed", here.server.settings.redis)
    with closed:
        async with asked_in_place(Gateway(closed)) as browser:
            answer = await browser.post("/remote/facts", content=b"\x80", headers={"Content-Type": CONTENT})
            assert answer.status_code == 404
            assert answer.headers["content-type"] != CONTENT


def test_the_gateway_lets_in_who_knows_the_secret_and_nobody_else(here: Here, browser: httpx.Client) -> None:
    encode = msgspec.msgpack.Encoder().encode
    wish = Call(connection=1, call="0" * 32, name="shop.total", body=b"\x92\x90\x80")
    for secret in ("0", "0" * 32, "no id", here.server.session().id):
        assert ask(browser, "call", encode(wish), secret) == 401
        assert ask(browser, "facts", encode(Facts()), secret) == 401
    with remote.connect(here.url) as client:
        secret = client.call(whose)[1]
        assert ask(browser, "facts", encode(Facts()), secret) == 200
        assert ask(browser, "facts", encode(Facts()), secret, "application/json") == 404
        assert ask(browser, "nothing", encode(Facts()), secret) == 404
        for body in (b"", b"{}", b"\xc1", encode({"known": -1}), encode({"session": "x"}), b"\x91" * 2000):
            assert ask(browser, "wait", body, secret) == 400
        for body in (b"", b"\xc1", b"\x90", encode([1, 2]), encode([[], [], []])):
            broken = Call(connection=client.main.number, call=uuid4().hex, name="shop.total", body=body)
            assert ask(browser, "call", encode(broken), secret) == 400
        assert browser.get("/remote/facts").status_code == 405
