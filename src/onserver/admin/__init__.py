"""The admin page: everything that a server does, in a browser, and everything that can be done to it.

    from onserver.admin import Admin, Visitor             # ASGI: Starlette, FastAPI …, at any prefix
    from onserver.admin import WSGIAdmin                  # WSGI: any application that calls another one
    from onserver.admin.flask import mount                # Flask, with its login
    from onserver.django_app.admin import admin_urls      # Django, with its login and groups

It needs `pip install 'onserver[admin]'`.
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.admin.app import Admin as Admin
    from onserver.admin.proxy import Proxy as Proxy
    from onserver.admin.visitor import Visitor as Visitor
    from onserver.admin.wsgi import WSGIAdmin as WSGIAdmin
    from onserver.admin.wsgi import visitor_of as visitor_of

_NAMES: Final = {
    "Admin": "onserver.admin.app:Admin",
    "Proxy": "onserver.admin.proxy:Proxy",
    "Visitor": "onserver.admin.visitor:Visitor",
    "WSGIAdmin": "onserver.admin.wsgi:WSGIAdmin",
    "visitor_of": "onserver.admin.wsgi:visitor_of",
}

__all__ = ["Admin", "Proxy", "Visitor", "WSGIAdmin", "visitor_of"]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
