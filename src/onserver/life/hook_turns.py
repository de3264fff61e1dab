"""Whose turn it is among the hooks that run once in an epoch.

`hooks:EPOCH` in Redis says of each whether it ended well (`ok N`), ended badly (`failed N`), or which process it is; so
any worker can go on where another one died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from onserver.life.hook import Hook
from onserver.redis.store import Store


class HookRun:
    """The hooks of one kind in one epoch, one after the other.

    `look()` reads how they stand and answers what is to be done now; the caller forks a child for a hook that nobody
    runs, and looks again when it has ended, at each beat, and at each order.
    """

    def __init__(self, store: Store, epoch: int, hooks: Sequence[Hook]) -> None:
        self._store = store
        self.epoch = epoch
        self.hooks = tuple(hooks)
        #: Hooks that ended badly, with the number of their process.
        self.failed: dict[Hook, int] = {}

    def look(self, *, stop_at_failure: bool) -> Hook | Literal["done", "busy", "failed"]:
        """What is to be done: a hook to run, nothing (`done`), wait for another's (`busy`), or give up (`failed`)."""
        if not self.hooks:
            return "done"
        stands = self._store.command("HMGET", self._store.key(f"hooks:{self.epoch}"), *[h.field for h in self.hooks])
        for hook, stand in zip(self.hooks, stands, strict=True):
            if stand is None:
                return hook
            word, _, number = stand.decode().rpartition(" ")
            if word == "failed":
                self.failed[hook] = int(number)
                if stop_at_failure:
                    return "failed"
            elif word != "ok":
                return "busy" if self._is_run(number) else hook
        return "done"

    def _is_run(self, number: str) -> bool:
        holder = self._store.command("HGET", self._store.key(f"p:{number}"), "o")
        return holder is not None and bool(self._store.command("SISMEMBER", self._store.key("live"), holder))
