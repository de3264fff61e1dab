# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: procedures whose spans go into a file."""

import os
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from onserver import execute_on_server, procedure


class ToFile(SpanExporter):
    """A line for each span."""

    def export(self, spans):
        with Path(os.environ["SPANS"]).open("a") as file:
            for span in spans:
                own, parent = span.get_span_context(), span.parent.span_id if span.parent else 0
                file.write(f"{own.trace_id:032x} {own.span_id:016x} {parent:016x} {span.name}\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
# it would send nothing for minutes: what comes was sent when its program ended
provider.add_span_processor(BatchSpanProcessor(ToFile(), schedule_delay_millis=600_000))
trace.set_tracer_provider(provider)


@procedure
def outer():
    return execute_on_server(inner).number


@procedure
async def inner():
    return 1
