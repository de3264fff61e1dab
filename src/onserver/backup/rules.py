"""What becomes of a backup that failed, and of archives that are too old (specification 7.5 and 7.6).

Both are worked out here from what is known, and done elsewhere.

*Failure.* A scheduled backup that failed is tried once more `backup.retry_seconds` later, if that is set; else it is
dropped, and the next one comes at its date. With `backup.attempts` set it is tried again until so many have failed in a
row; then none is started by schedule any more (1401), until the server is restarted, or a backup by hand ends well. A
date at which no worker was up counts as a failure like the others. A backup that somebody cancelled is none: it is
dropped. Those by hand change nothing when they fail; one that ends well ends all waiting and counting.

*Retention.* The last `backup.keep` archives stay. An older one is removed only if the history has it, and it is where
it was written, under its own name; a copy that was taken elsewhere is nobody's business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from onserver.backup.codes import Code
from onserver.backup.dates import Dates
from onserver.backup.history import Archive
from onserver.backup_settings import BackupSettings

#: Why a backup was started: by somebody, at its date, once more after a failure, before a restore.
Trigger: TypeAlias = Literal["hand", "schedule", "retry", "restore"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the scheduled backups stand.

    Attributes:
        plan: the words of the schedule from which `next_ms` was worked out.
        next_ms: the next date, milliseconds since 1970; 0 when none is to come.
        retry_ms: when the one that failed is tried again; 0 when none is.
        attempts: how many have failed in a row.
        suspended: the epoch in which none is started any more; 0 when they are.
    """

    plan: str = ""
    next_ms: int = 0
    retry_ms: int = 0
    attempts: int = 0
    suspended: int = 0

    def planned(self, dates: Dates, now_ms: int) -> Standing:
        """The same for the schedule that the settings have now: another schedule begins with the next of its dates."""
        if self.plan == dates.text:
            return self
        return replace(self, plan=dates.text, next_ms=dates.after(now_ms) or 0, retry_ms=0)

    def resumed(self, epoch: int) -> Standing:
        """The same in this epoch: what was suspended in another one goes on."""
        if self.suspended in (0, epoch):
            return self
        return replace(self, suspended=0, attempts=0)

    def due(self, now_ms: int) -> Trigger | None:
        """What is to be started now."""
        if self.suspended:
            return None
        if self.retry_ms and self.retry_ms <= now_ms:
            return "retry"
        return "schedule" if self.next_ms and self.next_ms <= now_ms else None

    def begun(self, trigger: Trigger, dates: Dates, now_ms: int) -> Standing:
        """The same once that has been started: its date is used up, and so are those that passed meanwhile."""
        if trigger == "retry":
            return replace(self, retry_ms=0)
        if trigger == "schedule":
            return replace(self, next_ms=dates.after(max(now_ms, self.next_ms)) or 0, retry_ms=0)
        return self

    def ended(self, trigger: Trigger, code: int, settings: BackupSettings, now_ms: int, epoch: int) -> Standing:
        """The same after a backup has ended so."""
        if code == Code.DONE:
            return replace(self, retry_ms=0, attempts=0, suspended=0)
        if trigger not in ("schedule", "retry") or code == Code.CANCELLED:
            return self
        attempts = self.attempts + 1
        if settings.attempts and attempts >= settings.attempts:
            return replace(self, retry_ms=0, attempts=attempts, suspended=max(1, epoch))
        again = bool(settings.retry_seconds) and (trigger == "schedule" or bool(settings.attempts))
        retry_ms = now_ms + int(settings.retry_seconds * 1000) if again else 0
        return replace(self, retry_ms=retry_ms, attempts=attempts)


def too_old(archives: Sequence[Archive], keep: int, there: Collection[str]) -> list[Archive]:
    """The archives that are to be removed, the oldest first.

    Args:
        archives: those that were written and not removed since, by number.
        keep: how many stay; 0 for all.
        there: names of the files that are in the folder now.
    """
    found = [archive for archive in sorted(archives, key=lambda one: one.number) if archive.name in there]
    return found[: max(0, len(found) - keep)] if keep else []
