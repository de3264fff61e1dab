"""What each program that a worker of Celery's starts for itself does first: see `own_programs`."""

import os
import signal
import sys
import threading
from time import monotonic, sleep
from types import FrameType

from celery.utils.imports import import_from_cwd

from onserver.celery_app.attach import load_application
from onserver.celery_app.own_programs import ABORTS, LATE_STATUS
from onserver.interrupt import TIME_IS_UP, Interrupted, interrupt
from onserver.life.page import Page
from onserver.registry import Declared
from onserver.server import Server


def load_project(folder: str) -> Server:
    """Load the project as its worker has. From now on its worker ends this program, and no signal to its group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, ABORTS):
        signal.signal(number, _ignore)
    server = Server.load(folder)
    if server.settings.celery:
        load_application(server)
    server.load_tasks()
    return server


def find_hook(server: Server, kind: str, name: str, module: str) -> Declared | None:
    """Find a hook, in its module where an application has it that is attached, and not named in the settings."""
    if server.registry.find(name, kind) is None and module:
        import_from_cwd(module)
    return server.registry.find(name, kind)


def watched_page() -> Page:
    """Make the page of an executor that has no supervisor: its worker beats for it, and its time limits end it."""
    page = Page()

    def abort(_number: int, _frame: FrameType | None) -> None:
        if page.current:
            interrupt(Interrupted("asked to stop"))

    signal.signal(ABORTS, abort)
    signal.signal(
        signal.SIGUSR1, lambda *_: interrupt(Interrupted(TIME_IS_UP)) if page.current and page.is_out_of_time else None
    )
    threading.Thread(target=_watch, args=(page,), name="onserver-watch", daemon=True).start()
    return page


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler and not SIG_IGN, so that programs started here do not inherit it."""


def _watch(page: Page) -> None:
    while True:
        page.stamp(monotonic())
        run = page.run_began
        if page.over_time:
            sys.stdout.flush()
            os._exit(LATE_STATUS)
        elif page.late and not page.is_out_of_time:
            page.interrupt(for_time=True, run=run)
            os.kill(os.getpid(), signal.SIGUSR1)
        sleep(0.1)
