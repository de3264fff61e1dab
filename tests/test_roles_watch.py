"""Roles that are replaced while they are in force: what changed is told, and a wrong file leaves the old one."""

from __future__ import annotations

import json
import logging
import os
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onserver.errors import RolesFileError
from onserver.server import Server
from onserver.session import roles_watch
from onserver.session.roles import Roles
from onserver.session.roles_difference import Change, Difference, difference
from onserver.session.roles_file import read_roles
from onserver.session.roles_resources import ACTIONS, Action, Resource
from onserver.session.roles_watch import RolesFile
from onserver.settings import Settings
from tests.roles_made import documents

BEFORE: dict[str, Any] = {
    "privileges": [{"privilege": "read"}, {"privilege": "write", "includes": ["read"]}, {"privilege": "delete"}],
    "roles": [{"role": "clerk", "privileges": ["write"]}, {"role": "boss", "privileges": ["write", "delete"]}],
    "permissions": {"allowed": [{"applyTo": "shop.drop", "type": "method", "execute": ["delete"]}]},
    "restrictedByDefault": True,
    "forceLogin": True,
}


def roles_of(document: dict[str, Any]) -> Roles:
    return read_roles(json.dumps(document).encode()).required()


# ---- what changed


def told(after: dict[str, Any]) -> tuple[list[str], list[str]]:
    found = difference(roles_of(BEFORE), roles_of(BEFORE | after))
    return [str(one) for one in found.granted], [str(one) for one in found.withdrawn]


def roles_with(clerk: list[str], boss: list[str]) -> dict[str, Any]:
    return {"roles": [{"role": "clerk", "privileges": clerk}, {"role": "boss", "privileges": boss}]}


def allowed(*found: dict[str, Any]) -> dict[str, Any]:
    return {"permissions": {"allowed": list(found)}}


DROP = "execute method `shop.drop`"


@pytest.mark.parametrize(
    ("after", "granted", "withdrawn"),
    [
        ({}, [], []),
        (roles_with(["write", "delete"], ["write", "delete"]), ["role `clerk`: `delete`"], []),
        (roles_with(["read"], ["write", "delete"]), [], ["role `clerk`: `write`"]),
        (roles_with(["WRITE", "read"], ["Write", "delete"]), [], []),  # it was included
        ({"roles": []}, [], ["role `boss`: `delete`", "role `boss`: `read`", "role `boss`: `write`",
                             "role `clerk`: `read`", "role `clerk`: `write`"]),
        ({"privileges": [{"privilege": "read"}, {"privilege": "write"}, {"privilege": "delete"}]}, [],
         ["privilege `write`: `read`", "role `boss`: `read`", "role `clerk`: `read`"]),
        (allowed({"applyTo": "shop.drop", "type": "method", "execute": ["delete", "write"]}),
         [f"{DROP}: for `write`"], []),
        (allowed({"applyTo": "shop.drop", "type": "method", "execute": ["write"]}),
         [f"{DROP}: for `write`"], [f"{DROP}: for `delete`"]),
        (allowed(), [], [f"{DROP}: for `delete`"]),  # closed by restrictedByDefault
        ({"restrictedByDefault": False}, ["what is open while `restrictedByDefault` is false"], []),
        ({"restrictedByDefault": False} | allowed(),
         [f"{DROP}: for everybody", "what is open while `restrictedByDefault` is false"], [f"{DROP}: for `delete`"]),
        ({"forceLogin": False}, ["what is open while `forceLogin` is false"], []),
        (allowed(*BEFORE["permissions"]["allowed"], {"applyTo": "shop.f", "type": "method", "promote": ["write"]}),
         ["promotion of method `shop.f`: `read`", "promotion of method `shop.f`: `write`"], []),
    ],
)  # fmt: skip
def test_what_was_granted_and_withdrawn(after: dict[str, Any], granted: list[str], withdrawn: list[str]) -> None:
    assert told(after) == (granted, withdrawn)


@settings(max_examples=25, deadline=None)
@given(documents(), documents())
def test_a_difference_read_backwards_is_the_opposite(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = difference(roles_of(one), roles_of(other)), difference(roles_of(other), roles_of(one))
    assert not difference(roles_of(one), roles_of(one))

    def plain(changes: tuple[Change, ...]) -> set[str]:
        return {str(change).casefold() for change in changes}

    assert plain(there.granted) == plain(back.withdrawn)
    assert plain(there.withdrawn) == plain(back.granted)


RESOURCES = [Resource("datastore", "ds"), Resource("dataclass", "A"), Resource("attribute", "A.x")]
RESOURCES += [Resource("method", "A.f"), Resource("singleton", "S"), Resource("singletonMethod", "S.f")]


@settings(max_examples=25, deadline=None)
@given(documents(), documents(), st.lists(st.sampled_from("abcdef"), max_size=3))
def test_nobody_gains_access_without_its_being_told(
    before: dict[str, Any], after: dict[str, Any], some: list[str]
) -> None:
    old, new = roles_of(before), roles_of(after)
    gained = [
        (action, resource)
        for resource in RESOURCES
        for action in ACTIONS[resource.type]
        if new.may(some, cast("Action", action), resource) and not old.may(some, cast("Action", action), resource)
    ]
    assert not gained or difference(old, new).granted, gained


# ---- the file in force


class Watched:
    """A file that is replaced, and the roles that are held of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[Difference] = []
        self.held = RolesFile(path, on_change=self.told.append)
        self._ages = count(10_000)

    def write(self, document: dict[str, Any] | str, *, renamed: bool = False) -> None:
        """Write it long ago, each time a second later."""
        target = self.path.with_suffix(".new") if renamed else self.path
        target.write_text(document if isinstance(document, str) else json.dumps(document))
        age = next(self._ages)
        os.utime(target, (age, age))
        target.replace(self.path)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    made = Watched(tmp_path / "roles.json")
    made.write(BEFORE)
    assert made.held.roles() == roles_of(BEFORE)
    return made


@pytest.mark.parametrize("renamed", [True, False])
def test_a_changed_file_is_in_force_at_the_next_question(watched: Watched, renamed: bool) -> None:
    watched.write(BEFORE | {"forceLogin": False}, renamed=renamed)
    assert not watched.held.roles().force_login
    assert [str(one) for one in watched.told] == ["granted what is open while `forceLogin` is false"]
    assert watched.held.roles() is watched.held.roles()
    assert len(watched.told) == 1


def test_a_file_that_did_not_change_is_not_read_again(watched: Watched) -> None:
    before, content = watched.path.stat(), watched.path.read_bytes()
    watched.path.write_bytes(b"x" * len(content))
    os.utime(watched.path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert watched.held.roles() == roles_of(BEFORE)
    assert watched.held.error is None, "whoever sets times back hides a change: nobody has read it"


def test_a_file_that_may_still_be_written_is_read_at_each_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles_watch, "_SETTLED_SECONDS", 3600.0)
    path = tmp_path / "roles.json"
    path.write_text(json.dumps(BEFORE | {"forceLogin": True}) + " ")
    held, before = RolesFile(path), path.stat()
    assert held.roles().force_login
    path.write_text(json.dumps(BEFORE | {"forceLogin": False}))  # as many bytes, and the clock did not tick
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert not held.roles().force_login


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps(BEFORE | {"roles": 1}), json.dumps(BEFORE)[:-9]])
def test_a_wrong_file_leaves_the_old_one_in_force_and_says_so_once(
    watched: Watched, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write(text)
    for _ in range(3):
        assert watched.held.roles() == roles_of(BEFORE)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "ONS-1004" in record.getMessage()
    assert "What held before stays in force." in record.getMessage()
    assert isinstance(watched.held.error, RolesFileError)
    assert watched.told == []
    watched.write(BEFORE | {"forceLogin": False})
    assert not watched.held.roles().force_login, "and once it is mended, it holds"
    assert watched.held.error is None


def test_a_file_that_is_gone_leaves_the_old_one_in_force(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.path.unlink()
    assert watched.held.roles() == watched.held.roles() == roles_of(BEFORE)
    assert [record.getMessage().partition(". ")[0] for record in caplog.records] == [
        "ONS-1004  `config/roles.json`: it is gone"
    ]
    watched.write(BEFORE)
    assert watched.held.roles() == roles_of(BEFORE)
    assert watched.held.error is None


def test_a_file_that_comes_later_is_taken(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "roles.json")
    assert watched.held.roles() == Roles()
    watched.write(BEFORE)
    assert watched.held.roles() == roles_of(BEFORE)


def test_the_first_reading_refuses_a_wrong_file_and_the_next_one_tries_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "roles.json")
    watched.write("{")
    for _ in range(2):
        with pytest.raises(RolesFileError, match="cannot be read as JSON"):
            watched.held.roles()
    watched.write(BEFORE)
    assert watched.held.roles() == roles_of(BEFORE)


def test_a_child_keeps_what_was_in_force_when_it_was_forked(watched: Watched) -> None:
    watched.write("{")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"y" if watched.held.roles() == roles_of(BEFORE) else b"n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"y"
    os.close(reading)
    os.close(writing)


# ---- the server


def test_a_server_does_not_load_a_project_whose_roles_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "roles.json"
    file.write_text(json.dumps(BEFORE | {"roles": 1}))
    with Server(settings=Settings(name="t", redis="redis://127.0.0.1:1/0"), project=tmp_path) as server:
        with pytest.raises(RolesFileError, match="`roles` has to be a list"):
            server.load_tasks()
        file.write_text(json.dumps(BEFORE))
        server.load_tasks()
        assert server.require_roles().givers("delete") == ("boss",)


def test_a_server_without_a_project_has_no_roles_and_all_is_closed() -> None:
    with Server("t", redis="redis://127.0.0.1:1/0") as server:
        assert server.require_roles() == Roles()
