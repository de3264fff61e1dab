"""Whether this program makes traces: what is started says so, and its run goes on with the same trace.

A program that traces has loaded OpenTelemetry and given it a provider, by its own code or `opentelemetry-instrument`.
Where nobody has loaded it, this costs one look into a dictionary for each start and each run; see `spans`.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any, Protocol

from onserver.lazy import load
from onserver.process.claim import Claim
from onserver.session.context import Run

_modules = sys.modules


class Tracing(Protocol):
    """What makes spans: `onserver.process.spans.Spans`."""

    def starting(self, procedure: str, queue: str, count: int = 1) -> AbstractContextManager[Any]:
        """Record that processes are started, while the block lasts."""
        ...

    def carried(self, flags: str) -> str:
        """Answer the flags of what is started here with the present trace."""
        ...

    def running(self, run: Run, claim: Claim) -> AbstractContextManager[Any]:
        """Record the run of a body, while the block lasts."""
        ...

    def failed(self, span: Any, claim: Claim, error: BaseException) -> None:
        """The body has raised."""
        ...

    def flush(self, seconds: float) -> None:
        """Have what was recorded sent, and wait so long for it at most."""
        ...


def tracing() -> Tracing | None:
    """What makes the spans of this program; None where it makes no traces."""
    if "opentelemetry.trace" not in _modules:
        return None
    found: Tracing | None = load("onserver.process.spans:spans")()
    return found


def flush_traces(seconds: float) -> None:
    """Send what was recorded, before a program ends that ends at once; no longer than this."""
    found = tracing()
    if found is not None:
        found.flush(seconds)
