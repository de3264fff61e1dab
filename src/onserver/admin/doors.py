"""Logging in and out, and what somebody likes: theme, language, zone.

A login link shows a button, and the button spends the link: what follows links by itself (a mail scanner, the preview
of a chat) spends none. A password is looked at only after its attempt was counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from onserver.admin.identity import address_of
from onserver.admin.language import CODES
from onserver.admin.page import View
from onserver.admin.replies import (
    LANGUAGE,
    LOG,
    THEME,
    THEMES,
    ZONE,
    Replies,
    as_json,
    back_to,
    is_secure,
    prefix_of,
    wants_json,
)
from onserver.admin.writes import Form, writing
from onserver.admin.zones import CHOICES
from onserver.session.users import Users, key_of_name
from onserver.web.threads import Threads

_YEAR: Final = 366 * 86_400


class _Refused(Exception):
    """Somebody does not come in."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Doors:
    """The routes by which somebody comes in and goes out.

    Args:
        replies: of the page.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._server = replies.server
        self._identity = replies.identity

    def routes(self) -> list[Route]:
        """Answer the routes; a page that is mounted with the login of its application has none of its own."""
        display = [Route("/display", self._display, methods=["POST"], name="display")]
        if not self._identity.has_own_logins:
            return display
        return [
            *display,
            Route("/login", self._show, methods=["GET"], name="login"),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"], name="logout"),
        ]

    async def _show(self, request: Request) -> Response:
        return await self._server.part(Threads).run(self._shown, request)

    def _shown(self, request: Request, status: int = 200, user: str = "") -> Response:
        try:
            asker = self._identity.who(request)
            look = self._replies.look(request, None)
            token, again = look.text("t", 100), bool(look.word("again", ["1"]))
            back = look.text("back", 2000)
            if asker is not None and not token and not again:
                return RedirectResponse(back_to(request, prefix_of(request), back), 303)
            known = {
                "token": token,
                "good": self._identity.logins.is_link(token),
                "users": bool(Users(self._server.store).listed()),
                "again": again,
                "back": back_to(request, prefix_of(request), back) if back else "",
                "user": user or (asker.actor.user if asker and asker.by == "password" else ""),
            }
            return self._replies.shown(request, View("login.html", known, status=status), look)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser gets an answer
            return self._replies.failed(request, error)

    async def _log_in(self, request: Request) -> Response:
        return await writing(self._replies, request, self._logged_in)

    def _logged_in(self, request: Request, form: Form) -> Response:
        try:
            session = self._session(request, form)
        except _Refused as refused:
            return self._replies.told(request, refused.status, str(refused), headers=refused.headers)
        before = self._identity.who(request)
        if before is not None and before.logged_in_here:
            self._identity.logins.end(before.session)
        back = back_to(request, prefix_of(request), form.text("back"))
        if back.partition("?")[0] == f"{prefix_of(request)}/login":
            back = f"{prefix_of(request)}/"
        response = as_json({"back": back}) if wants_json(request) else RedirectResponse(back, 303)
        self._replies.keep(request, response, session)
        return response

    def _session(self, request: Request, form: Form) -> str:
        """Begin the session of whoever has a link, or knows a password.

        Raises:
            _Refused: it is not good.
        """
        look, logins = self._replies.look(request, None), self._identity.logins
        if form.text("t"):
            session = logins.use_link(form.text("t"))
            if not session:
                raise _Refused(403, look._("This link was used already, or is too old."))
            return session
        name, address = form.text("user"), address_of(request)
        wait = logins.attempt(key_of_name(name), address)
        if wait:
            LOG.warning("Too many attempts to log in as %r from %s: refused for %d s", name, address, wait)
            raise _Refused(429, look._("Too many attempts. Try again in a few minutes."), {"Retry-After": str(wait)})
        user = Users(self._server.store).verify(name, form.text("password"))
        if user is None:
            LOG.warning("A login as %r from %s was refused", name, address)
            raise _Refused(403, look._("The name or the password is wrong."))
        logins.succeeded(key_of_name(name))
        return logins.begin(user.name)

    async def _log_out(self, request: Request) -> Response:
        return await writing(self._replies, request, self._logged_out)

    def _logged_out(self, request: Request, _form: Form) -> Response:
        asker = self._identity.who(request)
        if asker is not None and asker.logged_in_here:
            self._identity.logins.end(asker.session)
        response = RedirectResponse(f"{prefix_of(request)}/login", 303)
        self._replies.keep(request, response, "")
        return response

    async def _display(self, request: Request) -> Response:
        return await writing(self._replies, request, self._displayed)

    def _displayed(self, request: Request, form: Form) -> Response:
        response = RedirectResponse(back_to(request, prefix_of(request), form.text("back")), 303)
        for cookie, word, choices in ((THEME, "theme", THEMES), (LANGUAGE, "lang", CODES), (ZONE, "zone", CHOICES)):
            value = form.text(word)
            if value in choices:
                response.set_cookie(
                    cookie, value, max_age=_YEAR, path="/", samesite="strict", secure=is_secure(request)
                )
        return response
