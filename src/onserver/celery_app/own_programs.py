"""Programs that a worker of Celery's starts beside its pool: for one hook, or one side run.

Celery's main process runs no tasks, and a thread in it could not be killed, so each of these is a program of its own:
it loads the project, runs one process in the name of a holder that the worker has enlisted, and ends. The worker waits
for it in a thread (of the thread that starts it the program is a child, and dies with it), buries the holder, and says
of a run that ended itself at its time limit that its time was up.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from math import inf
from time import monotonic, sleep
from typing import Final

from onserver.celery_app.holding import Remote
from onserver.cluster.member import Member
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.hook_records import end_late
from onserver.life.side_runs import MOST
from onserver.process.claim import Claim, read_claim
from onserver.server import Server

#: Exit status of a program that has ended itself because the time of what it ran was up.
LATE_STATUS: Final = 72
#: Seconds after the time limit at which a program, which should have ended itself, is killed.
_DEAF_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02


def run_program(module: str, words: Sequence[str], limit: float = inf) -> bool:
    """Run a program of ours to its end. Answers whether the time of what it ran was up.

    Args:
        module: `python -m` of it, in this package.
        words: its arguments.
        limit: seconds that it may take.
    """
    command = [sys.executable, "-m", f"onserver.celery_app.{module}", *words]
    began, killed = monotonic(), False
    with subprocess.Popen(command, env=os.environ.copy(), stdin=subprocess.DEVNULL) as program:
        while program.poll() is None:
            if monotonic() - began > limit + _DEAF_SECONDS and not killed:
                program.kill()  # it ends itself when its time is up, unless it cannot
                killed = True
            sleep(_LOOK_SECONDS)
    return killed or program.returncode == LATE_STATUS


def bury(server: Server, member: Member, holder: str, begun: int, *, late: bool) -> None:
    """Bury the holder of a program that has ended, and say of what it had begun that its time was up, if it was."""
    claim = read_claim(server.store, begun) if late and begun else None
    if claim is not None:
        Remote(server.store, server.settings, holder).settle(*end_late(server, holder, claim))
    member.bury(holder, begun, counted=True)


class SidePrograms:
    """The side runs of one worker.

    Args:
        server: the loaded project.
        member: of the worker.
        code: what it can run.
    """

    def __init__(self, server: Server, member: Member, code: str) -> None:
        self._server, self._member, self._code = server, member, code
        self._running: list[threading.Thread] = []

    def heed(self, *, waiting: bool) -> None:
        """A beat told whether any waits: take what there is room for, and start a program for each."""
        self._running = [thread for thread in self._running if thread.is_alive()]
        while waiting and len(self._running) < MOST:
            taken = self._member.take_side(self._code)
            if taken is None:
                return
            holder, message = taken
            thread = threading.Thread(
                target=self._run, args=(holder, Claim.read(message)), name="onserver-side", daemon=True
            )
            self._running.append(thread)
            thread.start()

    def join(self) -> None:
        """Wait for those that run."""
        for thread in self._running:
            thread.join()

    def _run(self, holder: str, claim: Claim) -> None:
        words = [str(self._server.project or ""), holder, str(claim.number), _module_of(self._server, claim)]
        late = run_program("side_program", words, claim.timeout_ms / 1000 if claim.timeout_ms else inf)
        buried = False
        while not buried:
            try:
                bury(self._server, self._member, holder, claim.number, late=late)
                buried = True
            except MemberFenced:
                buried = True  # by whoever declared this member dead
            except BrokerUnavailable:
                sleep(_LOOK_SECONDS)


def _module_of(server: Server, claim: Claim) -> str:
    """The module that declares the hook which is to be run; empty for what is no hook."""
    kind, _, name = claim.procedure.partition(":")
    found = server.registry.find(name, kind.replace("-", " "))
    return "" if found is None else found.function.__module__
