"""Where a user is signed in, and how to end that: the page "your devices" of an application.

A user is a name, as `set_privileges({"userName": …})` has set it. To find their sessions, all of the web are looked
through, two hundred a round trip: that is for a page that is seldom asked for. Sessions of a user of `onserver users`
are found at once, by `Sessions.listed(login=…)` and `Sessions.drop_user`.
"""

from __future__ import annotations

from collections.abc import Iterator

from onserver.server import Server
from onserver.session.record import SessionRecord
from onserver.session.sessions import Sessions

_PAGE = 200


def devices(user: str, server: Server | None = None) -> list[SessionRecord]:
    """Return the sessions of the web in which a user is signed in, the newest first.

    Args:
        user: name of the user.
        server: None for the current one.

    Example:
        >>> made = Server.current().sessions.open("web", user="ann", ip="192.0.2.1", agent="Firefox")
        >>> [(one.ip, one.agent) for one in devices("ann")]
        [('192.0.2.1', 'Firefox')]
    """
    if not user:
        return []  # guests are nobody's
    return [one for one in _all((server or Server.current()).sessions) if one.user == user]


def sign_out(user: str, *, by: str, but: str = "", server: Server | None = None) -> list[str]:
    """End the sessions in which a user is signed in: what they have asked for, and has not begun, is refused.

    Args:
        user: name of the user.
        by: who does it, for people.
        but: id of the session that stays, as that in which this is asked for.
        server: None for the current one.

    Returns:
        The ids of those that were ended.
    """
    sessions = (server or Server.current()).sessions
    return [
        one.id
        for one in devices(user, server)
        if one.id != but and sessions.drop(one.id, by=by, reason="signed out everywhere")
    ]


def _all(sessions: Sessions) -> Iterator[SessionRecord]:
    page = sessions.listed("web", limit=_PAGE)
    while page:
        yield from page
        page = sessions.listed("web", limit=_PAGE, before=page[-1])
