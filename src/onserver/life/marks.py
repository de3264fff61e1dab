"""What a worker reads of its machine with each beat: room on disks, pressure on memory, clocks, and whether it slept.

Nothing here talks to Redis. A mark is passed with some slack: over it once, and under it again only when the value is
well below, so that one that trembles around the mark is told once.

Clocks. *Uptime* is the time since boot, sleep included: what passes on it has passed. A wall clock that goes further
than that was changed; the monotonic clock that goes less far stood still, because the machine slept.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: What has to be gained before something counts as under its mark again, in points of a percent.
SLACK = 2.0
#: Sleep shorter than this is no sleep, in seconds.
_NAP = 1.0
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "glusterfs", "afs", "lustre", "beegfs", "ocfs2", "gfs2")
_PRESSURE = re.compile(r"^(some|full) avg10=([\d.]+)", re.MULTILINE)


class Level:
    """Whether a value is over its mark.

    Args:
        mark: from here on it is over; 0 or less: never.
        slack: how far below the mark it is under it again.
    """

    def __init__(self, mark: float, slack: float = SLACK) -> None:
        self.mark, self.slack = mark, slack
        #: Whether it is; None before the first look.
        self.over: bool | None = None

    def look(self, value: float) -> bool:
        """Take a value. Returns whether there is something new to say, which is so at the first look."""
        before = self.over
        self.over = self.mark > 0 and (value > self.mark - self.slack if before else value >= self.mark)
        return self.over != before


@dataclass(frozen=True)
class Pressure:
    """How much of the last 10 seconds work has waited for memory, in percent."""

    some: float
    full: float


def read_pressure(path: Path) -> Pressure | None:
    """Read a file of the kernel's (PSI); None where there is none, or it cannot be read."""
    with suppress(OSError):  # an older kernel, or a container that does not show it: nothing is watched
        found = dict(_PRESSURE.findall(path.read_text()))
        return Pressure(float(found.get("some", 0)), float(found.get("full", 0)))
    return None


@dataclass(frozen=True)
class Room:
    """Room on the disk of a folder; `disk` tells one disk from another."""

    disk: int
    free_bytes: int
    percent: float


def read_room(path: Path) -> Room | None:
    """Look how much room is left for this program; None where the folder is not there."""
    with suppress(OSError):  # it comes and goes, as mounted disks do
        facts = os.statvfs(path)
        free = facts.f_bavail * facts.f_frsize
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        return Room(path.stat().st_dev, free, 100 * free / max(1, used + free))
    return None


def is_remote(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a folder is on another machine, as far as the kernel's list of mounts tells.

    To ask such a disk for its room may take for ever when that machine is away, and the beat would wait for it.
    """
    with suppress(OSError):  # no such list here: what is mounted cannot be told
        found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
        places = {where.encode().decode("unicode_escape"): kind for where, kind in found}
        above = [str(path.absolute()), *map(str, path.absolute().parents)]
        kind = next((places[where] for where in above if where in places), "")
        return kind.startswith(_REMOTE)
    return False


def uptime() -> float:
    """Seconds since boot, sleep included; where that cannot be told, the monotonic clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Clocks:
    """Tells when a clock was changed.

    Args:
        mark: seconds that count as a jump; what is less is set by whoever keeps time.
        wall, since_boot, steady: the three clocks, in seconds.
    """

    def __init__(
        self,
        mark: float,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = uptime,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mark = mark
        self._wall, self._since_boot, self._steady = wall, since_boot, steady
        self._ahead = wall() - since_boot()
        self._asleep = since_boot() - steady()
        self._redis: tuple[float, float, float] | None = None

    def jumped(self) -> float | None:
        """By how many seconds the clock of this machine was changed since the last look; None for not at all."""
        ahead = self._wall() - self._since_boot()
        jump, self._ahead = ahead - self._ahead, ahead
        return jump if 0 < self.mark <= abs(jump) else None

    def slept(self) -> float | None:
        """For how many seconds this machine has slept since the last look; None for not at all."""
        asleep = self._since_boot() - self._steady()
        nap, self._asleep = asleep - self._asleep, asleep
        return nap if nap > _NAP else None

    def heard(self, redis_ms: int, sent: float, received: float) -> float | None:
        """By how many seconds the clock of Redis was changed since it was asked last; None for not at all.

        Args:
            redis_ms: what it said.
            sent: uptime before it was asked.
            received: uptime when the answer was there.
        """
        said, before, self._redis = redis_ms / 1000, self._redis, (redis_ms / 1000, sent, received)
        if before is None or self.mark <= 0:
            return None
        passed, least, most = said - before[0], sent - before[2], received - before[1]
        jump = passed - most if passed > most else min(0.0, passed - least)
        return jump if abs(jump) >= self.mark else None

    def forget(self) -> None:
        """Another Redis may answer the next time: its clock is another."""
        self._redis = None
