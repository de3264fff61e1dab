"""From a request to a look, and from a view to a response: as a page, or as JSON for programs.

| raised while a page is made | status |
|---|---|
| `BadQuery` | 400 |
| nobody has logged in | 303 to the login; 401 for programs |
| the privilege is missing | 403 |
| `NotThere`, and every error of ours that is a `LookupError` | 404 |
| Redis is not reached | 503 |
| whatever else | 500; the reason is in the log `onserver.admin`, and not on the page |
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route

from onserver.admin.identity import Asker, Identity, address_of
from onserver.admin.language import CODES, language, wanted
from onserver.admin.logins import LINK_SECONDS
from onserver.admin.page import BadQuery, Look, NotThere, Page, View
from onserver.admin.rendering import draw
from onserver.admin.zones import CHOICES, zone
from onserver.errors import OnServerError, ReachError
from onserver.server import Server
from onserver.steer.actor import Actor

LOG: Final = logging.getLogger("onserver.admin")
#: Cookies of what somebody likes; they are no secrets, and scripts may read them.
THEME, LANGUAGE, ZONE, BROWSERS_ZONE = "onserver-theme", "onserver-lang", "onserver-zone", "onserver-tz"
THEMES: Final = ("auto", "light", "dark")
_VARY: Final = "Accept, Accept-Language, Cookie"
_LONGEST_SAID: Final = 1000
_NO_QUERY: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Place:
    """Where somebody looks.

    Attributes:
        page: the page.
        at: its path, below the prefix.
        path: what stands in the placeholders of that.
        query: of the address.
        asked: the address itself.
    """

    page: Page
    at: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    asked: str


class Replies:
    """Makes the responses of one admin page.

    Args:
        server: that the page is about.
        identity: who asks.
        pages: all there are.
    """

    def __init__(self, server: Server, identity: Identity, pages: Sequence[Page]) -> None:
        self.server = server
        self.identity = identity
        self.pages = pages
        self._routes = [(Route(page.path, _nothing, methods=["GET"]), page) for page in pages]

    # -- pages

    def find(self, path: str) -> tuple[Page, dict[str, str]] | None:
        """Return the page of a path below the prefix, and what stands in its placeholders; None where there is none."""
        scope = {"type": "http", "path": path, "root_path": "", "method": "GET"}
        for route, page in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                return page, {name: str(value) for name, value in found["path_params"].items()}
        return None

    def place(self, address: str) -> Place:
        """Return the place of an address: a path below the prefix, with a query.

        Raises:
            NotThere: it leads to no page.
            BadQuery: its query cannot be read.
        """
        path, _, query = address.partition("?")
        found = self.find(unquote(path))
        if found is None:
            raise NotThere
        return Place(found[0], unquote(path), found[1], _read_query(query.encode()), address)

    def page(self, request: Request, page: Page) -> Response:
        """Answer a request for a page. It reads from Redis: to be called in a thread."""
        asker: Asker | None = None
        try:
            query_of(request)  # one that cannot be read is told of, and is empty where that is done
            asker = self.identity.who(request)
            if asker is None:
                return self.nobody(request)
            look = self.look(request, asker)
            if not asker.actor.may(page.privilege):
                return self.missing(request, asker, page.privilege)
            return self.shown(request, page.look(look), look, page)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser gets an answer
            return self.failed(request, error, asker)

    def look(self, request: Request, asker: Asker | None, place: Place | None = None) -> Look:
        """Make the look of a request; at another place than its own, where one is given."""
        root, query = prefix_of(request), _NO_QUERY
        with suppress(BadQuery):
            query = place.query if place is not None else query_of(request)
        spoken = wanted(request.headers.get("accept-language", ""))
        chosen = _chosen(request, ZONE, CHOICES, "utc", query.get("zone", ""))
        return Look(
            server=self.server,
            actor=asker.actor if asker else _nobody(request),
            query=query,
            path=place.path if place else {name: str(value) for name, value in request.path_params.items()},
            language=language(_chosen(request, LANGUAGE, CODES, spoken)),
            zone=zone(chosen, request.cookies.get(BROWSERS_ZONE, "")),
            prefix=root,
            at=place.at if place else request.scope["path"].removeprefix(root) or "/",
            theme=_chosen(request, THEME, THEMES, "auto"),
            said=None if place else self._said(request),
            has=lambda path: self.find(path) is not None,
            can_log_out=asker is not None and asker.logged_in_here,
            # whoever is known was looked up: Redis has answered, and its clock is known without asking again
            now_ms=self.server.store.now_ms() if asker else int(time() * 1000),
        )

    def shown(self, request: Request, view: View, look: Look, page: Page | None = None) -> Response:
        """Make the response of a view."""
        if view.body is not None:
            return Response(view.body, view.status, view.headers)
        headers = {"Vary": _VARY, **view.headers}
        if wants_json(request):
            return as_json(view.data, view.status, headers)
        response = Response(draw(view, look, page, self.pages), view.status, headers, "text/html")
        if look.said is not None:
            self.forget_said(request, response)
        return response

    # -- refusals

    def nobody(self, request: Request) -> Response:
        """Answer somebody who has not logged in."""
        look = self.look(request, None)
        if wants_json(request):
            return problem(401, "Log in, or send a token.", headers={"WWW-Authenticate": "Bearer"})
        if not self.identity.has_own_logins:
            return self.told(request, 403, look._("This page is not for you, or you have not logged in."))
        back = look.here() if request.method in ("GET", "HEAD") else ""
        return RedirectResponse(look.url("/login", back=back if back != look.url("/") else ""), 303)

    def missing(self, request: Request, asker: Asker, privilege: str) -> Response:
        """Answer somebody who may not."""
        text = self.look(request, asker)._("This takes the privilege {privilege}.", privilege=privilege)
        return self.told(request, 403, text, asker)

    def failed(self, request: Request, error: Exception, asker: Asker | None = None) -> Response:
        """Answer with what was raised; see the table above."""
        status, text = _status_of(error), str(error)
        if isinstance(error, OnServerError):
            text = f"{error.message} {error.hint}".strip()
        look = self.look(request, asker)
        if status == 404 and not text:
            text = look._("There is no such page.")
        if status == 500:
            LOG.error("The page %s has failed", request.scope["path"], exc_info=error)
            text = look._("The page could not be made; the log of the admin program has the reason.")
        code = error.code if isinstance(error, OnServerError) and status != 500 else 0
        return self.told(request, status, text, asker, code=code)

    def refused(self, request: Request, error: HTTPException) -> Response:
        """Answer where there is no such page, or it does not take such a request. Nothing is asked of Redis."""
        look = self.look(request, None)
        known = {404: look._("There is no such page."), 405: look._("This page takes no such request.")}
        return self.told(request, error.status_code, known.get(error.status_code, error.detail), headers=error.headers)

    def told(
        self, request: Request, status: int, text: str, asker: Asker | None = None, *, code: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> Response:  # fmt: skip
        """Answer with a sentence, as a page or as JSON."""
        more = {**(headers or {}), **({"Retry-After": "1"} if status == 503 else {})}
        if wants_json(request):
            return problem(status, text, code, more)
        look = self.look(request, asker)
        view = View("told.html", {"status": status, "text": text, "known": asker is not None, "code": code},
                    status=status, headers=more)  # fmt: skip
        return self.shown(request, view, look)

    # -- what is said once

    def say(self, request: Request, response: Response, kind: str, text: str) -> None:
        """Let the next page say something, once: `done` or `refused`."""
        value = base64.urlsafe_b64encode(msgspec.json.encode([kind, text[:_LONGEST_SAID]])).decode()
        self._cookie(request, response, self._said_name(request), value, 60)

    def forget_said(self, request: Request, response: Response) -> None:
        """Let it be said no more."""
        self._cookie(request, response, self._said_name(request), "", 0)

    def keep(self, request: Request, response: Response, session: str) -> None:
        """Let the browser keep a login; until it is closed."""
        secure = is_secure(request)
        self._cookie(request, response, self.identity.cookie_name(secure=secure), session, None if session else 0)

    def keep_ticket(self, request: Request, response: Response, ticket: str) -> None:
        """Let the browser keep what a login at a provider is known by, for ten minutes; or nothing any more."""
        self._cookie(request, response, self._ticket_name(request), ticket, LINK_SECONDS if ticket else 0)

    def ticket(self, request: Request) -> str:
        """Return what the browser keeps of a login at a provider; empty for none."""
        return request.cookies.get(self._ticket_name(request), "")

    def _ticket_name(self, request: Request) -> str:
        return f"{self.identity.cookie_name(secure=is_secure(request))}-oidc"

    def _said(self, request: Request) -> tuple[str, str] | None:
        value = request.cookies.get(self._said_name(request), "")
        if not value or wants_json(request):
            return None
        try:
            kind, text = msgspec.json.decode(base64.urlsafe_b64decode(value), type=tuple[str, str])
        except (binascii.Error, ValueError):
            return None
        return ("done" if kind == "done" else "refused", text[:_LONGEST_SAID])

    def _said_name(self, request: Request) -> str:
        return f"{self.identity.cookie_name(secure=is_secure(request))}-said"

    def _cookie(self, request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=is_secure(request)
        )


def prefix_of(request: Request) -> str:
    """Return where the page is mounted, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def query_of(request: Request) -> dict[str, str]:
    """Return the query, the last value of each name.

    Raises:
        BadQuery: it cannot be read.
    """
    return _read_query(request.scope.get("query_string", b""))


def _read_query(text: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as error:
        raise BadQuery("?", text.decode("latin-1"), "cannot be read") from error


def is_secure(request: Request) -> bool:
    """Tell whether the browser speaks HTTPS."""
    return bool(request.scope.get("scheme") == "https")


def wants_json(request: Request) -> bool:
    """Tell whether a program asks, and not a browser."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def as_json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Make a response of what a program asked for, in the form that `onserver --json` has."""
    body = msgspec.json.encode({"v": 1, "ok": True, "data": data}, enc_hook=str)
    return Response(body, status, headers, "application/json")


def problem(status: int, text: str, code: int = 0, headers: Mapping[str, str] | None = None) -> Response:
    """Make a response that tells a program what was wrong."""
    error = {"code": code or None, "message": text, "status": status}
    return Response(msgspec.json.encode({"v": 1, "ok": False, "error": error}), status, headers, "application/json")


def back_to(request: Request, prefix: str, wish: str = "", other: str = "/") -> str:
    """Return where a browser goes after a write: where it wishes, or came from, if that is one of our pages.

    Args:
        request: the write.
        prefix: where the page is mounted.
        wish: a path with the prefix.
        other: the path below the prefix where neither is ours.
    """
    referer = urlsplit(request.headers.get("referer", ""))
    came = f"{referer.path}{'?' + referer.query if referer.query else ''}"
    here = referer.netloc.lower() == request.headers.get("host", "").lower()
    for path in (wish, came if here else ""):
        clean = all(one.isprintable() for one in path) and "\\" not in path
        if clean and not path.startswith("//") and path.startswith(f"{prefix}/"):
            return path
    return f"{prefix}{other}"


def _chosen(request: Request, name: str, choices: Sequence[str], default: str, wish: str = "") -> str:
    """Return the wish, or else what the cookie has, or else the default: the first that is one of the choices."""
    return next((value for value in (wish, request.cookies.get(name, "")) if value in choices), default)


def _nobody(request: Request) -> Actor:
    return Actor(user="", origin=address_of(request), where="page", privileges=frozenset())


def _status_of(error: Exception) -> int:
    if isinstance(error, BadQuery):
        return 400
    if isinstance(error, ReachError):
        return 503
    if isinstance(error, NotThere) or (isinstance(error, OnServerError) and isinstance(error, LookupError)):
        return 404
    return 500


def _nothing(_request: Request) -> Response:
    raise AssertionError
