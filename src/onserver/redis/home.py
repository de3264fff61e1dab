"""Where the files of a project's embedded Redis are, and the locks by which programs and keeper agree.

    PROJECT/.onserver/redis/      data/  stamp.json  log  running.json  users.lock  keeper.lock  server.lock  redis.sock

`place` says where they are when the project's folder will not do.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

_LOOK_AGAIN_SECONDS = 0.005


class Home(NamedTuple):
    """The paths of one embedded Redis."""

    folder: Path
    socket: Path

    @property
    def data(self) -> Path:
        """The folder of the append-only file."""
        return self.folder / "data"

    @property
    def stamp(self) -> Path:
        """Which engine and version wrote the data."""
        return self.folder / "stamp.json"

    @property
    def log(self) -> Path:
        """What server and keeper have to say."""
        return self.folder / "log"

    @property
    def running(self) -> Path:
        """The process ids of keeper and server, for people and tests: the locks decide, not this file."""
        return self.folder / "running.json"

    @property
    def users(self) -> Path:
        """Locked shared by every program that uses the server; exclusively by a keeper that ends."""
        return self.folder / "users.lock"

    @property
    def keeper(self) -> Path:
        """Locked by the one living keeper."""
        return self.folder / "keeper.lock"

    @property
    def server(self) -> Path:
        """Locked by the one living server, which inherits the open file, and by its keeper."""
        return self.folder / "server.lock"


class FileLock:
    """A lock on an open file, by `flock`: it lasts until every copy of the open file is closed, in children too.

    A program does not unlock it, it closes it: unlocking in a child would take it from the parent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, *, shared: bool = False, seconds: float = 0.0) -> bool:
        """Take the lock, trying for so many seconds; say whether it was got."""
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        deadline = monotonic() + seconds
        while True:
            try:
                fcntl.flock(self.fd, how)
            except BlockingIOError:
                if monotonic() >= deadline:
                    return False
                sleep(_LOOK_AGAIN_SECONDS)
            else:
                return True

    def give_back(self) -> None:
        """Unlock: only for a process that shares the open file with no other."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def touched(self) -> float:
        """When `touch` was last called, in seconds since 1970."""
        return os.fstat(self.fd).st_mtime

    def touch(self) -> None:
        """Note the time at which the file was last used."""
        os.utime(self.fd)

    def close(self) -> None:
        """Close this process' copy of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock on this file exclusively."""
    probe = FileLock(path)
    try:
        return not probe.take(shared=True)
    finally:
        probe.close()


def note(path: Path, facts: Mapping[str, object]) -> None:
    """Write a small file of JSON, all or nothing: whoever reads it meanwhile has the whole old one."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(facts))
    draft.replace(path)
