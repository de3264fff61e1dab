"""What a worker says of its hooks."""

from __future__ import annotations

from collections.abc import Mapping

from onserver import values
from onserver.errors import HookFailed
from onserver.life.hooks import Hook


def hook_line(hook: Hook, epoch: int) -> str:
    """The line that announces a hook."""
    return f"{hook.kind} {hook.name} (epoch {epoch})"


def failed_start(failed: Mapping[Hook, int], failure: bytes) -> str:
    """The error and, last, the traceback of the hook that stopped the start."""
    facts = values.decode(failure) if failure else {}
    kind, message = facts.get("type", "an error"), facts.get("message", "")
    hook = next(iter(failed), None)
    error = HookFailed(hook.kind if hook else "on_server_startup", hook.name if hook else "of another worker", kind, message)
    traceback = facts.get("traceback", "")
    return f"error ONS-{error.code}  {error}\n{traceback}".rstrip()
