"""The limits of one session's REST requests (specification 2.11).

They are kept in the record of the session, so a change holds from the next request on, on whatever worker or web
server it comes. One that is not set has its default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from onserver.session.entity_sets import EntitySets

#: Seconds that a set lives unused, where nothing else is said: the original's two hours.
DEFAULT_TIMEOUT: Final = 7200

_SETS, _DEFAULT, _MOST = "nbEntitySets", "defaultEntitySetTimeout", "maxEntitySetTimeout"


class CurrentValues:
    """How much of its limits a session uses now."""

    def __init__(self, sets: Callable[[], EntitySets]) -> None:
        self._sets = sets

    @property
    def nb_entity_sets(self) -> int:
        """How many sets it has."""
        return len(self._sets().listed())

    nbEntitySets = nb_entity_sets  # noqa: N815  # the original's spelling


class QuotaManager:
    """The limits of a session: `session.quotas`.

    Args:
        read: answers what is set.
        write: sets some of it, None for what is to have its default again.
        sets: answers the sets that the session has.

    Example:
        >>> quotas = Server.current().sessions.open("web").quotas
        >>> quotas.nb_entity_sets is None, quotas.default_entity_set_timeout
        (True, 7200)
        >>> quotas.max_entity_set_timeout = 600
        >>> quotas.default_entity_set_timeout
        600

    4D: the QuotaManager class.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, int]],
        write: Callable[[Mapping[str, int | None]], object],
        sets: Callable[[], EntitySets],
    ) -> None:
        self._read = read
        self._sets = sets
        self._write = write

    @property
    def nb_entity_sets(self) -> int | None:
        """How many sets the session may have at a time; None without a limit. Whoever needs one more gets HTTP 429.

        Raises:
            ValueError: on setting, it is not a whole number above 0.
        """
        return self._read().get(_SETS)

    @nb_entity_sets.setter
    def nb_entity_sets(self, number: int | None) -> None:
        self._set(_SETS, number)

    @property
    def default_entity_set_timeout(self) -> int:
        """Seconds that a set lives unused, where its request says nothing; never more than the maximum.

        Raises:
            ValueError: on setting, it is not a whole number above 0.
        """
        found = self._read()
        chosen = found.get(_DEFAULT, DEFAULT_TIMEOUT)
        return min(chosen, found.get(_MOST, chosen))

    @default_entity_set_timeout.setter
    def default_entity_set_timeout(self, seconds: int | None) -> None:
        self._set(_DEFAULT, seconds)

    @property
    def max_entity_set_timeout(self) -> int | None:
        """Seconds that a set lives unused at most, whatever its request says; None without a limit.

        Raises:
            ValueError: on setting, it is not a whole number above 0.
        """
        return self._read().get(_MOST)

    @max_entity_set_timeout.setter
    def max_entity_set_timeout(self, seconds: int | None) -> None:
        self._set(_MOST, seconds)

    @property
    def current_values(self) -> CurrentValues:
        """How much of it is used now."""
        return CurrentValues(self._sets)

    def timeout_of_set(self, asked: int | None) -> int:
        """Answer how long a new set lives unused, in seconds, whose request asks for so many or says nothing."""
        most = self.max_entity_set_timeout
        chosen = asked or self.default_entity_set_timeout
        return chosen if most is None else min(chosen, most)

    def _set(self, name: str, number: int | None) -> None:
        if number is not None and (type(number) is not int or number <= 0):
            raise ValueError(f"{name} is a whole number above 0, or None for no limit of its own, not {number!r}")
        self._write({name: number})

    # the original's spelling
    nbEntitySets = nb_entity_sets  # noqa: N815
    defaultEntitySetTimeout = default_entity_set_timeout  # noqa: N815
    maxEntitySetTimeout = max_entity_set_timeout  # noqa: N815
    currentValues = current_values  # noqa: N815
