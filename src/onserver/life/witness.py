"""Who is told of what an executor runs: for Celery's events, of which this floor knows nothing.

A witness is there before the executors are forked, and looks for itself whether anybody wants to know.
"""

from typing import Protocol

from onserver.process.claim import Claim


class Witness(Protocol):
    """Told of each process that an executor runs."""

    def begins(self, claim: Claim, holder: str) -> None:
        """A process begins, in the name of this holder."""
        ...

    def settled(self, number: int, kind: str, state: str, payload: bytes) -> None:
        """Something was said of a process; kinds and states as in `lua/step.lua`, and `aborted` where it is to be."""
        ...

    def buried(self, number: int) -> None:
        """An executor has died while it ran this process, and was buried (supervisor)."""
        ...


#: Those that are told. Filled by the command line, before the fork.
witnesses: list[Witness] = []
