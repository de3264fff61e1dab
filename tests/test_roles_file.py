"""`config/roles.json`: what is wrong is told with its line, all at once; a wrong file gives no roles at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from onserver.errors import RolesFileError
from onserver.scaffold import write_project
from onserver.session.roles import Roles
from onserver.session.roles_file import read_roles, read_roles_file
from onserver.session.roles_resources import Resource
from tests.roles_made import documents

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((files("onserver.session") / "roles.schema.json").read_text(encoding="utf-8"))

GOOD = """{
  "$schema": "roles.schema.json",
  "privileges": [
    {"privilege": "read", "includes": []},
    {"privilege": "write", "includes": ["read"]}
  ],
  "roles": [
    {"role": "clerk", "privileges": ["write"]}
  ],
  "permissions": {
    "allowed": [
      {"applyTo": "shop.add", "type": "method", "execute": ["write"]},
      {"applyTo": "ds", "type": "datastore", "read": ["read"]}
    ]
  },
  "restrictedByDefault": true,
  "forceLogin": true
}
"""


def problems(text: str) -> list[tuple[int | None, str]]:
    reading = read_roles(text.encode())
    assert (reading.roles is None) == bool(reading.wrong), "wrong and no roles, or right and roles"
    return [(found.line, found.problem) for found in reading.wrong]


def test_a_file_that_is_right() -> None:
    reading = read_roles(GOOD.encode())
    assert reading.findings == []
    roles = reading.required()
    assert roles.privileges == {"read": (), "write": ("read",)}
    assert roles.roles == {"clerk": ("write",)}
    assert roles.permissions[Resource("method", "shop.add")].actions == {"execute": ("write",)}
    assert roles.permissions[Resource("method", "shop.add")].line == 12
    assert (roles.restricted_by_default, roles.force_login) == (True, True)


#: A part of the good file, what it is replaced with, and what is told of it, in that line.
WRONG = [
    ('"forceLogin": true', '"forceLogin": "yes"', 17, "`forceLogin` has to be true or false"),
    ('"forceLogin": true', '"forceLogin": null', 17, "`forceLogin` has to be true or false"),
    ('"forceLogin": true', '"forcelogin": true', 17, "unknown key `forcelogin`; did you mean `forceLogin`?"),
    ('"privileges": [\n    {"privilege": "r', '"x": [\n    {"privilege": "r', 3, "unknown key `x`"),
    ('"roles": [', '"roles": 1, "r": [', 7, "`roles` has to be a list"),
    ('"permissions": {', '"permissions": [], "p": {', 10, "`permissions` has to be an object"),
    ('"allowed": [', '"alowed": [', 11, "unknown key `alowed` of `permissions`; did you mean `allowed`?"),
    ('"roles.schema.json"', "7", 2, "`$schema` has to be a text"),
    ('{"role": "clerk", "privileges": ["write"]}', '"clerk"', 8, "each of `roles` has to be an object"),
    ('"role": "clerk"', '"name": "clerk"', 8, "unknown key `name` of `roles`"),
    ('"role": "clerk"', '"role": ""', 8, "each of `roles` has to have a name, as the text `role`"),
    ('"role": "clerk"', '"role": " clerk"', 8, "' clerk' is no name"),
    ('"role": "clerk"', '"role": "clerk,boss"', 8, "'clerk,boss' is no name: no blanks around it, no comma"),
    ('"role": "clerk"', '"role": "\\ud800"', 8, "is no name"),
    ('"privileges": ["write"]', '"privileges": "write"', 8, "`privileges` of role `clerk` has to be a list"),
    ('"privileges": ["write"]', '"privileges": [3]', 8, "has to be a list of names, and 3 is none"),
    ('"privileges": ["write"]', '"privileges": ["wirte"]', 8, "role `clerk` names the privilege `wirte`, which is not "
     "declared; did you mean `write`?"),
    ('"privileges": ["write"]', '"privileges": ["WebAdmin"]', 8, "`WebAdmin`, which is reserved"),
    ('"privileges": ["write"]', '"privileges": ["guest"]', 8, "`guest`, which everybody has without it"),
    ('"includes": ["read"]', '"includes": ["clerk"]', 5, "`clerk`, which is a role"),
    ('"includes": ["read"]', '"includes": ["wRite"]', 5, "in a circle: `write` → `write`"),
    ('"includes": []', '"includes": ["write"]', 4, "in a circle: `read` → `write` → `read`"),
    ('"privilege": "write"', '"privilege": "READ"', 5, "`READ` is declared twice, first in line 4, as `read`"),
    ('"privilege": "read"', '"privilege": "webadmin"', 4, "`webadmin` is reserved, and no privilege may"),
    ('"role": "clerk"', '"role": "GUEST"', 8, "`GUEST` is what everybody has, and no role may have that name"),
    ('"role": "clerk"', '"role": "Read"', 8, "`Read` is a role and a privilege, and the two give different privileges"),
    ('"type": "method"', '"type": "methode"', 12, "has the type 'methode'; the types are datastore, dataclass, "
     "attribute, method, singleton, singletonMethod; did you mean `method`?"),
    ('"type": "method"', '"type": ["method"]', 12, "has the type ['method']"),
    (', "type": "method"', "", 12, "a permission has no type"),
    ('"applyTo": "shop.add"', '"applyTo": "shop..add"', 12, "`shop..add` is no name of a method"),
    ('"applyTo": "shop.add"', '"applyTo": "ds"', 12, "method `ds`: the datastore is named `ds`, and nothing else"),
    ('"applyTo": "ds"', '"applyTo": "all"', 13, "datastore `all`: the datastore is named `ds`"),
    ('shop.add", "type": "method", "execute"', 'x", "type": "attribute", "read"', 12, "attribute `x` has to be named "
     "with its dataclass, as in `Name.x`"),
    ('shop.add", "type": "method"', 'x", "type": "singletonMethod"', 12, "has to be named with its singleton"),
    ('"execute": ["write"]', '"read": ["write"]', 12, "`read` of method `shop.add` would restrict nothing: a method "
     "has execute, promote"),
    ('"execute": ["write"]', '"exec": ["write"]', 12, "unknown key `exec` of permission of `shop.add`"),
    ('"execute": ["write"]', '"execute": ["writ"]', 12, "permission of `shop.add` names the privilege `writ`, which"),
    ('"applyTo": "ds", "type": "datastore", "read"', '"applyTo": "shop.add", "type": "method", "execute"', 13,
     "method `shop.add` has a permission twice, first in line 12"),
    ('"forceLogin": true', '"forceLogin": true, "forceLogin": true', 17, "`forceLogin` stands twice in one object"),
    ('"execute": ["write"]', '"execute": ["write"], "execute": []', 12, "`execute` stands twice in one object"),
    ("true,", "true", 17, "it cannot be read as JSON: expecting ',' delimiter (column 3)"),
    ("true,", "NaN,", None, "it cannot be read as JSON: NaN is no JSON"),
    ("true,", "9" * 5000 + ",", None, "it cannot be read as JSON: Exceeds the limit"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "instead", "line", "problem"), WRONG)
def test_what_is_wrong_is_told_with_its_line(part: str, instead: str, line: int | None, problem: str) -> None:
    assert part in GOOD
    found = problems(GOOD.replace(part, instead, 1))
    assert any(at == line and problem in text for at, text in found), found


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        (b"", 1, "it cannot be read as JSON: expecting value (column 1)"),
        (b"[]", None, "it is no object"),
        (b"null", None, "it is no object"),
        (b'{\n"a": "\xff"}', 2, "it is not UTF-8"),
        (b"[" * 100_000, None, "it is nested too deeply"),
        (b"[" * 900 + b"]" * 900, None, "it is "),
        (GOOD.encode()[:-3], 17, "it cannot be read as JSON"),  # torn while it was copied
    ],
)
def test_what_is_no_roles_file_at_all(data: bytes, line: int | None, problem: str) -> None:
    reading = read_roles(data)
    assert reading.roles is None
    assert problem in reading.wrong[0].problem
    assert reading.wrong[0].line == line


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = (
        GOOD.replace('"forceLogin"', '"forcLogin"').replace('["write"]}\n', '["wirte"]}\n').replace("method", "mehtod")
    )
    assert [line for line, _ in problems(text)] == [8, 12, 17]
    with pytest.raises(RolesFileError, match=r"`config/roles\.json` line 8: .*wirte.*\(and 2 more\)") as caught:
        read_roles(text.encode()).required()
    assert (caught.value.code, caught.value.line) == (1004, 8)


def test_every_circle_is_told() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "e")]
    document = {"privileges": [{"privilege": one, "includes": [other]} for one, other in pairs], "permissions": {}}
    told = [problem for _, problem in problems(json.dumps(document))]
    assert len(told) == 3
    assert all("in a circle" in problem for problem in told)


def test_a_long_chain_of_inclusions_is_followed_to_its_end() -> None:
    count = 2 * sys.getrecursionlimit()
    chain = [{"privilege": f"p{n}", "includes": [f"p{n + 1}"] if n + 1 < count else []} for n in range(count)]
    roles = read_roles(json.dumps({"privileges": chain, "permissions": {}}).encode()).required()
    assert len(roles.expand(["p0"])) == count
    assert roles.holds(["p0"], f"p{count - 1}")


@pytest.mark.parametrize(
    ("part", "instead", "note"),
    [
        ('"read": ["read"]', '"read": []', "`read` of datastore `ds` is empty, which is as if it were not there"),
        ('"read": ["read"]', '"promote": ["read"]', "`promote` of datastore `ds` has no effect"),
        ('"read": ["read"]', '"describe": ["read"]', "`describe` of datastore `ds` has no effect"),
    ],
)
def test_what_has_no_effect_is_a_note_and_refuses_nothing(part: str, instead: str, note: str) -> None:
    reading = read_roles(GOOD.replace(part, instead).encode())
    assert [(one.level, one.problem, one.line) for one in reading.findings] == [("note", note, 13)]
    assert reading.roles is not None


def test_a_role_and_a_privilege_of_one_name_may_mean_the_same() -> None:
    assert not problems(GOOD.replace('"role": "clerk"', '"role": "Write"'))


def test_the_mark_that_some_editors_put_first_is_no_matter() -> None:
    assert read_roles(b"\xef\xbb\xbf" + GOOD.encode()).required() == read_roles(GOOD.encode()).required()


def test_accents_are_one_however_they_are_written() -> None:
    text = GOOD.replace('"privilege": "write"', '"privilege": "\u00e9crire"')
    assert not problems(text.replace('"write"', '"E\u0301crire"'))


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    assert read_roles_file(tmp_path / "roles.json") is None
    folder = read_roles_file(tmp_path)
    assert folder is not None
    with pytest.raises(RolesFileError, match="it cannot be read: Is a directory"):
        folder.required()


@pytest.mark.parametrize("part", range(0, len(GOOD) - 2, 7))
def test_a_file_that_was_cut_off_gives_no_roles(part: int) -> None:
    assert read_roles(GOOD.encode()[:part]).roles is None


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document that holds something: the object or list, and the key or index in it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from places(inner)


@pytest.mark.parametrize("instead", [None, True, 3, "", "x", [], {}, [[]], [3], [None], {"x": 1}, [{}], "\ud800"])
def test_another_value_anywhere_is_refused_whenever_editors_refuse_it(instead: Any) -> None:
    validator, refused = Draft202012Validator(SCHEMA), 0
    document = json.loads(GOOD)
    for holder, key in list(places(document)):
        kept, holder[key] = holder[key], instead
        reading = read_roles(json.dumps(document).encode())
        assert (reading.roles is None) == bool(reading.wrong), (key, instead)
        if not validator.is_valid(document):
            refused += 1
            assert reading.wrong, (key, instead)
        holder[key] = kept
    assert refused > 5


# ---- the schema that editors use


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@settings(max_examples=50, deadline=None)
@given(documents())
def test_what_is_right_for_us_is_right_for_editors(document: dict[str, Any]) -> None:
    assert read_roles(json.dumps(document).encode()).roles is not None
    assert not list(Draft202012Validator(SCHEMA).iter_errors(document))


#: What a schema cannot say: names that are declared elsewhere in the file, and what JSON itself leaves open.
BEYOND = ("which", "circle", "twice", "everybody", "reserved", "a role and a privilege", "as JSON", "..", "ud800")


@pytest.mark.parametrize(("part", "instead", "line", "problem"), WRONG)
def test_what_is_wrong_in_its_form_is_wrong_for_editors(part: str, instead: str, line: int, problem: str) -> None:
    if any(word in problem + instead for word in BEYOND):
        return
    assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(GOOD.replace(part, instead, 1))))


# ---- the files that we ship


def test_our_own_file_is_right_and_says_where_its_schema_is() -> None:
    reading = read_roles_file(ROOT / "config/roles.json")
    assert reading is not None
    assert list(reading.findings) == []
    schema = json.loads((ROOT / "config/roles.json").read_text())["$schema"]
    assert json.loads((ROOT / "config" / schema).read_text()) == SCHEMA


def test_that_of_a_new_project_is_closed_and_has_its_schema_beside_it(tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    reading = read_roles_file(tmp_path / "config/roles.json")
    assert reading is not None
    assert (reading.roles, list(reading.findings)) == (Roles(), [])
    schema = json.loads((tmp_path / "config/roles.json").read_text())["$schema"]
    assert json.loads((tmp_path / "config" / schema).read_text()) == SCHEMA
