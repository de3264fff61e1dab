"""What a page is to those who write one: where it is, what is asked of it, and what it shows.

    def look(look: Look) -> View:
        rows = processes(look.server, state=look.word("state", STATES), limit=look.number("limit", 50, 1, 200))
        return View("processes.html", {"rows": rows}, data=rows)

    PAGES = [Page("/processes", "processes", "Processes", "p", look)]

A `look` is a plain function and runs in a thread. It reads, and changes nothing: what changes something is an action of
`onserver.steer`, which the page offers by the macro `act`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from onserver.admin.language import ENGLISH, Language
from onserver.admin.zones import UTC, Zone
from onserver.server import Server
from onserver.steer.actor import Actor

#: Rows of a list at most.
MOST_ROWS: Final = 200
#: The longest text that a query may ask for.
_LONGEST: Final = 500


class BadQuery(Exception):
    """The URL asks for something that there cannot be: the browser is told 400 and why.

    Args:
        name: of the parameter.
        value: that it has.
        problem: what is wrong with it, in a sentence's second half: "is no number".
    """

    def __init__(self, name: str, value: str, problem: str) -> None:
        super().__init__(f"`{name}={value[:80]}` in the address {problem}.")


class NotThere(Exception):
    """What the page is about does not exist, or no longer: the browser is told 404.

    Args:
        text: what is not there, translated, for people.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class View:
    """What a page shows.

    Attributes:
        template: in `admin/templates`.
        context: what the template is given, besides what all are.
        data: what the HTTP API gets in its place: values that can be JSON. None for a page without.
        status: of the response.
        headers: of the response, besides those of all.
        body: what is sent as it is in place of a page, such as a file; its type is in `headers`.
    """

    template: str = ""
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """One request for a page: by whom, of what, and in which language and time zone.

    Attributes:
        server: that the page is about.
        actor: who looks.
        query: of the address, the last value of each name.
        path: what stands in the placeholders of the page's path.
        language: of whoever looks.
        zone: in which times are shown, and given.
        prefix: what stands before every path: where the page is mounted.
        at: the path of the page, without the prefix.
        theme: `light`, `dark`, or `auto`.
        said: what the last action has answered, to be shown once: (`done` or `refused`, text).
        can_log_out: whether who looks has logged in here, and not by the application around.
        has: whether a path of ours leads to a page.
        now_ms: when it was asked for, by the clock of Redis, in milliseconds since 1970.
    """

    server: Server
    actor: Actor
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    path: Mapping[str, str] = field(default_factory=dict[str, str])
    language: Language = ENGLISH
    zone: Zone = UTC
    prefix: str = ""
    at: str = "/"
    theme: str = "auto"
    said: tuple[str, str] | None = None
    can_log_out: bool = False
    has: Callable[[str], bool] = lambda _path: True
    now_ms: int = field(default_factory=lambda: int(time() * 1000))

    def _(self, text: str, /, **values: Any) -> str:
        """Translate a text; values stand where it has them in braces."""
        return self.language.text(text, **values)

    def plural(self, one: str, many: str, n: int, /, **values: Any) -> str:
        """Translate a text that counts: `one` and `many` have `{n}` in them, or not."""
        return self.language.plural(one, many, n, **values)

    def number(self, name: str, default: int = 0, lowest: int = 0, highest: int = 2**53) -> int:
        """Read a whole number of the query.

        Raises:
            BadQuery: it is none, or out of range.
        """
        text = self.query.get(name, "").strip()
        if not text:
            return default
        if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 20:
            raise BadQuery(name, text, "is no number")
        if not lowest <= int(text) <= highest:
            raise BadQuery(name, text, f"is not between {lowest} and {highest}")
        return int(text)

    def word(self, name: str, choices: Iterable[str], default: str = "") -> str:
        """Read one of several words of the query.

        Raises:
            BadQuery: it is none of them.
        """
        text = self.query.get(name, "").strip()
        if not text:
            return default
        known = list(choices)
        if text not in known:
            raise BadQuery(name, text, f"is none of {', '.join(known)}")
        return text

    def text(self, name: str, most: int = _LONGEST) -> str:
        """Read a text of the query, without blanks around it; empty where there is none.

        Raises:
            BadQuery: it is too long, or has control characters.
        """
        text = self.query.get(name, "").strip()
        if len(text) > most:
            raise BadQuery(name, text, f"has more than {most} characters")
        if not all(one.isprintable() for one in text):
            raise BadQuery(name, text, "has characters that cannot be printed")
        return text

    def moment(self, name: str) -> int | None:
        """Read a time of the query, in the zone of whoever looks, as milliseconds since 1970; None where there is none.

        Raises:
            BadQuery: it is no time.
        """
        text = self.query.get(name, "").strip()
        if not text:
            return None
        found = self.zone.read(text)
        if found is None:
            raise BadQuery(name, text, "is no time, as in 2026-08-01T14:30")
        return found

    def numbered(self, name: str, highest: int = 2**53) -> int:
        """Read a number of the page's path.

        Raises:
            NotThere: it is none.
        """
        text = self.path.get(name, "")
        if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) > highest:
            raise NotThere
        return int(text)

    def url(self, path: str, **query: Any) -> str:
        """Return the address of a page of ours: with the prefix, and with what of the query is not empty."""
        words = urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return f"{self.prefix}{quote(path, safe=_IN_PATHS)}{'?' + words if words else ''}"

    def link(self, path: str, **query: Any) -> str:
        """Return the address of a page of ours, or nothing where there is no such page to go to."""
        return self.url(path, **query) if self.has(path) else ""

    def here(self, **changes: Any) -> str:
        """Return the address of this page with another query; what is empty or None goes out of it."""
        return self.url(self.at, **{**self.query, **changes})


#: What may stand in a path as it is. A percent sign may not: what is quoted already is quoted again.
_IN_PATHS: Final = "/:@!$&'()*+,;=~"

Looking: TypeAlias = Callable[[Look], View]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        path: below the prefix, with placeholders as in `/processes/{number}` or `/storage/{session}/{path:path}`.
        name: of the page, as its links and the audit have it; unique.
        title: in English, to be translated.
        key: what opens it behind `g`; empty for none.
        look: makes what it shows.
        privilege: without which it is not shown.
        nav: whether it stands in the navigation.
        under: name of the page in the navigation to which it belongs; its own by default.
        live: what changes it while somebody looks: topics, as in `process` or `lock`; none for one that stays.
    """

    path: str
    name: str
    title: str
    key: str
    look: Looking
    privilege: str = "admin.view"
    nav: bool = True
    under: str = ""
    live: Sequence[str] = ()

    @property
    def place(self) -> str:
        """The name of the page that is marked in the navigation while this one is shown."""
        return self.under or self.name


def cursor_of(rows: Sequence[Any], limit: int, cursor: Callable[[Any], Any]) -> str:
    """Return the cursor of the next page: that of the last row, where there are as many rows as there may be."""
    return str(cursor(rows[-1])) if rows and len(rows) >= limit else ""
