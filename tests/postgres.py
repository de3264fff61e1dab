"""A PostgreSQL of its own: the machine's programs, a folder, a private socket, an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from onserver.testing import wait_for

#: PostgreSQL refuses to be started by the superuser: then it is this one's.
_ORDINARY = ("postgres", "nobody")


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that is installed, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    beside = shutil.which("postgres")
    return found[-1].parent if found else Path(beside).parent if beside else None


class Postgres:
    """A server with the superuser `boss`.

    Args:
        folder: Holds data and socket, and belongs to the user.
        password: What `boss` has to say; none: whoever reaches the socket is let in.
    """

    def __init__(self, folder: Path, password: str = "") -> None:
        bin_folder = programs()
        assert bin_folder
        self.bin, self.folder, self.password = bin_folder, folder, password
        self.user: str | None = None
        if os.getuid() == 0:
            self.user = next(name for name in _ORDINARY if _exists(name))
            shutil.chown(folder, self.user)

    def address(self, database: str, *, password: str = "") -> str:
        """As `pg_dump` and our settings have it."""
        who = f"boss:{password}" if password else "boss"
        return f"postgresql://{who}@/{database}?host={str(self.folder).replace('/', '%2F')}"

    @contextmanager
    def running(self) -> Iterator[Postgres]:
        """Make the data, start, and stop."""
        secret = self.folder / "password"
        secret.write_text(f"{self.password}\n")
        how = ["--auth=scram-sha-256", f"--pwfile={secret}"] if self.password else ["--auth=trust"]
        if self.user:
            shutil.chown(secret, self.user)
        options = ["--username=boss", "--no-sync", "--encoding=UTF8", "--locale=C"]
        made = self._run("initdb", f"--pgdata={self.folder / 'data'}", *options, *how)
        assert made.returncode == 0, made.stderr
        settings = [f"unix_socket_directories={self.folder}", "listen_addresses=", "fsync=off"]
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data")]
        command += [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        try:
            wait_for(lambda: self._ready(server), 60, "PostgreSQL to be ready")
            yield self
        finally:
            server.terminate()
            server.wait()

    def psql(self, database: str, text: str) -> str:
        """Run SQL and return what it answered."""
        told = self._run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.address(database), "-c", text
        )
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    def start_psql(self, database: str, text: str) -> subprocess.Popen[bytes]:
        """Let SQL run beside the test."""
        command = [str(self.bin / "psql"), "-X", "-q", "-d", self.address(database), "-c", text]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=self._environment())

    def _ready(self, server: subprocess.Popen[bytes]) -> bool:
        assert server.poll() is None, (self.folder / "log").read_text()
        return self._run("pg_isready", "-h", str(self.folder)).returncode == 0

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [str(self.bin / program), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            user=self.user,
            cwd=self.folder,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PGPASSWORD": self.password} if self.password else dict(os.environ)


@contextmanager
def postgres(password: str = "") -> Iterator[Postgres]:
    """Start one, or skip the test, visibly, where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (scripts/packages.sh does it on Debian)")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # the tests' own folders let no ordinary user in
    try:
        with Postgres(folder, password).running() as server:
            yield server
    finally:
        shutil.rmtree(folder)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
