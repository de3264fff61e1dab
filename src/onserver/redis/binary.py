"""A server program: what it is, and what it can read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

#: The `source` of a program that the settings name.
BY_NAME = "setting redis_server"

_VERSION_SECONDS = 10.0


class ServerBinary(NamedTuple):
    """A server program: `engine` is `valkey` or `redis`; `source` says where it was found."""

    path: Path
    engine: str
    version: str
    source: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version, to compare."""
        return version_numbers(self.version)

    def __str__(self) -> str:
        return f"{self.engine.capitalize()} {self.version} ({self.source})"


def inspect(path: Path, source: str) -> ServerBinary | None:
    """Ask a program for its engine and version; None when it is no server, or does not run on this machine."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = said.split()  # Valkey server v=9.1.2 sha=…
    if words[1:2] != ["server"] or words[0] not in ("Redis", "Valkey") or not words[2].startswith("v="):
        return None
    return ServerBinary(path, words[0].lower(), words[2].removeprefix("v="), source)


def version_numbers(version: str) -> tuple[int, ...]:
    """`7.0.15` as `(7, 0, 15)`."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
