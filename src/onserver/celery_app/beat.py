"""`celery beat -S onserver`: a beat that shares its entries with other beats and with the workers.

Each time of an entry starts one task, however many of these programs there are; see `beat_entries`.
"""

from time import monotonic
from typing import Any, Final

from celery import beat
from celery.exceptions import ImproperlyConfigured
from celery.utils.log import get_logger

from onserver.celery_app.beat_entries import entries_among
from onserver.errors import ReachError
from onserver.process.timetable import Timetable

logger = get_logger(__name__)

#: Seconds after which it looks what was paused or resumed meanwhile.
_LOOK_SECONDS: Final = 5
_AWAY_SECONDS: Final = 1.0


class Scheduler(beat.Scheduler):
    """The scheduler that Celery's entry point `onserver` names."""

    max_interval = _LOOK_SECONDS

    def setup_schedule(self) -> None:
        """Read the application's `beat_schedule`."""
        super().setup_schedule()
        desk: Any = getattr(self.app, "desk", None)
        if desk is None or desk.elsewhere:
            needs = "`make_app(server)`, or `Server.attach(app, broker='onserver')`"
            raise ImproperlyConfigured(
                f"the scheduler `onserver` needs an application whose messages are records: {needs}"
            )
        self._timetable = Timetable(desk.server, desk.store, logger.error, only_own=True)
        self._timetable.plan("beat", entries_among(self.app, self.schedule or {}))

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Start what is due; returns the seconds until the next look."""
        try:
            coming = self._timetable.turn()
        except ReachError as error:
            logger.warning("Redis does not answer: %s", error)
            return _AWAY_SECONDS
        longest = float(self.max_interval)
        return longest if coming is None else min(longest, max(0.0, coming - monotonic()))
