"""The pages, one module a noun; each has `PAGES`. Their order is that of the navigation."""

from collections.abc import Sequence
from types import ModuleType
from typing import Final

from onserver.admin.pages import (
    audit,
    backups,
    diagnostics,
    hooks,
    locks,
    members,
    overview,
    processes,
    roles,
    schedule,
    sessions,
    storage,
)

#: The modules. One a line.
MODULES: Final[Sequence[ModuleType]] = (
    overview,
    processes,
    sessions,
    storage,
    locks,
    members,
    hooks,
    backups,
    schedule,
    roles,
    audit,
    diagnostics,
)
