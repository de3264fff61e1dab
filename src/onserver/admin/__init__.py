"""The admin page: everything that a server does, in a browser, and everything that can be done to it.

    from onserver.admin import Admin, Visitor          # any ASGI application, at any prefix

It needs `pip install 'onserver[admin]'`.
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.admin.app import Admin as Admin
    from onserver.admin.proxy import Proxy as Proxy
    from onserver.admin.visitor import Visitor as Visitor

_NAMES: Final = {
    "Admin": "onserver.admin.app:Admin",
    "Proxy": "onserver.admin.proxy:Proxy",
    "Visitor": "onserver.admin.visitor:Visitor",
}

__all__ = ["Admin", "Proxy", "Visitor"]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
