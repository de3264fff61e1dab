"""Requests of the web and their sessions: what all adapters (ASGI, WSGI, the frameworks') have in common.

    request = sessions.begin(cookie=…, query=…, ip=…, agent=…, secure=…)
    with request.serving():     # session() answers the request's session
        …                       # the application
        headers += request.finish()   # when the response begins

| the request | round trips to Redis |
|---|---|
| does not look at `session()` | none that it waits for; its use is noted in the background, once a minute |
| looks at it | one; its use is noted in the background, once a minute |
| is a guest's who keeps nothing | none; one where it comes with a cookie that leads nowhere |
| changes something | one more for each change |
| brings a one-time token (`$4DSID`) | one, which spends it |

An id in a cookie that is not known, is over or was dropped, is of another web server, or comes from another address
where that is checked, leads nowhere: the request is a guest's. So is that of a session of procedures: nobody gets into
it by a cookie, and with a token for one request only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs

from onserver.server import Server
from onserver.session.context import Served, serving
from onserver.session.record import SessionRecord
from onserver.session.roles import Roles
from onserver.session.sessions import Sessions
from onserver.web.cookie import CookieRules
from onserver.web.renewal import Renewal
from onserver.web.web_session import Visitor, WebSession, settle_joined
from onserver.web_settings import WebSettings

#: The parameter of a URL that brings a one-time token; it is reserved.
TOKEN: Final = "$4DSID"  # noqa: S105  # its name, and no secret
_LONGEST_AGENT: Final = 300

Headers = list[tuple[str, str]]


class Request:
    """One request, while it is served. Made by `WebSessions.begin`.

    Args:
        sessions: of the web server that received it.
        visitor: who sends it; None where the web server keeps no sessions.
        token: the one-time token that it brings, or empty.
        secure: whether it came by HTTPS.
    """

    def __init__(self, sessions: WebSessions, visitor: Visitor | None, token: str, *, secure: bool) -> None:
        self._sessions = sessions
        self._identity = visitor.identity if visitor else ""
        self._token = token
        self._secure = secure
        self._served: Served | None = None
        self._own = WebSession(sessions, visitor) if visitor else None
        #: Give the browser its cookie again, although it has it: how long it is kept begins anew.
        self.again = False
        #: How long the browser keeps the cookie, where it is not what the web server says.
        self.seconds: int | None = None

    @property
    def waits(self) -> bool:
        """Whether `begin` of `serving` makes a round trip: it brings a one-time token."""
        return bool(self._token)

    @property
    def own(self) -> WebSession | None:
        """The session of its cookie, or a guest's; None where the web server keeps none."""
        return self._own

    @property
    def served_here(self) -> bool:
        """Whether it is served by a middleware, who gives the browser its cookie."""
        return self._served is not None

    @property
    def touched(self) -> bool:
        """Whether `finish` may make a round trip: something was asked of its session."""
        return self._own is not None and (self._own.touched or self._joined() is not None)

    def serving(self) -> serving:
        """Serve it in this context, for the block of a `with`: `session()` answers its session."""
        made = serving(self._own, web=self._sessions.web)
        self._served = made.here
        return made

    def join(self) -> bool:
        """Go into the session of the one-time token that it brings. One round trip.

        Returns:
            Whether it did. Where the token is spent, too old, or none, the request stays where it is.
        """
        found = self._sessions.sessions.records.redeem(self._token) if self._token else None
        self._token = ""
        if found is None or self._served is None:
            return False
        self._served.session = self._sessions.sessions.of(found)
        return True

    def finish(self) -> Headers:
        """Return the headers that its response gets, when it begins: `Set-Cookie` where the browser needs another one.

        Whoever has signed in during the request gets a new id now, if that was not done already.
        """
        if self._own is None:
            return []
        if self._served is not None and self._joined() is not None:
            return [("Vary", "Cookie"), *self._cookie(settle_joined(self._sessions.sessions, self._served))]
        if not self._own.touched:
            if self._identity:
                self._sessions.renewal.renew(self._identity)
            return []
        vary = [("Vary", "Cookie")] if self._own.looked else []
        return [*vary, *self._cookie(self._own.settle())]

    def _joined(self) -> SessionRecord | None:
        """Answer the record of the session into which a token has brought the request; None where it is its own."""
        session = self._served.session if self._served else None
        return None if session is None or session is self._own else session.record

    def _cookie(self, identity: str) -> Headers:
        rules = self._sessions.cookie
        if not identity:
            left = self._own is not None and self._own.left and self._identity
            return [("Set-Cookie", rules.write("", secure=self._secure))] if left else []
        if identity == self._identity and not self.again:
            return []
        if self.seconds is not None:
            rules = replace(rules, seconds=self.seconds)
        return [("Set-Cookie", rules.write(identity, secure=self._secure))]


class WebSessions:
    """The sessions of one web server: of the host, or of a component that has its own.

    Args:
        server: of the project.
        web: name of the component; empty for the host.
        cookie: what its cookie is like; None for what the settings say.
        settings: of the web server; None for those of the project.
        idle_seconds: how long a session lasts unused; None for what the settings say.

    Example:
        >>> request = web_sessions(Server.current()).begin(ip="192.0.2.1")
        >>> with request.serving():
        ...     session().is_guest()
        True
    """

    def __init__(
        self,
        server: Server,
        web: str = "",
        cookie: CookieRules | None = None,
        settings: WebSettings | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        self.web = web
        self.server = server
        self._settings = settings or server.settings.web
        self._idle_seconds = idle_seconds
        self.cookie = cookie or CookieRules.of(self._settings, server.name, web)
        self.renewal = Renewal(self.sessions.touch)

    @property
    def sessions(self) -> Sessions:
        """The sessions of the server."""
        return self.server.sessions

    def roles(self) -> Roles:
        """Return the privileges and roles in force."""
        return self.server.require_roles()

    def begin(
        self,
        *,
        cookie: str = "",
        query: str = "",
        ip: str = "",
        agent: str = "",
        secure: bool = False,
        rest: bool = False,
    ) -> Request:
        """Begin a request. No round trip.

        Args:
            cookie: its `Cookie` header.
            query: its query, as it stands in the URL.
            ip: address that it is from.
            agent: its `User-Agent` header.
            secure: whether it came by HTTPS.
            rest: whether it is one of REST.
        """
        settings = self._settings
        if not settings.scalable_sessions and not (rest and settings.rest_sessions_always):
            return Request(self, None, "", secure=secure)
        kind = "rest" if rest else "web"
        visitor = Visitor(identity=self.cookie.read(cookie), ip=ip, agent=agent[:_LONGEST_AGENT], type=kind)
        token = "" if self.web else token_in(query)
        return Request(self, visitor, token, secure=secure)

    def take(self, visitor: Visitor) -> SessionRecord | None:
        """Return the record of the session of a visitor, and note that it is used; None where there is none."""
        ip = visitor.ip if self._settings.check_address else ""
        found = self.sessions.records.take(visitor.identity, ip=ip)
        if found is None or found.web != self.web or found.kind == "storedProcedure":
            return None
        if found.is_due:
            self.renewal.renew(found.id, due=True)
        return found

    def blank(self, visitor: Visitor, identity: str) -> SessionRecord:
        """Return what the record of a new session will be."""
        now = self.server.store.now_ms()
        idle, limit = (int(seconds * 1000) for seconds in self._times())
        return SessionRecord(
            id=identity,
            kind="web",
            type=visitor.type,
            ip=visitor.ip,
            host_type="browser",
            agent=visitor.agent,
            web=self.web,
            created_ms=now,
            seen_ms=now,
            idle_ms=idle,
            limit_ms=now + limit if limit else 0,
            until_ms=now + (min(idle, limit) if limit else idle),
            space=identity,
            read_ms=now,
        )

    def open(self, visitor: Visitor, identity: str, data: Mapping[str, bytes] | None = None) -> SessionRecord:
        """Open a session, with what a web framework keeps in it. One round trip."""
        idle, limit = self._times()
        return self.sessions.open(
            "web",
            type=visitor.type,
            ip=visitor.ip,
            host_type="browser",
            agent=visitor.agent,
            idle_seconds=idle,
            limit_seconds=limit,
            web=self.web,
            identity=identity,
            data=data,
        ).record

    def close(self) -> None:
        """Let the background end."""
        self.renewal.close()

    def _times(self) -> tuple[float, float]:
        idle = self._settings.idle_timeout_minutes * 60.0 if self._idle_seconds is None else self._idle_seconds
        return idle, self._settings.limit_minutes * 60.0


class _Kept:
    """The web servers of a server, by name. Made by `server.part(_Kept)`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._made: dict[str, WebSessions] = {}

    def of(self, web: str) -> WebSessions:
        found = self._made.get(web)
        return found or self._made.setdefault(web, WebSessions(self.server, web))

    def close(self) -> None:
        for sessions in self._made.values():
            sessions.close()


def web_sessions(server: Server | None = None, web: str = "") -> WebSessions:
    """Return the sessions of a web server as the settings of the project have them.

    Args:
        server: None for the current one.
        web: name of the component whose web server it is; empty for the host's.
    """
    return (server or Server.current()).part(_Kept).of(web)


def token_in(query: str) -> str:
    """Return the one-time token of a query, as it stands in the URL; empty where there is none or it is no text."""
    if TOKEN[1:] not in query:  # the `$` may be written in two ways
        return ""
    found = parse_qs(query, errors="replace", max_num_fields=None).get(TOKEN, [""])
    return found[0]
