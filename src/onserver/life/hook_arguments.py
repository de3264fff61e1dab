"""What hooks are told: a backup that is about to start, how one ended, an event, a connection.

Each is frozen, and travels to the worker that runs the hook as a plain value. The two that may be refused carry the
reason of whoever does: `return backup.veto(201, "month-end close")` is the number 201, and the text is shown with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Self

from onserver.errors import BadArguments

#: A time that nobody has given.
NEVER: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True)
class HookArgument:
    """What a hook is called with."""

    def __onserver_value__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Make it of the value that has travelled; what this version does not know of is left out."""
        known = {one.name for one in fields(cls) if one.init}
        return cls(**{name: fact for name, fact in value.items() if name in known})


@dataclass(frozen=True, kw_only=True)
class Refusable(HookArgument):
    """What a hook may refuse."""

    _reasons: dict[int, str] = field(default_factory=dict[int, str], init=False, repr=False, compare=False)

    def veto(self, code: int, reason: str = "") -> int:
        """Answer a code that refuses, to be returned by the hook, and keep why.

        Args:
            code: any number but 0.
            reason: for people.

        Raises:
            BadArguments: ONS-1105, the code is 0, which accepts, or no number.
        """
        if type(code) is not int or code == 0:
            raise BadArguments(
                "veto", f"has code={code!r}; it is a number, and 0 would accept", "veto(code, reason='')"
            )
        self._reasons[code] = reason
        return code

    def reason_of(self, code: int) -> str:
        """The reason that was given with a code."""
        return self._reasons.get(code, "")


@dataclass(frozen=True, kw_only=True)
class Backup(Refusable):
    """A backup that is about to start: what `on_backup_startup` is told.

    Attributes:
        label: what whoever asked for it calls it, "" for nothing.
        number: that it has, or would have; archives are numbered from 1.
        started: when it was asked for, in UTC.
        forced: whether it is made even if a hook refuses; its answer is recorded nevertheless.
        attempt: 1 for the first, more when earlier ones of this backup failed.

    Example:
        >>> backup = Backup(number=4)
        >>> backup.veto(201, "month-end close")
        201

    4D: has no counterpart; On Backup Startup gets no argument (specification 6.6).
    """

    label: str = ""
    number: int = 0
    started: datetime = NEVER
    forced: bool = False
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class BackupResult(HookArgument):
    """How a backup ended: what `on_backup_shutdown` is told, in every case.

    Attributes:
        code: 0 when it went well; 1401 to 1421 when it failed; where a hook refused, the very number that it returned.
        reason: for people: of a refusal what the hook gave with it, else of the code.
        path: of the archive; None where there is none.
        number: that the backup had, 0 where it got none.
        seconds: that it took.
        attempt: 1 for the first, more when earlier ones of this backup failed.

    Example:
        >>> result = BackupResult(code=201, reason="month-end close")
        >>> result.code, result.path
        (201, None)

    4D: the integer of On Backup Shutdown (specification 6.6) is `code`.
    """

    code: int = 0
    reason: str = ""
    path: str | None = None
    number: int = 0
    seconds: float = 0.0
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class SystemEvent(HookArgument):
    """Something that happened to a machine, to Redis or to the cluster: what `on_system_event` is told.

    Attributes:
        code: 1 the machine or worker goes to the background, 2 it is back; ours from 101 up; 1000 for one of your own.
        name: stable as the code, as in `redis.lost`; of one of your own the name that was given to it.
        payload: what is known of it, by name.
        at: when, in UTC.
        worker: the name of the worker where it happened or was noticed, "" for a client.
        member: its number, 0 for a client.

    Example:
        >>> SystemEvent(code=2, name="foreground").name
        'foreground'

    4D: the integer of On System Event (specification 6.6) is `code`.
    """

    code: int
    name: str
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    at: datetime = NEVER
    worker: str = ""
    member: int = 0


@dataclass(frozen=True, kw_only=True)
class Connection(Refusable):
    """A connection of a remote client: what the hooks of its opening and closing are told.

    Attributes:
        user: number of the user.
        connection: number of the connection; no two that are open have the same pair of these, and the hook of its
            closing gets the pair of its opening.
        zero: always 0, as in the original.

    Example:
        >>> Connection(user=3, connection=17).veto(22000, "closed for the night")
        22000

    4D: the three integers of On Server Open Connection and On Server Close Connection (specification 6.4, 6.5).
    """

    user: int
    connection: int
    zero: int = 0
