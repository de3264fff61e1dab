"""`onserver series`: how the server stood over the last minutes, hours or days, as lines for people or as data."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Final

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.views.series import SPANS, Series, Span, read

_BARS: Final = "▁▂▃▄▅▆▇█"
_GAP: Final = "·"
_WIDTH: Final = 60
#: What people are shown, with the unit, and by what a value is divided for that.
_SHOWN: Final = {
    "throughput": ("ended/s", 1.0),
    "failures": ("failed/s", 1.0),
    "wait_p95": ("s", 1.0),
    "busy": ("", 1.0),
    "slots": ("", 1.0),
    "queued": ("", 1.0),
    "delayed": ("", 1.0),
    "memory": ("MB", 1e6),
    "worker_memory": ("MB", 1e6),
}


@click.command()
@click.option("--span", type=click.Choice(SPANS), default="1h", show_default=True, help="How far back.")
@click.option("--table", is_flag=True, help="A line for each time instead of one for each series.")
@common_options
@pass_invocation
def series(invocation: Invocation, span: Span, table: bool) -> int:
    """Print throughput, failures, waits, slots, queues and memory over time. A dot stands for what nobody knows.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    found = read(invocation.server(), span)
    invocation.screen.result(found.as_dict(), _table(found) if table else _lines(found))
    return exits.DONE


def sparks(values: Sequence[float | None], width: int = _WIDTH) -> str:
    """Draw values as bars from nought on, the newest at the right; of several that share a bar the highest counts."""
    each = max(1, -(-len(values) // width))
    parts = [values[max(0, end - each) : end] for end in range(len(values), 0, -each)][::-1]
    highest = [max((value for value in part if value is not None), default=None) for part in parts]
    top = max((value for value in highest if value is not None), default=0.0) or 1.0
    return "".join(_GAP if one is None else _BARS[ceil(one / top * (len(_BARS) - 1))] for one in highest)


def _lines(found: Series) -> str:
    rows = [_row(found, name, *_SHOWN[name]) for name in _SHOWN]
    return columns(("series", "now", "highest", "unit", found.span), rows, right=("now", "highest"))


def _row(found: Series, name: str, unit: str, divisor: float) -> dict[str, str]:
    values = found.values[name]
    highest = max((value for value in values if value is not None), default=None)
    return {
        "series": name,
        "now": _number(found.last(name), divisor),
        "highest": _number(highest, divisor),
        "unit": unit,
        found.span: sparks(values),
    }


def _table(found: Series) -> str:
    rows = [
        {"time": f"{datetime.fromtimestamp(at / 1000).astimezone():%Y-%m-%d %H:%M:%S}"}
        | {name: _number(found.values[name][index], _SHOWN[name][1]) for name in _SHOWN}
        for index, at in enumerate(found.times_ms)
        if any(found.values[name][index] is not None for name in _SHOWN)
    ]
    return columns(("time", *_SHOWN), rows, right=tuple(_SHOWN)) if rows else "nothing was written down"


def _number(value: float | None, divisor: float) -> str:
    return "?" if value is None else f"{value / divisor:.3g}" if value / divisor < 1000 else f"{value / divisor:.0f}"
