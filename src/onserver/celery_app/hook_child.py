"""A program that runs one hook of the server for a Celery worker: `python -m onserver.celery_app.hook_child …`.

Celery's pools are not made for one task that must run while nothing else may, and forking a worker that has threads is
no way either; so the worker starts this program. It holds the hook in the name of a holder that the worker enlisted for
it, and ends with its worker.
"""

import os
import sys
import threading
from time import monotonic

from onserver.life.executor import Executor
from onserver.life.hooks import Hook
from onserver.life.kinship import die_with_parent
from onserver.life.page import Page
from onserver.life.running_hook import run_hook
from onserver.server import Server


def main(parent: int, holder: str, epoch: int, kind: str, name: str) -> int:
    """Run the hook; returns the exit status."""
    die_with_parent(parent)
    server = Server.load()
    server.load_tasks()
    hook = server.registry.find(name, kind)
    if not isinstance(hook, Hook):
        sys.stderr.write(f"there is no hook {kind} {name}\n")
        return 1
    page = Page()
    lease = server.settings.member.lease_seconds
    threading.Thread(target=_stamp, args=(page, parent, lease / 20), name="onserver-stamp", daemon=True).start()
    return run_hook(Executor(server, holder, page, "", ()), epoch, hook)


def _stamp(page: Page, parent: int, pause: float) -> None:
    """Trust the worker's beats while it lives: it kills this program when they are not answered."""
    asleep = threading.Event()
    while not asleep.wait(pause):
        if os.getppid() != parent:
            os._exit(1)
        page.stamp(monotonic())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]))
