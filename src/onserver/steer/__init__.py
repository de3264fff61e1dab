"""What can be done to a server by those who look after it: who may, how it is done, and what is written down of it.

    from onserver.steer import act

    act("queue.pause", queue="mail")

Every action of the admin page is here, under the same name, with the same line in the audit (`onserver audit`).
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.steer.acting import act as act

_NAMES: Final = {"act": "onserver.steer.acting:act"}

__all__ = ["act"]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
