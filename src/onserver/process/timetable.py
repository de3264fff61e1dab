"""The timetable of a server, as the leader of its workers keeps it: each time of a schedule starts one process.

Redis has the schedules and the last time of each. A turn reads them, puts what is due, and finds out when the next one
is; between two turns nothing is asked. Whether a time may be started is decided in `put` itself, in the same step that
makes the process: it refuses one that is not later than the last, and one that is not yet. So two leaders, an old one
that wakes up, or a reply that was lost, start nothing twice, and a clock that is put back starts nothing again.

The clock is that of Redis. Each beat tells what it says, and from that alone is worked out how long to wait, so a jump
of the local clock is of no consequence, and one of Redis' clock is noticed at the next beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import Any, Final

from onserver.crash import crash_point
from onserver.errors import BadSignature, MaintenanceMode, OnServerError, ReachError
from onserver.process.execute import Names
from onserver.process.put import Sender
from onserver.process.schedule import MANY, Entry
from onserver.process.signed_schedule import sign_schedule, verify_schedule
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.context import serving

#: For how many leases a time is late and not missed: a leader may have died, and its heir started after a lease.
LATE_LEASES: Final = 6
#: How soon it is tried again in maintenance, which holds schedules back; its end is told at once, where it is ended.
_CLOSED_MS: Final = 2000


class Timetable:
    """See the top of this module.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a leader can afford.
        say: told of what could not be started.
        only_own: start only what was planned here, and leave the rest to the workers.
    """

    def __init__(self, server: Server, store: Store, say: Callable[[str], None], *, only_own: bool = False) -> None:
        self._server = server
        self._store = store
        self._say = say
        self._only_own = only_own
        self._late = int(LATE_LEASES * server.settings.member.lease_seconds * 1000)
        self._code = ""
        self._own: dict[str, Entry] = {}
        self._next: int | None = 0
        self._told: dict[str, int] = {}
        self._refused: dict[str, bytes] = {}

    def plan(self, code: str, entries: Iterable[Entry]) -> None:
        """Say which schedules this program's code has; those of its former code that nobody has go out."""
        self._code, self._own = code, {entry.name: entry for entry in entries}
        words: list[Word] = []
        for entry in self._own.values():
            written = entry.written()
            words += (entry.name, written, entry.timing.name, sign_schedule(self._server, entry.name, written))
        self._store.run("plan", code, *words)
        self.look()

    def look(self) -> None:
        """The timetable has changed: be due at once."""
        self._next = 0

    def heed(self, leads: bool, now_ms: int) -> float | None:
        """When the next turn is, by the monotonic clock; None when nothing is to come, or others lead.

        Args:
            leads: whether this is the leader's, and the server runs.
            now_ms: what the clock of Redis says at this moment.
        """
        if not leads:
            self.look()  # by the time that it leads, the timetable is another
            return None
        return None if self._next is None else monotonic() + max(0, self._next - now_ms) / 1000

    def turn(self) -> float | None:
        """Start what is due. Returns when the next turn is, as `heed` does."""
        now, *rows = self._store.run("timetable", self._code)
        if self._own.keys() - {name.decode() for name, *_ in rows}:
            # a program that is no worker has no living code: a worker that came has taken its schedules out
            self.plan(self._code, self._own.values())
            now, *rows = self._store.run("timetable", self._code)
        coming: list[int] = []
        for name, written, last, paused, signed in rows:
            known = self._entry(name.decode(), written, signed)
            if known is not None and not paused:
                coming += self._start_due(*known, int(last), int(now))
        self._next = min(coming, default=None)
        return self.heed(True, int(now))

    def _entry(self, name: str, written: bytes, signed: bytes) -> tuple[Entry, Mapping[str, Any]] | None:
        """A schedule, and in whose name it starts something; None where it is not to be started here."""
        own = self._own.get(name)
        if self._only_own or (own is not None and own.send is not None):
            return None if own is None else (own, {})
        try:
            caller = verify_schedule(self._server, name, written, signed)
        except BadSignature as error:
            if self._refused.get(name) != signed:  # said once
                self._refused[name] = signed
                self._say(f"schedule {name} starts nothing: {error}")
            return None
        entry = Entry.read(name, written)
        return None if entry.source == "celery" else (entry, caller)  # who has Celery's application loaded starts it

    def _start_due(self, entry: Entry, caller: Mapping[str, Any], last: int, now: int) -> list[int]:
        """Start what is due of one schedule; answers when its next time is."""
        due = entry.due(last, now, self._late)
        for time in due:
            crash_point("before_tick")
            try:
                how = entry.send(time) if entry.send is not None else self._put(entry, caller, time)
            except ReachError:
                raise
            except MaintenanceMode:
                return [now + _CLOSED_MS]
            except OnServerError as error:
                if self._told.get(entry.name) != time:  # it is tried again at each turn
                    self._told[entry.name] = time
                    self._say(f"schedule {entry.name}: {error}")
                break
            crash_point("after_tick")
            if how == "early":  # the clock was put back
                return [time]
        if len(due) == MANY:
            return [now]
        coming = entry.timing.after(max(last, now))
        return [] if coming is None else [coming]

    def _put(self, entry: Entry, caller: Mapping[str, Any], time: int) -> str:
        order = self._server.part(Names).order(entry.procedure)
        order = replace(order, schedule=entry.name, scheduled_ms=time)
        if "kind" not in caller:
            return self._sender.put(order, entry.args, entry.kwargs).how
        with serving(None, remote=True, caller=caller):  # whether they still may is decided when it runs
            return self._sender.put(order, entry.args, entry.kwargs).how

    @cached_property
    def _sender(self) -> Sender:
        return Sender(self._server, self._store)
