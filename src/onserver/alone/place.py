"""A place of the engine: one holder, what it says to Redis, and how it runs what it has claimed.

Each step asks what is held here besides (`resume`): a reply may have been lost, after which something is held that was
never heard of. What runs here already is answered too, and passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from onserver.cluster.member import Member
from onserver.life.executor import Tracer
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.runner import Call, perform, prepare, settlement
from onserver.redis.answers import LinkError
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.values import decode

#: Seconds that one wait for a hand-off lasts, and how long its answer may be late.
_WAIT_SECONDS, _LATE_SECONDS = 5, 5.0

#: Runs the body of a call that was claimed, and says how it ended.
Performing: TypeAlias = Callable[[Call, Claim], Settlement]
#: Told of each call that is run: its name, positional arguments, arguments by name.
Seen: TypeAlias = Callable[[str, Sequence[Any], dict[str, Any]], None]


class Place:
    """See the top of this module.

    Args:
        server: the loaded project.
        member: whose holder it is.
        holder: "member.incarnation".
        code: digest of what can be run here.
        queues: where to claim from, first one first.
        tracer: runs what came through Celery.
        seen: told of each call.
    """

    def __init__(
        self,
        server: Server,
        member: Member,
        holder: str,
        code: str,
        queues: Sequence[str],
        tracer: Tracer,
        seen: Seen | None,
    ) -> None:
        self.member = member
        self.holder = holder
        #: Digest of what can be run here.
        self.code = code
        #: Number at the head of the hand-off list at the last beat.
        self.head = ""
        #: Whether another place was taken since: this one claims nothing more.
        self.retired = False
        self._server = server
        self._tracer = tracer
        self._seen = seen
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code, len(queues), *queues)
        self._lock = threading.Lock()
        self._running: set[int] = set()

    # -- claiming

    def step(self, settlements: Sequence[Settlement] = (), *, claim: int = 1) -> list[Claim]:
        """Settle, and claim so many if this is the newest place; what was handed over here is answered as well.

        Raises:
            MemberFenced: ONS-2401, this holder was declared dead.
            BrokerUnavailable: ONS-1201, it is not known what became of it: say the same again.
        """
        words: list[Word] = [word for said in settlements for word in said]
        with self._lock:
            running = self._running - {number for number, kind, *_ in settlements if kind != "store"}
            count = 0 if self.retired else claim + len(running)
            answer = self._server.store.run("step", self.holder, count, 1, *self._words, *words)
            self._running = running
            self._server.storage.cache.require(int(answer[1]))
            claims = [found for found in map(Claim.read, answer[3:]) if found.number not in running]
            self._running |= {found.number for found in claims}
        return claims

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Settle at once and claim nothing: for Celery's tracer."""
        words: Settlement = (number, kind, state, payload, extra)
        with self._lock:
            answer = self._server.store.run("step", self.holder, 0, 0, *self._words, *words)
            self._server.storage.cache.require(int(answer[1]))
            if kind != "store":
                self._running.discard(number)

    def handed_over(self, link: Link) -> list[Claim]:
        """Wait for a hand-off, without asking; nothing when there may be something to claim."""
        try:
            link.send(
                "BLMPOP", _WAIT_SECONDS, 1, self._server.store.key(f"x:{self.holder}"), "LEFT", "COUNT", WIDTH + 1
            )
            answer = link.receive(_WAIT_SECONDS + _LATE_SECONDS)
        except LinkError:  # silent, or the connection was lost: what was handed over is held, and answered by a step
            link.close()
            return []
        if answer is None or answer[1][0] == b"wake":
            return []
        self._server.storage.cache.require(int(answer[1][WIDTH]))
        claim = Claim.read(answer[1][:WIDTH])
        with self._lock:
            self._running.add(claim.number)
        return [claim]

    def wake(self) -> None:
        """Let whoever waits for a hand-off look up, also when one is on its way."""
        store = self._server.store
        store.command("RPUSH", store.key(f"x:{self.holder}"), *["wake"] * (WIDTH + 1))

    def die(self) -> None:
        """Its member was declared dead: nothing is handed over here any more, and whoever waits for that looks up."""
        self.retired = True
        key = self._server.store.key(f"x:{self.holder}")
        self._server.store.pipeline([("RPUSH", key, "wake"), ("PEXPIRE", key, int(1000 * _LATE_SECONDS))])

    # -- running

    def run(self, claim: Claim, performing: Performing | None = None) -> list[Settlement]:
        """Run one claim. Returns what is to be settled with the next step.

        Args:
            claim: what was claimed here.
            performing: runs its body; by default in this thread, for as long as it takes.
        """
        if not claim.lean:
            self._tracer.run(claim, self)
            with self._lock:
                self._running.discard(claim.number)
            return []
        prepared = prepare(claim, self._server)
        if not isinstance(prepared, Call):
            return [settlement(claim, self._server, prepared)]
        if self._seen is not None:
            args, kwargs = decode(claim.body)  # once more: the body may change its own
            self._seen(prepared.name, args, kwargs)
        return [(performing or self._performed)(prepared, claim)]

    def _performed(self, call: Call, claim: Claim) -> Settlement:
        return settlement(claim, self._server, perform(call, claim, self._server, self.holder))
