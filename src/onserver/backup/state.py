"""What Redis has of backups: the run that there is, where the scheduled ones stand, how the last one ended.

    backup:run   hash   the run that there is: run o(holder) n(process) since ask step number operation told
    backup       hash   standing (see `rules`), served (the last date that began one), done (the last run that was
                        closed), last (how that ended), good (the last that ended well), mark (what was changed by then)

Each step is one script, in the name of a holder: who was declared dead changes nothing here any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self, cast

import msgspec

from onserver.backup.history import Operation
from onserver.backup.rules import Standing, Trigger
from onserver.errors import BackupRunning
from onserver.redis.store import Store
from onserver.values import decode, encode

_RUN: Final = "backup:run"
_KEY: Final = "backup"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked for.

    Attributes:
        trigger: why; `missed`: a date passed without a worker, `close`: only bring to its end what somebody left.
        date_ms: the date of the schedule for which it is; 0 by hand.
        label: given by who asks.
        asked_by: who that is.
        forced_by: who has it made even if a hook refuses; empty for nobody.
        attempt: 1 for the first, more after failures in a row.
    """

    trigger: str = "hand"
    date_ms: int = 0
    label: str = ""
    asked_by: str = ""
    forced_by: str = ""
    attempt: int = 1

    @property
    def counts_as(self) -> Trigger:
        """How a failure of it counts."""
        return "schedule" if self.trigger == "missed" else cast("Trigger", self.trigger)

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Read what has travelled."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: fact for name, fact in value.items() if name in known})


@dataclass(frozen=True, kw_only=True)
class Going:
    """A backup that has begun and is not closed.

    Attributes:
        run: names it.
        holder: whose it is.
        process: its number; 0 where a program outside of workers makes it.
        since_ms: when it began, milliseconds since 1970.
        ask: what was asked for.
        step: how far it is, in a word.
        number: of the archive, 0 as long as it has none.
        operation: how it ended, once it did.
        told: names of the shutdown hooks that were told that.
        left: it was begun by a holder that is dead, and is to be brought to its end.
    """

    run: str
    holder: str
    process: int = 0
    since_ms: int = 0
    ask: Ask = field(default_factory=Ask)
    step: str = ""
    number: int = 0
    operation: Operation | None = None
    told: tuple[str, ...] = ()
    left: bool = False


class State:
    """Reads and changes it. See the top of this module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, holder: str, run: str, process: int, ask: Ask) -> Going | None:
        """Begin a backup, or take over one that somebody left. None where there is nothing to do.

        That is so where its date has begun one already; or where it was only to look for one that was left (`close`).

        Raises:
            BackupRunning: ONS-5210, somebody alive makes one.
            MemberFenced: ONS-2401, this holder is dead.
        """
        name = "" if ask.trigger == "close" else run
        facts = encode(asdict(ask))
        how, *answer = self._store.run("backup_begin", holder, name, process, ask.date_ms, "ask", facts)
        if how == b"busy":
            number, since_ms = answer
            raise BackupRunning(int(number), max(0.0, (self._store.now_ms() - int(since_ms)) / 1000))
        if how in (b"served", b"none"):
            return None
        found = self.going()
        if found is None or found.holder != holder:
            return None
        return found if how == b"new" else replace(found, left=True)

    def going(self) -> Going | None:
        """The backup that has begun and is not closed, or None."""
        flat = self._store.command("HGETALL", self._store.key(_RUN))
        return _going(flat) if flat else None

    def note(self, going: Going, **facts: Any) -> None:
        """Put down how far it is: any of `step number operation told`.

        Raises:
            MemberFenced: ONS-2401, it is no longer this holder's.
        """
        words: list[Any] = []
        for name, value in facts.items():
            words += (
                name,
                written(value) if isinstance(value, Operation) else encode(value) if name == "told" else value,
            )
        self._store.run("backup_note", going.holder, going.run, *words)

    def standing(self) -> tuple[str, Standing]:
        """Where the scheduled backups stand; with the text of it, which `plan` and `close` want to see again."""
        text = self._store.command("HGET", self._store.key(_KEY), "standing") or b""
        return text.decode(), read_standing(text.decode())

    def plan(self, before: str, standing: Standing) -> bool:
        """Change it. False when somebody else did, since it was read."""
        return bool(self._store.run("backup_plan", before, _written(standing)))

    def close(self, going: Going, before: str, standing: Standing, **facts: bytes) -> bool:
        """Let another one begin. False when the standing has changed since it was read.

        Raises:
            MemberFenced: ONS-2401, it is no longer this holder's.
        """
        words = [word for fact in facts.items() for word in fact]
        return bool(self._store.run("backup_close", going.holder, going.run, before, _written(standing), *words))

    def facts(self, *names: str) -> list[bytes | None]:
        """Fields of `backup`: `served done last good mark restored`."""
        return cast("list[bytes | None]", self._store.command("HMGET", self._store.key(_KEY), *names))

    def last(self, name: str = "last") -> Operation | None:
        """How the last backup ended (`last`), the last that ended well (`good`), or the last restore (`restored`)."""
        return read_operation(self.facts(name)[0])


def read_operation(kept: bytes | None) -> Operation | None:
    """Read what `written` wrote."""
    return msgspec.json.decode(kept, type=Operation) if kept else None


def written(operation: Operation) -> bytes:
    """Write an operation for Redis."""
    return msgspec.json.encode(operation)


def read_standing(text: str) -> Standing:
    """Read what `_written` wrote; that of a server that never had one."""
    known = {one.name for one in fields(Standing)}
    found: dict[str, Any] = json.loads(text) if text else {}
    return Standing(**{name: fact for name, fact in found.items() if name in known})


def _written(standing: Standing) -> str:
    return json.dumps(asdict(standing), sort_keys=True)


def _going(flat: Sequence[bytes]) -> Going:
    found = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Going(
        run=found["run"].decode(),
        holder=found["o"].decode(),
        process=int(found["n"]),
        since_ms=int(found["since"]),
        ask=Ask.read(decode(found["ask"])),
        step=found.get("step", b"").decode(),
        number=int(found.get("number", 0)),
        operation=read_operation(found.get("operation")),
        told=tuple(decode(found["told"])) if "told" in found else (),
    )
