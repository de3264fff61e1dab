"""What the child that runs a hook does: claim it once for the cluster, run it as a process, settle."""

from __future__ import annotations

from onserver import values
from onserver.crash import crash_point
from onserver.life.executor import Executor
from onserver.life.hook import Hook
from onserver.process.claim import Claim
from onserver.process.signing import sign_now

#: Exit status of the child when there was nothing to do: another worker runs the hook, or has run it.
NOT_MINE = 0


def run_hook(executor: Executor, epoch: int, hook: Hook) -> int:
    """Run a hook of an epoch, unless another worker does."""
    server = executor.server
    nothing: list[object] = [[], {}]
    body = values.encode(nothing)
    signed = sign_now(server, hook.name, body, server.store.nonce(), server.store.now_ms())
    words = ("t", hook.name, "b", body, "c", signed, "to", int(hook.seconds(server) * 1000))
    how, *message = server.store.run("claim_hook", executor.holder, epoch, hook.field, *words)
    if how != b"mine":
        return NOT_MINE
    crash_point("in_hook")
    return executor.run_one(Claim.read(message))
