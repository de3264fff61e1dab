"""`celery -A workers worker` as a member: it joins, beats, runs hooks once in the cluster, and leaves.

The step `Membership` stands between Celery's pool and its consumer: the pool is there, and nothing was taken yet. A
thread beats, because Celery's main loop may be busy; it shares the interpreter with the pool's threads, so C code that
keeps the interpreter lock for a whole lease makes this member dead, and what it then says is refused. Hooks run in a
program of their own (`own_programs`), and so do side runs, since a worker's main process runs no tasks.

    start:  join → open or join the epoch → start-up hooks end → the consumer may begin
    stop:   consumer closed → shutdown hooks, if the server ends with this worker → the pool drains → leave
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from celery import bootsteps, signals
from celery.utils.log import get_logger
from celery.worker import state as worker_state

from onserver.celery_app.beat_entries import entries_of
from onserver.celery_app.configuring import QUEUE
from onserver.celery_app.desk import Desk
from onserver.celery_app.elsewhere import PREFIX
from onserver.celery_app.heart import Heart, report_cut
from onserver.celery_app.own_programs import SidePrograms, bury, run_program
from onserver.celery_app.pool_orders import PoolOrders
from onserver.celery_app.procedures import register_procedures
from onserver.celery_app.seat import Seat
from onserver.cluster.member import Beat, Member
from onserver.cluster.sweep import bury_gone
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life import epoch as epochs
from onserver.life.code import Code
from onserver.life.health import Health
from onserver.life.hook import SHUTDOWN, SHUTDOWN_DRAINED, STARTUP, Hook, hooks_of
from onserver.life.hook_turns import HookRun
from onserver.life.narrate import failed_start, failure_value
from onserver.process.timetable import Timetable
from onserver.server import Server
from onserver.session.record import SPACE
from onserver.session.storage import empty_storage

logger = get_logger(__name__)

#: Seconds between two looks at what another worker does.
_LOOK_SECONDS = 0.1


class Membership(bootsteps.StartStopStep):
    """See the top of this module."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._desk: Desk = worker.app.desk
        self._server: Server = self._desk.server
        self._member: Member | None = None
        self._seat: Seat | None = None
        self._holder = ""
        self._before: Member | None = None
        self._changed = threading.Event()
        self._heart: Heart | None = None
        self._sides: SidePrograms | None = None
        self._limits_said: int | None = None
        self._epoch = 0
        self._emptying = False
        self._leaving = False
        self._pool_orders = PoolOrders(self._server)
        if self._desk.attached:  # before the pool forks: its children run what is registered now
            self._server.load_tasks()
            register_procedures(worker.app)
            if not self._desk.elsewhere:  # procedures wait there; what `-Q` names is served alone
                worker.app.amqp.queues.add(QUEUE)

    # -- coming

    def start(self, worker: Any) -> None:
        """Join, and wait until the server runs; a failed start ends this worker with status 1."""
        server = self._server
        self._health = Health(server.settings, str(worker.hostname), say=logger.error)
        code = Code.of(server, tuple(worker.app.tasks), entries_of(worker.app))
        facts = {"pool": type(worker.pool).__module__.rpartition(".")[2], "executors": str(worker.concurrency or 1)}
        member = self._member = self._join(str(worker.hostname), {**code.facts, **facts})
        member.register(code.digest, code.described)
        self._limits_said = member.set_limits(code.limits, self._limits_said)
        timetable = Timetable(server, server.store, logger.error)
        timetable.plan(code.digest, code.schedules)
        self._sit(worker, member, code)
        logger.info("onserver: member %s, holder %s", member.number, self._holder)
        self._sides = SidePrograms(server, member, code.digest, self._desk.beside)
        self._heart = Heart(worker, self._desk, member, self._pool_orders, self._heed, timetable, self._health)
        self._health.turn("starting", member=member.number)
        self._heart.start()
        signals.worker_shutdown.connect(self._leave, weak=False, dispatch_uid=f"onserver.leave.{id(self)}")
        self._open(member)
        self._leave_before()
        if not self._run_hooks(STARTUP, stop_at_failure=True):
            worker.exitcode = 1
            print(failed_start(epochs.failure(server.store, self._epoch)), file=sys.stderr, flush=True)
            raise SystemExit(1)
        epochs.run_epoch(server.store, self._epoch)
        self._health.turn("running", member=member.number, epoch=self._epoch)
        logger.info("%s ready · member %s · epoch %s", worker.hostname, member.number, self._epoch)

    def _join(self, node: str, facts: Mapping[str, str]) -> Member:
        """Become a member, once Redis answers."""
        server = self._server
        while True:
            self._health.again()
            try:
                self._before = report_cut(server, node)
                bury_gone(server.store, server.settings)
                return Member.join(server.store, server.settings, "worker", node, facts)
            except BrokerUnavailable as error:
                logger.warning("waiting for Redis: %s", error)
                worker_state.maybe_shutdown()

    def _leave_before(self) -> None:
        """What this program was before it became itself anew is a member no more."""
        before, self._before = self._before, None
        if before is not None:
            with suppress(MemberFenced):  # then it is none already
                before.leave()

    def _sit(self, worker: Any, member: Member, code: Code) -> None:
        """Take a holder for what this worker runs, and with our own broker a seat, from which it claims."""
        desk, server, queues = self._desk, self._server, list(worker.app.amqp.queues.consume_from)
        if desk.elsewhere:
            queues = [PREFIX + queue for queue in queues]
        self._holder = desk.holder = member.enlist(code.digest, queues)
        desk.later = worker.timer.call_after
        if not desk.elsewhere:
            seat = Seat(server.store, server.settings, self._holder, code.digest, queues)
            self._seat = desk.seat = seat

    def _open(self, member: Member) -> None:
        while True:
            opening = epochs.open_epoch(member, keep_storage=self._server.settings.storage.keep)
            if opening.how != "wait":
                break
            self._changed.wait(_LOOK_SECONDS)
        self._epoch = opening.epoch.number
        if opening.emptying:
            empty_storage(self._server.store, SPACE, self._epoch)
            self._server.store.run("emptied", self._epoch)

    def _run_hooks(self, kind: str, *, stop_at_failure: bool) -> bool:
        """Run the hooks of a kind that nobody runs, and wait for the others. False when one failed."""
        store = self._server.store
        sequence = HookRun(store, self._epoch, hooks_of(self._server, kind))
        while True:
            if kind == STARTUP:
                state = "failed" if epochs.failure(store, self._epoch) else epochs.read(store).state
                if state in ("running", "failed"):
                    return state == "running"
            step = sequence.look(stop_at_failure=stop_at_failure)
            if step == "done":
                return not sequence.failed
            if step == "failed":
                hook, number = next(iter(sequence.failed.items()))
                error = store.command("HGET", store.key(f"p:{number}"), "e")
                epochs.fail_epoch(store, self._epoch, failure_value(hook, error or b""))
                return False
            if isinstance(step, Hook):
                self._run_hook(step)
            else:
                self._changed.wait(_LOOK_SECONDS)

    def _run_hook(self, hook: Hook) -> None:
        """Run one hook in a program of its own, in the name of a holder of its own."""
        member, server = self._member, self._server
        if member is None:
            return
        holder = member.enlist()
        words = [str(server.project or ""), holder, str(self._epoch), hook.kind, hook.name, hook.function.__module__]
        late = run_program("hook_program", words, hook.seconds(server))
        stand = server.store.command("HGET", server.store.key(f"hooks:{self._epoch}"), hook.field)
        bury(server, member, holder, int(stand) if stand is not None and stand.isdigit() else 0, late=late)

    def _heed(self, beat: Beat) -> None:
        self._changed.set()
        self._changed.clear()
        if self._sides is not None and self._epoch:
            self._sides.heed(beat)
        if beat.state == "stopping" and beat.epoch == self._epoch and not self._leaving:
            self._leaving = True
            os.kill(os.getpid(), 15)  # SIGTERM: a warm shutdown

    # -- going

    def stop(self, worker: Any) -> None:
        """The consumer is closed: run the shutdown hooks, if the server ends with this worker."""
        member, seat = self._member, self._seat
        if member is None or not self._holder or self._epoch == 0:
            return
        if seat is not None:
            seat.retired = True
        member.retire(self._holder)
        self._leaving = True
        self._health.turn("draining", member=member.number, epoch=self._epoch)
        if epochs.leaving(member) == "stopping":
            self._run_hooks(SHUTDOWN, stop_at_failure=False)

    def terminate(self, worker: Any) -> None:
        """A cold shutdown: nothing is waited for."""

    def _leave(self, **_: Any) -> None:
        """Everything has stopped: what was settled is sent, what is still held goes back, and the member leaves."""
        member, seat, self._member = self._member, self._seat, None
        if member is None or not self._holder:
            return
        try:
            if seat is not None:
                seat.flush()
            if epochs.drained(member):
                self._member = member
                self._run_hooks(SHUTDOWN_DRAINED, stop_at_failure=False)
                self._member = None
            hooks_run = epochs.read(self._server.store).state == "stopping"
            if self._sides is not None:
                self._sides.join()
            self._end_heart()
            member.bury(self._holder, 0, False)
            member.leave(hooks_run=hooks_run)
        except (MemberFenced, BrokerUnavailable) as error:
            logger.warning("onserver: left without a word: %s", error)
        finally:
            self._end_heart()
            self._health.close()

    def _end_heart(self) -> None:
        if self._heart is not None:
            self._heart.stop()
