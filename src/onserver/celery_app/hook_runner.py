"""The hooks of the server's life, run one after the other in programs of their own, for a Celery worker."""

import os
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic
from typing import Literal

from celery.utils.log import get_logger

from onserver.celery_app.holding import Remote
from onserver.cluster.member import Member
from onserver.life.hooks import Hook, HookRun
from onserver.life.narrate import hook_line
from onserver.process.failure import error_value
from onserver.server import Server

logger = get_logger(__name__)


class HookRunner:
    """Runs the hooks of one kind in one epoch, as far as no other worker does."""

    def __init__(self, server: Server, member: Member, epoch: int, kinds: Sequence[str]) -> None:
        self._server = server
        self._member = member
        self._epoch = epoch
        hooks = [hook for kind in kinds for hook in server.registry.all(kind) if isinstance(hook, Hook)]
        self._sequence = HookRun(server.store, epoch, hooks)
        self._child: subprocess.Popen[bytes] | None = None
        self._holder = ""
        self._deadline = 0.0

    @property
    def failed(self) -> dict[Hook, int]:
        """Hooks that ended badly, with the number of their process."""
        return self._sequence.failed

    def look(self, *, stop_at_failure: bool) -> Literal["done", "busy", "failed"]:
        """Go on: start the next hook, or look after the one that runs."""
        if self._child is not None:
            if self._child.poll() is None and monotonic() < self._deadline:
                return "busy"
            self._end(self._child)
        step = self._sequence.look(stop_at_failure=stop_at_failure)
        if not isinstance(step, Hook):
            return step
        logger.info("%s", hook_line(step, self._epoch))
        self._start(step)
        return "busy"

    def close(self) -> None:
        """End the hook that runs, if any; it is run again by whoever comes."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._bury()

    def _start(self, hook: Hook) -> None:
        limit = self._server.settings.hook.timeout_seconds if hook.timeout is None else hook.timeout
        self._holder = self._member.enlist()
        self._deadline = monotonic() + limit
        command = [sys.executable, "-m", "onserver.celery_app.hook_child"]
        command += [str(os.getpid()), self._holder, str(self._epoch), hook.kind, hook.name]
        environment = dict(os.environ)
        if self._server.project is not None:
            environment["ONSERVER_PROJECT"] = str(self._server.project)
        self._child = subprocess.Popen(command, env=environment)

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        late = child.poll() is None
        child.kill()
        child.wait()
        if late:
            self._time_out()
        self._bury()

    def _begun(self) -> int:
        held = self._server.store.command("LINDEX", self._server.store.key(f"held:{self._holder}"), 0)
        return int(held or 0)

    def _time_out(self) -> None:
        begun = self._begun()
        if begun:
            error = error_value("ProcessTimeout", f"#{begun} ran for longer than its time limit and was ended.")
            remote = Remote(self._server.store, self._server.settings, self._holder)
            remote.settle(begun, "end", "failed", error, "")

    def _bury(self) -> None:
        self._child = None
        self._member.bury(self._holder, self._begun())
