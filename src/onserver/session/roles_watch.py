"""The roles in force while the file may be replaced: whoever holds them asks, and each question looks at the file.

Looking is one `stat`, so there is no thread, and no time in which an old answer is given. A file that was changed is
read and checked as a whole. If it is well, it is in force from this question on, and what was granted and withdrawn is
told; if anything is wrong with it, or it is gone, the old one stays, and that is told as an error, once for each change
of the file. The first reading has no old one: there a wrong file is refused, and the server does not start.

A file that was written within the last second may be written again without a trace in its times, so it is read at each
question until it is older. Two threads that see a change at once may both read it; what is in force is one value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from onserver.errors import RolesFileError
from onserver.session.roles import Roles
from onserver.session.roles_difference import Difference, difference
from onserver.session.roles_file import FILE, Reading, read_roles_file

logger = logging.getLogger("onserver")

#: What a file's time, size and place look like; None: there is none.
_Mark = tuple[int, int, int, int] | None
#: A file that is younger may change once more without a trace: clocks of file systems tick that slowly at most.
_SETTLED_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class _Force:
    """What is in force, and what the file was when it was last looked at."""

    roles: Roles
    mark: _Mark
    settled: bool
    reading: Reading | None
    error: RolesFileError | None = None


class RolesFile:
    """Holds the roles of a file that may be replaced.

    Args:
        file: its path; there need not be one.
        name: what it is called in errors.
        on_change: is told what was granted and withdrawn, after a changed file came into force.

    Example:
        >>> RolesFile(Path("config/roles.json")).roles().force_login
        True
    """

    def __init__(self, file: Path, name: str = FILE, on_change: Callable[[Difference], None] | None = None) -> None:
        self._file = file
        self._name = name
        self._on_change = on_change
        self._force: _Force | None = None

    def roles(self) -> Roles:
        """Answer the roles in force now; where there never was a file, what `Roles()` has: all is closed.

        Raises:
            RolesFileError: ONS-1004, at the first reading: something is wrong with the file.
        """
        force, mark = self._force, _mark_of(self._file)
        if force is not None and force.settled and force.mark == mark:
            return force.roles
        settled = _is_settled(mark)  # asked before it is read: what is written meanwhile is seen at the next question
        reading = read_roles_file(self._file)
        if force is None:
            roles = reading.required(self._name) if reading else Roles()
            self._force = _Force(roles=roles, mark=mark, settled=settled, reading=reading)
            return roles
        seen = replace(force, mark=mark, settled=settled, reading=reading)
        self._force = seen
        return seen.roles if reading == force.reading else self._taken(seen, reading)

    @property
    def error(self) -> RolesFileError | None:
        """Why the file as it was last seen is not in force; None when it is."""
        return self._force.error if self._force else None

    def _taken(self, seen: _Force, reading: Reading | None) -> Roles:
        """Let a changed file come into force, if it is well; the old one stays if it is not."""
        try:
            if reading is None:
                raise RolesFileError("it is gone", self._name)
            roles = reading.required(self._name)
        except RolesFileError as error:
            self._force = replace(seen, error=error)
            logger.error("ONS-%d  %s What held before stays in force. %s", error.code, error.message, error.hint)
            return seen.roles
        self._force = replace(seen, roles=roles, error=None)
        changed = difference(seen.roles, roles)
        logger.warning("%s was changed, and is in force: %s", self._name, changed)
        if changed and self._on_change is not None:
            self._on_change(changed)
        return roles


def _mark_of(file: Path) -> _Mark:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return (0, 0, 0, 0)  # it cannot even be looked at: reading it tells why
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _is_settled(mark: _Mark) -> bool:
    if mark is None:
        return True
    age = time.time() - mark[0] / 1e9  # the file's time is a wall clock's, so that is what it is compared with
    return not 0 <= age < _SETTLED_SECONDS
