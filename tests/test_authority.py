"""Who may start what: asked when it is started, and again when it runs, by who stands behind it then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import argon2
import pytest
from msgspec import Raw

from onserver import (
    Process,
    Retry,
    Server,
    as_server,
    caller,
    execute_many,
    execute_on_client,
    mailbox,
    procedure,
    server_method,
    session,
)  # fmt: skip
from onserver.errors import BadDeclaration, CallerRevoked, OnServerError, PrivilegeDenied
from onserver.life.hook import BACKUP_STARTUP, STARTUP, Hook
from onserver.life.hook_arguments import Backup
from onserver.life.hook_call import FAILED_CODE, call_hook
from onserver.process.authority import Authority
from onserver.process.caller import Caller
from onserver.process.execute import Names
from onserver.process.put import read_order
from onserver.process.signing import Signer
from onserver.redis.address import Address
from onserver.session import users as users_module
from onserver.session.context import Run, entered, serving
from onserver.session.promotions import promoting
from onserver.session.roles_resources import Resource
from onserver.session.users import Users
from onserver.settings import Settings, SigningSettings
from onserver.testing import OnServer, wait_for
from onserver.values import encode
from tests.inline_worker import KEY, working

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")

DAY: Final = 86_400.0
SESSION: Final = "A" * 32

ran: list[str] = []
#: What procedures have started, and did not wait for.
started: list[Process[str]] = []
#: Who was behind hooks, and what those started.
seen: list[Caller] = []
by_hooks: list[Process[str]] = []


@procedure(requires="invoices.create")
def create(n: int) -> str:
    ran.append("create")
    return caller().user


@procedure(requires=["invoices.create", "invoices.delete"])
def drop(n: int) -> str:
    ran.append("drop")
    return caller().user


@procedure
def open_to_all() -> str:
    ran.append("open")
    return caller().user


@procedure
def closed() -> str:
    ran.append("closed")
    return caller().user


@procedure
def deeper(levels: int) -> None:
    """Start what takes a privilege so many starts down, an hour later."""
    if levels:
        deeper.start(levels - 1)
    else:
        started.append(create.options(delay=3600).start(1))


@procedure
def tries() -> str:
    try:
        started.append(create.start(1))
        return "started"
    except PrivilegeDenied as error:
        return f"refused: {error.privilege}"


@procedure
def as_itself() -> None:
    with as_server():
        started.append(drop.start(1))


def starts_more(*_: Backup) -> None:
    """A hook that starts what takes privileges, and what starts more in its turn."""
    seen.append(caller())
    by_hooks.append(tries.start())
    by_hooks.append(drop.start(1))


@procedure
def runs_a_hook() -> str:
    """Run a hook inside a process, as a backup does that somebody has asked for."""
    outcome = call_hook(Server.current(), Hook(BACKUP_STARTUP, starts_more, "starts_more", None), Backup())
    return f"{outcome.outcome}, {outcome.code}: {outcome.reason}"


@procedure(requires="invoices.create", retry=Retry(ValueError, times=3, delays=[3600, 3600, 3600]))
def stumbles() -> None:
    ran.append("stumbles")
    raise ValueError


PLACE: Final = create.name.rpartition(".")[0]

ROLES: Final[dict[str, Any]] = {
    "privileges": [
        {"privilege": "invoices.read"},
        {"privilege": "invoices.create", "includes": ["invoices.read"]},
        {"privilege": "invoices.delete"},
    ],
    "roles": [
        {"role": "clerk", "privileges": ["invoices.create"]},
        {"role": "owner", "privileges": ["invoices.create", "invoices.delete"]},
    ],
    "permissions": {
        "allowed": [
            *({"applyTo": name, "type": "method", "execute": ["guest"]}
              for name in (open_to_all.name, deeper.name, tries.name, as_itself.name, runs_a_hook.name)),
        ]
    },
    "restrictedByDefault": True,
    "forceLogin": True,
}  # fmt: skip


class Made:
    """A project with a `roles.json` of its own, and whoever asks it for something."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self._folder = server, folder

    def write(self, **changes: Any) -> None:
        """Replace the roles."""
        new = self._folder / "config/new"
        new.write_text(json.dumps(ROLES | changes))
        new.replace(self._folder / "config/roles.json")

    def ann(self, **facts: Any) -> Mapping[str, Any]:
        """Ann in the web, a clerk unless it is said otherwise."""
        known: dict[str, Any] = {"user": "ann", "session": SESSION, "kind": "web", "roles": ("clerk",)}
        known |= {"asked_ms": self.server.store.now_ms()} | facts
        return Caller(**known).snapshot()

    def put(self, name: str, args: Sequence[Any], who: Mapping[str, Any]) -> Process[Any]:
        """Put a process in somebody's name without asking whether they may: what a program with the key can do."""
        store, body = self.server.store, encode([list(args), {}])
        nonce, made_ms = store.nonce(), store.now_ms()
        signed = self.server.part(Signer).sign(nonce, made_ms, name, body, encode_raw(who))
        number, *_ = store.run(
            "put", nonce, "", made_ms, "default", 5, 0, "", "", "", "", 0, "t", name, "b", body, "c", signed
        )
        return Process.get(int(number))

    def drop_session(self, session: str = SESSION) -> None:
        """What dropping a session leaves behind."""
        store = self.server.store
        said = json.dumps({"at": store.now_ms(), "by": "eve@desk", "reason": "laptop was stolen"})
        store.command("HSET", store.key("dropped"), session, said)


def encode_raw(value: Mapping[str, Any]) -> Raw:
    return Raw(encode(value))


@pytest.fixture
def made(redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    ran.clear()
    started.clear()
    seen.clear()
    by_hooks.clear()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/roles.json").write_text(json.dumps(ROLES))
    settings = Settings(
        name=f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", signing=SigningSettings(key=KEY)
    )
    with Server(project=tmp_path, settings=settings) as server:
        yield Made(server, tmp_path)


@pytest.fixture
def worker(made: Made) -> Iterator[OnServer]:
    with working(made.server) as worker:
        yield worker


@pytest.fixture
def users(made: Made, monkeypatch: pytest.MonkeyPatch) -> Users:
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(users_module, "_hasher", lambda: hasher)
    return Users(made.server.store)


def denied(process: Process[Any], kind: type[OnServerError] = PrivilegeDenied) -> str:
    """It is refused, and its record is kept, and says why."""
    with pytest.raises(kind) as raised:
        process.result(timeout=60)
    record = process.record()
    assert record.state == "failed"
    assert record.ended_ms
    return str(raised.value)


def deepest(levels: int) -> Process[str]:
    """What is started at the end of so many nested starts."""
    deeper.start(levels)
    wait_for(lambda: bool(started), what="the last one was started")
    return started.pop()


# ---- when it is asked


def test_a_start_takes_its_privilege(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        assert create.start(1).result(timeout=60) == "ann"
        with pytest.raises(PrivilegeDenied) as raised:
            drop.start(1)
    error = raised.value
    assert (error.privilege, error.user, error.roles) == ("invoices.delete", "ann", ("clerk",))
    assert (error.granted_by, error.procedure) == (("owner",), drop.name)
    assert f"`invoices.delete`, which `{drop.name}` takes, refused for ann (roles: clerk)." in str(error)
    assert ran == ["create"]


def test_nothing_is_sent_of_what_is_refused(made: Made) -> None:
    def number() -> bytes | None:
        found: bytes | None = made.server.store.command("HGET", made.server.store.key("numbers"), "process")
        return found

    before = number()
    with serving(None, caller=made.ann(roles=("nobody",))):
        for refused in (
            lambda: create.start(1),
            lambda: create.options(delay=60).start(1),
            lambda: execute_many(create, [1, 2]),
            lambda: mailbox("box").call(create, 1),
            lambda: execute_on_client("@", create, 1),
            lambda: create.delay(1),
            lambda: create.apply_async((1,), countdown=60),
        ):
            with pytest.raises(PrivilegeDenied):
                refused()
    assert number() == before


def test_a_list_of_privileges_takes_all_of_them(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann(roles=("owner",))):
        assert drop.start(1).result(timeout=60) == "ann"
    only_one = made.ann(roles=(), privileges=("Invoices.Delete",))
    with serving(None, caller=only_one), pytest.raises(PrivilegeDenied) as raised:
        drop.start(1)
    assert raised.value.privilege == "invoices.create"


def test_the_server_passes_every_privilege(made: Made, worker: OnServer) -> None:
    assert drop.start(1).result(timeout=60) == "server"
    with serving(None, caller=made.ann(roles=())), as_server():
        assert caller().is_server
        assert drop.start(1).result(timeout=60) == "server"


def test_a_request_inside_a_block_of_the_server_has_its_own_caller(made: Made) -> None:
    with as_server():
        with serving(None, caller=made.ann(roles=())):
            assert caller().user == "ann"
            with pytest.raises(PrivilegeDenied):
                create.start(1)
        assert caller().is_server


def test_a_request_without_a_session_is_nobody_and_not_the_server(made: Made) -> None:
    with serving(None):
        assert (caller().is_server, caller().user, caller().kind) == (False, "", "web")
        with pytest.raises(PrivilegeDenied, match=r"guest \(no roles\)"):
            create.start(1)


def test_roles_json_decides_for_the_web_what_no_code_asks_for(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        assert open_to_all.start().result(timeout=60) == "ann"
        with pytest.raises(PrivilegeDenied, match="nothing is said about who may execute method"):
            closed.start()
    allowed = [{"applyTo": PLACE, "type": "dataclass", "execute": ["invoices.delete"]}]
    made.write(permissions={"allowed": allowed})
    with serving(None, caller=made.ann()):
        for refused in (closed, open_to_all):
            with pytest.raises(PrivilegeDenied) as raised:
                refused.start()
            assert raised.value.granted_by == ("owner",)
        with pytest.raises(PrivilegeDenied, match="by dataclass"):  # `requires=` and the file: both are asked
            create.start(1)
    made.write(restrictedByDefault=False)
    with serving(None, caller=made.ann(roles=())):
        assert closed.start().result(timeout=60) == "ann"


def test_roles_json_does_not_filter_other_sessions_and_requires_does(made: Made, worker: OnServer) -> None:
    with serving(None, remote=True, caller=made.ann(kind="remote")):
        assert closed.start().result(timeout=60) == "ann"
        assert create.start(1).result(timeout=60) == "ann"
        with pytest.raises(PrivilegeDenied):
            drop.start(1)


@pytest.mark.parametrize("kind", ["method", "singletonMethod"])
def test_a_singleton_and_its_functions_are_resources_too(made: Made, kind: Any) -> None:
    allowed = [{"applyTo": "Rates", "type": "singleton", "execute": ["invoices.read"]}]
    made.write(permissions={"allowed": allowed})
    authority, resource = made.server.part(Authority), Resource(kind, "Rates.change")
    clerk, guest = Caller.read(made.ann()), Caller.read(made.ann(roles=()))
    if kind == "method":
        with pytest.raises(PrivilegeDenied):
            authority.require(clerk, "Rates.change", (), resource)
        return
    authority.require(clerk, "Rates.change", (), resource)
    with pytest.raises(PrivilegeDenied):
        authority.require(guest, "Rates.change", (), resource)


def test_a_changed_file_counts_at_the_next_question(made: Made) -> None:
    authority, ann = made.server.part(Authority), Caller.read(made.ann())
    authority.require(ann, create.name, create.requires)
    made.write(roles=[])
    with pytest.raises(PrivilegeDenied, match=r"No role grants it|roles: clerk"):
        authority.require(ann, create.name, create.requires)
    made.write()
    authority.require(ann, create.name, create.requires)


def test_a_program_that_has_only_the_name_is_refused_too(made: Made, worker: OnServer) -> None:
    assert read_order(drop.name, json.dumps(drop.describe()).encode()).requires == drop.requires
    order = made.server.part(Names).order(drop.name)
    assert order.requires == ("invoices.create", "invoices.delete")


@pytest.mark.parametrize("requires", ["", " ", ["a", ""], [1], [None]])
def test_what_is_no_privilege_is_refused_where_it_is_declared(requires: Any) -> None:
    with pytest.raises(BadDeclaration, match="privileges"):
        procedure(requires=requires)(lambda: None)


def test_a_caller_tells_what_it_may(made: Made) -> None:
    with serving(None, caller=made.ann()):
        assert caller().has_privilege("INVOICES.read")
        assert not caller().has_privilege("invoices.delete")
        caller().require("invoices.read", "invoices.create")
        with pytest.raises(PrivilegeDenied, match=r"invoices\.delete"):
            caller().require("invoices.read", "invoices.delete")
    assert caller().has_privilege("anything")


# ---- when it runs


def test_what_was_not_asked_for_rightly_is_refused_when_it_runs(made: Made, worker: OnServer) -> None:
    assert made.put(create.name, [1], made.ann()).result(timeout=60) == "ann"
    assert "invoices.delete" in denied(made.put(drop.name, [1], made.ann()))
    assert "restrictedByDefault" in denied(made.put(closed.name, [], made.ann()))
    assert ran == ["create"]


def test_a_privilege_that_the_file_gives_no_more_is_gone_when_it_runs(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        waiting = create.options(delay=DAY).start(1)
    made.write(roles=[{"role": "clerk", "privileges": ["invoices.read"]}])
    worker.advance(DAY + 1)
    assert "refused for ann (roles: clerk)" in denied(waiting)
    assert ran == []


def test_who_asked_travels_through_nested_starts(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        nested = deepest(3)
    made.write(roles=[])
    worker.advance(3601)
    assert "refused for ann" in denied(nested)
    made.write()
    with serving(None, caller=made.ann()):
        assert tries.start().result(timeout=60) == "started"
        assert started.pop().result(timeout=60) == "ann"
    with serving(None, caller=made.ann(roles=())):
        assert tries.start().result(timeout=60) == "refused: invoices.create"
        as_itself.start().result(timeout=60)
        assert started.pop().result(timeout=60) == "server"


def test_a_retry_is_asked_again(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        process = stumbles.start()

    def delayed(times: int) -> bool:
        return ran.count("stumbles") == times and process.record().state == "delayed"

    wait_for(lambda: delayed(1), what="it waits for its second attempt")
    worker.advance(3601)
    wait_for(lambda: delayed(2), what="it waits for its third attempt")
    made.drop_session()
    worker.advance(3601)
    assert "laptop was stolen" in denied(process, CallerRevoked)
    assert ran.count("stumbles") == 2


def test_a_replay_is_asked_again(made: Made, worker: OnServer) -> None:
    process = made.put(drop.name, [1], made.ann())
    denied(process)
    made.write(roles=[{"role": "clerk", "privileges": ["invoices.create", "invoices.delete"]}])
    process.replay()
    assert process.result(timeout=60) == "ann"
    refused = made.put(drop.name, [1], made.ann(roles=()))
    denied(refused)
    refused.replay()
    denied(refused)
    assert ran == ["drop"]


def test_a_mailbox_is_asked_for_each_call(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        mailbox("box").call(create, 1)
        wait_for(lambda: ran == ["create"], what="the call was run")
        mailbox("box").call(open_to_all)
    made.write(restrictedByDefault=True, permissions={"allowed": []})
    with serving(None, caller=made.ann()), pytest.raises(PrivilegeDenied):
        mailbox("box").call(open_to_all)


# ---- hooks


def test_a_hook_asks_as_the_server_and_so_does_what_it_starts(made: Made, worker: OnServer) -> None:
    hook = Hook(STARTUP, starts_more, "starts_more", None)
    assert call_hook(made.server, hook).outcome == "ok"
    with serving(None, caller=made.ann(roles=())):  # the event comes while a guest is served
        assert call_hook(made.server, hook).outcome == "ok"
        assert caller().user == "ann"
    assert [(who.user, who.session, who.is_server) for who in seen] == [("server", "", True)] * 2
    assert [process.result(timeout=60) for process in by_hooks] == ["started", "server"] * 2
    assert [process.result(timeout=60) for process in started] == ["server", "server"]


def test_a_hook_inside_a_process_asks_as_who_asked_for_that(made: Made, worker: OnServer) -> None:
    with serving(None, caller=made.ann()):
        said = runs_a_hook.start().result(timeout=60)
    assert said.startswith(f"failed, {FAILED_CODE}: PrivilegeDenied: `invoices.delete`")
    assert [(who.user, who.session, who.roles) for who in seen] == [("ann", SESSION, ("clerk",))]
    with serving(None, caller=made.ann(roles=("owner",))):
        assert runs_a_hook.start().result(timeout=60) == "ok, 0: "
    assert [process.result(timeout=60) for process in by_hooks] == ["started", "started", "ann"]
    assert [process.result(timeout=60) for process in started] == ["ann", "ann"]
    assert sorted(ran) == ["create", "create", "drop"]


# ---- how the caller stands


def night_job(made: Made, **facts: Any) -> Process[str]:
    with serving(None, caller=made.ann(**facts)):
        return create.options(delay=DAY).start(1)


def test_a_night_job_runs_when_its_session_is_gone(made: Made, worker: OnServer) -> None:
    process = night_job(made)  # of its session there is no trace, as after it has expired, or was logged out
    worker.advance(DAY + 1)
    assert process.result(timeout=60) == "ann"


def test_a_night_job_whose_session_was_dropped_is_refused(made: Made, worker: OnServer) -> None:
    process, of_another = night_job(made), night_job(made, session="B" * 32)
    with serving(None, caller=made.ann()):
        nested = deepest(3)
    made.drop_session()
    worker.advance(DAY + 1)
    for refused in (process, nested):
        said = denied(refused, CallerRevoked)
        assert said.startswith(f"Refused, as session {SESSION} was dropped by eve@desk at 20")
        assert "(laptop was stolen); ann had asked for it." in said
    assert of_another.result(timeout=60) == "ann"
    assert ran == ["create"]


def test_a_night_job_whose_user_was_removed_is_refused(made: Made, worker: OnServer, users: Users) -> None:
    users.add("Ann", "correct horse", ["clerk"])
    process, fine = night_job(made, login="ann"), night_job(made, login="ANN")
    worker.advance(DAY + 1)
    assert {process.result(timeout=60), fine.result(timeout=60)} == {"ann"}
    refused = night_job(made, login="ann")
    users.remove("ann")
    replaced = night_job(made, login="ann", asked_ms=made.server.store.now_ms() - 1000)
    users.add("ann", "correct horse", ["owner"])  # another one of that name
    worker.advance(DAY + 1)
    for process in (refused, replaced):
        assert "user ann was removed" in denied(process, CallerRevoked)


def test_a_night_job_whose_user_lost_the_role_is_refused(made: Made, worker: OnServer, users: Users) -> None:
    users.add("ann", "correct horse", ["owner"])
    process = night_job(made, login="ann")
    users.set_roles("ann", ["invoices.read"])
    worker.advance(DAY + 1)
    assert "`invoices.create`" in denied(process)
    again = night_job(made, login="ann")
    users.set_roles("ann", ["owner"])
    worker.advance(DAY + 1)
    assert again.result(timeout=60) == "ann"


def test_what_a_user_had_asked_for_can_be_revoked(made: Made, worker: OnServer, users: Users) -> None:
    users.add("ann", "correct horse", ["clerk"])
    users.add("bob", "correct horse", ["clerk"])
    before, of_bob = night_job(made, login="ann"), night_job(made, user="bob", login="bob")
    with serving(None, caller=made.ann(login="ann")):
        nested = deepest(2)
    worker.advance(1)
    users.revoke("ANN", by="eve@desk", reason="she has left")
    worker.advance(1)
    after = night_job(made, login="ann", asked_ms=made.server.store.now_ms() + 5000)
    worker.advance(DAY + 1)
    for process in (before, nested):
        said = denied(process, CallerRevoked)
        assert "what ann had asked for was revoked by eve@desk" in said
        assert "she has left" in said
    assert [after.result(timeout=60), of_bob.result(timeout=60)] == ["ann", "bob"]


# ---- sessions as they are


def test_what_a_session_was_given_is_asked_for_and_travels(made: Made, worker: OnServer) -> None:
    web = made.server.sessions.open("web")
    with serving(web):
        with pytest.raises(PrivilegeDenied, match=r"guest \(no roles\)"):
            create.start(1)
        assert session().set_privileges({"roles": "clerk", "userName": "ann"})
        assert (caller().user, caller().session, caller().roles) == ("ann", web.id, ("clerk",))
        waiting = create.options(delay=DAY).start(1)
        assert create.start(1).result(timeout=60) == "ann"
        session().clear_privileges()
        with pytest.raises(PrivilegeDenied):
            create.start(1)
    made.server.sessions.close(web.id)  # logged out: the night job runs all the same
    worker.advance(DAY + 1)
    assert waiting.result(timeout=60) == "ann"


def test_what_a_dropped_session_had_asked_for_is_refused_also_under_its_earlier_id(
    made: Made, worker: OnServer
) -> None:
    sessions = made.server.sessions
    web = sessions.open("web")
    with serving(web):
        session().set_privileges({"roles": ["clerk"], "userName": "ann"})
        before = create.options(delay=DAY).start(1)
    web = sessions.rotate(web.id)
    with serving(web):
        after = create.options(delay=DAY).start(1)
    assert sessions.drop(web.id, by="eve@desk", reason="laptop was stolen")
    worker.advance(DAY + 1)
    for refused in (before, after):
        assert "laptop was stolen" in denied(refused, CallerRevoked)


def test_what_the_users_of_a_dropped_login_had_asked_for_is_refused(made: Made, worker: OnServer, users: Users) -> None:
    users.add("Ann", "correct horse", ["clerk"])
    web = made.server.sessions.open("web", user="Ann", login="ann")
    with serving(web):
        session().set_privileges("invoices.create")
        assert create.start(1).result(timeout=60) == "Ann"
        waiting = create.options(delay=DAY).start(1)
    assert made.server.sessions.drop_user("ann", by="eve@desk", reason="she has left") == [web.id]
    worker.advance(DAY + 1)
    assert "she has left" in denied(waiting, CallerRevoked)


@server_method(requires="invoices.create")
def called_in_place() -> str:
    return caller().user


def test_a_promotion_counts_in_place_and_does_not_travel(made: Made, worker: OnServer) -> None:
    with serving(made.server.sessions.open("web", user="ann")):
        with pytest.raises(PrivilegeDenied):
            called_in_place()
        with promoting(["invoices.create"]):
            assert session().has_privilege("invoices.create")
            assert called_in_place() == "ann"
            with pytest.raises(PrivilegeDenied):
                create.start(1)
            with as_server():
                assert create.start(1).result(timeout=60) == "server"
        with pytest.raises(PrivilegeDenied):
            called_in_place()


def test_a_function_that_runs_in_its_callers_session_asks_with_what_that_has_now(made: Made) -> None:
    web = made.server.sessions.open("web", user="ann")
    asked = made.ann(session=web.id, roles=())
    run = Run(
        number=1, delivery=1, holder="1.1", procedure="p", name="p", root=None, session=web, caller=asked, started=0.0,
        web=True,
    )  # fmt: skip
    with entered(run):
        assert caller().roles == ()
        web.set_privileges({"roles": "clerk"})
        assert (caller().roles, caller().asked_ms) == (("clerk",), asked["at"])
        with pytest.raises(PrivilegeDenied):
            drop.start(1)


def test_a_body_sees_what_is_left_of_its_caller(made: Made, worker: OnServer, users: Users) -> None:
    users.add("ann", "correct horse", ["clerk"])
    authority = made.server.part(Authority)
    asked = Caller.read(made.ann(roles=("owner", "clerk"), privileges=("invoices.delete",), login="ann"))
    left = Caller.read(authority.admit(asked, create.name, create.requires))
    assert (left.roles, left.privileges) == (("clerk",), ("invoices.create", "invoices.read"))
    assert (left.user, left.login, left.session, left.asked_ms) == ("ann", "ann", SESSION, asked.asked_ms)


def test_the_server_costs_no_trip_and_no_question(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    own = made.server.part(Authority)
    monkeypatch.setattr(own, "require", None)
    monkeypatch.setattr(own, "admit", None)
    with working(made.server):
        assert drop.start(1).result(timeout=60) == "server"
