"""The end of a backup: written down, told, closed. It may be done by another than the one who made it.

    result kept in Redis → history, journal → each shutdown hook, one by one → event → close

The result is kept first: from then on nothing changes it, whoever goes on. The archive is what it is; where history or
journal cannot be written that is said, and the hooks are told all the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from onserver.backup import history as histories
from onserver.backup.codes import MEANINGS, Code, reason_of
from onserver.backup.history import Operation
from onserver.backup.journal_text import JournalText
from onserver.backup.making import place_here
from onserver.backup.rules import Standing
from onserver.backup.state import Going, State, written
from onserver.errors import OnServerError
from onserver.life import epoch as epochs
from onserver.life.events import tell_event
from onserver.life.hook import BACKUP_SHUTDOWN, hooks_of
from onserver.life.hook_arguments import BackupResult
from onserver.life.hook_call import call_hook
from onserver.server import Server


class Ending:
    """See the top of this module.

    Args:
        server: of which.
        state: what Redis has of backups.
        journal: where it is written down for people.
    """

    def __init__(self, server: Server, state: State, journal: JournalText) -> None:
        self._server, self._state, self._journal = server, state, journal

    def end(self, going: Going, operation: Operation, *, tell: bool = True, mark: bytes = b"") -> BackupResult:
        """Bring a backup to its end.

        Args:
            going: the backup.
            operation: how it ended.
            tell: whether the shutdown hooks are told: not of a date that was missed, for which nothing was begun.
            mark: what was changed by then, of one that ended well.

        Raises:
            MemberFenced: ONS-2401, another one brings it to its end.
        """
        result = result_of(operation, going.ask.attempt)
        if going.step != "tell":
            self._state.note(going, step="end", operation=operation, number=operation.number)
            self._write_down(operation)
            self._state.note(going, step="tell")
        if tell:
            self._tell(going, result)
        self._tell_event(going, result)
        self._close(going, operation, mark)
        return result

    def skip(self, going: Going, reason: str) -> BackupResult:
        """Close one that is not made: no error, no hook, a line in the journal."""
        self._journal.write(f"no backup: {reason}")
        while True:
            before, standing = self._state.standing()
            if self._state.close(going, before, standing):
                return BackupResult(reason=reason)

    def operation(self, going: Going, code: int, reason: str, **facts: Any) -> Operation:
        """What the history has of it: how it ended, and what else is known of it."""
        ask = going.ask
        return Operation(
            run=going.run,
            started=datetime.fromtimestamp(going.since_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            seconds=round(max(0.0, (self._server.store.now_ms() - going.since_ms) / 1000), 3),
            code=code,
            reason=reason,
            trigger=ask.trigger,
            asked_by=ask.asked_by,
            forced_by=ask.forced_by,
            label=ask.label,
            **facts,
        )

    def _write_down(self, operation: Operation) -> None:
        words = [f"backup {operation.number} ended well: {operation.path}"]
        if operation.code:
            refused = f" by {operation.hook}" if operation.hook and not operation.forced_by else ""
            how = f"ended with {operation.code}{refused}"
            words = [f"backup {operation.number} {how}: {operation.reason}", operation.path]
        self._journal.write(" ".join(words))
        try:
            place = place_here(self._server)
            known = histories.read(place, self._server.name)
            histories.write(place, known.with_operation(operation, self._server.settings.backup.keep))
        except (OnServerError, OSError) as error:
            self._journal.write(f"the history was not written: {reason_of(error)}")

    def _tell(self, going: Going, result: BackupResult) -> None:
        told = list(going.told)
        for hook in hooks_of(self._server, BACKUP_SHUTDOWN):
            if hook.name not in told:
                outcome = call_hook(self._server, hook, result)
                told.append(hook.name)
                self._state.note(going, told=told)
                if outcome.error is not None:
                    self._journal.write(f"on_backup_shutdown hook {hook.name}: {outcome.reason}")

    def _tell_event(self, going: Going, result: BackupResult) -> None:
        payload = {
            "code": result.code,
            "reason": result.reason[:300],
            "number": result.number,
            "path": result.path or "",
            "seconds": result.seconds,
        }
        tell_event(self._server.store, "backup.ended", payload, member=int(going.holder.partition(".")[0]))

    def _close(self, going: Going, operation: Operation, mark: bytes) -> None:
        store, settings = self._server.store, self._server.settings.backup
        epoch = epochs.read(store).number
        facts = {"last": written(operation)}
        if operation.code == Code.DONE:
            facts |= {"good": written(operation), "mark": mark} if mark else {"good": written(operation)}
        while True:
            before, standing = self._state.standing()
            after = standing.ended(going.ask.counts_as, operation.code, settings, store.now_ms(), epoch)
            if self._state.close(going, before, after, **facts):
                self._say_what_is_next(standing, after)
                return

    def _say_what_is_next(self, before: Standing, after: Standing) -> None:
        if after.suspended and not before.suspended:
            number = Code.TOO_MANY_ATTEMPTS
            self._journal.write(f"{number}: {MEANINGS[number]} ({after.attempts} attempts)")
        elif after.retry_ms and after != replace(before, attempts=after.attempts):
            at = datetime.fromtimestamp(after.retry_ms / 1000, UTC)
            self._journal.write(f"it is tried again at {at:%Y-%m-%d %H:%M:%S} UTC")


def result_of(operation: Operation, attempt: int = 1) -> BackupResult:
    """The same as hooks and callers are told."""
    return BackupResult(
        code=operation.code,
        reason=operation.reason,
        path=operation.path or None,
        number=operation.number,
        seconds=operation.seconds,
        attempt=attempt,
    )
