"""Who asks: the one answer for pages and for the HTTP API.

| the request has | who it is |
|---|---|
| `Authorization: Bearer` | the token, with its privileges; or nobody |
| a page that is mounted with `login` | whom that function answers; or nobody |
| a word of the proxy that was named | the user of that name, or somebody with the proxy's role |
| the cookie of a login | the user whose password it was or whom a provider has named, or the roles of the link |

What somebody may do is looked up each time: roles of a user, and `roles.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from starlette.requests import Request

from onserver.admin.logins import FRESH_SECONDS, Logins
from onserver.admin.proxy import USER, Proxy
from onserver.admin.tokens import Tokens
from onserver.admin.visitor import Login, Visitor
from onserver.errors import UserNotFound
from onserver.server import Server
from onserver.session.users import User, Users
from onserver.steer.actor import Actor
from onserver.steer.granted import PRIVILEGES, privileges_of

_BEARER: Final = "bearer "


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Whoever asks.

    Attributes:
        actor: what steering knows of them.
        by: how they are known.
        session: of a login here: what the browser keeps.
    """

    actor: Actor
    by: Literal["token", "host", "proxy", "link", "password", "oidc"]
    session: str = field(default="", repr=False)

    @property
    def logged_in_here(self) -> bool:
        """Whether there is a login of this page that can be ended, or made anew."""
        return self.by in ("link", "password", "oidc")


class Identity:
    """Knows who asks.

    Args:
        server: that the page is about.
        read_only: whether nobody may change anything.
        login: of the application around; None where the page has logins of its own.
        proxy: a server in front whose word is taken.
    """

    def __init__(
        self, server: Server, *, read_only: bool = False, login: Login | None = None, proxy: Proxy | None = None
    ) -> None:
        self._server = server
        self._read_only = read_only or server.settings.admin.read_only
        self._login = login
        self.proxy = proxy
        self.has_own_logins = login is None

    @property
    def logins(self) -> Logins:
        """The logins of this page."""
        return Logins(self._server.store)

    def cookie_name(self, *, secure: bool) -> str:
        """Return the name of the cookie: one that browsers keep to this very host, where that is possible."""
        name = f"onserver-admin-{self._server.name}"
        return f"__Host-{name}" if secure else name

    def who(self, request: Request) -> Asker | None:
        """Answer who asks; None is nobody."""
        authorization = request.headers.get("authorization", "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return self._by_token(request, authorization[len(_BEARER) :].strip())
        if self._login is not None:
            visitor = self._login(request)
            return None if visitor is None else self._visiting(request, visitor, "host")
        if named := request.scope.get(USER, ""):
            return self._visiting(request, self._named_by_proxy(named), "proxy")
        return self._by_cookie(request)

    def _by_token(self, request: Request, secret: str) -> Asker | None:
        token = Tokens(self._server.store).find(secret)
        if token is None:
            return None
        actor = Actor(
            user=f"token:{token.name}", origin=address_of(request), where="api", read_only=self._read_only,
            privileges=frozenset(token.privileges) & frozenset(PRIVILEGES), fresh=True,
        )  # fmt: skip
        return Asker(actor=actor, by="token")

    def _named_by_proxy(self, name: str) -> Visitor:
        assert self.proxy is not None
        user = self._user(name)
        return Visitor(user=name, roles=user.roles if user else (self.proxy.role,))

    def _by_cookie(self, request: Request) -> Asker | None:
        session = request.cookies.get(self.cookie_name(secure=request.url.scheme == "https"), "")
        login = self.logins.find(session)
        if login is None:
            return None
        roles, name = login.roles, login.user
        if login.by != "link":
            user = self._user(login.user)
            if user is None or user.changed_ms > login.at:
                return None  # removed, or another password since: who knew the old one is out
            roles, name = user.roles, user.name
        age = (self._server.store.now_ms() - login.at) / 1000
        fresh = age < FRESH_SECONDS and not login.stale
        visitor = Visitor(user=name, roles=roles, read_only=login.read_only, fresh=fresh)
        return self._visiting(request, visitor, login.by, session)

    def _visiting(
        self, request: Request, visitor: Visitor, by: Literal["host", "proxy", "link", "password", "oidc"],
        session: str = "",
    ) -> Asker:  # fmt: skip
        actor = Actor(
            user=visitor.user, origin=address_of(request), where="page",
            privileges=privileges_of(self._server.require_roles(), visitor.roles),
            read_only=self._read_only or visitor.read_only, fresh=visitor.fresh,
        )  # fmt: skip
        return Asker(actor=actor, by=by, session=session)

    def _user(self, name: str) -> User | None:
        try:
            return Users(self._server.store).get(name)
        except UserNotFound:
            return None


def address_of(request: Request) -> str:
    """Return the address of the browser."""
    return request.client.host if request.client else ""
