"""The tables `[schedule.NAME]` of the settings file: what is started at its times.

    [schedule.nightly]
    procedure = "shop.invoices"
    cron = "0 2 * * *"
    timezone = "Europe/Paris"

Their names are the project's own, so they are read apart from the other settings, of which each has one name.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, cast

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


def read_schedules(tables: object, file: str, lines: Mapping[str, int]) -> dict[str, ScheduleSettings]:
    """Read what stands below `[schedule]`.

    Args:
        tables: name to table, as TOML has them.
        file: the settings file, for errors.
        lines: where each key stands, likewise.

    Raises:
        UnknownSetting: ONS-1003, a table has a key that none has.
        BadSetting: ONS-1007, a value has the wrong type or is out of range.
    """
    found: dict[str, ScheduleSettings] = {}
    for name, table in _named(tables, "schedule", file).items():
        key = f"schedule.{name}"
        values = _named(table, key, file)
        for unknown in values.keys() - ScheduleSettings.__struct_fields__:
            near = difflib.get_close_matches(unknown, ScheduleSettings.__struct_fields__)
            raise UnknownSetting(f"{key}.{unknown}", file, near, lines.get(f"{key}.{unknown}"))
        try:
            found[name] = msgspec.convert(values, ScheduleSettings)
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
