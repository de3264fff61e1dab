"""Which folders the embedded Redis of a project lives in.

Ordinarily `.onserver/redis` of the project. A project that cannot be written to has it under the user's state folder
(or the temporary one), and where the path of the socket would be too long for one, the socket alone is in a private
folder of the run-time directory. Both are named after the project's path, so that every program of the project finds
them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from onserver.errors import NoRedis
from onserver.redis.home import Home

#: Bytes; Linux allows 107, macOS 103.
_LONGEST_SOCKET_PATH = 100


def home_of(project: Path) -> Home:
    """The home of a project's embedded Redis; its folder is made, that of the socket the keeper makes.

    Raises:
        NoRedis: there is no folder that could be used.
    """
    project = project.resolve()
    mark = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    folder = project / ".onserver" / "redis"
    if not _usable(folder):
        folder = _private(_state_folder(), mark)
        folder.mkdir(mode=0o700, exist_ok=True)
    socket = folder / "redis.sock"
    if not _fits(socket):
        socket = _private(_run_folder(mark), mark) / socket.name
    return Home(folder, socket)


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _state_folder() -> Path:
    named = os.environ.get("XDG_STATE_HOME")
    folder = Path(named) if named else Path.home() / ".local" / "state"
    return folder if _usable(folder) else Path(tempfile.gettempdir())


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH


def _run_folder(mark: str) -> Path:
    named = os.environ.get("XDG_RUNTIME_DIR")
    if named and os.access(named, os.W_OK) and _fits(_own(Path(named), mark) / "redis.sock"):
        return Path(named)
    return Path(tempfile.gettempdir())


def _own(parent: Path, mark: str) -> Path:
    return parent / f"onserver-{os.getuid()}" / mark


def _private(parent: Path, mark: str) -> Path:
    """A folder of this user alone, to be made. In one that everybody may write to, somebody else could be the first."""
    inner = _own(parent, mark)
    outer = inner.parent
    outer.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in filter(os.path.lexists, (outer, inner)):
        found = folder.lstat()
        if found.st_uid != os.getuid():
            raise NoRedis(found=f"{folder} belongs to another user")
        if found.st_mode & 0o077:
            folder.chmod(0o700)
    return inner
