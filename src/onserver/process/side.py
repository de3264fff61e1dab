"""What a side run runs: a built-in procedure of the framework, or one hook.

A side run is a process for which a worker forks a child of its own, beyond its executors: see
`onserver.life.side_runs`. It waits in a queue whose name begins with `PREFIX`, in which nobody else can put anything,
so the name of what it runs is looked up here and not among the project's procedures. The name of a hook is its kind and
its name, as in `on_system_event:shop.heard`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from onserver.lazy import load
from onserver.redis.store import Store

#: First letter of the queues of side runs: `!once` for any worker, `!7` for member 7.
PREFIX: Final = "!"
#: The built-in procedures: name to the function that runs. Users cannot declare names that begin like these.
BUILT_INS: Final[Mapping[str, str]] = {
    "onserver.backup": "onserver.backup.run:run_backup",
    "onserver.system_events": "onserver.life.passing_on:hear",
    "onserver.open_connection": "onserver.connections.hooks:ask",
    "onserver.close_connection": "onserver.connections.hooks:tell",
}
#: Those that executors run as well: the hooks of connections, of which there are many.
IN_EXECUTORS: Final = frozenset({"onserver.open_connection", "onserver.close_connection"})
#: What runs one hook as a side run; its first argument is the hook's name here.
_ONE_HOOK: Final = "onserver.life.hook_call:run_side_hook"


@dataclass(frozen=True)
class BuiltIn:
    """What a side run runs, as the runner wants it."""

    name: str
    function: Callable[..., Any]
    aliases: Sequence[str] = ()

    def describe(self) -> Mapping[str, object]:
        """Nothing: other programs do not call it."""
        return {}


def find_side(name: str) -> BuiltIn | None:
    """Answer what a side run of this name runs; None where this version has no such thing."""
    if name in BUILT_INS:
        return BuiltIn(name, load(BUILT_INS[name]))
    if ":" in name:
        return BuiltIn(name, partial(load(_ONE_HOOK), name))
    return None


def runnable_aside(store: Store, side: str) -> bool:
    """Whether a worker that lives can run this: a built-in procedure, or a hook, by its name here."""
    codes = store.command("HKEYS", store.key("codes"))
    return any(store.pipeline([("SISMEMBER", store.key(f"code:{code.decode()}"), side) for code in codes]))
