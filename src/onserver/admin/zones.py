"""The time zones of the page: UTC, that of the server, and that of whoever looks; a time always names its zone.

A browser tells its zone in a cookie, once the page's script has run there; until then, and without scripts, `local` is
UTC, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC as UTC_ZONE
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: What can be chosen.
CHOICES: Final = ("utc", "server", "local")


@dataclass(frozen=True)
class Zone:
    """A time zone.

    Attributes:
        choice: one of `CHOICES`.
        info: what it is; None is that of this machine.
        name: of it, where it does not depend on the time.
    """

    choice: str
    info: tzinfo | None
    name: str = ""

    def at(self, ms: float) -> datetime:
        """Return the time of a moment in this zone.

        Args:
            ms: milliseconds since 1970.
        """
        return datetime.fromtimestamp(ms / 1000, UTC_ZONE).astimezone(self.info)

    def exact(self, ms: float) -> str:
        """Return a moment to the second, with the name of the zone."""
        found = self.at(ms)
        return f"{found:%Y-%m-%d %H:%M:%S} {self.name or found.strftime('%Z')}"

    def read(self, text: str) -> int | None:
        """Read a time in this zone: `2026-08-01`, `2026-08-01T14:30`, `2026-08-01 14:30:05`, or with an offset.

        Returns:
            Milliseconds since 1970; None where it is no time.
        """
        try:
            found = datetime.fromisoformat(text)
            if found.tzinfo is None:
                found = found.replace(tzinfo=self.info) if self.info else found.astimezone()
            return int(found.timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            return None


UTC: Final = Zone("utc", UTC_ZONE, "UTC")


def zone(choice: str, browsers: str = "") -> Zone:
    """Return a zone.

    Args:
        choice: one of `CHOICES`; another one is UTC.
        browsers: what the browser says where it is, as in `Europe/Paris`; empty where it has not said.
    """
    if choice == "server":
        return Zone("server", None)
    if choice == "local":
        found = _known(browsers)
        return Zone("local", UTC_ZONE, "UTC") if found is None else Zone("local", found, browsers)
    return UTC


@lru_cache(maxsize=100)
def _known(name: str) -> ZoneInfo | None:
    """Look up a name that somebody has sent: nothing that is no name of a zone reaches the file system."""
    if not name or len(name) > 50 or not all(part.replace("_", "").replace("-", "").replace("+", "").isalnum()
                                             for part in name.split("/")):  # fmt: skip
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
