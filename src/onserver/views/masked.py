"""Values without what is a secret: which one is, its name tells (the setting `admin.mask`)."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, cast

from onserver.server import Server

#: What stands in the place of a value that is not shown.
DOTS: Final = "•••"


class Mask:
    """Hides values by the names that they have.

    Args:
        patterns: of names, with `*` for anything; upper and lower case are the same.

    Example:
        >>> mask = Mask(["*token*"])
        >>> mask.hides("csrfToken"), mask.over({"user": "ann", "csrfToken": "x"})
        (True, {'user': 'ann', 'csrfToken': '•••'})
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern.casefold() for pattern in patterns)
        self.hides = lru_cache(4096)(self._hides)

    def over(self, value: Any, name: str = "") -> Any:
        """Copy a value; what has to be hidden in it is dots.

        Args:
            value: of dicts and lists.
            name: that it has itself.
        """
        if name and self.hides(name):
            return DOTS
        if isinstance(value, dict):
            return {key: self.over(item, key) for key, item in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self.over(item) for item in cast("list[object]", value)]
        return value

    def touches(self, value: Any, name: str = "") -> bool:
        """Tell whether anything of a value is hidden."""
        if name and self.hides(name):
            return True
        if isinstance(value, dict):
            return any(self.touches(item, key) for key, item in cast("dict[str, Any]", value).items())
        return isinstance(value, list) and any(map(self.touches, cast("list[object]", value)))

    def _hides(self, name: str) -> bool:
        return any(fnmatchcase(name.casefold(), pattern) for pattern in self._patterns)


def mask_of(server: Server) -> Mask:
    """Answer what is hidden on the admin page of a server."""
    return Mask(server.settings.admin.mask)
