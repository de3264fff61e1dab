"""A seat: in whose name this program claims processes for Celery's pool, and what it holds.

There is one for a worker, taken by its bootstep, and it outlives connections: what a pool runs while Redis is away is
still held afterwards, and its acknowledgement comes through whatever connection there is then. All its methods but
`flush` are called by the thread that consumes.
"""

from collections.abc import Sequence
from typing import Any

from onserver.celery_app.holding import limits
from onserver.errors import MemberFenced
from onserver.process.claim import Claim, Settlement
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.settings import Settings


class Seat:
    """The holder of one Celery worker.

    Args:
        holder: "member.incarnation", enlisted with this code and these queues.
        code: the digest of the names that this worker can run.
    """

    def __init__(self, store: Store, settings: Settings, holder: str, code: str, queues: Sequence[str]) -> None:
        self.store = store
        self.holder = holder
        self.code = code
        self.queues = list(queues)
        #: Numbers that were delivered to the pool and are not acknowledged.
        self.running: set[int] = set()
        #: Numbers whose run ended with the death of the child that ran it.
        self.lost: set[int] = set()
        #: Those of them that go on while Redis is silent (`when_cut="finish"`).
        self.finishing: set[int] = set()
        #: Numbers whose run was ended because Redis was silent: no delivery is counted.
        self.cut: set[int] = set()
        #: What tells the run of each of them from others under its number: see `Claim.mark`.
        self.marks: dict[int, str] = {}
        #: Those that came anew, having been replayed, before the pool had acknowledged their former run.
        self._again: dict[int, Claim] = {}
        self._released: list[Claim] = []
        #: Whether Redis has this holder among those that wait for a hand-over.
        self.idle = False
        #: Whether this holder takes nothing more.
        self.retired = False
        #: Whether an answer may have been lost, so that what is held must be asked for.
        self.resume = False
        #: Storage change number of the last claim.
        self.change = 0
        self._limits = limits(settings)
        self._settlements: list[Settlement] = []

    @property
    def unsent(self) -> bool:
        """Whether something was settled here and not yet sent."""
        return bool(self._settlements)

    def settle(self, number: int, kind: str, state: str = "", payload: bytes = b"", extra: str = "") -> None:
        """Settle with the next step or flush; the place in the pool is free at once."""
        mark = self.marks.pop(number, "")
        marked = kind == "free" or (kind == "end" and mark.startswith("#"))
        self._settlements.append((number, kind, state, payload, mark if mark and marked else extra))
        self.running.discard(number)
        if number in self._again:
            self._released += self._taken([self._again.pop(number)])
        for known in (self.lost, self.finishing, self.cut):
            known.discard(number)

    def step(self, claim: int) -> tuple[list[Word], list[Settlement]]:
        """The arguments of the next `step`, and the settlements that it carries."""
        carried, self._settlements = self._settlements, []
        resume = int(self.resume and claim > 0)
        words: list[Word] = [
            self.holder, claim, resume, *self._limits, self.code, len(self.queues), *self.queues,
        ]  # fmt: skip
        for settlement in carried:
            words += settlement
        return words, carried

    def unsend(self, carried: Sequence[Settlement]) -> None:
        """Take back settlements whose sending failed: they go with the next step, and may arrive twice."""
        self._settlements[:0] = carried

    def answered(self, reply: Sequence[Any], claim: int) -> list[Claim]:
        """Read the answer of a `step`: what is to be run."""
        _refused, change, again, *texts = reply
        self.change = max(self.change, int(change))
        if claim:
            self.resume = False
            self.idle = not texts and not again
        return self._taken([Claim.read(text) for text in texts])

    def handed(self, texts: Sequence[bytes]) -> list[Claim]:
        """Read what was found in the hand-off list: a message and the change number, or a word to look up."""
        self.idle = False
        *message, change = texts
        if message[0] == b"wake":
            return []
        self.change = max(self.change, int(change))
        return self._taken([Claim.read(message)])

    def released(self) -> list[Claim]:
        """What came before its place was free, and can be run now."""
        found, self._released = self._released, []
        return found

    def _taken(self, claims: Sequence[Claim]) -> list[Claim]:
        """Take over what does not run here already."""
        fresh = [claim for claim in claims if claim.number not in self.running]
        others = (claim for claim in claims if claim.number in self.running)
        self._again.update({claim.number: claim for claim in others if claim.mark != self.marks.get(claim.number, "")})
        self.running.update(claim.number for claim in fresh)
        self.marks.update((claim.number, claim.mark) for claim in fresh if claim.mark)
        self.finishing.update(claim.number for claim in fresh if "F" in claim.flags)
        return fresh

    def flush(self) -> None:
        """Send what was settled, by itself.

        Raises:
            MemberFenced: this holder was declared dead; what it settled is refused.
        """
        if not self._settlements:
            return
        words, carried = self.step(0)
        try:
            self.store.run("step", *words)
        except MemberFenced:
            raise
        except BaseException:
            self.unsend(carried)
            raise
