"""Programs that a worker of Celery's starts beside its pool: for one hook, or one side run.

Celery's main process runs no tasks, and a thread in it could not be killed, so each of these is a program of its own:
it loads the project, runs one process in the name of a holder that the worker has enlisted, and ends. The worker waits
for it in a thread (of the thread that starts it the program is a child, and dies with it), buries the holder, and says
of a run that ended itself at its time limit that its time was up.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic, sleep
from typing import Final

from onserver.celery_app.holding import Remote
from onserver.cluster.member import Ask, Beat, Member
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.heeding import reach
from onserver.life.hook_records import end_late
from onserver.life.side_runs import MOST
from onserver.process.claim import Claim, read_claim
from onserver.server import Server

#: Exit status of a program that has ended itself because the time of what it ran was up.
LATE_STATUS: Final = 72
#: The signal at which one interrupts what it runs.
ABORTS: Final = signal.SIGUSR2
#: Seconds after the time limit at which a program, which should have ended itself, is killed.
_DEAF_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02


def run_program(
    module: str,
    words: Sequence[str],
    limit: float = inf,
    started: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> bool:
    """Run a program of ours to its end. Answers whether the time of what it ran was up.

    Args:
        module: `python -m` of it, in this package.
        words: its arguments.
        limit: seconds that it may take.
        started: told of the program.
    """
    command = [sys.executable, "-m", f"onserver.celery_app.{module}", *words]
    began, killed = monotonic(), False
    with subprocess.Popen(command, env=os.environ.copy(), stdin=subprocess.DEVNULL) as program:
        if started is not None:
            started(program)
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
        holders: in whose names they run, kept up to date here: the beat asks for them.
    """

    def __init__(self, server: Server, member: Member, code: str, holders: list[str]) -> None:
        self._server, self._member, self._code = server, member, code
        self._holders = holders
        self._running: list[threading.Thread] = []
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._asked: set[str] = set()

    def heed(self, beat: Beat) -> None:
        """A beat told what is asked, and whether any waits: take what there is room for, each into a program."""
        for ask in beat.asks:
            if ask.what == "abort" and ask.holder in self._programs:
                self._abort(ask, self._programs[ask.holder])
        self._running = [thread for thread in self._running if thread.is_alive()]
        while beat.sides and len(self._running) < MOST:
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

    def _abort(self, ask: Ask, program: "subprocess.Popen[bytes]") -> None:
        if ask.kill_seconds is not None and ask.kill_seconds <= 0:
            program.kill()
        elif ask.holder not in self._asked:
            self._asked.add(ask.holder)
            reach(self._server, ask.holder, ask.number, level="interrupted")
            program.send_signal(ABORTS)

    def _run(self, holder: str, claim: Claim) -> None:
        self._holders.append(holder)
        try:
            self._serve(holder, claim)
        finally:
            self._programs.pop(holder, None)
            self._holders.remove(holder)

    def _serve(self, holder: str, claim: Claim) -> None:
        def started(program: "subprocess.Popen[bytes]") -> None:
            self._programs[holder] = program

        words = [str(self._server.project or ""), holder, str(claim.number), _module_of(self._server, claim)]
        late = run_program("side_program", words, claim.timeout_ms / 1000 if claim.timeout_ms else inf, started)
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
