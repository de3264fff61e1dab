"""Requests of Django's are served in their sessions: `session()` in a view is the session that `request.session` is.

    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "onserver.django_app.middleware.SessionMiddleware",
        …
    ]

Django's own middleware reads the cookie and writes it; this one stands behind it. Nothing is read before somebody
looks at one of the two; of a request that does not, the session's use is noted in the background, once a minute. A
guest whose `session()` is looked at gets a session, and a cookie. Who has signed in meanwhile, by whatever way, gets
another id with the response: whoever knew the old one has nothing. A request with a one-time token (`$4DSID` in its
URL) goes on in the session of that token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.views.defaults import permission_denied

from onserver.django_app.sessions import SessionStore
from onserver.errors import PrivilegeDenied
from onserver.server import Server
from onserver.session.context import Served, served, serving
from onserver.session.record import SessionRecord, signed_in
from onserver.web.requests import token_in, web_sessions


class SessionMiddleware:
    """See the top of this module. For views of both kinds, under WSGI and ASGI."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._waits = iscoroutinefunction(get_response)
        if self._waits:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a request, or in a running loop who answers it."""
        if self._waits:
            return self._awaited(request)
        with _Request(request) as request_served:
            if request_served.waits:
                request_served.join()
            response = cast("HttpResponseBase", self._get_response(request))
            request_served.finish()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer 403 where a privilege is missing."""
        return permission_denied(request, exception) if isinstance(exception, PrivilegeDenied) else None

    async def _awaited(self, request: HttpRequest) -> HttpResponseBase:
        with _Request(request) as request_served:
            if request_served.waits:
                await sync_to_async(request_served.join, thread_sensitive=False)()
            response = cast("HttpResponseBase", await self._get_response(request))
            if request_served.touched:
                await sync_to_async(request_served.finish, thread_sensitive=False)()
            else:
                request_served.finish()
        return response


class _Request:
    """A request while it is served: for the block of a `with`."""

    __slots__ = ("_before", "_serving", "_store", "_token", "here")

    def __init__(self, request: HttpRequest) -> None:
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore):
            raise ImproperlyConfigured(
                "onserver.django_app.middleware.SessionMiddleware stands behind Django's own SessionMiddleware, with "
                'SESSION_ENGINE = "onserver.django_app.sessions"'
            )
        store.meta = request.META
        self._store = store
        self._token = token_in(store.meta.get("QUERY_STRING", ""))
        self._before: SessionRecord | None = None
        self._serving: serving | None = None
        self.here: Served | None = None

    def __enter__(self) -> Self:
        around = served()
        if around is not None and around.web is not None:  # the server that received it has the session
            return self
        if Server.current().settings.web.scalable_sessions:
            self._serving = serving(None, opens=self.opens)
            self.here = self._serving.__enter__()
        else:
            self._serving = serving(None)
            self._serving.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._serving is not None:
            self._serving.__exit__(kind, error, trace)

    @property
    def waits(self) -> bool:
        """Whether `join` makes a round trip: it brings a one-time token."""
        return bool(self._token) and self.here is not None

    @property
    def touched(self) -> bool:
        """Whether `finish` may make a round trip: something was asked of its session."""
        return self.here is not None and self.here.given is not None

    def opens(self) -> Any:
        opened = self._store.opened
        self._before = self._before or opened.record
        return opened

    def join(self) -> None:
        """Go into the session of the token that the request brings; where it leads nowhere, all stays as it is."""
        sessions = Server.current().sessions
        found = sessions.records.redeem(self._token) if self.waits else None
        if found is not None and self.here:
            self.here.session = sessions.of(found)
            self.finish()

    def finish(self) -> None:
        """Let `request.session` be what `session()` has become; nobody gets into that of procedures for good."""
        given = self.here.given if self.here else None
        if given is None:
            if self.here and self._store.session_key and not self._store.looked_at:
                web_sessions().renewal.renew(self._store.session_key)  # in the background, once a minute
            return
        if given.record.kind == "storedProcedure":
            return
        if given._over:  # closed by the application
            self._store.flush()
            return
        if given.id != self._store.session_key:
            self._store.become(given)
            self._before = self.here.began if self.here else None
        if given.record.kind == "web" and self._before is not None and signed_in(self._before, given.record):
            self._store.cycle_key()
