"""Logging in and out, and what somebody likes: theme, language, zone.

A login link shows a button, and the button spends the link: what follows links by itself (a mail scanner, the preview
of a chat) spends none. A password is looked at only after its attempt was counted.

Who has come in and gone out, and who was refused, stands in the audit: of a name that nobody has, only that there is
none of it, since people type a password into that field at times.
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
from onserver.errors import UserNotFound
from onserver.session.attempts import Attempts
from onserver.session.users import Users
from onserver.steer.actor import Actor
from onserver.steer.audit import LOGIN, LOGOUT, Result, record
from onserver.web.threads import Threads

_YEAR: Final = 366 * 86_400


class Refused(Exception):
    """Somebody does not come in.

    Args:
        status: of the response.
        text: what the browser is told, translated.
        by: how it was tried: `link`, `password` or `oidc`.
        user: who it would have been, where there is such a user.
        why: for the audit, in English.
        headers: of the response.
    """

    def __init__(
        self, status: int, text: str, *, by: str, user: str = "", why: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.by, self.user, self.why, self.headers = status, by, user, why, headers


class Doors:
    """The routes by which somebody comes in and goes out.

    Args:
        replies: of the page.
        elsewhere: the provider at which people log in too; empty for none.
    """

    def __init__(self, replies: Replies, elsewhere: str = "") -> None:
        self._replies = replies
        self._elsewhere = elsewhere
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
                "users": any(one.has_password for one in Users(self._server.store).listed()),
                "elsewhere": self._elsewhere,
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
        except Refused as refused:
            return self.refuse(request, refused)
        return self.let_in(request, session, form.text("back"))

    def refuse(self, request: Request, refused: Refused) -> Response:
        """Answer somebody who does not come in, and write it down."""
        self._note_refused(request, refused)
        return self._replies.told(request, refused.status, str(refused), headers=refused.headers)

    def let_in(self, request: Request, session: str, wish: str) -> Response:
        """Answer somebody who has come in.

        Args:
            request: with which they came.
            session: that has begun.
            wish: where they want to go, a path with the prefix; empty for where they came from.
        """
        before = self._identity.who(request)
        if before is not None and before.logged_in_here:
            self._identity.logins.end(before.session)
        back = back_to(request, prefix_of(request), wish)
        if back.partition("?")[0] in {f"{prefix_of(request)}/login{more}" for more in ("", "/callback")}:
            back = f"{prefix_of(request)}/"
        response = as_json({"back": back}) if wants_json(request) else RedirectResponse(back, 303)
        self._replies.keep(request, response, session)
        return response

    def _session(self, request: Request, form: Form) -> str:
        """Begin the session of whoever has a link, or knows a password.

        Raises:
            Refused: it is not good.
        """
        look, logins = self._replies.look(request, None), self._identity.logins
        if form.text("t"):
            session = logins.use_link(form.text("t"))
            if not session:
                text = look._("This link was used already, or is too old.")
                raise Refused(403, text, by="link", why="the link was used already, or is too old")
            login = logins.find(session)
            self.note(request, login.user if login else "", LOGIN, "link")
            return session
        name, address = form.text("user"), address_of(request)
        attempts = Attempts(self._server.store)
        wait = attempts.begin(name, address)
        known, noone = self._known(name), "there is no such user"
        if wait:
            LOG.warning("Too many attempts to log in as %r from %s: refused for %d s", name, address, wait)
            text, after = look._("Too many attempts. Try again in a few minutes."), {"Retry-After": str(wait)}
            raise Refused(429, text, by="password", user=known, why="too many attempts", headers=after)
        user = Users(self._server.store).verify(name, form.text("password"))
        if user is None:
            LOG.warning("A login as %r from %s was refused", name, address)
            why = "the password is wrong" if known else noone
            raise Refused(403, look._("The name or the password is wrong."), by="password", user=known, why=why)
        attempts.right(name, address)
        self.note(request, user.name, LOGIN, "password")
        return logins.begin(user.name)

    def _known(self, name: str) -> str:
        """Return the name of a user as it is spelled; empty where nobody has it."""
        try:
            return Users(self._server.store).get(name).name
        except UserNotFound:
            return ""

    # -- what is written down

    def note(self, request: Request, user: str, action: str, by: str, result: Result = "done", why: str = "") -> None:
        """Write down that somebody has come in or gone out, or was refused."""
        actor = Actor(user=user, origin=address_of(request), where="page", privileges=frozenset())
        record(self._server.store, actor, action, result=result, target=by, why=why)

    def _note_refused(self, request: Request, refused: Refused) -> None:
        """Write it down, as long as there were not too many within the hour."""
        left = self._identity.logins.may_write_down()
        if left:
            last = "; no more of this hour are written down" if left == 1 else ""
            self.note(request, refused.user, LOGIN, refused.by, "refused", f"{refused.why}{last}")

    async def _log_out(self, request: Request) -> Response:
        return await writing(self._replies, request, self._logged_out)

    def _logged_out(self, request: Request, _form: Form) -> Response:
        asker = self._identity.who(request)
        if asker is not None and asker.logged_in_here:
            self._identity.logins.end(asker.session)
            self.note(request, asker.actor.user, LOGOUT, asker.by)
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
