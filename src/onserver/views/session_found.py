"""Which session is meant: its id, the beginning of its id, or the name of its user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from onserver.errors import SessionNotFound
from onserver.server import Server
from onserver.session.record import SessionRecord

#: How many are read at a time.
_PAGE: Final = 200
#: How far a name is looked for, from the session opened last.
_FARTHEST: Final = 20_000
#: How much of an id has to be given.
_SHORTEST: Final = 4


def pages(server: Server, *, kind: str = "", login: str = "", most: int) -> Iterator[SessionRecord]:
    """Yield records of sessions, those opened last first, read page by page.

    Args:
        server: whose sessions they are.
        kind: only those of this kind.
        login: only those of this user of `onserver users`.
        most: how many.
    """
    last: SessionRecord | None = None
    while most > 0:
        page = server.sessions.listed(kind, login, min(most, _PAGE), last)
        yield from page
        if len(page) < min(most, _PAGE):
            return
        most, last = most - len(page), page[-1]


def find_session(server: Server, word: str) -> SessionRecord:
    """Answer the session that a word means.

    Args:
        server: whose session it is.
        word: an id, at least 4 digits from its beginning, or the name or login of its user.

    Raises:
        SessionNotFound: ONS-4108, there is none, or there are several.
    """
    found = server.sessions.records.read(word.upper())
    if found is not None:
        return found
    name = word.casefold()
    fits = [record for record in pages(server, most=_FARTHEST) if _means(record, word.upper(), name)]
    if len(fits) == 1:
        return fits[0]
    raise SessionNotFound(word, several=[record.id for record in fits[:3]])


def _means(record: SessionRecord, beginning: str, name: str) -> bool:
    if len(beginning) >= _SHORTEST and record.id.startswith(beginning):
        return True
    return name != "" and name in (record.user.casefold(), record.login.casefold())
