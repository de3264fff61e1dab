"""The form of `roles.json` (specification 8.2): which keys there are, and what each may hold.

`roles.schema.json` says the same to editors; `tests/test_roles_file.py` holds the two together. What names mean
and whether they are declared is looked at by `roles_names`, and only in what has the right form.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from onserver.session.roles_resources import ACTIONS
from onserver.session.roles_text import Document, Place

_TOP: Final = ("privileges", "roles", "permissions", "restrictedByDefault", "forceLogin", "$schema")
#: What a permission may say; `describe` is of an early draft of the original, and has no effect.
PERMITTED: Final = ("create", "read", "update", "drop", "execute", "promote", "describe")


@dataclass(frozen=True)
class RolesFinding:
    """Something about a file that a person should know.

    Attributes:
        problem: what it is, without the name of the file.
        line: where, if that can be told.
        level: `wrong`: the file is refused; `note`: it is not, but says something else than it may seem to.
    """

    problem: str
    line: int | None = None
    level: Literal["wrong", "note"] = "wrong"


@dataclass(frozen=True)
class Entry:
    """A privilege, a role or a permission as the file has it."""

    name: str
    line: int | None
    lists: Mapping[str, tuple[str, ...]]
    type: str = ""


@dataclass(frozen=True)
class Shape:
    """What could be read of a file, however wrong the rest is."""

    privileges: tuple[Entry, ...]
    roles: tuple[Entry, ...]
    permissions: tuple[Entry, ...]
    restricted_by_default: bool
    force_login: bool


def shape_of(document: Document) -> tuple[Shape, list[RolesFinding]]:
    """Take a document apart.

    Returns:
        What has the right form, and a finding for each part that has not.
    """
    reader = _Reader(document)
    shape = reader.shape()
    twice = [RolesFinding(f"{_quoted(name)} stands twice in one object", line) for name, line in document.twice]
    return shape, twice + reader.findings


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.findings: list[RolesFinding] = []

    def shape(self) -> Shape:
        top = self._object(self._document.value, (), "the file")
        self._known(top, _TOP, (), "")
        for key in ("privileges", "permissions"):
            if top is not None and key not in top:
                self._wrong(f"`{key}` is missing", ())
        top = top or {}
        if "$schema" in top and not isinstance(top["$schema"], str):
            self._wrong("`$schema` has to be a text", ("$schema",))
        permissions = self._object(top.get("permissions", {}), ("permissions",), "`permissions`") or {}
        self._known(permissions, ("allowed",), ("permissions",), " of `permissions`")
        return Shape(
            tuple(self._entries(top, ("privileges",), "privilege", ("includes",))),
            tuple(self._entries(top, ("roles",), "role", ("privileges",))),
            tuple(self._entries(permissions, ("permissions", "allowed"), "applyTo", PERMITTED)),
            self._flag(top, "restrictedByDefault"),
            self._flag(top, "forceLogin"),
        )

    def _entries(self, above: Mapping[str, object], place: Place, key: str, lists: Sequence[str]) -> Iterator[Entry]:
        typed = ("type",) if key == "applyTo" else ()
        for index, found in self._items(above.get(str(place[-1]), []), place, f"`{place[-1]}`"):
            here = (*place, index)
            one = self._object(found, here, f"each of `{place[-1]}`")
            if one is None:
                continue
            name = self._name(one, here, key)
            kind = self._type(one, here) if typed else ""
            of = f" of {'permission of' if typed else key} `{name}`" if name else f" of `{place[-1]}`"
            self._known(one, (key, *typed, *lists), here, of)
            given = {word: self._texts(one[word], (*here, word), f"`{word}`{of}") for word in lists if word in one}
            if name and (kind or not typed):
                yield Entry(name, self._document.lines.get(here), given, kind)

    def _name(self, one: Mapping[str, object], place: Place, key: str) -> str:
        name = one.get(key)
        if not isinstance(name, str) or not name:
            self._wrong(f"each of `{place[-2]}` has to have a name, as the text `{key}`", place)
            return ""
        if not _is_a_name(name) or (key != "applyTo" and "," in name):
            self._wrong(f"{name!r} is no name: no blanks around it, no comma, nothing unprintable", (*place, key))
            return ""
        return name

    def _type(self, one: Mapping[str, object], place: Place) -> str:
        kind = one.get("type")
        if isinstance(kind, str) and kind in ACTIONS:
            return kind
        near = difflib.get_close_matches(kind, ACTIONS, n=1) if isinstance(kind, str) else []
        meant = f"; did you mean `{near[0]}`?" if near else ""
        told = f"has the type {kind!r}" if "type" in one else "has no type"
        self._wrong(f"a permission {told}; the types are {', '.join(ACTIONS)}{meant}", (*place, "type"))
        return ""

    def _flag(self, top: Mapping[str, object], key: str) -> bool:
        found = top.get(key, False)
        if not isinstance(found, bool):
            self._wrong(f"`{key}` has to be true or false", (key,))
        return found is not False

    # -- the forms

    def _object(self, value: object, place: Place, what: str) -> Mapping[str, object] | None:
        if isinstance(value, dict):
            return cast("Mapping[str, object]", value)
        self._wrong(f"{what} has to be an object" if place else "it is no object", place)
        return None

    def _items(self, value: object, place: Place, what: str) -> Iterator[tuple[int, object]]:
        if isinstance(value, list):
            yield from enumerate(cast("list[object]", value))
        else:
            self._wrong(f"{what} has to be a list", place)

    def _texts(self, value: object, place: Place, what: str) -> tuple[str, ...]:
        found: list[str] = []
        for index, one in self._items(value, place, what):
            if isinstance(one, str) and _is_a_name(one):
                found.append(one)
            else:
                self._wrong(f"{what} has to be a list of names, and {one!r} is none", (*place, index))
        return tuple(found)

    def _known(self, found: Mapping[str, object] | None, known: Sequence[str], place: Place, of: str) -> None:
        for key in (found or {}).keys() - set(known):
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            self._wrong(f"unknown key {_quoted(key)}{of}{meant}", (*place, key))

    def _wrong(self, problem: str, place: Place) -> None:
        lines = self._document.lines
        line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
        self.findings.append(RolesFinding(problem, line))


def _is_a_name(text: str) -> bool:
    return bool(text) and text.isprintable() and text == text.strip()


def _quoted(text: str) -> str:
    return f"`{text}`" if text.isprintable() else repr(text)
