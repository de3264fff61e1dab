"""In whose name something is had that only its owner may give back: a semaphore, the lock of a signal.

In a run it is the run; outside of runs the thread or the task, in the name of this program, which becomes a member
for as long as it has anything.
"""

from contextlib import AbstractContextManager
from typing import NamedTuple

from onserver.server import Server
from onserver.session.running import running, strand
from onserver.session.steps import Step, Steps


class Owner(NamedTuple):
    """Who has something, as locks name their owners, and what keeps this program a member meanwhile."""

    name: str
    holding: AbstractContextManager[object] | None

    @property
    def part(self) -> str:
        """The last part of its name."""
        return self.name.partition("/")[2]

    def leave(self) -> None:
        """Nothing is had any more."""
        if self.holding is not None:
            self.holding.__exit__(None, None, None)


def own(server: Server) -> Steps[Owner]:
    """Answer the owner in whose name is taken what is taken here; to be left again."""
    run = running()
    if run is not None:
        return Owner(run.owner, None)
    part, holding = strand(), server.client.holding()
    holder = yield Step(holding.__enter__)
    return Owner(f"{holder}/{part}", holding)


def own_part() -> str:
    """Answer the last part of the owner's name, which no two of this program have in common: without a trip."""
    run = running()
    return strand() if run is None else run.owner.partition("/")[2]
