"""Web sessions: one middleware in front of an application, and `session()` is there in every request.

    from onserver.web import SessionMiddleware          # ASGI: FastAPI, Starlette, Litestar, Quart …
    from onserver.web import WSGISessionMiddleware      # WSGI: Flask, Django, Bottle …
    from onserver.web import Gateway                    # a web server for a project that has none

The middlewares need no web framework, and load none; the gateway is made with Starlette.
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.web.cookie import CookieRules as CookieRules
    from onserver.web.devices import devices as devices
    from onserver.web.devices import sign_out as sign_out
    from onserver.web.gateway import Gateway as Gateway
    from onserver.web.middleware import SessionMiddleware as SessionMiddleware
    from onserver.web.middleware import requires as requires
    from onserver.web.middleware import web_session as web_session
    from onserver.web.requests import WebSessions as WebSessions
    from onserver.web.requests import web_sessions as web_sessions
    from onserver.web.web_session import WebSession as WebSession
    from onserver.web.wsgi import WSGISessionMiddleware as WSGISessionMiddleware

_NAMES: Final = {
    "CookieRules": "onserver.web.cookie:CookieRules",
    "Gateway": "onserver.web.gateway:Gateway",
    "SessionMiddleware": "onserver.web.middleware:SessionMiddleware",
    "WSGISessionMiddleware": "onserver.web.wsgi:WSGISessionMiddleware",
    "WebSession": "onserver.web.web_session:WebSession",
    "WebSessions": "onserver.web.requests:WebSessions",
    "devices": "onserver.web.devices:devices",
    "requires": "onserver.web.middleware:requires",
    "sign_out": "onserver.web.devices:sign_out",
    "web_session": "onserver.web.middleware:web_session",
    "web_sessions": "onserver.web.requests:web_sessions",
}

__all__ = [
    "CookieRules",
    "Gateway",
    "SessionMiddleware",
    "WSGISessionMiddleware",
    "WebSession",
    "WebSessions",
    "devices",
    "requires",
    "sign_out",
    "web_session",
    "web_sessions",
]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
