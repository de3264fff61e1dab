"""What a worker says of its hooks."""

from __future__ import annotations

from typing import Any

from onserver import values
from onserver.errors import HookFailed
from onserver.life.hook import Hook


def hook_line(hook: Hook, epoch: int) -> str:
    """The line that announces a hook."""
    return f"{hook.kind} {hook.name} (epoch {epoch})"


def failure_value(hook: Hook, error: bytes) -> bytes:
    """What is kept of a failed start: which hook it was, and the error of its process."""
    return values.encode({"hook": hook.name, "kind": hook.kind, "error": values.decode(error) if error else {}})


def failed_start(failure: bytes) -> str:
    """The error and, last, the traceback of the hook that stopped the start."""
    facts: dict[str, Any] = values.decode(failure) if failure else {}
    error: dict[str, Any] = facts.get("error", {})
    message = f"{error.get('type', 'an error')}: {error.get('message', '')}".rstrip(": ")
    failed = HookFailed(facts.get("kind", "on_server_startup"), facts.get("hook", "?"), message)
    return f"error ONS-{failed.code}  {failed}\n{error.get('traceback', '')}".rstrip()
