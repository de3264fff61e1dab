"""Whom the application around has let in, where the page is mounted in one; or a proxy in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody who has logged in elsewhere, and what may be done here.

    Attributes:
        user: who it is, for the audit.
        roles: names of roles and privileges: `viewer`, `operator`, `owner`, those of `roles.json`, `admin.…`.
        read_only: whether nothing can be changed, whatever the roles give.
        fresh: whether the login was within the last minutes; what cannot be undone asks for it.

    Example:
        >>> Visitor(user="ann", roles=["operator"]).user
        'ann'
    """

    user: str
    roles: Sequence[str] = ()
    read_only: bool = False
    fresh: bool = True


#: Answers who asks, or None for somebody who may not see the page at all. It is called in a thread.
Login: TypeAlias = Callable[[Request], Visitor | None]
