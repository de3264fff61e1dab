"""Why a process waits, in the language of whoever looks.

The reasons are made where they are known, as English sentences; here each is recognized, and said again. One that is
not known is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from onserver.admin.page import Look

_Say: TypeAlias = Callable[[Look, dict[str, Any]], str]

_KNOWN: Final[Sequence[tuple[str, _Say]]] = (
    (r"is to stop: (?P<level>.+)", lambda look, v: look._("is to stop: {level}", level=look._(v["level"]))),
    (r"due in (?P<seconds>\d+) s", lambda look, v: look._("due in {seconds} s", **v)),
    (r"is to pause, by (?P<by>.+)", lambda look, v: look._("is to pause, by {by}", **v)),
    (r"by (?P<by>.+)", lambda look, v: look._("by {by}", **v)),
    (r"its message waits with its broker, in `(?P<queue>.+)`",
     lambda look, v: look._("its message waits with its broker, in `{queue}`", **v)),
    (r"no worker listens on queue `(?P<queue>.+)`",
     lambda look, v: look._("no worker listens on queue `{queue}`", **v)),
    (r"no worker on queue `(?P<queue>.+)` has `(?P<procedure>.+)`",
     lambda look, v: look._("no worker on queue `{queue}` has `{procedure}`", **v)),
    (r"the server is (?P<state>.+)", lambda look, v: look._("the server is {state}", state=look._(v["state"]))),
    (r"waits for an executor", lambda look, _: look._("waits for an executor")),
    (r"no worker has `(?P<procedure>.+)`", lambda look, v: look._("no worker has `{procedure}`", **v)),
    (r"waits for worker (?P<member>\d+)", lambda look, v: look._("waits for worker {member}", **v)),
    (r"waits for a worker", lambda look, _: look._("waits for a worker")),
    (r"everything is paused by (?P<by>.+) since (?P<since>.+)",
     lambda look, v: look._("everything is paused by {by} since {since}", **v)),
    (r"queue `(?P<name>.+)` is paused by (?P<by>.+) since (?P<since>.+)",
     lambda look, v: look._("queue `{name}` is paused by {by} since {since}", **v)),
    (r"procedure `(?P<name>.+)` is paused by (?P<by>.+) since (?P<since>.+)",
     lambda look, v: look._("procedure `{name}` is paused by {by} since {since}", **v)),
    (r"(?P<taken>\d+) of (?P<most>\d+) run at once: limit of (?P<whose>.+)",
     lambda look, v: look._("{taken} of {most} run at once: limit of {whose}", **v)),
    (r"(?P<rate>\d+) in (?P<per>[\d.]+) s: limit of (?P<whose>.+), the next in (?P<left>[\d.]+) s",
     lambda look, v: look._("{rate} in {per} s: limit of {whose}, the next in {left} s", **v)),
    (r"at a checkpoint by (?P<by>.+)", lambda look, v: look._("at a checkpoint, by {by}", **v)),
    (r"at a checkpoint", lambda look, _: look._("at a checkpoint")),
    (r"its executor is stopped by (?P<by>.+)", lambda look, v: look._("its executor is stopped, by {by}", **v)),
    (r"lock (?P<name>.+)", lambda look, v: look._("waits for the lock of {name}", **v)),
    (r"semaphore (?P<name>.+)", lambda look, v: look._("waits for the semaphore {name}", **v)),
    (r"signal (?P<name>.+)", lambda look, v: look._("waits for the signal {name}", **v)),
    (r"(?P<numbers>#\d.*)", lambda look, v: look._("waits for {numbers}", **v)),
    (r"sleep", lambda look, _: look._("it sleeps")),
    (r"calls", lambda look, _: look._("it waits for calls")),
)  # fmt: skip
_PATTERNS: Final = [(re.compile(pattern, re.ASCII), say) for pattern, say in _KNOWN]


def why(look: Look, text: str) -> str:
    """Say a reason in the language of whoever looks.

    Args:
        look: of whom.
        text: as `onserver.views.processes` makes it; empty for no reason.
    """
    for pattern, say in _PATTERNS:
        found = pattern.fullmatch(text)
        if found:
            return say(look, found.groupdict())
    return text
