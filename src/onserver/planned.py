"""Tables of the settings file whose names are the project's own.

    [schedule.nightly]                      what is started at its times
    procedure = "shop.invoices"
    cron = "0 2 * * *"
    timezone = "Europe/Paris"

    [queue.reports]                         what holds for a queue
    at_once = 4

Their names are the project's own, so they are read apart from the other settings, of which each has one name.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Struct, field

from onserver.errors import BadSetting, UnknownSetting

_YEAR: Final = 366 * 86_400.0


class ScheduleSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One schedule."""

    procedure: Annotated[str, Meta(min_length=1, description="what is started; the end of its name will do")]
    cron: Annotated[str, Meta(description="its times, as cron has them: minute hour day month weekday")] = ""
    every_seconds: Annotated[float, Meta(ge=0, le=_YEAR, description="instead of `cron`: so often, from 1970 on")] = 0
    timezone: Annotated[str, Meta(min_length=1, description="IANA name of the zone in which `cron` is read")] = "UTC"
    arguments: Annotated[
        list[Any] | dict[str, Any], Meta(description="a list is passed by position, a table by name")
    ] = field(default_factory=list[Any])
    missed: Annotated[
        Literal["skip", "once", "all"], Meta(description="what becomes of times that passed while no worker was up")
    ] = "once"


class QueueSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue: how many of its processes run at once, or begin in a time, in the whole cluster."""

    at_once: Annotated[int, Meta(ge=0, le=10**6, description="so many run at the same time; 0: no such limit")] = 0
    rate: Annotated[int, Meta(ge=0, le=10**6, description="so many begin within `per_seconds`; 0: no such limit")] = 0
    per_seconds: Annotated[float, Meta(gt=0, le=_YEAR, description="see `rate`")] = 1.0


T = TypeVar("T", bound=Struct)
#: Each section of such tables, and what one table of it is.
NAMED: Final[Mapping[str, type[Struct]]] = {"schedule": ScheduleSettings, "queue": QueueSettings}


def read_named(section: str, kind: type[T], tables: object, file: str, lines: Mapping[str, int]) -> dict[str, T]:
    """Read what stands below `[section]`.

    Args:
        section: `schedule` or `queue`.
        kind: what one table is.
        tables: name to table, as TOML has them.
        file: the settings file, for errors.
        lines: where each key stands, likewise.

    Raises:
        UnknownSetting: ONS-1003, a table has a key that none has.
        BadSetting: ONS-1007, a value has the wrong type or is out of range.
    """
    found: dict[str, T] = {}
    for name, table in _named(tables, section, file).items():
        key = f"{section}.{name}"
        values = _named(table, key, file)
        for unknown in values.keys() - kind.__struct_fields__:
            near = difflib.get_close_matches(unknown, kind.__struct_fields__)
            raise UnknownSetting(f"{key}.{unknown}", file, near, lines.get(f"{key}.{unknown}"))
        try:
            found[name] = msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            raise _bad(key, values, str(error), file, lines) from None
    return found


def _named(value: object, key: str, file: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadSetting(key, value, "it has to be a table", file)
    return cast("dict[str, object]", value)


def _bad(key: str, values: Mapping[str, object], said: str, file: str, lines: Mapping[str, int]) -> BadSetting:
    problem, _, where = said.partition(" - at `$.")
    where = re.split(r"[.\[`]", where)[0]
    if where not in values:
        return BadSetting(key, dict(values), "it names no `procedure`", file)
    wanted = problem.removeprefix("Expected ").replace(", got ", ", and is ")
    wanted = "skip, once or all" if wanted.startswith("Invalid enum") else wanted
    return BadSetting(f"{key}.{where}", values[where], f"it has to be {wanted}", file, lines.get(f"{key}.{where}"))
