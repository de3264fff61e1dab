"""What applications on telephones ask for: to be let in, and actions (`/mobileapp/…`); and the older log-in by REST.

    POST /mobileapp/$authenticate    on_mobile_app_authentication: 200 `{"success": true, …}`, else 401
    POST /mobileapp/$action/NAME     on_mobile_app_action: 200 with what the hook returns
    POST /rest/$directory/login      on_rest_authentication: 200 `{"result": true}`, else 401

Where a web server has no such hook, it has no such path: 404.

The session is that of the cookie, as in a browser. Who is let in by REST has the name of its session from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.interrupt import Interrupted
from onserver.life.hook import MOBILE_APP_ACTION, MOBILE_APP_AUTHENTICATION, REST_AUTHENTICATION
from onserver.life.hook_arguments import HookArgument
from onserver.life.web_arguments import MobileAction, MobileLogin, RestLogin
from onserver.server import Server
from onserver.session.context import session
from onserver.session.session import Session
from onserver.web.answers import LOG, answer_of, problem
from onserver.web.bodies import json_of, read_body
from onserver.web.door import Door, address
from onserver.web.threads import Threads

#: What a device is told of the answer of a hook that lets it in or not.
_TOLD: Final = frozenset({"statusText", "userInfo"})


class Mobile:
    """The routes of one web server.

    Args:
        server: the loaded project.
        door: of this web server.
    """

    def __init__(self, server: Server, door: Door) -> None:
        self._server = server
        self._door = door

    def routes(self) -> list[Route]:
        """Answer the routes."""
        return [
            Route("/mobileapp/$authenticate", self._authenticate, methods=["POST"]),
            Route("/mobileapp/$action/{name}", self._act, methods=["POST"]),
            Route("/rest/$directory/login", self._login, methods=["POST"]),
        ]

    async def _authenticate(self, request: Request) -> Response:
        facts = await self._facts(request)
        login = MobileLogin(
            email=str(facts.get("email") or ""),
            application=_object(facts, "application"),
            device=_object(facts, "device"),
            team=_object(facts, "team"),
            language=_object(facts, "language"),
            parameters=_object(facts, "parameters"),
            ip=_ip(request),
        )
        answers = await self._answers(MOBILE_APP_AUTHENTICATION, login)
        if not answers:
            return problem(404, "Not found.")
        said = [_object({"": answer}, "") or {"success": answer} for answer in answers]
        success = all(answer.get("success") is True for answer in said)
        told = {name: fact for answer in said for name, fact in answer.items() if name in _TOLD}
        return answer_of({**told, "success": success}, status=200 if success else 401)

    async def _act(self, request: Request) -> Response:
        facts = await self._facts(request)
        asked = MobileAction(
            action=request.path_params["name"],
            context=_object(facts, "context"),
            parameters=_object(facts, "parameters"),
            user=await self._server.part(Threads).run(_user_here),
        )
        answers = await self._answers(MOBILE_APP_ACTION, asked)
        if not answers:
            return problem(404, "Not found.")
        return answer_of(next((answer for answer in answers if answer is not None), {"success": False}))

    async def _login(self, request: Request) -> Response:
        user = request.headers.get("username-4d", "")
        hashed = request.headers.get("hashed-password-4d", "")
        password = hashed or request.headers.get("password-4d", "")
        login = RestLogin(user=user, password=password, digest=bool(hashed), ip=_ip(request))
        answers = await self._answers(REST_AUTHENTICATION, login)
        if not answers:
            return problem(404, "Not found.")
        if not all(answer is True for answer in answers):
            return problem(401, "Name or password is wrong.")
        await self._server.part(Threads).run(_name_session, user)
        return answer_of({"result": True})

    async def _facts(self, request: Request) -> Mapping[str, Any]:
        body = await read_body(request, self._server.settings.web.max_body_bytes)
        given = json_of(request, body)
        return given[1] if given else {}

    async def _answers(self, kind: str, argument: HookArgument) -> list[Any]:
        """Answer what each hook returns; one that fails has returned False."""
        return await self._server.part(Threads).run(self._asked, kind, argument)

    def _asked(self, kind: str, argument: HookArgument) -> list[Any]:
        answers: list[Any] = []
        try:
            answers.extend(self._door.answers(kind, argument))
        except (KeyboardInterrupt, Interrupted):
            raise
        except BaseException:  # noqa: BLE001  # SystemExit too: whatever a hook raises, it refuses
            LOG.exception("%s has failed: the request is refused", kind)
            answers.append(False)
        return answers


def _object(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Answer what is an object under this name; an empty one where something else is."""
    found = facts.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _ip(request: Request) -> str:
    return address(request.client.host if request.client else "")


def _here() -> Session | None:
    """The session of the request, None where the web server keeps none."""
    return session()


def _user_here() -> str:
    here = _here()
    return "" if here is None else here.user_name


def _name_session(user: str) -> None:
    """Name the session of the request, where the hook has not."""
    here = _here()
    if here is not None and not here.user_name:
        here.set_privileges({"userName": user})
