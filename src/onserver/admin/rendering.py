"""From a view to HTML: Jinja's templates of the package, with everything in values escaped.

What every template and macro can use is in `_globals`. It speaks of the look that is being drawn, which stands in a
context variable: a macro that was imported without a context knows it as well.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from onserver.admin import icons
from onserver.admin.assets import assets
from onserver.admin.language import CODES, language
from onserver.admin.page import Look, Page, View
from onserver.admin.script_texts import script_texts
from onserver.steer.actions import ACTIONS, Action

_LOOK: ContextVar[Look] = ContextVar("onserver_admin_look")
_NAV: ContextVar[tuple[Page | None, Sequence[Page]]] = ContextVar("onserver_admin_pages", default=(None, ()))

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def draw(view: View, look: Look, page: Page | None = None, pages: Sequence[Page] = ()) -> str:
    """Draw a view.

    Args:
        view: what is shown.
        look: for whom.
        page: which it is; None for one that is in no navigation.
        pages: all there are.
    """
    with looking(look, page, pages):
        return environment().get_template(view.template).render(view.context)


@contextmanager
def looking(look: Look, page: Page | None = None, pages: Sequence[Page] = ()) -> Generator[None]:
    """Let templates and their functions speak of this look until the block ends."""
    before = _LOOK.set(look), _NAV.set((page, pages))
    try:
        yield
    finally:
        _LOOK.reset(before[0])
        _NAV.reset(before[1])


@cache
def environment() -> Environment:
    """Answer the templates of the package."""
    made = Environment(
        loader=PackageLoader("onserver.admin"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    made.globals |= _globals()
    made.filters |= {"size": size, "amount": amount, "span": span, "json": as_json}
    return made


def _globals() -> Mapping[str, Any]:
    """Each function asks for the look when it is called: one environment draws for everybody."""

    def translated(text: str, /, **values: Any) -> str:
        return _LOOK.get()._(text, **values)

    def plural(one: str, many: str, n: int, /, **values: Any) -> str:
        return _LOOK.get().plural(one, many, n, **values)

    def url(path: str, **query: Any) -> str:
        return _LOOK.get().url(path, **query)

    def link(path: str, **query: Any) -> str:
        return _LOOK.get().link(path, **query)

    def here(**changes: Any) -> str:
        return _LOOK.get().here(**changes)

    def asset(name: str) -> str:
        return _LOOK.get().url(assets().path(name))

    def nav() -> Sequence[Page]:
        actor = _LOOK.get().actor
        return [one for one in _NAV.get()[1] if one.nav and actor.may(one.privilege)]

    return {
        "_": translated, "plural": plural, "look": _LOOK.get, "url": url, "link": link, "here": here, "may": may,
        "action": action, "asset": asset, "has_asset": assets().contents.__contains__, "icon": icons.icon,
        "texts": texts, "exact": exact, "iso": iso, "ago": ago, "now_ms": now_ms, "nav": nav,
        "page": lambda: _NAV.get()[0], "script_texts": lambda: script_texts(_LOOK.get()),
        "languages": lambda: [language(code) for code in CODES],
    }  # fmt: skip


def may(privilege: str) -> bool:
    """Tell whether whoever looks may do something."""
    return _LOOK.get().actor.may(privilege)


def texts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what an action is given as its fields have it: as texts."""
    return {name: str(value) for name, value in given.items()}


def exact(ms: float) -> str:
    """Return a moment to the second, in the zone of whoever looks, which is named."""
    return _LOOK.get().zone.exact(ms)


def iso(ms: float) -> str:
    """Return a moment as HTML has it."""
    return _LOOK.get().zone.at(ms).isoformat(timespec="milliseconds")


def now_ms() -> int:
    """Return when the page was asked for, by the clock of Redis."""
    return _LOOK.get().now_ms


def action(name: str) -> Action | None:
    """Return an action where whoever looks may do it; None where not: it is absent then, and not grey.

    Args:
        name: as in `process.abort`.

    Raises:
        KeyError: there is no such action.
    """
    found = ACTIONS[name]
    return found if _LOOK.get().actor.may(found.privilege) else None


def ago(ms: float) -> str:
    """Tell how long ago a moment is, or in how long it comes, in the language of whoever looks."""
    look = _LOOK.get()
    seconds = (look.now_ms - ms) / 1000
    if abs(seconds) < 1:
        return look._("now")
    if seconds < 0:
        return look._("in {span}", span=span(-seconds))
    return look._("{span} ago", span=span(seconds))


def span(seconds: float) -> str:
    """Tell a length of time in two units at most: `0.4 s`, `12 s`, `3 min 12 s`, `5 h 3 min`, `2 d 4 h`."""
    look = _LOOK.get()
    if seconds < 10:
        return look._("{n} s", n=f"{seconds:.1f}")
    if seconds < _MINUTE:
        return look._("{n} s", n=f"{seconds:.0f}")
    whole = int(seconds)
    if seconds < _HOUR:
        return look._("{n} min {m} s", n=whole // _MINUTE, m=whole % _MINUTE)
    if seconds < _DAY:
        return look._("{n} h {m} min", n=whole // _HOUR, m=whole % _HOUR // _MINUTE)
    return look._("{n} d {m} h", n=whole // _DAY, m=whole % _DAY // _HOUR)


def size(count: float) -> str:
    """Tell a number of bytes: `512 B`, `1.4 MB`."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def amount(count: float) -> str:
    """Tell a number with its thousands apart, as in `1,042`."""
    return f"{count:,}"


def as_json(value: Any) -> str:
    """Return a value as JSON in lines that people can read; what JSON has not is written as Python shows it."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=repr), indent=2).decode()
