"""Roles: which gives what, how privileges include each other, what is wrong with the file, who may do what, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from onserver.admin.page import MOST_ROWS, Look, Page, View
from onserver.session.roles import Roles
from onserver.session.roles_file import FILE
from onserver.session.roles_resources import GUEST, Verdict, key_of
from onserver.steer.actions import ACTIONS
from onserver.steer.granted import PRIVILEGES, READY, ready, verdict
from onserver.views import roles_seen

_ROWS: Final = 100
#: Roles that stand beside each other.
_COLUMNS: Final = 20
#: Accesses that are shown.
_ACCESSES: Final = 200
_SAMPLE: Final = """\
{
  "privileges": [
    {"privilege": "invoices.read"},
    {"privilege": "invoices.create", "includes": ["invoices.read"]}
  ],
  "roles": [
    {"role": "clerk", "privileges": ["invoices.create"]}
  ],
  "permissions": {
    "allowed": [{"applyTo": "shop.create_invoice", "type": "method", "execute": ["invoices.create"]}]
  },
  "restrictedByDefault": true,
  "forceLogin": true
}"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A privilege: what it includes, and how each role gives it.

    Attributes:
        name: of it.
        includes: what it includes itself.
        chains: how it includes what includes nothing more.
        ways: for each role that is shown, how that leads to it: nothing where it does not.
    """

    name: str
    includes: Sequence[str]
    chains: Sequence[Sequence[str]]
    ways: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """May somebody do something.

    Attributes:
        who: of whom that was asked; None where nobody is called so.
        what: was asked for, as it is spelled.
        kind: of that: `action`, `privilege` or `procedure`.
        needs: the privilege that it takes; empty of a procedure.
        verdict: the answer; None where there is none.
        known: whether there is such a thing.
    """

    who: roles_seen.Somebody | None
    what: str
    kind: str = ""
    needs: str = ""
    verdict: Verdict | None = None
    known: bool = True


def roles(asked: Look) -> View:
    """Show the roles, and answer who may do what."""
    limit, first = asked.number("limit", _ROWS, 1, MOST_ROWS), asked.number("cursor", highest=10**6)
    seen, known = roles_seen.look(asked.server), asked.server.require_roles()
    names = _fitting(known.privileges, asked.text("q", 200))
    columns = _fitting(known.roles, asked.text("role", 200))
    shown = columns[:_COLUMNS]
    rows = [_row(known, name, shown) for name in names[first : first + limit]]
    found = [one for permission in known.permissions.values() for one in roles_seen.accesses(permission)]
    answer = _answer(asked, known)
    told = {
        "seen": seen, "file": FILE, "sentence": _sentence(asked, seen, known), "rows": rows, "columns": shown,
        "more": len(columns) - len(shown), "cursor": str(first + limit) if first + limit < len(names) else "",
        "accesses": found[:_ACCESSES], "left": max(0, len(found) - _ACCESSES), "known": known,
        "ready": [(one, [name for name in PRIVILEGES if name in READY[one]]) for one in READY if ready(known, one)],
        "answer": answer, "sample": _SAMPLE, "people": _people(known), "things": _things(known),
    }  # fmt: skip
    return View("roles.html", told, data=_data(seen, known, answer))


PAGES: Final = [Page("/roles", "roles", "Roles", "r", roles, live=("roles",))]


def _fitting(names: Any, word: str) -> list[str]:
    return [name for name in names if key_of(word) in key_of(name)]


def _row(known: Roles, name: str, columns: Sequence[str]) -> Row:
    ways = [known.way([role], name) for role in columns]
    return Row(name=name, includes=known.privileges[name], chains=roles_seen.chains(known, name), ways=ways)


def _sentence(asked: Look, seen: roles_seen.RolesSeen, known: Roles) -> str:
    """Say how the file stands, in one line."""
    if seen.reading is None:
        return asked._("There is no {file}: nobody has any privilege, and what asks for one is closed.", file=FILE)
    if seen.reading.roles is None:
        n = len(seen.reading.wrong)
        return asked.plural(
            "One thing is wrong with {file}: what held before stays in force in programs that run, and none starts.",
            "{n} things are wrong with {file}: what held before stays in force in programs that run, and none starts.",
            n, file=FILE,
        )  # fmt: skip
    given = asked.plural("One role", "{n} roles", len(known.roles))
    privileges = asked.plural("one privilege", "{n} privileges", len(known.privileges))
    return asked._(
        "{roles}, {privileges}: {file} is right, and in force.", roles=given, privileges=privileges, file=FILE
    )


# -- may somebody do something


def _answer(asked: Look, known: Roles) -> Answer | None:
    """Answer whether somebody may do something; None where nobody has asked."""
    word, what = asked.text("who", 200), asked.text("what", 300)
    if not word or not what:
        return None
    who = roles_seen.somebody(asked.server, word) or _with_ready(known, word)
    if who is None:
        return Answer(who=None, what=what)
    action = ACTIONS.get(what)
    of_admin = action.privilege if action else next((one for one in PRIVILEGES if one == key_of(what)), "")
    if of_admin:
        kind = "action" if action else "privilege"
        return Answer(who=who, what=what, kind=kind, needs=of_admin, verdict=verdict(known, who.granted, of_admin))
    declared = known.spelled(what) or (GUEST if key_of(what) == GUEST else "")
    if declared:
        found = known.holds(who.granted, declared)
        return Answer(who=who, what=declared, kind="privilege", needs=declared, verdict=found)
    found, there = roles_seen.may_start(asked.server, who, what)
    return Answer(who=who, what=what, kind="procedure", verdict=found, known=there)


def _with_ready(known: Roles, word: str) -> roles_seen.Somebody | None:
    """Whoever has a role that is there without a file, or a privilege of the administration."""
    name = ready(known, word)
    return roles_seen.Somebody(name=name, kind="role", granted=(name,)) if name else None


def _people(known: Roles) -> Sequence[str]:
    """Roles that one may ask about, so many that a browser can offer them."""
    return list(dict.fromkeys((*list(known.roles)[:MOST_ROWS], *(name for name in READY if ready(known, name)))))


def _things(known: Roles) -> Sequence[str]:
    return list(dict.fromkeys((*list(known.privileges)[:MOST_ROWS], *PRIVILEGES, *ACTIONS)))


def _data(seen: roles_seen.RolesSeen, known: Roles, answer: Answer | None) -> dict[str, Any]:
    findings = seen.reading.findings if seen.reading else ()
    changed = seen.changed
    told: dict[str, Any] = {
        "file": FILE, "there": seen.there, "right": seen.reading is not None and seen.reading.roles is not None,
        "findings": [{"line": one.line, "level": one.level, "problem": one.problem} for one in findings],
        "changed": None if changed is None else {
            "granted": [str(one) for one in changed.granted], "withdrawn": [str(one) for one in changed.withdrawn],
        },
        "noted": {"by": seen.noted.by, "at_ms": seen.noted.at_ms} if seen.noted else None,
        **roles_seen.as_dict(known),
    }  # fmt: skip
    if answer is not None:
        told["can"] = {
            "who": answer.who.name if answer.who else None, "what": answer.what, "needs": answer.needs or None,
            "allowed": answer.verdict.allowed if answer.verdict is not None else None,
            "why": answer.verdict.why if answer.verdict is not None else None,
        }  # fmt: skip
    return told
