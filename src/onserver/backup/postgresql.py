"""Saving PostgreSQL databases through the machine's `pg_dump`, and restoring them through its `pg_restore`.

A dump is of one instant, also while others write, and is streamed: it needs no room beside the archive. Who asks is
said by the address, and everything else as libpq always has it, from PGPASSFILE, PGSERVICE and so on; a password in the
address is passed on in a file of its own, since everybody on a machine can read the command lines of the others.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from onserver.backup.archive import Writer
from onserver.backup.tape import PIECE
from onserver.errors import SourceFailed

#: In seconds, where the environment says nothing.
_CONNECT: Final = "10"
_LOCK_MS: Final = 60_000
_KEY_VALUE: Final = re.compile(r"\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|\S+)\s*")


def save_postgresql(writer: Writer, prefix: str, address: str) -> None:
    """Add a dump, in pieces below `prefix`.

    Args:
        writer: The archive.
        prefix: What the names of its members begin with.
        address: `postgresql://user@host/name`, or `host=… dbname=…`, as for `psql`.

    Raises:
        SourceFailed: ONS-5207, `pg_dump` is not installed or failed; what there is of its pieces is no dump.
        ArchiveNotWritten: ONS-5205.
    """
    options = ["--format=custom", "--compress=0", "--no-password", f"--lock-wait-timeout={_LOCK_MS}"]
    with _running("pg_dump", options, address, stdout=subprocess.PIPE) as program:
        if program.stdout is None:
            raise SourceFailed(without_password(address), "pg_dump has no output")
        output = program.stdout
        writer.add_pieces(prefix, iter(lambda: output.read(PIECE), b""))


def restore_postgresql(dump: Path, address: str, *, replace: bool = False) -> None:
    """Restore a dump into a database that is there, in one transaction: all of it, or nothing.

    Args:
        dump: The file, as `restore_beside` has written it.
        address: Of the database, as for `save_postgresql`.
        replace: Drop what is there under the names that are restored; else that is an error.

    Raises:
        SourceFailed: ONS-5207, `pg_restore` is not installed or failed; the database is as it was.
    """
    options = ["--exit-on-error", "--single-transaction", "--no-password"]
    options += ["--clean", "--if-exists"] if replace else []
    with _running("pg_restore", options, address, str(dump)):
        pass


def without_password(address: str) -> str:
    """The address without what nobody else may know."""
    return _parted(address)[0]


def _parted(address: str) -> tuple[str, str]:
    """Take the password out of an address."""
    if "://" not in address:
        found = _KEY_VALUE.search(address)
        password = re.sub(r"\\(.)", r"\1", found[1].strip("'")) if found else ""
        return _KEY_VALUE.sub("", address).strip(), password
    parts = urlsplit(address)
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return address, ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}")), unquote(password)


@contextlib.contextmanager
def _running(
    program: str, options: Sequence[str], address: str, *files: str, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of PostgreSQL's programs, and make an error of its bad end."""
    public, password = _parted(address)
    path = shutil.which(program)
    if path is None:
        raise SourceFailed(public, f"`{program}` is not installed (on Debian: postgresql-client)")
    with tempfile.TemporaryFile() as said, _environment(password) as environment:
        command = [path, *options, f"--dbname={public}", *files]
        with subprocess.Popen(command, stdout=stdout, stderr=said, stdin=subprocess.DEVNULL, env=environment) as run:
            try:
                yield run
            except BaseException:
                run.kill()
                raise
        if run.returncode:
            raise SourceFailed(public, f"{program} ended with {run.returncode}: {_last_words(said)}")


@contextlib.contextmanager
def _environment(password: str) -> Iterator[dict[str, str]]:
    environment = {"PGCONNECT_TIMEOUT": _CONNECT, **os.environ, "LC_MESSAGES": "C"}
    if not password:
        yield environment
        return
    with tempfile.NamedTemporaryFile("w", prefix="onserver-", encoding="utf-8") as file:  # of mode 0600
        escaped = re.sub(r"([\\:])", r"\\\1", password)
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield {**environment, "PGPASSFILE": file.name}


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return " ".join(errors[-2:] or lines[-3:]) or "it said nothing"
