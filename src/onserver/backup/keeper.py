"""What the leader of the workers does for backups: it starts those that are due, and has those ended that were left.

A date starts one backup, whoever leads: the backup itself says to Redis which date it is for, and one that has begun a
backup begins no other. So the leader starts first and moves the date then; who takes its place in between starts once
more, in vain. A date that passed before this life of the server began, and is no longer late but over, was missed: no
worker was up. It is a failure like others, and dealt with by the rule for them.

A backup whose holder is dead is delivered again, if its process is, and brought to its end by that delivery. Where it
is not, because the process was aborted or has died too often, or a program outside of workers made it, the leader
starts a side run that does.

An idle leader looks once in a lease, and at each beat while there is a backup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Final

from onserver.backup.dates import Dates
from onserver.backup.rules import Standing
from onserver.backup.state import Ask, Going, State
from onserver.cluster.member import Beat
from onserver.errors import BadSetting
from onserver.life.side_runs import start_side
from onserver.process.record import read_record
from onserver.process.timetable import LATE_LEASES
from onserver.redis.store import Store
from onserver.server import Server

#: The name of the built-in procedure.
PROCEDURE: Final = "onserver.backup"


class Keeper:
    """See the top of this module. A `Duty`.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a leader can afford.
        say: told of what could not be done.

    Raises:
        BadSetting: ONS-1007, `backup.schedule` says no date.
    """

    def __init__(self, server: Server, store: Store, say: Callable[[str], None]) -> None:
        self._server, self._store, self._say = server, store, say
        self._state = State(store)
        self._dates = Dates.read(server.settings.backup.schedule)
        self._lease_ms = int(server.settings.member.lease_seconds * 1000)
        self._look_at = 0
        self._closing: tuple[str, int] = ("", 0)

    def heard(self, beat: Beat) -> None:
        """A beat was answered: do what is due."""
        if not beat.leader or beat.state != "running":
            self._look_at = 0
        elif beat.now_ms >= self._look_at:
            self._look_at = self._look(beat.epoch, beat.now_ms)

    def _look(self, epoch: int, now: int) -> int:
        """Do what is due. Answers when the next look is, by the clock of Redis."""
        going = self._state.going()
        if going is not None:
            self._look_after(going, now)
            return now
        before, standing = self._state.standing()
        after = standing.planned(self._read_dates(), now).resumed(epoch)
        due = after.due(now)
        if due is not None:
            date_ms = after.retry_ms if due == "retry" else after.next_ms
            missed = due == "schedule" and self._was_missed(date_ms, now)
            attempt = after.attempts + 1 if due == "retry" else 1
            self._start(Ask(trigger="missed" if missed else due, date_ms=date_ms, attempt=attempt))
            after = after.begun(due, self._dates, now)
        if after != standing:
            self._state.plan(before, after)
        return self._next_look(after, now)

    def _read_dates(self) -> Dates:
        """The dates of the settings, which may have been read anew."""
        words = " ".join(self._server.settings.backup.schedule.split())
        if words != self._dates.text and words.lower() != self._dates.text:
            try:
                self._dates = Dates.read(words)
            except BadSetting as error:
                self._say(f"the former schedule of backups goes on: {error}")
                self._dates = replace(self._dates, text=words)
        return self._dates

    def _was_missed(self, date_ms: int, now: int) -> bool:
        opened = self._store.command("HGET", self._store.key("server"), "opened")
        return date_ms < int(opened or 0) and now - date_ms > LATE_LEASES * self._lease_ms

    def _look_after(self, going: Going, now: int) -> None:
        """Have a backup ended whose holder is dead, and which nobody will deliver again."""
        if self._store.command("SISMEMBER", self._store.key("live"), going.holder):
            return
        record = read_record(self._store, going.process) if going.process else None
        if record is not None and not record.state.ended:
            return
        run, at = self._closing
        if run != going.run or now - at > self._lease_ms:  # the one that was started may have died
            self._closing = (going.run, now)
            self._start(Ask(trigger="close"))

    def _start(self, ask: Ask) -> None:
        start_side(self._server, PROCEDURE, [asdict(ask)], name=PROCEDURE)

    def _next_look(self, standing: Standing, now: int) -> int:
        coming = [at for at in (standing.next_ms, standing.retry_ms) if at and not standing.suspended]
        return min([now + self._lease_ms, *coming])
