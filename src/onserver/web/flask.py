"""Flask's `session`, kept on the server.

    from onserver.web.flask import OnServerSessions

    OnServerSessions(app)       # or .init_app(app)

`flask.session` is as before, in the same cookie by the same `SESSION_COOKIE_…` settings, with an id in it and no
content; `SECRET_KEY` is not needed for it. `onserver.session()` is the same session, with privileges and storage. It is
read when one of the two is first looked at. `PrivilegeDenied` becomes 403 and `SessionExpired` 401.

What is kept keeps its type as in Flask's own: tuples, dates, bytes, UUIDs, `Markup`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin

from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.server import Server
from onserver.web import kept, requests
from onserver.web.cookie import CookieRules
from onserver.web.kept import KeptDict
from onserver.web.middleware import KEY, status_of
from onserver.web.requests import WebSessions
from onserver.web.wsgi import WSGISessionMiddleware, begin

_serializer: Final = TaggedJSONSerializer()


class FlaskSession(SessionMixin):
    """Flask's session of one request; it is read when it is first looked at.

    Args:
        request: of the server's.
    """

    new = False

    def __init__(self, request: requests.Request) -> None:
        self.request = request
        self._kept: KeptDict | None = None

    @property
    def kept(self) -> KeptDict:
        """What is kept, read now if it was not."""
        if self._kept is None:
            own = self.request.own
            self._kept = KeptDict() if own is None else kept.read(own, KeptDict, _decode)
        return self._kept

    @property
    def read(self) -> bool:
        """Whether it was looked at."""
        return self._kept is not None

    @property
    def modified(self) -> bool:
        """Whether it was changed."""
        return self._kept is not None and self._kept.modified

    @modified.setter
    def modified(self, changed: bool) -> None:
        self.kept.modified = changed

    def __getitem__(self, key: str) -> Any:
        return self.kept[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def __delitem__(self, key: str) -> None:
        del self.kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def clear(self) -> None:
        """Remove all: the session ends, unless something is put into it afterwards."""
        self.kept.clear()

    def __repr__(self) -> str:
        return f"<FlaskSession {dict(self.kept)!r}>"


class OnServerSessions(SessionInterface):
    """Keeps the sessions of a Flask application on the server.

    Args:
        app: the application; None where `init_app` follows.
        server: None for the current one, found with the first request.
    """

    def __init__(self, app: Flask | None = None, server: Server | None = None) -> None:
        self._server = server
        self._sessions: WebSessions | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Keep the sessions of this application on the server."""
        app.session_interface = self
        inner = app.wsgi_app
        served: dict[WebSessions, WSGISessionMiddleware] = {}

        def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
            sessions = self._of(app)
            if sessions not in served:
                served[sessions] = WSGISessionMiddleware(inner, sessions=sessions)
            return served[sessions](environ, start_response)

        app.wsgi_app = wsgi_app  # type: ignore[method-assign]
        for kind in (PrivilegeDenied, SessionExpired):
            app.register_error_handler(kind, _refused)

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """Return the session of a request. No round trip."""
        found: requests.Request | None = request.environ.get(KEY)
        return FlaskSession(found or begin(self._of(app), request.environ))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write what has changed, and give the browser its cookie."""
        assert isinstance(session, FlaskSession)  # what `open_session` returns
        request, own = session.request, session.request.own
        if session.read and own is not None:
            lifetime = app.permanent_session_lifetime.total_seconds()
            facts: dict[str, Any] = {}
            if session.permanent:
                request.seconds = int(lifetime)
                if own.idle_timeout * 60 != int(lifetime):
                    facts["idle_ms"] = int(lifetime * 1000)
            session.kept.accessed = True
            changed = kept.write(own, session.kept, _encode, **facts)
            request.again = changed or self.should_set_cookie(app, session)
        if request.served_here:
            return  # the middleware in front gives the cookie
        for name, value in request.finish():
            if name == "Vary":
                response.vary.add(value)
            else:
                response.headers.add(name, value)

    def _of(self, app: Flask) -> WebSessions:
        server = self._server or Server.current()
        if self._sessions is None or self._sessions.server is not server:
            rules = CookieRules(
                name=self.get_cookie_name(app),
                path=self.get_cookie_path(app),
                domain=self.get_cookie_domain(app) or "",
                same_site=self.get_cookie_samesite(app) or "",
                secure="always" if self.get_cookie_secure(app) else server.settings.web.cookie_secure,
                partitioned=self.get_cookie_partitioned(app),
            )
            self._sessions = WebSessions(server, cookie=rules)
        return self._sessions


def _decode(data: bytes) -> Any:
    # what has no tag and is the same in every JSON is read here: the serializer asks the application for it
    if data[:1] == b'"':
        return json.loads(data.decode())
    return int(data) if data.isdigit() else _serializer.loads(data.decode())


def _encode(value: Any) -> bytes:
    if type(value) is int:
        return b"%d" % value
    return (json.dumps(value) if type(value) is str else _serializer.dumps(value)).encode()


def _refused(error: PrivilegeDenied | SessionExpired) -> tuple[str, int, dict[str, str]]:
    return f"{error}\n", status_of(error), {"Content-Type": "text/plain; charset=utf-8"}
