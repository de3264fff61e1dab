"""What the workers of a server do besides: duties of the floors above this one, which are loaded by their names.

Each worker makes all of them when it starts, and tells them of each beat; which of them only the leader does, each
knows by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from onserver.cluster.member import Beat
from onserver.lazy import load
from onserver.redis.store import Store
from onserver.server import Server

DUTIES: Final = (
    "onserver.backup.keeper:Keeper",
    "onserver.backup.change_log:ChangeLog",
    "onserver.connections.ending:Closer",
)


class Duty(Protocol):
    """Something that is done with the beats of a worker."""

    def heard(self, beat: Beat) -> None:
        """A beat was answered: do what is due, in a moment.

        Raises:
            BrokerUnavailable: ONS-1201, Redis gave no answer in time; it is tried again with the next beat.
        """
        ...


def make_duties(server: Server, store: Store, say: Callable[[str], None]) -> Sequence[Duty]:
    """Make them for one worker.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
        say: told, for people, of what could not be done.

    Raises:
        BadSetting: ONS-1007, a setting of one of them has no meaning.
    """
    return [load(name)(server, store, say) for name in DUTIES]
