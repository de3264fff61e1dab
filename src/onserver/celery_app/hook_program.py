"""The program that runs one hook for `celery -A workers worker`: `python -m onserver.celery_app.hook_program …`.

Words: the project's folder, the holder, the epoch, the hook's kind, name and module. The holder was enlisted by the
worker, which buries it when this program has ended.
"""

import os
import signal
import sys
import threading
from time import monotonic, sleep

from celery.utils.imports import import_from_cwd

from onserver.celery_app.attach import load_application
from onserver.errors import ProcedureNotFound
from onserver.interrupt import TIME_IS_UP, Interrupted, interrupt
from onserver.life.executor import Executor
from onserver.life.hook import Hook
from onserver.life.kinship import die_with_parent
from onserver.life.page import Page
from onserver.life.running_hook import run_hook
from onserver.server import Server


def main() -> int:
    """Run the hook; the exit status is the executor's."""
    folder, holder, epoch, kind, name, module = sys.argv[1:]
    server = Server.load(folder)
    if server.settings.celery:
        load_application(server)
    server.load_tasks()
    if server.registry.find(name, kind) is None:  # in an application that is attached, and not named in the settings
        import_from_cwd(module)
    page = Page()
    signal.signal(signal.SIGUSR1, lambda *_: interrupt(Interrupted(TIME_IS_UP)) if page.current else None)
    threading.Thread(target=_watch, args=(page,), name="onserver-watch", daemon=True).start()
    hook = server.registry.find(name, kind)
    if not isinstance(hook, Hook):
        raise ProcedureNotFound(name, (), len(server.registry.names(kind)))
    return run_hook(Executor(server, holder, page, "", ()), int(epoch), hook)


def _watch(page: Page) -> None:
    """What a supervisor does for a hook: here the worker beats for it; when its time is up it is ended."""
    while True:
        page.stamp(monotonic())
        if page.over_time:
            os.kill(os.getpid(), signal.SIGKILL)
        elif page.late and not page.is_out_of_time:
            page.interrupt(for_time=True)
            os.kill(os.getpid(), signal.SIGUSR1)
        sleep(0.1)


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main())
