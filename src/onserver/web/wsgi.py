"""The middleware that gives each request of a WSGI application its session; see `middleware` for the one of ASGI.

The application runs in a context of the request's own, which lasts until its answer is sent: a body that is made piece
by piece sees the session as well. What it begins to keep after its first piece finds no cookie any more.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.server import Server
from onserver.web.middleware import KEY, status_of, varies
from onserver.web.requests import Request, WebSessions, web_sessions

Environment = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

_REASONS = {401: "401 Unauthorized", 403: "403 Forbidden"}


class WSGISessionMiddleware:
    """Gives each request of a WSGI application its session.

    Args:
        app: the application.
        server: None for the current one, found with the first request.
        web: name of the component whose web server it is; empty for the host's.
        sessions: other than those of the settings.

    Example:
        >>> def app(environ, start_response):
        ...     start_response("200 OK", [])
        ...     return [session().user_name.encode()]
        >>> served_app = WSGISessionMiddleware(app)  # Flask: app.wsgi_app = WSGISessionMiddleware(app.wsgi_app)
    """

    def __init__(
        self, app: Application, server: Server | None = None, web: str = "", sessions: WebSessions | None = None
    ) -> None:
        self.app = app
        self._server = server
        self._web = web
        self._given = sessions

    def __call__(self, environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if KEY in environ:
            return self.app(environ, start_response)
        request = environ[KEY] = begin(self._given or web_sessions(self._server, self._web), environ)
        return _Answer(self.app, request, environ, start_response)


def begin(sessions: WebSessions, environ: Environment) -> Request:
    """Begin the request of a WSGI environment."""
    return sessions.begin(
        cookie=environ.get("HTTP_COOKIE", ""),
        query=environ.get("QUERY_STRING", ""),
        ip=environ.get("REMOTE_ADDR", ""),
        agent=environ.get("HTTP_USER_AGENT", ""),
        secure=environ.get("wsgi.url_scheme") == "https",
        rest=(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).startswith("/rest/"),
    )


class _Answer:
    """The body of an answer, made and sent in the context of its request."""

    def __init__(self, app: Application, request: Request, environ: Environment, start: StartResponse) -> None:
        self._request = request
        self._start = start
        self._begun = self._closed = False
        self._context = contextvars.copy_context()
        self._serving = request.serving()
        self._body: Iterable[bytes] = ()
        try:
            self._context.run(self._enter, app, environ)
            self._pieces: Iterator[bytes] = self._context.run(iter, self._body)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        """The answer was sent, or nobody waits for it any more."""
        if not self._closed:
            self._closed = True
            self._context.run(self._leave)

    def __del__(self) -> None:
        self.close()  # a test client drops it; what was entered in the request's context is left in that context

    def _enter(self, app: Application, environ: Environment) -> None:
        self._serving.__enter__()
        self._request.join()
        try:
            self._body = app(environ, self._begin)
        except (PrivilegeDenied, SessionExpired) as error:
            if self._begun:
                raise
            self._refuse(error)

    def _leave(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._serving.__exit__(None, None, None)

    def _begin(self, status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
        self._begun = True
        found = list(headers)
        for name, value in self._request.finish():
            if name != "Vary" or not varies(text for key, text in found if key.lower() == "vary"):
                found.append((name, value))
        return self._start(status, found, *error)

    def _refuse(self, error: PrivilegeDenied | SessionExpired) -> None:
        body = f"{error}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        self._begin(_REASONS[status_of(error)], headers)
        self._body = [body]
