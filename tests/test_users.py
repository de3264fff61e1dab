"""Users: made, listed and removed; who gives the right password is known, and nobody learns who is not."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import pytest

from onserver import Server
from onserver.errors import PasswordRefused, UserExists, UserNotFound
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.store import Store
from onserver.session import users as users_module
from onserver.session.users import Users
from tests.commands import Ran, ran

SECRET = "correct horse"
ROLES = {
    "privileges": [{"privilege": "invoices.read", "includes": []}],
    "roles": [{"role": "clerk", "privileges": ["invoices.read"]}],
    "permissions": {"allowed": []},
}


@pytest.fixture
def users(store: Store, cheap: argon2.PasswordHasher) -> Users:
    return Users(store)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> argon2.PasswordHasher:
    """The real hash, with parameters that do not keep a test waiting."""
    return use(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1), monkeypatch)


def use(hasher: argon2.PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> argon2.PasswordHasher:
    nobody = hasher.hash("a password that nobody has")
    monkeypatch.setattr(users_module, "_hasher", lambda: hasher)
    monkeypatch.setattr(users_module, "_nobody", lambda: nobody)
    return hasher


def kept(store: Store) -> dict[str, Any]:
    names = store.command("HGETALL", store.key("users"))
    return {name.decode(): json.loads(value) for name, value in zip(names[::2], names[1::2], strict=True)}


# ---- who is who


def test_a_user_is_known_by_the_right_password_only(users: Users) -> None:
    users.add("Ann", SECRET, ["clerk"], by="root@desk")
    found = users.verify("ann", SECRET)
    assert found is not None
    assert (found.name, found.roles, found.by) == ("Ann", ("clerk",), "root@desk")
    assert users.verify("ANN", SECRET) == found
    for wrong in ("correct hors", SECRET.upper(), SECRET + " ", "", SECRET * 1000, "\0"):
        assert users.verify("ann", wrong) is None
    assert users.verify("anne", SECRET) is None
    assert users.verify("", SECRET) is None


def test_a_password_is_kept_as_argon2id_of_today(store: Store) -> None:
    Users(store).add("ann", SECRET)
    (hashed,) = (user["hashed"] for user in kept(store).values())
    assert hashed.startswith("$argon2id$v=19$")
    assert SECRET not in json.dumps(kept(store))
    assert Users(store).verify("ann", SECRET) is not None
    parameters = argon2.extract_parameters(hashed)
    assert parameters.memory_cost >= 19 * 1024  # what OWASP asks for at least
    assert parameters.time_cost >= 2


def test_names_are_one_however_they_are_written(users: Users, store: Store) -> None:
    users.add("Zoë", SECRET)
    for name in ("zoë", "ZOË", "Zoe\u0308"):
        with pytest.raises(UserExists):
            users.add(name, SECRET)
        assert users.verify(name, SECRET) is not None
    users.add("zoe", SECRET)
    assert [user.name for user in users.listed()] == ["zoe", "Zoë"]
    assert not find_orphans(store)


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a\nb", "a\0b", "x" * 101])
def test_what_is_no_name_is_refused(users: Users, name: str) -> None:
    with pytest.raises(PasswordRefused, match="The name of a user"):
        users.add(name, SECRET)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
def test_what_is_no_password_is_refused(users: Users, password: str) -> None:
    users.add("ann", SECRET)
    with pytest.raises(PasswordRefused):
        users.add("bob", password)
    with pytest.raises(PasswordRefused):
        users.set_password("ann", password)
    assert users.verify("ann", SECRET) is not None


def test_who_is_removed_or_has_another_password_is_not_known_any_more(users: Users) -> None:
    users.add("ann", SECRET)
    users.add("bob", SECRET)
    users.set_password("Ann", "another one")
    assert users.verify("ann", SECRET) is None
    assert users.verify("ann", "another one") is not None
    users.remove("ANN")
    assert users.verify("ann", "another one") is None
    assert [user.name for user in users.listed()] == ["bob"]
    for action in (users.remove, users.get, lambda name: users.set_password(name, SECRET)):
        with pytest.raises(UserNotFound):
            action("ann")


def test_a_user_without_a_password_is_known_by_none(users: Users, store: Store) -> None:
    made = users.add("ann", None, ["clerk"])
    assert not made.has_password
    assert made.changed_ms == made.made_ms
    for password in ("", SECRET, "a password that nobody has", "\0"):
        assert users.verify("ann", password) is None
    users.set_roles("ann", [])
    assert users.verify("ann", "") is None
    assert kept(store)["ann"]["hashed"] == ""
    users.set_password("ann", SECRET)
    assert users.verify("ann", SECRET) is not None


def test_an_unknown_user_costs_the_work_of_a_known_one(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(argon2.PasswordHasher):
        checked: list[str]

        def verify(self, *words: Any) -> Any:
            self.checked.append(str(argon2.extract_parameters(words[0])))
            return super().verify(*words)

    hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    hasher.checked = []
    use(hasher, monkeypatch)
    users.add("ann", SECRET)
    users.add("bob", None)
    for name, password in (
        ("ann", SECRET),
        ("ann", "wrong one"),
        ("nobody", SECRET),
        ("nobody", "x" * 5000),
        ("bob", "x"),
    ):
        users.verify(name, password)
    assert len(hasher.checked) == 5
    assert len(set(hasher.checked)) == 1  # the same work each time


def test_a_hash_of_smaller_parameters_is_replaced_at_the_next_login(
    users: Users, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.add("ann", SECRET)
    before = kept(store)["ann"]["hashed"]
    use(argon2.PasswordHasher(time_cost=2, memory_cost=128, parallelism=1), monkeypatch)
    assert users.verify("ann", "wrong one") is None
    assert kept(store)["ann"]["hashed"] == before
    assert users.verify("ann", SECRET) is not None
    after = kept(store)["ann"]["hashed"]
    assert argon2.extract_parameters(after).memory_cost == 128
    assert users.verify("ann", SECRET) is not None
    assert kept(store)["ann"]["hashed"] == after


def test_a_change_that_was_overtaken_does_not_undo_the_other(users: Users, store: Store) -> None:
    users.add("ann", SECRET)
    before = store.command("HGET", store.key("users"), "ann")
    users.set_password("ann", "another one")
    nonce = store.nonce()
    for _ in range(2):  # also when its reply was lost
        assert store.run("user", nonce, "change", "ann", before, before) == 0
    assert users.verify("ann", "another one") is not None


# ---- the command line


Run = Callable[..., Ran]


@pytest.fixture
def project(store: Store, redis_address: Address, tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    settings = f'name = "{store.name}"\nredis = "unix://{redis_address.path}"\n'
    (tmp_path / "config/onserver.toml").write_text(settings)
    (tmp_path / "config/roles.json").write_text(json.dumps(ROLES))
    return tmp_path


@pytest.fixture
def run(
    project: Path, cheap: argon2.PasswordHasher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(project)
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a key that only the tests have")

    def run(*words: str, typed: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return ran(capsys, "users", *words)

    return run


def test_users_are_made_listed_and_removed(run: Run, users: Users) -> None:
    assert run("ls").out == "no users: nobody is asked for a password\n"
    made = run("add", "Ann", "+Clerk", "+INVOICES.READ", "+clerk", typed=f"{SECRET}\n")
    assert (made.status, made.out) == (0, "user Ann may log in\n")
    assert SECRET not in made.out + made.err
    found = users.verify("ann", SECRET)
    assert found is not None
    assert found.roles == ("clerk", "invoices.read")
    assert run("add", "bob", typed=SECRET).status == 0
    rows = run("ls", "--json").data
    assert [(row["name"], row["roles"]) for row in rows] == [("Ann", ["clerk", "invoices.read"]), ("bob", [])]
    assert "@" in rows[0]["by"]
    assert "+clerk +invoices.read" in run("ls").out
    assert "argon2" not in run("ls").out + json.dumps(rows)
    assert run("add", "eve", "+clerk", "--no-password").out == "user eve may log in elsewhere\n"
    assert not users.get("eve").has_password
    assert run("rm", "eve", "--yes").status == 0
    assert run("passwd", "ANN", typed="another one\n").status == 0
    assert users.verify("ann", "another one") is not None
    assert run("rm", "ann").status == 2  # nobody is there who could be asked
    assert run("rm", "ann", "--yes").out == "user Ann is removed\n"
    assert [row["name"] for row in run("ls", "--json").data] == ["bob"]


def test_what_is_wrong_is_told_with_its_status(run: Run) -> None:
    assert run("add", "ann", typed=f"{SECRET}\n").status == 0
    cases = [
        (("add", "ANN"), SECRET, 8, "ONS-4111"),
        (("add", "bob"), "short\n", 3, "ONS-4112"),
        (("add", "bob"), "", 3, "is missing"),
        (("add", " bob"), SECRET, 3, "The name of a user"),
        (("add", "bob", "+clark"), SECRET, 4, "Did you mean `clerk`?"),
        (("add", "bob", "clerk"), SECRET, 2, "`+clerk`"),
        (("passwd", "bob"), SECRET, 4, "ONS-4110"),
        (("passwd", "ann"), "short\n", 3, "ONS-4112"),
        (("rm", "bob", "--yes"), "", 4, "ONS-4110"),
    ]
    for words, typed, status, told in cases:
        ran = run(*words, typed=typed)
        assert (ran.status, told in ran.err) == (status, True), (words, ran)
    assert [row["name"] for row in run("ls", "--json").data] == ["ann"]


def test_a_password_is_typed_twice_and_not_shown(project: Path, store: Store) -> None:
    terminal, inside = pty.openpty()
    environ = {**os.environ, "ONSERVER_SIGNING_KEY": "a key that only the tests have", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "onserver.cli", "users", "add", "ann"]
    program = subprocess.Popen(
        words, cwd=project, env=environ, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    shown = b""
    try:
        for asked in (b"Password: ", b"The same again: "):
            while not shown.endswith(asked):
                shown += os.read(terminal, 1000)
            os.write(terminal, f"{SECRET}\n".encode())
        while b"may log in" not in shown:
            shown += os.read(terminal, 1000)
        assert program.wait(timeout=60) == 0
    finally:
        program.kill()
        program.wait()
        os.close(terminal)
    assert SECRET.encode() not in shown
    assert Users(store).verify("ann", SECRET) is not None


def test_roles_are_given_and_taken_and_what_was_asked_for_is_revoked(run: Run, users: Users, store: Store) -> None:
    assert run("add", "Ann", typed=SECRET).status == 0
    assert run("roles", "ann").out == "Ann: no roles\n"
    assert run("roles", "ann", "+clerk", "+INVOICES.read").out == "Ann: +clerk +invoices.read\n"
    assert run("roles", "ann", "--without", "Clerk", "--without", "nothing").out == "Ann: +invoices.read\n"
    assert users.get("ann").roles == ("invoices.read",)
    assert users.verify("ann", SECRET) is not None
    before = store.now_ms()
    assert run("revoke", "ANN", "--reason", "stolen").out == "what Ann has asked for until now is refused\n"
    said = json.loads(store.command("HGET", store.key("revoked"), "ann"))
    assert (said["reason"], "@" in said["by"], said["at"] >= before - 1000) == ("stolen", True, True)
    wrong = [
        (("roles", "ann", "+clark"), 4, "ONS-1012"),
        (("roles", "bob"), 4, "ONS-4110"),
        (("revoke", "bob"), 4, "ONS-4110"),
        (("roles", "ann", "clerk"), 2, "`+clerk`"),
    ]
    for words, status, told in wrong:
        ran = run(*words)
        assert (ran.status, told in ran.err) == (status, True), (words, ran)
    assert run("rm", "ann", "--yes").status == 0
    assert store.command("EXISTS", store.key("revoked")) == 0


def test_who_is_removed_has_no_session_left(run: Run, users: Users, project: Path, store: Store) -> None:
    assert run("add", "Ann", typed=SECRET).status == 0
    with Server.load(project) as server:
        web = server.sessions.open("web", user="Ann", login="ann")
        assert run("rm", "ANN", "--yes").status == 0
        assert server.sessions.take(web.id) is None
        dropped = server.sessions.dropped(web.id)
        assert dropped is not None
        assert dropped.reason == "the user was removed"
