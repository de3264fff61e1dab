"""`onserver dev`: the project served here, on its own Redis, with new code taken whenever a file changes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from onserver.admin.logins import Logins
from onserver.cli.admin import NEEDED, login_link
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.serving import address_of, listen
from onserver.cli.watch import Watch
from onserver.cli.worker import run_worker
from onserver.errors import MissingExtra
from onserver.process.key_file import make_first_key
from onserver.server import Server

_PORT: Final = 8765
#: Starts a program that is no child of this one: what a worker has as children that it did not fork, it ends.
_DETACHED: Final = "import os, sys\nif os.fork(): os._exit(0)\nos.execv(sys.argv[1], sys.argv[1:])"


@click.command()
@click.option("--redis", metavar="URL", help="Use this Redis instead of the one of the settings.")
@click.option("-c", "--executors", type=click.IntRange(0, 1024), help="How many processes run at once.")
@click.option("--port", type=click.IntRange(0, 65535), help="Where the admin page listens, instead of 8765.")
@click.option("--no-admin", is_flag=True, help="Serve no admin page.")
@click.option("--no-reload", is_flag=True, help="Go on with the code as it was at the start.")
@common_options
@pass_invocation
def dev(
    invocation: Invocation, redis: str | None, executors: int | None, port: int | None, no_admin: bool, no_reload: bool
) -> int:
    """Serve the project in this folder: a private Redis, one worker, the admin page, new code on every change.

    Exit status: 0 stopped, 1 the server did not start, 2 the project cannot be loaded, 6 cannot reach Redis.
    """
    if redis:
        os.environ["ONSERVER_REDIS"] = redis
    server = invocation.server()
    folder = invocation.project
    key_file = folder / server.settings.signing.key_file
    if not server.settings.signing.key and not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        make_first_key(key_file)
    invocation.screen.say(f"project {server.name}")
    invocation.screen.say(f"redis   {_where(server)}")
    parts = [component.folder for component in server.components()]
    with nullcontext() if no_admin else _admin(invocation, server, port):
        server.close()
        return _serve(invocation, folder, parts, executors, reload=not no_reload)


def _serve(invocation: Invocation, folder: Path, parts: list[Path], executors: int | None, *, reload: bool) -> int:
    me = os.getpid()

    def changed(files: list[Path]) -> None:
        names = ", ".join(str(file.relative_to(folder) if folder in file.parents else file) for file in files[:3])
        invocation.screen.say(f"changed {names}")
        os.kill(me, signal.SIGUSR2)

    if not reload:
        return run_worker(invocation, executors=executors, development=True)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the worker listens, a change has nobody to go to
    with Watch(folder, changed, parts):
        return run_worker(invocation, executors=executors, development=True)


@contextmanager
def _admin(invocation: Invocation, server: Server, port: int | None) -> Generator[None]:
    """Have the admin page served by a program of its own, which ends with this one, however it ends."""
    missing = next((name for name in NEEDED if find_spec(name) is None), "")
    if missing:
        invocation.screen.say(f"admin   none: {MissingExtra('admin', missing).hint}")
        yield
        return
    until, ends = os.pipe()  # nobody writes: the page ends when this end is closed
    with _listening(port) as listening:
        at = f"http://{address_of(listening)}"
        fds = (listening.fileno(), until)
        command = [sys.executable, "-m", "onserver.cli", "--project", str(invocation.project), "admin"]
        command += ["--listening", str(fds[0]), "--until", str(fds[1])]
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _DETACHED, *command],
            pass_fds=fds, start_new_session=True, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        os.close(until)
        Logins(server.store).at = at
        invocation.screen.say(f"admin   {login_link(server, at)}   (one use, 10 min)")
    try:
        yield
    finally:
        os.close(ends)


def _listening(port: int | None) -> socket.socket:
    """Listen at the port that was asked for; where none was, at another one if the usual one is taken."""
    if port is None:
        with suppress(click.UsageError):
            return listen(("127.0.0.1", _PORT))
    return listen(("127.0.0.1", port or 0))


def _where(server: Server) -> str:
    address = server.store.address.describe()
    embedded = server.redis
    if embedded is None or embedded.binary is None:
        return address
    binary = embedded.binary
    return f"{binary.engine.capitalize()} {binary.version} from {binary.source}, {address}"
