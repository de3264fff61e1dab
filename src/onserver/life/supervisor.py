"""The supervisor: the member of a worker. It beats, takes orders, watches its executors, and runs no procedure.

One loop waits for whatever comes first: a signal, an order, a child's output, the next beat. Then it does what is due
and looks whether its phase (`phases`) has come to an end. Declared dead, it drops everything and joins under a new
number.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from time import monotonic

from onserver import crash
from onserver.cluster.member import Beat, Member
from onserver.cluster.sweep import bury_gone, release_due, sweep
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.asks import LOOK_SECONDS, Asks
from onserver.life.child import Child
from onserver.life.code import Code
from onserver.life.crew import Crew, describe_end
from onserver.life.drain import ordered_grace
from onserver.life.duties import make_duties
from onserver.life.executor import Tracer
from onserver.life.happenings import Happenings
from onserver.life.health import Health
from onserver.life.kinship import become_subreaper
from onserver.life.log_levels import ORDER as LEVELS
from onserver.life.log_levels import LogLevels
from onserver.life.loops import Loops
from onserver.life.marks import uptime
from onserver.life.orders import Orders
from onserver.life.output import Spoken
from onserver.life.phases import Phases
from onserver.life.resizing import ordered_executors
from onserver.life.side_runs import Sides
from onserver.life.usage import usage_of
from onserver.life.watching import Watching
from onserver.life.worker import Worker
from onserver.process.log import Source
from onserver.process.log_book import LogBook
from onserver.process.stack import ORDER as STACK
from onserver.process.timetable import Timetable
from onserver.redis.answers import LinkError
from onserver.redis.store import Store
from onserver.server import Server

#: Children that run what waits in queues.
_SEATED = ("executor", "async")


class Supervisor:
    """Runs one worker until it has left. See the top of this module.

    Args:
        server: the loaded project.
        worker: what `workers/FILE.py` declares.
        node: name of this worker for people, as in "server@web-1".
        executors: how many, 0 or more.
        grace_seconds: how long a stop waits for what runs.
        load: gives the code that is loaded; called again, after the project's modules were imported anew, by a reload.
        reload: imports the project's modules anew; raises and leaves the old ones when they cannot be imported.
        tracer: runs what came through Celery.
        gate: held while a child is forked; whoever works in a thread of this program works under it.
        health: told how this worker is.
        say: prints one line of narration.
    """

    def __init__(
        self,
        server: Server,
        worker: Worker,
        *,
        node: str,
        executors: int,
        grace_seconds: float,
        load: Callable[[], Code],
        reload: Callable[[], None],
        tracer: Tracer | None = None,
        gate: AbstractContextManager[object] | None = None,
        health: Health,
        say: Callable[[str], None],
    ) -> None:
        self.server = server
        self.node = node
        self._worker = worker
        self._executors = executors
        self._load, self._reload_project = load, reload
        self._tracer = tracer
        self._gate = gate or nullcontext()
        self._health = health
        self._say = say
        settings = server.settings
        self._lease, self._pause = settings.member.lease_seconds, settings.member.beat_seconds
        self._store = _short(server.store, self._lease / 5)
        self._watching = Watching()
        self._book = LogBook(settings.process, node)
        self._next_beat = 0.0
        self._due_at: float | None = None
        self._timetable = Timetable(server, self._store, say)
        self._happenings = Happenings(server, self._store, node, say)
        self._others = make_duties(server, self._store, say)
        self._levels = LogLevels(self._store, say)
        self._tick_at: float | None = None
        self._heard = True
        self._sweep = False
        self._asked = 0.0
        self._phases = Phases(server, self._store, node, grace_seconds, health, say)
        self.code = load()
        self._limits_said: int | None = None

    # -- the loop

    def run(self) -> int:
        """Join, work, leave. Returns the exit status: 1 when the server did not start."""
        crash.role("supervisor")
        become_subreaper()
        with self._watching.handled_signals():
            try:
                while self._phases.now != "gone":
                    if self._phases.now != "joining" or self._join():
                        self._turn()
            finally:
                self._happenings.close()
                self._health.close()
                if hasattr(self, "crew"):
                    self.crew.kill()
                    self._orders.close()
                    with suppress(BrokerUnavailable):  # nobody is left to try again
                        self._book.write(self._store, now=True)
                self._store.close()
        return self._phases.status

    def _turn(self) -> None:
        orders = self._wait()
        self._health.turn(self._phases.now, member=self.member.number, epoch=self._phases.epoch)
        try:
            self._take_orders(orders)
            self._take_signals()
            if self._phases.now == "gone":
                return
            if monotonic() >= self._next_beat:
                self._beat()
            if self._phases.is_gone:  # the start has failed: nothing is said after its traceback
                return
            if self._phases.now == "draining" and monotonic() >= self._phases.deadline:
                self._phases.look = True
            self._phases.look = self._phases.look or self._phases.waits
            self.crew.end_overdue()
            if self._heard:
                self._asks.follow()
                self.crew.look_at_late()
            if self.crew.reap():
                self._phases.look = True
            if self._heard:
                self._book.write(self._store, now=bool(self.crew.deaths))  # last words before the death is known
                self.crew.bury()
                self._duties()
                self._keep_crew()
                if self._phases.look:
                    self._phases.look = False
                    self._phases.advance()
            self._happenings.settle(heard=self._heard)
        except MemberFenced as fenced:
            self._fenced(fenced)
        except (BrokerUnavailable, LinkError) as error:
            self._lost(error)

    def _wait(self) -> list[str]:
        """Wait for whatever comes first; while Redis is away nothing is due but the next try to beat."""
        now = monotonic()
        ends = [self._next_beat - now]
        overdue = self.crew.next_deadline()
        if overdue is not None:
            ends.append(overdue)
        if self._heard and self._phases.look:
            ends.append(0.0)
        held = self._happenings.next_seconds()
        if held is not None:
            ends.append(held)
        if self._heard and self._asks.pending:
            ends.append(LOOK_SECONDS)
        unwritten = self._book.due_seconds()
        if self._heard and unwritten is not None:
            ends.append(unwritten)
        if self._heard and self._due_at is not None:
            ends.append(self._due_at - now)
        if self._heard and self._tick_at is not None:
            ends.append(self._tick_at - now)
        if self._heard and self._phases.now == "draining":
            ends.append(self._phases.deadline - now)
        if self._heard and self._phases.waits:
            ends.append(LOOK_SECONDS)
        levels = self._levels.due_seconds
        if self._heard and levels is not None:
            ends.append(levels)
        self._watching.listen(self._happenings.source())
        return self._watching.wait(min(ends), self._orders if self._heard else None)

    def seats(self) -> list[tuple[str, int, int]]:
        """Holder, pid and running process (0 for none) of each executor, for whoever looks from another thread."""
        crew = getattr(self, "crew", None)
        children = list(crew.children.values()) if isinstance(crew, Crew) else []
        return [(child.holder, child.pid, child.page.current) for child in children if child.role in _SEATED]

    # -- joining

    def _join(self) -> bool:
        """Become a member and come into an epoch. False when this worker was told to end before Redis answered."""
        while True:
            self._health.turn("joining")
            try:
                bury_gone(self._store, self.server.settings)
                self.member = Member.join(self._store, self.server.settings, "worker", self.node, self._facts())
                self._register(self.code)
                self._timetable.plan(self.code.digest, self.code.schedules)
                self._levels.take()
                self._phases.open(self.member)
                break
            except BrokerUnavailable as error:
                if self._heard:
                    self._say(f"waiting for Redis: {error}")
                self._heard = False
                if self._watching.is_asked_to_end:
                    self._phases.now = "gone"
                    return False
        self._heard = True
        self.crew = Crew(self.server, self.member, self._tracer, self._gate, self._watch_child, self._forget_child)
        self._loops = Loops(self.server, self.member, self.crew, self._worker, self._tracer)
        self._asks = Asks(self.server, self.crew)
        self._sides = Sides(self.server, self.member, self.crew)
        self._orders = Orders(self._store, self.member.number, self._lease / 5)
        self._next_beat = monotonic()
        self._phases.begin(self.crew)
        return True

    def _register(self, code: Code) -> None:
        for part in (code.plain, code.coroutines):
            if part is not None:
                self.member.register(part.digest, part.described)
        self._limits_said = self.member.set_limits(code.limits, self._limits_said if code is self.code else None)

    def _facts(self) -> Mapping[str, str]:
        stand_ins = self.server.settings.worker.stand_ins
        facts = {"queues": " ".join(self._worker.queues), "executors": str(self._executors)}
        return {**self.code.facts, **facts, "spare": str(stand_ins)}

    # -- beats, orders, signals

    def _beat(self) -> None:
        sent, sent_up = monotonic(), uptime()
        children = list(self.crew.children.values())
        self._next_beat = sent + self._pause
        used = usage_of(children, self._pause)
        beat = self.member.beat([(child.holder, child.head) for child in children], usage=used)
        for child, head in zip(children, beat.heads, strict=True):
            child.head = head
        self._asks.hear(beat.asks)
        self._health.beat()
        self.crew.stamp(sent)
        for child in children:
            child.complete()
        if not self._heard:
            self._heard = True
            self._say("Redis answers again")
        self._happenings.heard(beat, sent_up)
        self._heed(beat)

    def _heed(self, beat: Beat) -> None:
        self._sweep = beat.leader
        self._sides.waiting = beat.sides
        self._due_at = monotonic() + beat.due_seconds if beat.leader and beat.due_seconds is not None else None
        self._tick_at = self._timetable.heed(beat.leader and beat.state == "running", beat.now_ms)
        for duty in self._others:
            duty.heard(beat)
        self._phases.heed(beat)

    def _lost(self, error: BrokerUnavailable) -> None:
        """Redis did not answer as it should. A refusal is an answer: nobody can be given our work meanwhile."""
        cause = error if isinstance(error, LinkError) else error.__cause__
        if isinstance(cause, LinkError) and cause.answered:
            self.crew.stamp(monotonic())
        self._happenings.lost(error)
        if self._heard:
            self._say(f"Redis does not answer: {error}")
        self._heard = False
        self._next_beat = min(self._next_beat, monotonic() + min(self._pause, 0.2))

    def _fenced(self, fenced: MemberFenced) -> None:
        self._say(f"{fenced} Everything here is dropped.")
        self.crew.kill()
        self._orders.close()
        self._phases.now = "gone" if self._phases.leaves else "joining"

    def _take_orders(self, orders: list[str]) -> None:
        for order in orders:
            if self._happenings.order(order):
                continue
            if order == "shutdown":
                self._asked = self._asked or self._happenings.asked_to_end("logind", self._phases.grace)
            elif order == "due":
                self._due_at = monotonic()
            elif order == "reload":
                self._reload()
            elif order == "drain":
                given = ordered_grace(self.member)
                self._phases.grace = self._phases.grace if given is None else given
                self._phases.leave()
            elif order == "executors":
                self._resize()
            elif order.startswith(STACK):
                self.crew.tell_stack(order.removeprefix(STACK))
            elif order == LEVELS:
                self._fork_anew(self._levels.take())
            elif order == "schedule":
                self._timetable.look()
                self._next_beat = monotonic()
            else:
                self._next_beat = monotonic()  # `running`, `stop`, `failed`, `asked`, `side`: the beat reads what is so

    def _take_signals(self) -> None:
        while self._watching.signals:
            number = self._watching.signals.pop(0)
            if self._happenings.signal(number):
                continue
            if number == signal.SIGUSR2:
                self._reload()
            elif number == signal.SIGHUP:
                self._reread()
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self._phases.forced or self._phases.now == "waiting" or (self._asked and not self._heard):
                    self._phases.force()
                elif self._asked:
                    self._phases.hurry()
                elif number == signal.SIGTERM:
                    self._asked = self._happenings.asked_to_end("SIGTERM", self._phases.grace)
                else:
                    self._asked = monotonic()
        if self._asked and self._phases.works:
            if self._heard:
                self._phases.leave()
            elif monotonic() - self._asked > self._phases.grace:
                self._phases.force()

    def _watch_child(self, child: Child) -> None:
        child.told = self._keep_words
        self._watching.add(child)

    def _keep_words(self, spoken: Sequence[Spoken], source: Source) -> None:
        now_ms = self._store.now_ms()
        for number, text in spoken:
            if number:
                self._book.add(number, now_ms, source, text)

    def _forget_child(self, child: Child) -> None:
        self._watching.drop(child)
        if os.WIFSIGNALED(child.status) or os.WEXITSTATUS(child.status):
            self._phases.stillborn += child.role == "hook" and not child.page.current
            self._say(f"{child.role.replace('async', 'async executor')} {child.holder} {describe_end(child)}")

    # -- duties and phases

    def _duties(self) -> None:
        if self._happenings.turn(self.member):
            self._sides.waiting = True
        if self._due_at is not None and monotonic() >= self._due_at:
            left = release_due(self.member)
            self._due_at = None if left is None else monotonic() + left
        if self._tick_at is not None and monotonic() >= self._tick_at:
            self._tick_at = self._timetable.turn()
        self._fork_anew(self._levels.turn())
        if self._phases.now != "waiting" and not self._phases.late:
            self._sides.take(self.code.plain.digest)
        if self._sweep:
            self._sweep = False
            for number in sweep(self.member):
                self._say(f"member {number} was declared dead")

    def _keep_crew(self) -> None:
        if self._happenings.shedding and self._phases.works:
            self._phases.drain_all()
        elif self._phases.works or self._phases.now == "stopping":
            self.crew.fill(self._executors, self.code.plain.digest, self._worker.queues)
            self.crew.recycle(self._executors, self.code.plain.digest, self._worker.queues)
            self._loops.fill(self.code)
            self._loops.recycle(self.code)

    def _resize(self) -> None:
        """Have as many executors as was ordered; the next look at the crew forks what is missing."""
        count = ordered_executors(self.member)
        if count is not None and count != self._executors and self._phases.works:
            self._say(f"{self.node}: {self._executors} → {count} executors")
            self._executors = count
            self.crew.shrink(count)

    def _reread(self) -> None:
        """Read the settings anew; new executors have them. From a terminal that was closed, it is the wish to end."""
        if os.isatty(0):
            self._watching.signals.append(signal.SIGTERM)
        elif self._phases.works:
            self._fork_anew(self._happenings.reread(self.member))

    def _fork_anew(self, changed: bool) -> None:
        """Let executors that are forked from now on have what has changed in this program."""
        if changed:
            self._reload(anew=False)

    def _reload(self, *, anew: bool = True) -> None:
        """New code in new executors; the old ones finish what they run. Member, epoch and storage stay."""
        if not self._phases.works:
            return
        self._health.reloads()
        try:
            if anew:
                self._reload_project()
            code = self._load()
        except Exception as error:  # noqa: BLE001  # whatever a task file raises: the old code goes on, and it is shown why
            notes = "\n".join(getattr(error, "__notes__", ()))
            self._say(f"reload failed, the old code goes on: {error}\n{notes}".rstrip())
            self.member.note_reload(f"reload failed, the old code goes on: {error}")
            return
        self._register(code)
        self._timetable.plan(code.digest, code.schedules)
        said = f"{self.node}: code {self.code.digest} → {code.digest}"
        self.code = code
        old = [*self.crew.executors(), *self.crew.loops()]
        for child in old:
            child.draining = True
        self.crew.fill(self._executors, code.plain.digest, self._worker.queues)
        self._loops.fill(code)
        self._say(said)  # now that somebody has the new code
        for child in old:
            child.draining = False
        self.crew.drain(old)
        done = f"code {code.digest}, {len(old)} executors new, {len(old)} old ones draining"
        self.member.note_reload(done, code.facts)


def _short(store: Store, deadline: float) -> Store:
    """The same server with deadlines that a beat can afford."""
    return Store(
        store.address,
        store.name,
        connect_seconds=deadline,
        command_seconds=deadline,
        wait_for_replicas=store.wait_for_replicas,
        testing=store.testing,
    )
