"""The phases of a worker's life, and what brings each to its end.

    joining → (waiting →) starting → running → stopping → draining → last → gone

`stopping` is the time in which remote clients leave, and then that of the shutdown hooks; `last` that of those with
`when="drained"`. A worker that leaves while others stay goes from running to draining at once. Draining, it hands back
at once what it had claimed and not begun, and gives what runs its grace time. A second signal ends that time: what runs
is interrupted, and killed 2 s later; a third one kills it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Literal

from onserver.cluster.member import Beat, Member
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life import epoch as epochs
from onserver.life.crew import Crew
from onserver.life.guests import Guests
from onserver.life.health import Health
from onserver.life.hook import SHUTDOWN, SHUTDOWN_DRAINED, STARTUP, Hook, hooks_of
from onserver.life.hook_turns import HookRun
from onserver.life.narrate import failed_start, failure_value, hook_line
from onserver.life.running_hook import run_hook
from onserver.redis.answers import LinkError
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.record import SPACE
from onserver.session.storage import empty_storage

Phase = Literal["joining", "waiting", "starting", "running", "stopping", "draining", "last", "gone"]


class Phases:
    """Where one worker is in its life. See the top of this module.

    Args:
        server: the loaded project.
        store: of the server, with deadlines that a beat can afford.
        node: name of the worker for people.
        grace_seconds: how long a stop waits for what runs.
        health: told when the worker is ready.
        say: prints one line of narration.
    """

    def __init__(
        self, server: Server, store: Store, node: str, grace_seconds: float, health: Health, say: Callable[[str], None]
    ) -> None:
        self.now: Phase = "joining"
        self.epoch = 0
        #: The exit status of the worker: 1 when the server did not start.
        self.status = 0
        #: Look whether the phase has come to an end.
        self.look = True
        self.grace = grace_seconds
        #: Asked twice to end: no hook begins any more.
        self.forced = False
        #: The grace time is over, and what runs is being ended.
        self.late = False
        #: Hooks whose child died before it could claim them.
        self.stillborn = 0
        self.deadline = 0.0
        self._stopping = False
        self._server, self._store, self._node = server, store, node
        self._health, self._say = health, say
        self._lease = server.settings.member.lease_seconds

    @property
    def works(self) -> bool:
        """Whether this worker is not yet about to go."""
        return self.now in ("starting", "running")

    @property
    def is_gone(self) -> bool:
        """Whether it has gone, by whatever was just done."""
        return self.now == "gone"

    @property
    def waits(self) -> bool:
        """Whether it waits for remote clients to leave, and is to look again soon."""
        return self.now == "stopping" and not self._guests.left

    @property
    def leaves(self) -> bool:
        """Whether it is about to go, or has gone: declared dead meanwhile, it does not come again."""
        return self.now in ("stopping", "draining", "last", "gone")

    # -- coming

    def open(self, member: Member) -> None:
        """Open an epoch, or come into the one that lives."""
        self._member = member
        self._opening = epochs.open_epoch(member, keep_storage=self._server.settings.storage.keep)

    def begin(self, crew: Crew) -> None:
        """Begin with these executors."""
        self._crew = crew
        self.now, self.look = "waiting", True
        self._enter()

    def _enter(self) -> None:
        if self._opening.how != "wait":
            self.now = "starting"
            self.epoch = self._opening.epoch.number
            self._hooks = self._sequence(STARTUP)

    def _sequence(self, kind: str) -> HookRun:
        return HookRun(self._store, self.epoch, hooks_of(self._server, kind))

    # -- going on

    def heed(self, beat: Beat) -> None:
        """Act on what a beat says of the server.

        Raises:
            MemberFenced: the server that this worker worked for is gone.
        """
        self.look = True
        if beat.epoch != (self.epoch or beat.epoch) or beat.state == "none":
            if self.now == "starting" and epochs.failure(self._store, self.epoch):
                self._fail()
                return
            raise MemberFenced(str(self._member.number))
        if self.works:
            if beat.state == "stopping":
                self._begin_stop()
            elif beat.state == "failed":
                self._fail()

    def advance(self) -> None:
        """Look whether the phase has come to an end."""
        if self.now == "waiting":
            self.open(self._member)
            self._enter()
        elif self.now == "starting":
            self._start()
        elif self.now == "stopping":
            if self._guests.gone() and self._run_hooks(stop_at_failure=False) == "done":
                self._begin_drain()
        elif self.now == "draining":
            self._drain()
        elif self.now == "last" and self._run_hooks(stop_at_failure=False) == "done" and not self._crew.children:
            self._go()

    def _start(self) -> None:
        if epochs.read(self._store).state == "running":
            self._ready()
            return
        if self._opening.emptying:
            empty_storage(self._store, SPACE, self.epoch)
            self._store.run("emptied", self.epoch)
        outcome = self._run_hooks(stop_at_failure=True)
        if outcome == "done":
            epochs.run_epoch(self._store, self.epoch)
            self._ready()
        elif outcome == "failed":
            hook, number = next(iter(self._hooks.failed.items()), (self._hooks.hooks[0], 0))
            error = self._store.command("HGET", self._store.key(f"p:{number}"), "e")
            epochs.fail_epoch(self._store, self.epoch, failure_value(hook, error or b""))
            self._fail()

    def _ready(self) -> None:
        self.now = "running"
        self._health.turn("running", member=self._member.number, epoch=self.epoch)  # before it is said
        count = len(self._server.registry.all())
        self._say(f"{self._node} ready · member {self._member.number} · {count} procedures · epoch {self.epoch}")

    def _run_hooks(self, *, stop_at_failure: bool) -> str:
        """Run the next hook of the present sequence if nobody does."""
        if any(child.role == "hook" for child in self._crew.children.values()) or self._crew.deaths:
            return "busy"
        step = self._hooks.look(stop_at_failure=stop_at_failure)
        if not isinstance(step, Hook):
            return step
        if self.stillborn >= self._server.settings.process.deliveries:
            return "failed" if stop_at_failure else "done"  # its children die before they can claim it
        epoch = self.epoch
        self._say(hook_line(step, epoch))
        self._crew.run_hook(lambda executor: run_hook(executor, epoch, step))
        return "busy"

    def _fail(self) -> None:
        """The start has failed: the traceback is the last thing on the screen, and the status is 1."""
        self.status = 1
        self._crew.kill()
        self._crew.bury()
        self._member.leave()
        self.now = "gone"
        sys.stdout.flush()
        self._say(failed_start(epochs.failure(self._store, self.epoch)))

    # -- leaving

    def _begin_stop(self) -> None:
        self._stopping = True
        asked = epochs.asked_grace(self._store)
        self.grace = self.grace if asked is None else asked
        self.now, self.look = "stopping", True
        self._hooks = self._sequence(SHUTDOWN)
        self._guests = Guests(self._server, self._store, self.grace, self._say)

    def leave(self) -> None:
        """This worker is to go: the last one takes the server with it."""
        if not self.works:
            return
        state = epochs.leaving(self._member)
        if state == "stopping":
            self._begin_stop()
        else:
            self._begin_drain()

    def _begin_drain(self) -> None:
        self.now, self.look = "draining", True
        self.deadline = monotonic() + self.grace
        running = sum(len(child.page.begun) for child in self._crew.children.values())
        self._say(f"{self._node} takes no more work, {running} {'process' if running == 1 else 'processes'} running")
        self.drain_all()

    def drain_all(self) -> None:
        """Let every executor end after what it runs."""
        self._crew.drain([*self._crew.executors(), *self._crew.loops()])

    def _drain(self) -> None:
        if not self._crew.children:
            if self._crew.deaths:
                self.look = True
            elif not self.forced and epochs.drained(self._member):
                self._stopping = True  # another has stopped the server while this one was leaving
                self.now, self.look = "last", True
                self._hooks = self._sequence(SHUTDOWN_DRAINED)
            else:
                self._go()
        elif monotonic() >= self.deadline:
            self.deadline, self.late = monotonic() + self._lease, True
            self._crew.stop()
        else:
            self.drain_all()

    def _go(self) -> None:
        state = self._member.leave(hooks_run=self._stopping and not self.forced)
        self._say(f"epoch {self.epoch} closed" if state == "stopped" else f"{self._node} left")
        self.now = "gone"

    def hurry(self) -> None:
        """Asked twice: the grace time is over, and no hook begins any more; what is interrupted runs elsewhere."""
        self.forced, self.grace = True, 0.0
        self._say("interrupting what runs")
        self._begin_drain()

    def force(self) -> None:
        """Asked again: end what runs now; it is run again by whoever comes."""
        self.forced = True
        self._say("ending at once")
        self._crew.kill()
        self.now = "gone"
        with suppress(BrokerUnavailable, LinkError, MemberFenced):  # then others find that this program is gone
            self._crew.bury()
            self._member.leave()
