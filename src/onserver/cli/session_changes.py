"""What `session set` and `session roles` write: words of the command line as facts of a record."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from onserver.server import Server
from onserver.session.record import SessionRecord
from onserver.steer.granting import granted_as

#: The original keeps a session of the web for an hour at least.
_SHORTEST_MINUTES: Final = 60.0
_QUOTA: Final = "quotas."
_QUOTAS: Final = ("nbEntitySets", "defaultEntitySetTimeout", "maxEntitySetTimeout")
_NAMES: Final = ("user_name", "idle_timeout", "privileges", *(_QUOTA + name for name in _QUOTAS))


def changed(server: Server, record: SessionRecord, words: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` words as facts of a record.

    Args:
        server: whose roles are in force.
        record: of the session.
        words: as they were typed.

    Raises:
        RoleNotFound: ONS-1012, a privilege or role is not declared.
        click.UsageError: there is no such key, or this is no value of it.
    """
    facts: dict[str, Any] = {}
    for word in words:
        key, is_, value = word.partition("=")
        if not is_ or key not in _NAMES:
            near = difflib.get_close_matches(key, _NAMES, n=1)
            hint = f"Did you mean `{near[0]}=`?" if near else f"There are {', '.join(f'{one}=' for one in _NAMES)}."
            raise click.UsageError(f"`{word}` sets nothing of a session. {hint}")
        if key == "user_name":
            facts["user"] = value
        elif key == "idle_timeout":
            facts["idle_ms"] = _idle_ms(record, value)
        elif key == "privileges":
            names = [name.strip() for name in value.split(",") if name.strip()]
            facts |= granted_as(server.require_roles(), names) | {"is_set": True}
        else:
            quota = key.removeprefix(_QUOTA)
            facts.setdefault("quotas", {})[quota] = _quota(key, value)
    return facts


def without(words: Sequence[str]) -> list[str]:
    """Write `-clerk` as the option that takes a role away; options of one letter and of two dashes stay."""
    return [
        f"--without={word[1:]}" if word[:1] == "-" and word[1:2] != "-" and len(word) > 2 else word for word in words
    ]


def _idle_ms(record: SessionRecord, value: str) -> int:
    minutes = _number("idle_timeout", value)
    if record.kind == "web":
        minutes = max(minutes, _SHORTEST_MINUTES)
    return int(minutes * 60_000)


def _quota(key: str, value: str) -> int | None:
    if not value:
        return None
    number = _number(key, value)
    if number < 1 or number != int(number):
        raise click.UsageError(f"{key}: a quota is a whole number above zero; nothing takes it away.")
    return int(number)


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 10_000_000:
        raise click.UsageError(f"{key}: `{value}` is no number that it can be.")
    return number
