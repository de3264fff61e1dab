"""Hooks by hand: the hooks of an event, run here and now.

A single-user application has no server that starts, stops, is backed up or hears of its machine, and nobody connects
to it. Whoever writes such hooks tries them so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from onserver.errors import BadArguments, NotStandalone
from onserver.life.hook import (
    ARGUMENTS,
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    CLOSE_CONNECTION,
    OPEN_CONNECTION,
    SHUTDOWN,
    SHUTDOWN_DRAINED,
    STARTUP,
    SYSTEM_EVENT,
    hooks_of,
)
from onserver.life.hook_arguments import HookArgument
from onserver.life.hook_call import HookOutcome, call_hook
from onserver.server import Server

Occasion = Literal[
    "server_startup",
    "server_shutdown",
    "backup_startup",
    "backup_shutdown",
    "system_event",
    "server_open_connection",
    "server_close_connection",
]
_HOOKS: Final[Mapping[str, Sequence[str]]] = {
    "server_startup": (STARTUP,),
    "server_shutdown": (SHUTDOWN, SHUTDOWN_DRAINED),
    "backup_startup": (BACKUP_STARTUP,),
    "backup_shutdown": (BACKUP_SHUTDOWN,),
    "system_event": (SYSTEM_EVENT,),
    "server_open_connection": (OPEN_CONNECTION,),
    "server_close_connection": (CLOSE_CONNECTION,),
}
_SIGNATURE: Final = "fire(event, argument=None)"


def fire(server: Server, event: str, argument: HookArgument | None = None) -> list[HookOutcome]:
    """Run the hooks of an event here, in the session that is there outside of every process.

    Args:
        server: whose hooks; its tasks are loaded.
        event: its name: that of the decorator without `on_`.
        argument: what they are told, as in `fire(server, "backup_startup", Backup(number=1))`.

    Returns:
        How each ended that was run; a refusal is the last. What a start-up or shutdown hook raises is raised.

    Raises:
        BadArguments: ONS-1105, there is no such event, or its hooks are told something else.
    """
    kinds = _kinds(event, argument)
    outcomes: list[HookOutcome] = []
    for hook in (hook for kind in kinds for hook in hooks_of(server, kind)):
        outcomes.append(call_hook(server, hook, argument))
        error = outcomes[-1].error
        if error is not None and argument is None:
            raise error
        if outcomes[-1].refuses:
            break
    return outcomes


def fire_alone(server: Server, event: str, argument: HookArgument | None = None) -> list[HookOutcome]:
    """`fire` for a single-user application: what `Server.fire` does.

    Raises:
        NotStandalone: ONS-1015, the server has workers, which run its hooks.
        BadArguments: ONS-1105, as in `fire`.
    """
    if not server.alone:
        raise NotStandalone(server.name)
    server.load_tasks()
    return fire(server, event, argument)


def _kinds(event: str, argument: HookArgument | None) -> Sequence[str]:
    if event not in _HOOKS:
        raise BadArguments("fire", f"has event={event!r}; it is one of {', '.join(get_args(Occasion))}", _SIGNATURE)
    wanted = ARGUMENTS.get(_HOOKS[event][0])
    if wanted is None and argument is not None:
        raise BadArguments("fire", f"has an argument, and hooks of `{event}` are told nothing", _SIGNATURE)
    if wanted is not None and not isinstance(argument, wanted):
        raise BadArguments("fire", f"needs argument={wanted.__name__}(…) for `{event}`", _SIGNATURE)
    return _HOOKS[event]
