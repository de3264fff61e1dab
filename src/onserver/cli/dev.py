"""`onserver dev`: the project served here, on its own Redis, with new code taken whenever a file changes."""

import os
import signal
from pathlib import Path

import click

from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.watch import Watch
from onserver.cli.worker import run_worker
from onserver.process.key_file import make_first_key


@click.command()
@click.option("--redis", metavar="URL", help="Use this Redis instead of the one of the settings.")
@click.option("-c", "--executors", type=click.IntRange(0, 1024), help="How many processes run at once.")
@click.option("--no-reload", is_flag=True, help="Go on with the code as it was at the start.")
@common_options
@pass_invocation
def dev(invocation: Invocation, redis: str | None, executors: int | None, no_reload: bool) -> int:
    """Serve the project in this folder: a private Redis, one worker, new code on every change.

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
    invocation.screen.say(f"redis   {_where(invocation)}")
    server.close()
    me = os.getpid()
    parts = [component.folder for component in server.components()]

    def changed(files: list[Path]) -> None:
        names = ", ".join(str(file.relative_to(folder) if folder in file.parents else file) for file in files[:3])
        invocation.screen.say(f"changed {names}")
        os.kill(me, signal.SIGUSR2)

    if no_reload:
        return run_worker(invocation, executors=executors, development=True)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the worker listens, a change has nobody to go to
    with Watch(folder, changed, parts):
        return run_worker(invocation, executors=executors, development=True)


def _where(invocation: Invocation) -> str:
    server = invocation.server()
    address = server.store.address.describe()
    embedded = server.redis
    if embedded is None or embedded.binary is None:
        return address
    binary = embedded.binary
    return f"{binary.engine.capitalize()} {binary.version} from {binary.source}, {address}"
