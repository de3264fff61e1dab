"""The reading of `config/roles.json` that somebody has taken note of last: what a later one is compared with.

A changed file is in force at once, in every program that reads it; that nobody has to ask for. So that somebody sees
what a change means, the text that was taken note of is kept in Redis, with who did so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from onserver.errors import RolesFileError
from onserver.redis.store import Store
from onserver.session.roles import Roles
from onserver.session.roles_difference import Difference, difference
from onserver.session.roles_file import FILE, read_roles

_KEY: Final = "admin:roles"
#: The longest text that is kept, in bytes.
_LONGEST: Final = 2**21


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A reading that somebody has taken note of.

    Attributes:
        text: of the file.
        at_ms: when, milliseconds since 1970 by the clock of Redis.
        by: who.
    """

    text: bytes
    at_ms: int
    by: str

    @property
    def roles(self) -> Roles:
        """What it said; nothing where this release reads it as wrong."""
        return read_roles(self.text).roles or Roles()


def noted(store: Store) -> Noted | None:
    """Return the reading that was taken note of last; None where there was none."""
    text, at_ms, by = store.command("HMGET", store.key(_KEY), "text", "at", "by")
    return None if text is None else Noted(text=text, at_ms=int(at_ms), by=by.decode())


def take_note(store: Store, text: bytes, by: str) -> tuple[Roles, Difference]:
    """Take note of a text of the file; answer what it says, and what that grants and withdraws since the last time.

    Args:
        store: of the server.
        text: of the file.
        by: who takes note, for people.

    Raises:
        RolesFileError: ONS-1004, something is wrong with it, or it is too long to be kept; nothing was noted.
    """
    roles = read_roles(text).required()
    if len(text) > _LONGEST:
        raise RolesFileError(f"it has {len(text):,} bytes, and {_LONGEST:,} are kept at most", FILE)
    before = noted(store)
    store.command("HSET", store.key(_KEY), "text", text, "at", store.now_ms(), "by", by)
    return roles, difference(before.roles if before else Roles(), roles)
