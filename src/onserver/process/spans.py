"""The spans of starts and runs, by OpenTelemetry; loaded by `tracing` where a program has loaded that itself.

Who starts a process records a span of the kind *producer*, and the record takes the W3C `traceparent` of it along: in
its flags, behind a `t`, which no other flag is, so that it costs nothing where there is none. Who runs it goes on from
there with a span of the kind *consumer*. It stays with the record: another attempt, a replay, the run after a worker's
death are all of the trace in which it was started. What a body starts is below its own span.

The traceparent is not signed, and nothing is decided by it: whoever can write to the Redis of the server could give a
process a place in another trace, and no more. What a span says of a run is what its worker knows.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
)

from onserver import __version__
from onserver.process.claim import Claim
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.session.context import Run

_CARRIED: Final = re.compile(r"t00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
#: The flag of a procedure whose arguments are not to be shown: what it raises may have them in its text.
_REDACTED: Final = "D"


class Spans:
    """See the top of this module.

    Args:
        provider: of this program.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("onserver", __version__)

    # -- who starts

    @contextmanager
    def starting(self, procedure: str, queue: str, count: int = 1) -> Generator[Span]:
        """Record that processes are started, while the block lasts."""
        facts: dict[str, Any] = {
            "messaging.system": "onserver",
            "messaging.operation.type": "send",
            "messaging.operation.name": "start",
            "messaging.destination.name": queue,
            "onserver.procedure": procedure,
        }
        if count > 1:
            facts["messaging.batch.message_count"] = count
        with self._tracer.start_as_current_span(f"start {procedure}", kind=SpanKind.PRODUCER, attributes=facts) as span:
            yield span

    @staticmethod
    def carried(flags: str) -> str:
        """Answer the flags of what is started here with the present trace; as they are where there is none."""
        present = trace.get_current_span().get_span_context()
        if not present.is_valid:
            return flags
        return f"{flags}t00-{present.trace_id:032x}-{present.span_id:016x}-{present.trace_flags & 0xFF:02x}"

    # -- who runs

    @contextmanager
    def running(self, run: Run, claim: Claim) -> Generator[Span]:
        """Record the run of a body, while the block lasts."""
        span = self._tracer.start_span(
            f"procedure {run.procedure}",
            context=_parent(claim.flags),
            kind=SpanKind.CONSUMER,
            attributes=_facts_of(run, claim),
        )
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as cut:
                span.set_status(Status(StatusCode.ERROR, f"{type(cut).__name__}: {cut}"))
                raise

    @staticmethod
    def failed(span: Span, claim: Claim, error: BaseException) -> None:
        """The body has raised."""
        if _REDACTED in claim.flags:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            return
        span.set_attribute("error.type", type(error).__qualname__)
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))

    # -- who ends

    def flush(self, seconds: float) -> None:
        """Have what was recorded sent, and wait so long for it at most."""
        force = getattr(self.provider, "force_flush", None)
        if force is not None:
            flusher = threading.Thread(target=force, args=(int(seconds * 1000),), name="onserver-traces", daemon=True)
            flusher.start()
            flusher.join(seconds)


_present: list[Spans] = []


def spans() -> Spans | None:
    """Answer what makes the spans of this program; None where no provider was set."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):
        return None
    if not _present or _present[0].provider is not provider:
        _present[:] = [Spans(provider)]
    return _present[0]


def _parent(flags: str) -> Context:
    found = _CARRIED.search(flags)
    if found is None:
        return Context()  # of no trace, whatever the present one is: it is another process that runs here
    trace_id, span_id, sampled = (int(word, 16) for word in found.groups())
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(sampled))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _facts_of(run: Run, claim: Claim) -> Mapping[str, Any]:
    asked = (run.caller or {}).get("kind", "standalone")
    session = asked if IN_CALLERS_SESSION in claim.flags else "storedProcedure"
    return {
        "messaging.system": "onserver",
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "messaging.destination.name": claim.queue,
        "messaging.message.id": str(run.number),
        "onserver.procedure": run.procedure,
        "onserver.process.number": run.number,
        "onserver.process.name": run.name,
        "onserver.process.deliveries": run.delivery,
        "onserver.process.attempt": run.attempt,
        "onserver.process.holder": run.holder,
        "onserver.session": session,
    }
