"""Who asked travels with Celery's messages too, and what nobody has signed is run by none of its ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from celery import chain, chord, group

from onserver import Process, Server, caller, procedure
from onserver.celery_app.app import make_app
from onserver.celery_app.broadcasts import Broadcasts, sign_broadcast
from onserver.celery_app.message import MARK, rebuild
from onserver.celery_app.permitting import around, permit, takes_privileges
from onserver.errors import PrivilegeDenied
from onserver.process.caller import Caller
from onserver.process.claim import read_claim
from onserver.redis.address import Address
from onserver.session.context import serving
from onserver.settings import Settings, SigningSettings
from onserver.testing import OnServer, wait_for
from tests.inline_worker import KEY, working

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")

#: Who asked for what was run, in order.
ran: list[str] = []


@procedure(requires="invoices.read")
def reads(*_: Any) -> str:
    ran.append(f"reads for {caller().user}")
    return caller().user


@procedure(requires="invoices.delete")
def drops(*_: Any) -> str:
    ran.append(f"drops for {caller().user}")
    return caller().user


@procedure
def starts() -> str:
    ran.append("starts")
    return str(reads.delay().id)


ROLES: Final[dict[str, Any]] = {
    "privileges": [{"privilege": "invoices.read"}, {"privilege": "invoices.delete"}],
    "roles": [{"role": "clerk", "privileges": ["invoices.read"]}],
    "permissions": {"allowed": [
        {"applyTo": starts.name, "type": "method", "execute": ["guest"]},
        {"applyTo": "plain", "type": "method", "execute": ["invoices.read"]},
        {"applyTo": "stumbles", "type": "method", "execute": ["invoices.read"]},
        {"applyTo": "secret", "type": "method", "execute": ["invoices.delete"]},
    ]},
    "restrictedByDefault": True,
}  # fmt: skip


@pytest.fixture
def server(redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    ran.clear()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/roles.json").write_text(json.dumps(ROLES))
    settings = Settings(
        name=f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", signing=SigningSettings(key=KEY)
    )
    with Server(project=tmp_path, settings=settings) as made:
        yield made


@pytest.fixture
def app(server: Server) -> Any:
    app = make_app(server)

    @app.task(name="plain", shared=False)  # type: ignore[untyped-decorator]
    def plain(*_: Any) -> str:
        ran.append(f"plain for {caller().user}")
        return caller().user

    @app.task(name="secret", shared=False)  # type: ignore[untyped-decorator]
    def secret(*_: Any) -> str:
        ran.append("secret")
        return ""

    @app.task(name="stumbles", bind=True, max_retries=2, shared=False)  # type: ignore[untyped-decorator]
    def stumbles(self: Any) -> str:
        ran.append(f"stumbles for {caller().user}")
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return caller().user

    return app


@pytest.fixture
def worker(server: Server, app: Any) -> Iterator[OnServer]:
    with working(server) as worker:
        yield worker


def ann(server: Server, *roles: str) -> Mapping[str, Any]:
    at = server.store.now_ms()
    return Caller(user="ann", session="A" * 32, kind="web", roles=roles or ("clerk",), asked_ms=at).snapshot()


def test_the_caller_travels_through_a_canvas(server: Server, app: Any, worker: OnServer) -> None:
    plain = app.tasks["plain"]
    with serving(None, caller=ann(server)):
        started = [
            chain(plain.s(), reads.s(), plain.s()).apply_async(),
            chord([reads.s(), plain.s()])(reads.s()),
            group(reads.s() for _ in range(2)).apply_async(),
            app.tasks["stumbles"].delay(),
        ]
    assert [one.get(timeout=60) for one in started] == ["ann", "ann", ["ann", "ann"], "ann"]
    assert all(one.endswith("for ann") for one in ran)
    assert ran.count("stumbles for ann") == 3


def test_a_start_by_celery_inside_a_process_is_its_callers(server: Server, app: Any, worker: OnServer) -> None:
    with serving(None, caller=ann(server)):
        inner = starts.start().result(timeout=60)
    assert app.AsyncResult(inner).get(timeout=60) == "ann"
    with serving(None, caller=ann(server, "nobody")):
        outer = starts.start()
    with pytest.raises(PrivilegeDenied):
        outer.result(timeout=60)
    assert ran == ["starts", "reads for ann", "starts"]


def test_what_may_not_be_started_is_not_sent(server: Server, app: Any) -> None:
    plain, secret = app.tasks["plain"], app.tasks["secret"]
    with serving(None, caller=ann(server)):
        for refused in (
            secret.delay,
            drops.delay,
            lambda: app.send_task("secret"),
            lambda: app.send_task("nobody.has.this"),
            lambda: chain(secret.s(), plain.s()).apply_async(),
            lambda: secret.map([1, 2]).apply_async(),
            lambda: drops.task.starmap([(1,), (2,)]).apply_async(),
            lambda: secret.chunks([(1,), (2,)], 2).apply_async(),
        ):
            with pytest.raises(PrivilegeDenied):
                refused()
    assert server.store.command("HGET", server.store.key("numbers"), "process") is None


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("celery.map", ({"task": drops.name}, [1])),
        ("celery.map", (drops.name, [1])),
        ("celery.starmap", ({"task": "celery.map"}, [[{"task": drops.name}, [1]]])),
        ("celery.map", ()),
    ],
    ids=["position", "name", "nested", "nothing"],
)
def test_what_a_task_runs_inside_its_own_is_known_or_refused(server: Server, app: Any, name: str, args: Any) -> None:
    eve = Caller(user="eve", kind="remote").snapshot()
    with serving(None, remote=True, caller=eve), pytest.raises(PrivilegeDenied):
        app.send_task(name, args)
    with pytest.raises(PrivilegeDenied):
        permit(server, eve, around(name, args, {}))
    assert takes_privileges(server, around(name, args, {}))


def test_a_step_of_a_canvas_that_may_not_run_is_kept_and_says_why(server: Server, app: Any, worker: OnServer) -> None:
    secret = app.tasks["secret"]
    with serving(None, caller=ann(server)):
        last = chain(reads.s(), secret.s()).apply_async()
    with pytest.raises(PrivilegeDenied, match="invoices"):
        last.get(timeout=60)
    assert last.parent.get(timeout=60) == "ann"  # the step before has ended well, and ran once
    record = Process.get(app.desk.number_of(last.id)).record()
    assert (record.state, ran) == ("failed", ["reads for ann"])


def test_a_header_cannot_name_another_task(server: Server, app: Any) -> None:
    number = app.desk.number_of(app.send_task("plain", (1,), shadow="shown").id)
    forged = json.dumps({"as": "", "task": "secret", "id": "x", MARK: {"number": 1, "caller": {"user": "eve"}}})
    server.store.command("HSET", server.store.key(f"p:{number}"), "h", forged)
    claim = read_claim(server.store, number)
    assert claim is not None
    message = rebuild(claim, "id", "1.1", {"user": "ann"})
    assert (message["headers"]["task"], message["headers"]["id"]) == ("plain", "id")
    assert message["headers"][MARK]["caller"] == {"user": "ann"}


# ---- what has no record: tasks that are broadcast


def told(name: str = "plain", body: str = '[[1], {}, {"callbacks": null}]', mark: Any = None) -> dict[str, Any]:
    headers: dict[str, Any] = {"task": name, "id": uuid4().hex, "lang": "py"}
    return {
        "headers": headers if mark is None else headers | {MARK: mark},
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {},
    }


def copied(message: Mapping[str, Any]) -> dict[str, Any]:
    return {**message, "headers": dict(message["headers"])}


def test_a_broadcast_is_taken_once_and_as_it_was_signed(server: Server, app: Any) -> None:
    heard = Broadcasts(server)
    signed = sign_broadcast(server, told())
    changed = [
        told(), told(mark="x"), told(mark={"number": 1, "holder": "1.1", "caller": {}}), told(mark=7),
        copied(signed) | {"body": '[[2], {}, {"callbacks": null}]'}, told("secret", mark=signed["headers"][MARK]),
    ]  # fmt: skip
    assert not any(heard.takes(message) for message in changed)
    message = copied(signed)
    assert heard.takes(message)
    assert MARK not in message["headers"]
    assert not heard.takes(copied(signed))
    late = sign_broadcast(server, told())
    server.store._ahead += 31
    assert not Broadcasts(server).takes(copied(late))


def test_a_broadcast_is_asked_for(server: Server, app: Any) -> None:
    with serving(None, caller=ann(server)):
        assert Broadcasts(server).takes(sign_broadcast(server, told()))
        with pytest.raises(PrivilegeDenied):
            sign_broadcast(server, told("secret"))


def test_a_task_that_lies_in_a_list_is_not_run(server: Server, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    delivered: list[Any] = []
    with app.connection_for_read() as connection, connection.channel() as channel:

        def deliver(message: Any, _queue: str) -> None:
            delivered.append(message)

        channel.connection._deliver = deliver
        channel._listed(server.store.key("mq:default"), json.dumps(told()).encode())
        channel._listed(server.store.key("mq:replies"), json.dumps({**told(), "headers": {}}).encode())
    assert [message["headers"] for message in delivered] == [{}]
    wait_for(lambda: "a message for `plain` is refused: it is not signed" in caplog.text)
