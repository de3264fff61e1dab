"""Logging in at a provider of OpenID Connect, and coming back.

| request | does |
|---|---|
| `POST /login/oidc` | notes that a login has begun, and answers a page that leads to the provider |
| `GET /login/callback` | what the provider sends the browser back to: a page with a button, which changes nothing |
| `POST /login/callback` | that button, pressed by itself where there is JavaScript: spends the login, and lets in |

It is a button for the reason for which a login link has one, and so that this is a write from our own page: the cookies
are sent with it although they are kept from other sites, and what a provider's page, or any other, makes a browser ask
for lets nobody in. A page leads to the provider, and no redirection: a form may not be redirected to another site here.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.admin.doors import Doors, Refused
from onserver.admin.identity import address_of
from onserver.admin.logins import Flight
from onserver.admin.oidc import Known, NotBelieved, Provider, ProviderFailed, Ticket
from onserver.admin.page import View
from onserver.admin.replies import LOG, Replies, prefix_of
from onserver.admin.writes import Form, writing
from onserver.errors import UserNotFound
from onserver.session.attempts import Attempts
from onserver.session.users import User, Users
from onserver.steer.audit import LOGIN
from onserver.web.threads import Threads

BEGIN: Final = "/login/oidc"
CALLBACK: Final = "/login/callback"
_LONGEST_BACK: Final = 2000
#: What a provider sends back; a code may be long.
_BROUGHT: Final = {"code": 8000, "state": 200, "iss": 500, "error": 200}


class OidcDoors:
    """The routes of logging in at a provider.

    Args:
        replies: of the page.
        doors: the others, through which somebody is let in.
        provider: where people log in.
    """

    def __init__(self, replies: Replies, doors: Doors, provider: Provider) -> None:
        self._replies = replies
        self._server = replies.server
        self._logins = replies.identity.logins
        self._doors = doors
        self._provider = provider

    def routes(self) -> list[Route]:
        """Answer the routes."""
        return [
            Route(BEGIN, self._begin, methods=["POST"]),
            Route(CALLBACK, self._show, methods=["GET"]),
            Route(CALLBACK, self._come_back, methods=["POST"]),
        ]

    async def _begin(self, request: Request) -> Response:
        return await writing(self._replies, request, self._begun)

    def _begun(self, request: Request, form: Form) -> Response:
        look, address = self._replies.look(request, None), address_of(request)
        if address and (wait := Attempts(self._server.store).begin(self._counted(address), "")):
            text = look._("Too many attempts. Try again in a few minutes.")
            return self._replies.told(request, 429, text, headers={"Retry-After": str(wait)})
        again, back = form.text("again") == "1", form.text("back")
        to = f"{request.url.scheme}://{request.url.netloc}{prefix_of(request)}{CALLBACK}"
        ticket = Ticket(
            self._logins.depart(Flight(to=to, back=back if len(back) <= _LONGEST_BACK else "", again=again))
        )
        try:
            there = self._provider.address(ticket, to, again=again)
        except ProviderFailed as error:
            self._logins.arrive(ticket.secret)
            return self._replies.told(request, 503, self._failed(request, error))
        view = View("oidc_begin.html", {"host": self._provider.host, "there": there}, data={"to": there})
        response = self._replies.shown(request, view, look)
        self._replies.keep_ticket(request, response, ticket.secret)
        return response

    async def _show(self, request: Request) -> Response:
        return await self._server.part(Threads).run(self._shown, request)

    def _shown(self, request: Request) -> Response:
        try:
            look = self._replies.look(request, None)
            brought = {name: look.text(name, most) for name, most in _BROUGHT.items()}
            view = View("oidc_back.html", {"host": self._provider.host, "brought": brought})
            return self._replies.shown(request, view, look)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser gets an answer
            return self._replies.failed(request, error)

    async def _come_back(self, request: Request) -> Response:
        return await writing(self._replies, request, self._came_back)

    def _came_back(self, request: Request, form: Form) -> Response:
        ticket, flight = Ticket(self._replies.ticket(request)), None
        try:
            flight = self._arrived(request, ticket, form.text("state"))
            user, known = self._known(request, ticket, flight, form)
        except Refused as refused:
            LOG.warning("A login from %s at %s was refused: %s", address_of(request), self._provider.host, refused.why)
            response = self._doors.refuse(request, refused)
        else:
            Attempts(self._server.store).right(self._counted(address_of(request)))
            self._doors.note(request, user.name, LOGIN, "oidc")
            session = self._logins.begin(user.name, "oidc", stale=not known.recent)
            response = self._doors.let_in(request, session, flight.back)
        if flight is not None:  # what belongs to another login leaves this one as it was
            self._replies.keep_ticket(request, response, "")
        return response

    def _arrived(self, request: Request, ticket: Ticket, state: str) -> Flight:
        """Spend the login that this browser has begun.

        Raises:
            Refused: it has begun none, or another one, or long ago.
        """
        look = self._replies.look(request, None)
        flight = self._logins.arrive(ticket.secret) if ticket.secret and ticket.fits(state) else None
        if flight is None:
            text = look._(
                "This login was begun in another browser, was used already, or is older than ten minutes. Begin again."
            )
            raise Refused(403, text, by="oidc", why="it was not begun in this browser, was used already, or is too old")
        return flight

    def _known(self, request: Request, ticket: Ticket, flight: Flight, form: Form) -> tuple[User, Known]:
        """Ask the provider who came back, and find the user.

        Raises:
            Refused: the provider has refused it, cannot be believed, or names nobody of this server.
        """
        look, host = self._replies.look(request, None), self._provider.host
        if not form.text("code"):
            why = f"the provider has let nobody in: {form.text('error')[:100]!r}"
            raise Refused(403, look._("{host} has not let you in.", host=host), by="oidc", why=why)
        try:
            known = self._provider.who(ticket, form.text("code"), flight.to, form.text("iss"))
        except ProviderFailed as error:
            text = self._failed(request, error)
            raise Refused(503, text, by="oidc", why="the provider was not reached, or did not answer") from error
        except NotBelieved as error:
            text = look._(
                "What {host} says of you is no proof; the log of the admin program has the reason.", host=host
            )
            raise Refused(403, text, by="oidc", why=f"what the provider says is no proof: {error}") from error
        user = self._user(known.name)
        if user is None:
            LOG.warning("%s names %r, who is no user", host, known.name)
            text = look._("{name} is no user of this server.", name=known.name)
            raise Refused(403, text, by="oidc", why="there is no such user")
        if flight.again and not known.recent:
            text = look._("{host} has not asked you once more who you are.", host=host)
            raise Refused(403, text, by="oidc", user=user.name, why="the provider did not ask once more who it is")
        return user, known

    def _user(self, name: str) -> User | None:
        """Return the user of a name, which is spelled as the user's: of an address, large and small are the same.

        Names that only look alike to Unicode are two people's for a provider.
        """
        try:
            user = Users(self._server.store).get(name)
        except UserNotFound:
            return None
        both = (user.name, name)
        same = self._provider.claim == "email" and all(map(str.isascii, both)) and user.name.lower() == name.lower()
        return user if same or user.name == name else None

    def _failed(self, request: Request, error: ProviderFailed) -> str:
        LOG.warning("The provider %s has failed: %s", self._provider.host, error)
        return self._replies.look(request, None)._(
            "{host} was not reached, or has not answered as it should; the log of the admin program has the reason.",
            host=self._provider.host,
        )

    @staticmethod
    def _counted(address: str) -> str:
        """The name under which logins that have begun at an address are counted: each keeps something for a while."""
        return f"oidc:{address}"
