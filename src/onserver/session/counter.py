"""A counter: a top-level entry of its own kind, which adding to needs no lock."""

from __future__ import annotations

from onserver.checkpoint import acheckpoint, checkpoint
from onserver.errors import NotShareable
from onserver.redis.store import Store
from onserver.session.entry import Reads
from onserver.session.root import check_name
from onserver.session.running import running
from onserver.session.sender import next_nonce
from onserver.session.steps import Step, Steps, adrive


class Counter:
    """A whole number that many add to at once, each time in one atomic trip.

    It reads as an int, is listed and versioned like every entry. Only the root's `use` replaces or removes it.
    """

    def __init__(self, store: Store, space: str, key: str, cache: Reads) -> None:
        self._store = store
        self._space = space
        self.key = check_name(key)
        self._cache = cache

    def add(self, amount: int = 1) -> int:
        """Add to the counter, which begins at 0, and return its new value.

        Args:
            amount: what is added; below 0 it is taken away. The value stays within 64 bits.

        Raises:
            NotShareable: ONS-3106, there is an entry of this name that is no counter, or the amount is no int.
            MemberFenced: ONS-2401, this process was given to another worker: nothing was added.

        4D: none; a number in storage that is changed inside `Use`.
        """
        checkpoint()
        return self._added(self._ask(amount))

    async def aadd(self, amount: int = 1) -> int:
        """The same as `add`, without blocking the running loop."""
        await acheckpoint()
        return await adrive(self._steps(amount))

    @property
    def value(self) -> int:
        """The value as it is now, 0 where there is no entry yet."""
        entry = self._cache.entry(self.key)
        return int(entry.value) if entry.version else 0

    def __int__(self) -> int:
        return self.value

    def _steps(self, amount: int) -> Steps[int]:
        answer = yield Step(lambda: self._ask(amount))
        return self._added(answer)

    def _ask(self, amount: int) -> list[bytes]:
        if type(amount) is not int:
            raise NotShareable(repr(amount), type(amount).__name__, "cannot be added to a counter", "Give an int.")
        run = running()
        holder = "" if run is None else run.holder
        # the nonce is that of the thread which sends it
        answer: list[bytes] = self._store.run("add", self._space, self.key, holder, next_nonce(), amount)
        return answer

    def _added(self, answer: list[bytes]) -> int:
        if answer[0] == b"kind":
            advice = f'`storage.use("{self.key}")` changes it.'
            raise NotShareable(self.key, "value", "is no counter", advice)
        self._cache.wrote({self.key: int(answer[2])}, int(answer[3]))
        return int(answer[1])
