"""A Celery worker as a member of the server: it joins, beats, takes part in the epoch, runs hooks, and leaves.

What a supervisor does for its executors, a thread of Celery's main process does here; the pools do the work.

    joining → starting → running → stopping → leaving → last → gone

`running` is where Celery may consume. Told to stop (by Celery's own signals, or because the server stops), the thread
runs the shutdown hooks while the pool still works (`stopping`), lets Celery drain its pool (`leaving`), runs the hooks of
`when="drained"` (`last`), and leaves. It shares the interpreter with whatever else runs in this process: with the solo
and threads pools, code that keeps the interpreter lock for longer than the lease costs the membership.

Declared dead, or without an answered beat for 0.8 leases, the worker ends at once: what its pool runs is somebody
else's then. Refusals are answers: while Redis is away nobody can be given the work.
"""

import select
import socket
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Literal

from celery.utils.log import get_logger

from onserver.celery_app.hook_runner import HookRunner
from onserver.celery_app.seat import Seat
from onserver.cluster.member import Member
from onserver.cluster.sweep import bury_gone, release_due, sweep
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life import epoch as epochs
from onserver.life.code import Code
from onserver.life.executor import CUT_SHARE
from onserver.life.hooks import SHUTDOWN, SHUTDOWN_DRAINED, STARTUP
from onserver.life.narrate import failed_start, failure_value
from onserver.life.orders import Orders
from onserver.redis.answers import LinkError
from onserver.server import Server
from onserver.session.storage import empty_storage

logger = get_logger(__name__)

Phase = Literal["joining", "starting", "running", "stopping", "leaving", "last", "gone", "failed"]
#: Seconds between two looks at a hook that runs in a program of its own.
_LOOK_SECONDS = 0.05


class StartFailed(Exception):
    """A start-up hook has failed; the text is what the screen shows last."""


class WorkerMember(threading.Thread):
    """See the top of this module.

    Args:
        server: the loaded project.
        node: name of the worker, as Celery has it.
        queues: that it listens on.
        code: what it can run.
        stop: called when the server stops: Celery shall shut down warmly.
        lost: called with a text when what the pool runs must end at once.
    """

    def __init__(
        self, server: Server, node: str, queues: Sequence[str], code: Code,
        stop: Callable[[], None], lost: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(name="onserver-member", daemon=True)
        self._server = server
        self._store = server.store
        self._settings = server.settings
        self._node, self._queues, self._code = node, list(queues), code
        self._stop_worker, self._lost = stop, lost
        self._lease, self._pause = self._settings.member.lease_seconds, self._settings.member.beat_seconds
        self._hooks: HookRunner | None = None
        self._head = ""
        self._leader = False
        self._due_at: float | None = None
        self._next_beat = self._good = monotonic()
        self._wanted: Phase = "running"
        self._epoch_stops = False
        self._turned = threading.Condition()
        self._reader, self._writer = socket.socketpair()
        self.phase: Phase = "joining"
        self.failure = ""
        self.epoch = 0

    # -- called by Celery's main thread

    def join_server(self) -> Seat:
        """Become a member and take a seat; the thread is not running yet."""
        bury_gone(self._store, self._settings)
        facts = {"code": self._code.digest, "queues": " ".join(self._queues)}
        self.member = Member.join(self._store, self._settings, "worker", self._node, facts)
        self.member.register(self._code.digest, self._code.described)
        self._orders = Orders(self._store, self.member.number, self._lease / 5)
        holder = self.member.enlist(self._code.digest, self._queues)
        self.seat = Seat(self._store, self._settings, holder, self._code.digest, self._queues)
        return self.seat

    def wait_until(self, *phases: Phase, look: Callable[[], None] = lambda: None) -> Phase:
        """Wait for one of these phases, or the end. `look` is called now and then and may raise."""
        with self._turned:
            while self.phase not in (*phases, "gone", "failed"):
                self._turned.wait(0.2)
                look()
        return self.phase

    def ask(self, phase: Phase) -> None:
        """Ask the thread to go on to `leaving` or `gone`."""
        self._wanted = phase
        self._writer.send(b"!")

    # -- the thread

    def run(self) -> None:
        """Take part until this worker has left."""
        try:
            while self.phase not in ("gone", "failed"):
                self._wait()
                try:
                    self._turn()
                except BrokerUnavailable as error:
                    self._missed(error)
        except MemberFenced as error:
            self._lost(str(error))
        finally:
            self._end()

    def _end(self) -> None:
        if self._hooks is not None:
            self._hooks.close()
        self._orders.close()
        self._reader.close()
        self._writer.close()
        if self.phase != "failed":
            self._become("gone")

    def _become(self, phase: Phase) -> None:
        with self._turned:
            self.phase = phase
            self._turned.notify_all()

    def _wait(self) -> None:
        ends = [self._next_beat]
        if self._due_at is not None:
            ends.append(self._due_at)
        if self._hooks is not None:
            ends.append(monotonic() + _LOOK_SECONDS)
        watched: list[Any] = [self._reader]
        descriptor = self._orders.ask()
        if descriptor is not None:
            watched.append(descriptor)
        readable, _, _ = select.select(watched, [], [], max(0.0, min(ends) - monotonic()))
        if self._reader in readable:
            self._reader.recv(64)
        if descriptor in readable:
            for order in self._orders.read():
                if order == "due":
                    self._due_at = monotonic()
                else:
                    self._next_beat = monotonic()  # the beat reads what is so

    def _turn(self) -> None:
        if monotonic() >= self._next_beat:
            self._beat()
        if self._due_at is not None and monotonic() >= self._due_at:
            left = release_due(self.member)
            self._due_at = None if left is None else monotonic() + left
        self._advance()

    def _beat(self) -> None:
        sent = monotonic()
        beat = self.member.beat([(self.seat.holder, self._head)])
        self._next_beat, self._good = sent + self._pause, sent
        self._head = beat.heads[0] if beat.heads else ""
        self._due_at = sent + beat.due_seconds if beat.leader and beat.due_seconds is not None else None
        if beat.leader:
            for number in sweep(self.member):
                logger.warning("member %s was declared dead", number)
        if self.phase in ("starting", "running"):
            if beat.state == "stopping":
                self._epoch_stops = True
                self._begin("stopping", SHUTDOWN)
                self._stop_worker()
            elif beat.state == "failed":
                self._fail()

    def _missed(self, error: BrokerUnavailable) -> None:
        """A beat, or what follows it, got no answer as it should."""
        cause = error if isinstance(error, LinkError) else error.__cause__
        if isinstance(cause, LinkError) and cause.answered:
            self._good = monotonic()
        elif monotonic() - self._good > CUT_SHARE * self._lease:
            self._lost(f"no beat was answered for {CUT_SHARE} leases: {error}")
        self._next_beat = monotonic() + min(self._pause, 0.2)

    # -- phases

    def _begin(self, phase: Phase, *kinds: str) -> None:
        self._hooks = HookRunner(self._server, self.member, self.epoch, kinds)
        self._become(phase)

    def _advance(self) -> None:
        if self.phase == "joining":
            self._join_epoch()
        elif self.phase == "starting":
            self._start_epoch()
        elif self.phase == "running" and self._wanted in ("leaving", "gone"):
            self._leave()
        elif self.phase == "stopping" and self._hooks_ended():
            self._become("leaving")
        elif self.phase == "leaving" and self._wanted == "gone":
            self._drained()
        elif self.phase == "last" and self._hooks_ended():
            self._go()

    def _hooks_ended(self) -> bool:
        if self._hooks is not None and self._hooks.look(stop_at_failure=False) == "busy":
            return False
        self._hooks = None
        return True

    def _join_epoch(self) -> None:
        opening = epochs.open_epoch(self.member, keep_storage=self._settings.storage.keep)
        if opening.how != "wait":
            self.epoch, self._emptying = opening.epoch.number, opening.emptying
            self._begin("starting", STARTUP)

    def _start_epoch(self) -> None:
        if epochs.read(self._store).state == "running":
            self._run_epoch()
            return
        if self._emptying:
            empty_storage(self._store)
            self._store.run("emptied", self.epoch)
            self._emptying = False
        assert self._hooks is not None
        outcome = self._hooks.look(stop_at_failure=True)
        if outcome == "done":
            epochs.run_epoch(self._store, self.epoch)
            self._run_epoch()
        elif outcome == "failed":
            hook, number = next(iter(self._hooks.failed.items()))
            error = self._store.command("HGET", self._store.key(f"p:{number}"), "e")
            epochs.fail_epoch(self._store, self.epoch, failure_value(hook, error or b""))
            self._fail()

    def _run_epoch(self) -> None:
        self._hooks = None
        self._server.forget_epoch()
        logger.info("member %s of %s, epoch %s", self.member.number, self._server.name, self.epoch)
        self._become("running")

    def _fail(self) -> None:
        self.failure = failed_start(epochs.failure(self._store))
        self.member.bury(self.seat.holder)
        self.member.leave()
        self._become("failed")

    def _leave(self) -> None:
        if epochs.leaving(self.member) == "stopping":
            self._epoch_stops = True
            self._begin("stopping", SHUTDOWN)
        else:
            self._become("leaving")

    def _drained(self) -> None:
        self.member.bury(self.seat.holder, counted=False)
        if self._epoch_stops and epochs.drained(self.member) == 0:
            self._begin("last", SHUTDOWN_DRAINED)
        else:
            self._go()

    def _go(self) -> None:
        self.member.leave(hooks_run=self._epoch_stops)
        self._become("gone")
