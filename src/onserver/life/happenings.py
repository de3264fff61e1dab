"""What happens to a worker: all that its supervisor does about events, in one object with a line for each occasion.

Some things wait until hooks were told: a machine that is about to sleep (logind holds it back for us), a worker that
was asked to stop where it is (SIGTSTP). That wait is short and has an end: hooks that are still running then see the
sleep itself, and go on when it is over. Where Redis does not answer nobody can be told, and nothing waits.

    SIGTSTP            told; then this worker stops itself (SIGSTOP), as a program that does not handle it would
    SIGCONT            told
    sleep (logind)     told; then the lock that delays the sleep is given up
    awake (logind)     told; the next sleep is delayed again
    shutdown (logind)  told; the worker leaves as with SIGTERM, and the shutdown is delayed until it has
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from time import monotonic
from typing import Any, Final, Literal

from onserver.cluster.member import Beat, Member
from onserver.errors import BrokerUnavailable
from onserver.lazy import load
from onserver.life.events import Event
from onserver.life.herald import Herald
from onserver.life.passing_on import PassingOn
from onserver.life.settings_anew import reread
from onserver.redis.store import Store
from onserver.server import Server

#: How long hooks may keep a machine from its sleep, or a worker from its stop, in seconds; logind waits 5 by default.
PATIENCE: Final = 4.0
#: How often it is looked whether they have ended.
LOOK_SECONDS: Final = 0.05
#: Between two tries to reach the bus.
_TRY_SECONDS: Final = 60.0
_UNFINISHED: Final = (b"queued", b"running", b"waiting", b"paused")


class Happenings:
    """See the top of this module.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
        node: name of this worker.
        say: prints one line of narration.
    """

    def __init__(self, server: Server, store: Store, node: str, say: Callable[[str], None]) -> None:
        self._server, self._store, self._node, self._say = server, store, node, say
        self.herald = Herald(server, store)
        self._passing = PassingOn(server, store)
        self._news = False
        self._told: list[Event] = []
        self._hold: Literal["", "sleep", "stop"] = ""
        self._hold_until = 0.0
        self._runs: list[int] = []
        self._logind: Any = None
        self._try_at = 0.0

    # -- occasions

    def lost(self, error: BrokerUnavailable) -> None:
        """Redis gave no usable answer to a beat."""
        self.herald.lost(error)

    def heard(self, beat: Beat, sent: float) -> None:
        """A beat was answered that was sent at this uptime."""
        self.herald.heard(beat, sent)
        self._news = beat.news and beat.state in ("running", "stopping")  # start-up hooks come first

    def asked_to_end(self, by: str, grace_seconds: float) -> float:
        """This worker is to leave, because its supervisor or its machine wants it. Returns when: now (monotonic)."""
        self.herald.tell("shutdown.asked", {"by": by, "grace_seconds": float(grace_seconds)})
        return monotonic()

    def reread(self, member: Member) -> bool:
        """Read the settings anew. Returns whether any is another, and holds from now on."""
        found = reread(self._server)
        facts = {"changed": [*found.applied, *found.restart], "restart": list(found.restart), "error": found.error}
        self.herald.tell("settings.reloaded", facts)
        if found.error:
            self._say(f"the settings stay as they were: {found.error}")
        for words, keys in (("changed", found.applied), ("need a restart", found.restart)):
            if keys:
                self._say(f"settings {words}: {', '.join(keys)}")
        if found.applied:
            member.take_settings(self._server.settings)
            self.herald.set_marks()
        return bool(found.applied)

    def signal(self, number: int) -> bool:
        """Take a signal. Returns whether it was one of ours."""
        if number == signal.SIGTSTP:
            self.herald.asleep(cause="signal")
            self._begin_hold("stop")
        elif number == signal.SIGCONT:
            self.herald.awake(cause="signal")
        return number in (signal.SIGTSTP, signal.SIGCONT)

    def order(self, order: str) -> bool:
        """Take what logind has said. Returns whether it was that, and nothing is left to do."""
        if order == "sleep":
            self.herald.asleep()
            self._begin_hold("sleep")
        elif order == "awake":
            self.herald.awake()
            if self._logind is not None:
                self._logind.delay()
        elif order == "deaf":
            self.close()
        return order in ("sleep", "awake", "deaf")

    # -- each turn of the loop

    def turn(self, member: Member) -> bool:
        """Write what was seen, and have hooks told. Returns whether a side run waits for this very worker now.

        Raises:
            MemberFenced: this worker was declared dead; what it saw is written under its next number.
            BrokerUnavailable: it is written when Redis answers.
        """
        self._told += self.herald.flush(member)
        started = self._passing.of_worker(member, self._told) if self._told else []
        self._told.clear()
        self._runs += started if self._hold else []
        member.deaf = self._passing.deaf
        if self._news and not member.deaf:
            self._passing.of_leader(member)
        self._news = False
        return bool(started)

    def settle(self, *, heard: bool) -> None:
        """Let the machine sleep, or stop, when hooks were told or have had their time."""
        if not self._hold:
            return
        untold = self.herald.pending or self._told
        if heard and monotonic() < self._hold_until and (untold or self._are_running()):
            return
        what, self._hold, self._runs = self._hold, "", []
        if what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._logind is not None:
            self._logind.go_on()

    def next_seconds(self) -> float | None:
        """When to look again, or None."""
        return LOOK_SECONDS if self._hold else None

    @property
    def shedding(self) -> bool:
        """Whether this worker is to take no work now."""
        return self.herald.shedding

    # -- logind

    def source(self) -> Any:
        """The connection to logind, to be watched; None where there is none."""
        if self._logind is None and monotonic() >= self._try_at and find_spec("jeepney") is not None:
            self._try_at = monotonic() + _TRY_SECONDS
            try:
                self._logind = load("onserver.life.logind:Logind")(f"onserver {self._node}")
            except (OSError, ValueError):  # no bus here, or none that we may use: nobody tells of sleep
                return None
            self._logind.delay()
        return self._logind

    def close(self) -> None:
        """Hear nothing more from the machine, and let it go on."""
        if self._logind is not None:
            self._logind.close()
            self._logind = None

    def _begin_hold(self, what: Literal["sleep", "stop"]) -> None:
        self._hold, self._hold_until = what, monotonic() + PATIENCE

    def _are_running(self) -> bool:
        keys = [("HGET", self._store.key(f"p:{number}"), "s") for number in self._runs]
        return any(state in _UNFINISHED for state in self._store.pipeline(keys)) if keys else False
