"""Which hook is meant, and what one is given that is tried."""

from __future__ import annotations

from onserver.errors import HookNotFound
from onserver.life.hook import ARGUMENTS, KINDS, SYSTEM_EVENT, Hook, hooks_of, side_name
from onserver.life.hook_arguments import HookArgument, SystemEvent
from onserver.registry import find_name
from onserver.server import Server

#: Code and name of the event that a hook is told of when it is tried.
_OWN_CODE, _TRIAL = 1000, "hooks.run"


def all_hooks(server: Server) -> list[Hook]:
    """Answer the hooks of the project, kind by kind."""
    server.load_tasks()
    return [hook for kind in KINDS for hook in hooks_of(server, kind)]


def find_hook(server: Server, word: str) -> Hook:
    """Find a hook by its name, or where several kinds have one of that name, by `KIND:NAME`.

    Raises:
        HookNotFound: ONS-5302.
    """
    found = all_hooks(server)
    kind, colon, name = word.partition(":")
    if colon:
        found = [hook for hook in found if side_name(hook).startswith(f"{kind}:")]
    full = full_name_of(name if colon else word, [hook.name for hook in found])
    meant = [hook for hook in found if hook.name == full]
    if len(meant) > 1:
        raise HookNotFound(word, [side_name(hook) for hook in meant])
    return meant[0]


def full_name_of(word: str, names: list[str]) -> str:
    """Answer the name that is meant by its end, or by all of it.

    Raises:
        HookNotFound: ONS-5302.
    """
    full, near = find_name(word, dict.fromkeys(names))
    if full is None:
        raise HookNotFound(word, near)
    return full


def marked(kind: str) -> str:
    """Write the decorator of a hook of this kind that may be run by hand."""
    name, _, when = kind.partition(" ")
    return f"`@{name}({f'when={when!r}, ' if when else ''}by_hand=True)`"


def trial_argument(kind: str) -> HookArgument | None:
    """What a hook of a kind is called with that is tried."""
    if kind == SYSTEM_EVENT:
        return SystemEvent(code=_OWN_CODE, name=_TRIAL)
    made = ARGUMENTS.get(kind)
    if made is None:
        return None
    return made.read({"user": 0, "connection": 0})
