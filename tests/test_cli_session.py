"""`onserver session` as people and scripts use it, and a call in the name of a session."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver.connections.records import Connections
from onserver.errors import LockLost
from onserver.process.signing import Signer
from onserver.redis.address import Address
from onserver.redis.store import Store
from onserver.registry import keep, kept
from onserver.server import Server
from onserver.session.session import Session
from onserver.session.sessions import Sessions
from onserver.session.users import Users
from onserver.testing.wait import wait_for
from tests.commands import Ran, ran

ROLES = {
    "privileges": [
        {"privilege": "invoices.read"},
        {"privilege": "invoices.create", "includes": ["invoices.read"]},
        {"privilege": "invoices.delete"},
    ],
    "roles": [
        {"role": "clerk", "privileges": ["invoices.create"]},
        {"role": "owner", "privileges": ["invoices.create", "invoices.delete"]},
    ],
    "permissions": {"allowed": [{"applyTo": "shop.open", "type": "method", "execute": ["guest"]}]},
    "restrictedByDefault": True,
    "forceLogin": True,
}
TASKS = """
from onserver import procedure

@procedure(requires="invoices.create")
def create_invoice(n: int) -> int:
    return n

@procedure(name="shop.open")
def open_shop() -> None:
    pass
"""


Run = Callable[..., Ran]


@pytest.fixture
def project(store: Store, redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in _loaded():  # the `tasks` of another project, which a test before this one has loaded
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "config").mkdir()
    (tmp_path / "tasks").mkdir()
    settings = f'name = "{store.name}"\nredis = "unix://{redis_address.path}"\n'
    (tmp_path / "config/onserver.toml").write_text(settings)
    (tmp_path / "config/roles.json").write_text(json.dumps(ROLES))
    (tmp_path / "tasks/__init__.py").write_text("")
    (tmp_path / "tasks/shop.py").write_text(TASKS)
    before = kept()
    keep({})  # what other tests have declared is not this project's
    yield tmp_path
    keep(before)
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "tasks"]


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(project)
    monkeypatch.delenv("ONSERVER_PROJECT", raising=False)
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a key that only the tests have")

    def run(*words: str) -> Ran:
        return ran(capsys, *words)

    return run


@pytest.fixture
def sessions(project: Path) -> Iterator[Sessions]:
    with Server.load(project) as server:
        yield server.sessions


def data(ran: Ran) -> Any:
    answer = json.loads(ran.out)
    assert answer["ok"] is True, ran
    return answer["data"]


# ---- which session


def test_there_is_nobody_at_first(run: Run) -> None:
    ran = run("session", "ls")
    assert ran == (0, "no session. Web sessions appear with the first request through the middleware.\n", "")
    assert run("session", "ls", "--kind", "remote").out == "no session of kind remote\n"
    assert data(run("session", "ls", "--json")) == []


def _past(opened: Session) -> Session:
    """Wait until the millisecond in which it was opened is over: of two in one millisecond neither is the newer."""
    wait_for(lambda: Server.current().store.pipeline_at([("PING",)])[0] > opened.record.created_ms, 10)
    return opened


def test_sessions_are_listed_by_kind_and_user(run: Run, sessions: Sessions) -> None:
    ann = _past(sessions.open("web", user="ann", login="Ann", ip="10.0.0.7", agent="Firefox"))
    guest = _past(sessions.open("web"))
    desk = sessions.open("remote", user="bob", machine="desk")
    assert [row["id"] for row in data(run("session", "ls", "--json"))] == [desk.id, guest.id, ann.id]
    assert [row["id"] for row in data(run("session", "ls", "--kind", "web", "--json"))] == [guest.id, ann.id]
    assert [row["id"] for row in data(run("session", "ls", "--user", "ANN", "--json"))] == [ann.id]
    head, *lines = run("session", "ls").out.splitlines()
    assert head.split() == ["ID", "KIND", "USER", "FROM", "ROLES", "SEEN", "ENDS", "STATE"]
    assert [line.split()[:4] for line in lines] == [
        [desk.id, "remote", "bob", "desk"],
        [guest.id, "web", "-", "-"],
        [ann.id, "web", "ann", "10.0.0.7"],
    ]
    few = run("session", "ls", "--limit", "1")
    assert len(few.out.splitlines()) == 2
    assert "there are 2 web, 1 remote" in few.err
    assert run("session", "ls", "--kind", "webb").status == 2


def test_a_session_is_meant_by_its_id_its_beginning_or_its_user(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="Ann")
    for word in (ann.id, ann.id.lower(), ann.id[:8], "ann"):
        assert data(run("session", "show", word, "--json"))["id"] == ann.id
    for nobody in ("bob", ann.id[:3], "*", "", "0" * 32, ann.id + "0"):
        ran = run("session", "show", nobody)
        assert (ran.status, "ONS-4108" in ran.err) == (4, True), nobody
    sessions.open("web", user="ann")
    ran = run("session", "show", "ann")
    assert ran.status == 4
    assert "Several sessions are meant by `ann`" in ran.err


def test_a_session_is_shown_with_what_it_may_and_what_it_keeps(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann", ip="10.0.0.7")
    sessions.records.write(ann.id, roles=("clerk",), is_set=True)
    with ann.storage.use() as root:
        root["cart"] = [1, 2]
    shown = data(run("session", "show", "ann", "--json"))
    assert shown["storage"] == {"cart": [1, 2]}
    assert shown["ip"] == "10.0.0.7"
    assert [row["privilege"] for row in shown["privileges"]] == ["invoices.read", "invoices.create"]
    out = run("session", "show", "ann").out
    assert "`clerk` gives `invoices.create`, which includes `invoices.read`" in out
    assert "cart = [1,2]" in out
    guest = sessions.open("web")
    out = run("session", "show", guest.id).out
    assert "no privileges\n\nthe storage is empty\n" in out


# ---- what is changed


def test_facts_of_a_session_are_set(run: Run, sessions: Sessions) -> None:
    guest = sessions.open("web")
    words = ("user_name=ann", "idle_timeout=90", "privileges=Invoices.Read,owner", "quotas.nbEntitySets=20")
    assert run("session", "set", guest.id, *words).status == 0
    record = sessions.records.read(guest.id)
    assert record is not None
    assert (record.user, record.idle_ms, record.quotas) == ("ann", 90 * 60_000, {"nbEntitySets": 20})
    assert (record.privileges, record.roles, record.is_set) == (("invoices.read",), ("owner",), True)
    assert run("session", "set", guest.id, "idle_timeout=5", "quotas.nbEntitySets=", "privileges=").status == 0
    record = sessions.records.read(guest.id)
    assert record is not None
    assert (record.idle_ms, record.quotas, record.granted, record.user) == (60 * 60_000, {}, (), "ann")


@pytest.mark.parametrize(
    ("word", "status", "told"),
    [
        ("user=ann", 2, "Did you mean `user_name=`?"),
        ("ann", 2, "sets nothing of a session"),
        ("idle_timeout=soon", 2, "no number"),
        ("idle_timeout=nan", 2, "no number"),
        ("quotas.nbEntitySets=0", 2, "whole number above zero"),
        ("quotas.nbEntitySets=1.5", 2, "whole number above zero"),
        ("privileges=clark", 4, "Did you mean `clerk`?"),
        ("id=0", 2, "There are user_name="),
    ],
)
def test_what_is_no_fact_of_a_session_changes_nothing(
    run: Run, sessions: Sessions, word: str, status: int, told: str
) -> None:
    guest = sessions.open("web")
    ran = run("session", "set", guest.id, "user_name=ann", word)
    assert (ran.status, told in ran.err) == (status, True), ran
    found = sessions.records.read(guest.id)
    assert found is not None
    assert (found.user, found.granted, found.quotas) == ("", (), {})


def test_roles_are_given_and_taken(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann")
    assert run("session", "roles", "ann").out == "ann: no roles\n"
    assert run("session", "roles", "ann", "+Clerk", "+invoices.delete").out == "ann: +invoices.delete +clerk\n"
    assert run("session", "roles", "ann", "-clerk", "+owner").out == "ann: +invoices.delete +owner\n"
    assert run("session", "roles", "ann", "-q", "-Invoices.Delete").out == "ann: +owner\n"
    record = sessions.records.read(ann.id)
    assert record is not None
    assert (record.roles, record.privileges, record.is_set) == (("owner",), (), True)
    assert run("session", "roles", "ann", "clerk").status == 2
    for unknown in ("+clark", "-clark"):
        ran = run("session", "roles", "ann", unknown)
        assert (ran.status, "Did you mean `clerk`?" in ran.err) == (4, True), ran
    assert run("session", "roles", "bob", "+clerk").status == 4


def test_what_a_session_can_is_told_with_the_reason(run: Run, sessions: Sessions, store: Store) -> None:
    ann = sessions.open("web", user="ann")
    sessions.records.write(ann.id, roles=("clerk",))
    assert run("session", "can", "ann", "invoices.delete") == (
        3,
        "no: ann has roles clerk; invoices.delete is granted by owner\n",
        "",
    )
    assert run("session", "can", "ann", "INVOICES.READ") == (
        0,
        "yes: `clerk` gives `invoices.create`, which includes `invoices.read`\n",
        "",
    )
    assert data(run("session", "can", "ann", "invoices.read", "--json"))["allowed"] is True
    assert run("session", "can", "ann", "invoices.print").status == 4
    assert run("session", "can", "eve", "invoices.read").status == 4
    Users(store).add("Eve", "correct horse battery", ["owner"])
    assert run("session", "can", "eve", "invoices.delete").out.startswith("yes: `owner` gives")
    assert run("session", "can", sessions.open("web").id, "invoices.read").out.startswith("no: a guest has no roles;")


# ---- told, handed over, dropped


def test_a_message_reaches_the_session(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann")
    assert run("session", "message", "ann", "we close at six").status == 0
    [message] = sessions.messages(ann.id)
    assert message.text == "we close at six"
    assert "@" in message.by
    assert run("session", "message", "ann", "x" * 64_001).status == 2
    assert run("session", "message", "bob", "hello").status == 4


def test_a_dropped_session_is_gone_and_known(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann", login="ann")
    assert run("session", "drop", "ann").status == 2  # nobody is there to be asked
    assert sessions.find(ann.id) is not None
    assert run("session", "drop", "ann", "--yes", "--reason", "lost laptop").out == f"session {ann.id} is dropped\n"
    assert sessions.find(ann.id) is None
    drop = sessions.dropped(ann.id)
    assert drop is not None
    assert drop.reason == "lost laptop"
    assert run("session", "drop", ann.id, "--yes").status == 4
    more = {sessions.open("web", login="ann").id for _ in range(3)}
    assert set(data(run("session", "drop", "--all", "Ann", "--yes", "--json"))["dropped"]) == more
    assert run("session", "drop", "--all", "ann", "--yes").status == 4


def test_a_token_leads_to_the_session_once(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann")
    ran = run("session", "otp", "ann", "--ttl", "30s")
    token = ran.out.strip()
    assert (ran.status, len(token)) == (0, 32)
    found = sessions.records.redeem(token)
    assert found is not None
    assert found.id == ann.id
    assert sessions.records.redeem(token) is None
    assert run("session", "otp", "ann", "--ttl", "0").status == 2
    assert run("session", "otp", "bob").status == 4


def test_nobody_takes_the_session_of_all_procedures_for_one_of_the_web(run: Run, sessions: Sessions) -> None:
    own = sessions.open("storedProcedure", user="server")
    assert run("session", "otp", own.id).status == 3
    assert run("session", "drop", own.id, "--yes").status == 3
    assert sessions.find(own.id) is not None


# ---- its storage


def test_the_storage_of_a_session_is_read_and_changed_apart_from_the_servers(run: Run, sessions: Sessions) -> None:
    ann, bob = sessions.open("web", user="ann"), sessions.open("web", user="bob")
    of_ann = ("--session", "ann")
    assert run("storage", "ls", *of_ann).out == "the storage is empty\n"
    assert run("storage", "set", "cart", "[1, 2]", *of_ann) == (0, "", "")
    assert ann.storage["cart"] == [1, 2]
    for identity in (ann.id, ann.id[:8].lower(), "Ann"):
        assert data(run("storage", "get", "cart", "--session", identity, "--json")) == [1, 2]
    assert run("storage", "incr", "visits", "3", *of_ann).out == "3\n"
    assert [row["key"] for row in data(run("storage", "ls", *of_ann, "--json"))] == ["cart", "visits"]
    late = run("storage", "set", "cart", "[]", "--if-version", "7", *of_ann)
    assert (late.status, ann.storage["cart"]) == (8, [1, 2])
    for others in ((), ("--session", bob.id)):
        assert data(run("storage", "ls", *others, "--json")) == []
    assert run("storage", "rm", "cart", *of_ann).status == 0
    gone = run("storage", "rm", "cart", *of_ann)
    assert (gone.status, "`onserver storage ls --session ann`" in gone.err) == (4, True)
    assert list(ann.storage) == ["visits"]


def test_the_locks_of_a_session_are_shown_and_taken_apart_from_the_servers(run: Run, sessions: Sessions) -> None:
    ann = sessions.open("web", user="ann")
    with pytest.raises(LockLost), ann.storage.use("cart") as cart:
        cart["shoes"] = 1
        [lock] = data(run("storage", "locks", "--session", "ann", "--json"))
        assert (lock["key"], lock["waiting"]) == ("cart", 0)
        assert data(run("storage", "locks", "--json")) == []
        assert run("storage", "unlock", "cart").status == 4
        assert run("storage", "unlock", "cart", "--session", "ann").status == 0
    assert "cart" not in ann.storage


def test_the_storage_of_no_session_is_not_the_servers(run: Run, sessions: Sessions) -> None:
    own = sessions.open("storedProcedure", user="server")
    assert run("storage", "set", "rates", "1").status == 0
    assert run("storage", "get", "rates", "--session", own.id).out == "1\n"  # that is the server's
    for words in (["ls"], ["get", "a"], ["set", "a", "1"], ["incr", "a"], ["rm", "a"], ["locks"], ["unlock", "a"]):
        for nobody in ("bob", ""):
            refused = run("storage", *words, "--session", nobody)
            assert (refused.status, "ONS-4108" in refused.err) == (4, True), (words, nobody)
    assert [row["key"] for row in data(run("storage", "ls", "--json"))] == ["rates"]


# ---- a call in the name of a session


def test_a_call_as_a_session_is_asked_for_by_it(run: Run, sessions: Sessions, store: Store) -> None:
    ann = sessions.open("web", user="ann")
    refused = run("call", "create_invoice", "7", "--as", "ann", "--detach")
    assert (refused.status, "ONS-4103" in refused.err) == (3, True), refused
    assert run("session", "roles", "ann", "+clerk").status == 0
    number = data(run("call", "create_invoice", "7", "--as", "ann", "--detach", "--json"))["process"]
    caller = Signer.shown(store.command("HGET", store.key(f"p:{number}"), "c"))
    assert caller is not None
    assert (caller.user, caller.session, caller.kind, caller.roles) == ("ann", ann.id, "web", ("clerk",))
    assert run("call", "create_invoice", "7", "--as", "bob", "--detach").status == 4
    guest = sessions.open("web")
    assert run("call", "shop.open", "--as", guest.id, "--detach").status == 0
    assert run("call", "create_invoice", "7", "--as", guest.id, "--detach").status == 3
    assert run("call", "create_invoice", "7", "--detach").status == 0  # the server itself


# ---- remote clients


def test_remote_clients_are_listed_as_they_are(run: Run, sessions: Sessions, store: Store) -> None:
    store.command("HSET", store.key("server"), "state", "running")
    with Server.current() as server:
        connections = server.part(Connections)
        awake, asleep, silent = (connections.open(secrets.token_hex(16), "", user=user) for user in ("a", "b", "c"))
        connections.sleep(asleep.id)
        store.command("HINCRBY", store.key(f"s:{silent.id}"), "heard", -31_000)
        number, _, _ = connections.connect(awake.id, "main", secrets.token_hex(16))
        connections.decided(awake.id, number, True)
        states = {
            line.split()[2]: line.split()[-1] for line in run("session", "ls", "--kind", "remote").out.splitlines()
        }
        assert states == {"USER": "STATE", "a": "active", "b": "sleeping", "c": "unreachable"}
        [row] = data(run("connections", "ls", "--json"))
        assert (row["client"], row["user"], row["connection"], row["name"]) == (awake.id, "a", number, "main")
        assert f"{number}  main  open" in run("connections", "ls").out
        assert run("session", "message", awake.id, "backup at six").status == 0
        assert [event.split(b" ")[1] for event in connections.beat(awake.id, 0).events] == [b"message"]
        assert set(data(run("connections", "tell", "now", "--json"))["told"]) == {awake.id, asleep.id, silent.id}
        assert run("connections", "tell", "x" * 65_000).status == 2
        assert run("session", "drop", awake.id, "--yes").status == 0
        assert sessions.records.read(awake.id).state == "closing"  # type: ignore[union-attr]
        assert run("session", "ls", "--kind", "remote").out.count("closing") == 1


def test_new_connections_are_rejected_and_taken_again(run: Run, store: Store) -> None:
    assert run("connections", "status") == (0, "new connections are taken; 0 remote clients\n", "")
    assert run("connections", "tell", "hello").out == "there is no remote client\n"
    assert data(run("connections", "reject", "--json")) == {"rejected": True, "changed": True}
    assert data(run("connections", "reject", "--json")) == {"rejected": True, "changed": False}
    ran = run("connections", "status")
    assert ran.status == 3
    assert ran.out.startswith("new connections are rejected by ")
    assert store.command("HEXISTS", store.key("server"), "rj")
    assert run("connections", "accept").out == "new connections are taken again\n"
    assert run("connections", "accept").out == "new connections were taken already\n"
