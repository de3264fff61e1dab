"""The hooks of the web. Their answers are booleans, as in the original, and mean the opposite of numbers: True goes on.

They run in the program that serves the web, in the session of the request, and each web server has its own: those that
a component declares are asked by the web server of that component, all others by the project's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, Unpack, overload

from onserver.life.hook import (
    MOBILE_APP_ACTION,
    MOBILE_APP_AUTHENTICATION,
    REST_AUTHENTICATION,
    WEB_AUTHENTICATION,
    WEB_CONNECTION,
    HookOptions,
    decorated,
)
from onserver.life.web_arguments import MobileAction, MobileLogin, RestLogin, WebRequest

AdmitsWeb = TypeVar("AdmitsWeb", bound=Callable[[WebRequest], "bool | Awaitable[bool | None] | None"])
AnswersWeb = TypeVar("AnswersWeb", bound=Callable[[WebRequest], Any])
AdmitsRest = TypeVar("AdmitsRest", bound=Callable[[RestLogin], "bool | Awaitable[bool | None] | None"])
AdmitsMobile = TypeVar(
    "AdmitsMobile", bound=Callable[[MobileLogin], "bool | Mapping[str, Any] | Awaitable[bool | Mapping[str, Any]]"]
)
ActsMobile = TypeVar("ActsMobile", bound=Callable[[MobileAction], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"])


@overload
def on_web_authentication(function: AdmitsWeb, /) -> AdmitsWeb: ...
@overload
def on_web_authentication(**options: Unpack[HookOptions]) -> Callable[[AdmitsWeb], AdmitsWeb]: ...
def on_web_authentication(function: Any = None, /, **options: Any) -> Any:
    """Run a function before a request runs code of the project: it may refuse the request.

    It is asked for `/action/`, `/4DACTION/` and the first tag 4DSCRIPT of a page, and where there is no such page or no
    home page; not for a page that is there, nor for REST. True and None accept; False refuses: the browser is told 401
    and may ask for name and password. One that raises, runs for longer than its time limit, or answers anything else
    refuses too.

    Args:
        function: what runs, plain or `async def`; called with a `WebRequest`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `web.answer_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.

    Raises:
        BadDeclaration: ONS-1009, it cannot be called so, or an argument has no meaning.

    Example:
        >>> @on_web_authentication
        ... def admit(request: WebRequest) -> bool:
        ...     return not request.url.startswith("/internal/")
        >>> admit(WebRequest(url="/internal/figures"))
        False

    4D: On Web Authentication (specification 6.7); its six texts are the attributes of `request`.
    """
    return decorated(WEB_AUTHENTICATION, function, options)


@overload
def on_web_connection(function: AnswersWeb, /) -> AnswersWeb: ...
@overload
def on_web_connection(**options: Unpack[HookOptions]) -> Callable[[AnswersWeb], AnswersWeb]: ...
def on_web_connection(function: Any = None, /, **options: Any) -> Any:
    """Run a function for a request whose page is not there, or for the root where there is no home page.

    Only after `on_web_authentication` has accepted. What it returns is sent: text, bytes, a response of Starlette's, or
    any other value as JSON; None sends nothing, and where no hook sends anything the answer is 404.

    Args:
        function: what runs, plain or `async def`; called with a `WebRequest`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `web.answer_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.

    Raises:
        BadDeclaration: ONS-1009, as for `on_web_authentication`.

    Example:
        >>> @on_web_connection
        ... def route(request: WebRequest) -> str | None:
        ...     return "pong" if request.url == "/ping" else None
        >>> route(WebRequest(url="/ping"))
        'pong'

    4D: On Web Connection (specification 6.8), which answers by commands and not by its result.
    """
    return decorated(WEB_CONNECTION, function, options)


@overload
def on_rest_authentication(function: AdmitsRest, /) -> AdmitsRest: ...
@overload
def on_rest_authentication(**options: Unpack[HookOptions]) -> Callable[[AdmitsRest], AdmitsRest]: ...
def on_rest_authentication(function: Any = None, /, **options: Any) -> Any:
    """Run a function before somebody opens a session by `POST /rest/$directory/login`. Only True lets them in.

    The original calls it deprecated: new projects have `forceLogin` and a server method `authentify`.

    Args:
        function: what runs, plain or `async def`; called with a `RestLogin`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `web.answer_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.

    Raises:
        BadDeclaration: ONS-1009, as for `on_web_authentication`.

    Example:
        >>> @on_rest_authentication
        ... def admit(login: RestLogin) -> bool:
        ...     return login.user == "ann" and not login.digest
        >>> admit(RestLogin(user="ann"))
        True

    4D: On REST Authentication (specification 6.9). What nothing returned means is not stated there; here it refuses.
    """
    return decorated(REST_AUTHENTICATION, function, options)


@overload
def on_mobile_app_authentication(function: AdmitsMobile, /) -> AdmitsMobile: ...
@overload
def on_mobile_app_authentication(**options: Unpack[HookOptions]) -> Callable[[AdmitsMobile], AdmitsMobile]: ...
def on_mobile_app_authentication(function: Any = None, /, **options: Any) -> Any:
    """Run a function when somebody opens a mobile application, `POST /mobileapp/$authenticate`: it lets them in or not.

    It answers `{"success": True}`, with `userInfo` and `statusText` where there is something to say; only True lets in,
    and a plain boolean is the same. Without such a hook nobody gets in.

    Args:
        function: what runs, plain or `async def`; called with a `MobileLogin`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `web.answer_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.

    Raises:
        BadDeclaration: ONS-1009, as for `on_web_authentication`.

    Example:
        >>> @on_mobile_app_authentication
        ... def admit(login: MobileLogin) -> dict[str, object]:
        ...     return {"success": login.email.endswith("@example.com"), "statusText": "ask your manager"}
        >>> admit(MobileLogin(email="ann@example.com"))["success"]
        True

    4D: On Mobile App Authentication.
    """
    return decorated(MOBILE_APP_AUTHENTICATION, function, options)


@overload
def on_mobile_app_action(function: ActsMobile, /) -> ActsMobile: ...
@overload
def on_mobile_app_action(**options: Unpack[HookOptions]) -> Callable[[ActsMobile], ActsMobile]: ...
def on_mobile_app_action(function: Any = None, /, **options: Any) -> Any:
    """Run a function for an action of a mobile application, `POST /mobileapp/$action/NAME`.

    What it returns is sent as JSON: `{"success": True, "statusText": "…"}`. Where no hook answers, the action fails.

    Args:
        function: what runs, plain or `async def`; called with a `MobileAction`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `web.answer_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.

    Raises:
        BadDeclaration: ONS-1009, as for `on_web_authentication`.

    Example:
        >>> @on_mobile_app_action
        ... def act(asked: MobileAction) -> dict[str, object]:
        ...     return {"success": asked.action == "rate"}
        >>> act(MobileAction(action="rate"))
        {'success': True}

    4D: On Mobile App Action.
    """
    return decorated(MOBILE_APP_ACTION, function, options)
