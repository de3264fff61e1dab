"""Traces: the run of a process goes on with the trace in which it was started, on every way that we run ourselves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from onserver import Retry, Server, execute_many, execute_on_server, mailbox, procedure, process
from onserver.process.put import Sender
from onserver.process.spans import Spans
from onserver.process.tracing import flush_traces, tracing
from onserver.redis.address import Address
from onserver.testing import OnServer, wait_for
from tests.inline_worker import make_server, working

failures: list[int] = []
told = threading.Event()


@procedure(name="traced.adds")
def adds(a: int, b: int) -> int:
    return a + b


@procedure(name="traced.nests")
def nests() -> int:
    return execute_on_server(adds, 1, 2).number


@procedure(name="traced.sleeps")
async def sleeps() -> str:
    await asyncio.sleep(0)
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


@procedure(name="traced.fails")
def fails() -> None:
    raise ValueError("this is why")


@procedure(name="traced.hides", redact=True)
def hides(secret: str) -> None:
    raise ValueError(secret)


@procedure(name="traced.fails_once", retry=Retry(ValueError, times=3, delay=0.05))
def fails_once() -> int:
    failures.append(process().number)
    if len(failures) == 1:
        raise ValueError("once")
    return len(failures)


@procedure(name="traced.tells")
def tells() -> None:
    told.set()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
def worker(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnServer]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with (
        make_server(f"tr{uuid4().hex[:8]}", f"unix://{redis_address.path}") as server,
        working(server) as worker,
    ):
        yield worker


@pytest.fixture
def server(worker: OnServer) -> Server:
    return worker.server


def found(spans: InMemorySpanExporter, name: str, count: int = 1) -> list[ReadableSpan]:
    """The spans of a name, as soon as there are so many."""
    wait_for(lambda: len(_named(spans, name)) >= count, 10)
    return _named(spans, name)


def _named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def identity(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def facts(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_the_run_goes_on_with_the_trace_of_the_start(server: Server, spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("shop").start_as_current_span("order"):
        started = execute_on_server(adds, 1, 2)
        assert started.result(timeout=10) == 3
    (run,), (start,), (order,) = (
        found(spans, "procedure traced.adds"),
        found(spans, "start traced.adds"),
        found(spans, "order"),
    )
    assert (start.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert parent_of(start) == identity(order)[1]
    assert parent_of(run) == identity(start)[1]
    assert len({identity(span)[0] for span in (run, start, order)}) == 1
    assert facts(start)["onserver.process.number"] == started.number
    assert {name: facts(run)[name] for name in facts(run) if name != "onserver.process.holder"} == {
        "messaging.system": "onserver",
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "messaging.destination.name": "default",
        "messaging.message.id": str(started.number),
        "onserver.procedure": "traced.adds",
        "onserver.process.number": started.number,
        "onserver.process.name": "traced.adds",
        "onserver.process.deliveries": 1,
        "onserver.process.attempt": 1,
        "onserver.session": "storedProcedure",
    }
    assert run.status.status_code is StatusCode.UNSET


def test_what_a_body_starts_is_below_its_own_span(server: Server, spans: InMemorySpanExporter) -> None:
    execute_on_server(nests).result(timeout=10)
    (outer,), (inner,) = found(spans, "procedure traced.nests"), found(spans, "procedure traced.adds")
    (start,) = found(spans, "start traced.adds")
    assert parent_of(start) == identity(outer)[1]
    assert parent_of(inner) == identity(start)[1]


def test_many_that_are_started_at_once_have_one_start(server: Server, spans: InMemorySpanExporter) -> None:
    for started in execute_many(adds, [(n, 1) for n in range(3)]):
        started.result(timeout=10)
    runs = found(spans, "procedure traced.adds", 3)
    (start,) = found(spans, "start traced.adds")
    assert facts(start)["messaging.batch.message_count"] == 3
    assert [parent_of(run) for run in runs] == [identity(start)[1]] * 3
    assert len({facts(run)["onserver.process.number"] for run in runs}) == 3


def test_what_is_raised_is_recorded(server: Server, spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="this is why"):
        execute_on_server(fails).result(timeout=10)
    (run,) = found(spans, "procedure traced.fails")
    assert run.status.status_code is StatusCode.ERROR
    (event,) = run.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "this is why"


def test_what_may_show_arguments_that_are_to_be_hidden_is_not_recorded(
    server: Server, spans: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="a secret"):
        execute_on_server(hides, "a secret").result(timeout=10)
    (run,) = found(spans, "procedure traced.hides")
    assert run.status.status_code is StatusCode.ERROR
    assert facts(run)["error.type"] == "ValueError"
    assert "a secret" not in run.to_json()


def test_each_attempt_is_a_span_of_the_same_trace(worker: OnServer, spans: InMemorySpanExporter) -> None:
    failures.clear()
    started = execute_on_server(fails_once)
    wait_for(lambda: started.state == "delayed", 10)
    worker.advance(1)
    assert started.result(timeout=10) == 2
    first, second = found(spans, "procedure traced.fails_once", 2)
    assert identity(first)[0] == identity(second)[0]
    assert parent_of(first) == parent_of(second)
    assert [facts(span)["onserver.process.attempt"] for span in (first, second)] == [1, 2]


def test_a_replay_is_of_the_trace_of_the_start(server: Server, spans: InMemorySpanExporter) -> None:
    started = execute_on_server(fails)
    found(spans, "procedure traced.fails")
    wait_for(lambda: started.state == "failed", 10)
    started.replay()
    runs = found(spans, "procedure traced.fails", 2)
    assert len({identity(run)[0] for run in runs}) == 1
    assert len({parent_of(run) for run in runs}) == 1


def test_what_a_schedule_starts_is_a_trace_of_its_own(server: Server, spans: InMemorySpanExporter) -> None:
    order = replace(adds.order, schedule="nightly")
    server.part(Sender).put(order, (1, 2), {}).result(timeout=10)
    (start,), (run,) = found(spans, "start traced.adds"), found(spans, "procedure traced.adds")
    assert start.parent is None
    assert parent_of(run) == identity(start)[1]


def test_a_coroutine_is_in_its_trace(server: Server, spans: InMemorySpanExporter) -> None:
    seen = execute_on_server(sleeps).result(timeout=10)
    (run,) = found(spans, "procedure traced.sleeps")
    assert seen == f"{identity(run)[0]:032x}"


def test_a_call_of_a_mailbox_is_in_the_trace_of_who_calls(server: Server, spans: InMemorySpanExporter) -> None:
    told.clear()
    with trace.get_tracer("shop").start_as_current_span("order"):
        mailbox("printer").call(tells)
    assert told.wait(10)
    (run,), (order,) = found(spans, "procedure traced.tells"), found(spans, "order")
    assert parent_of(run) == identity(order)[1]
    mailbox("printer").kill()


def test_what_is_not_sampled_is_not_sampled_there(
    worker: OnServer, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = trace.get_tracer_provider()
    off = TracerProvider(sampler=ALWAYS_OFF)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", off)
    with off.get_tracer("shop").start_as_current_span("order"):
        body = execute_on_server(adds.options(delay=5), 1, 2)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", on)
    worker.advance(6)
    assert body.result(timeout=10) == 3
    execute_on_server(sleeps).result(timeout=10)
    found(spans, "procedure traced.sleeps")
    assert _named(spans, "procedure traced.adds") == []


def test_without_a_trace_nothing_is_sent(server: Server) -> None:
    assert tracing() is None
    started = execute_on_server(adds, 1, 2)
    started.result(timeout=10)
    assert server.store.command("HGET", server.store.key(f"p:{started.number}"), "v") is None
    flush_traces(1)


@pytest.mark.parametrize("flags", ["", "F", "t00-zz-01", "t00-00-00-01", "tM7", "t01-" + "a" * 32])
def test_what_is_no_traceparent_begins_a_trace_of_its_own(
    flags: str, worker: OnServer, spans: InMemorySpanExporter
) -> None:
    started = execute_on_server(adds.options(delay=5), 1, 2)
    store = worker.server.store
    store.command("HSET", store.key(f"p:{started.number}"), "v", flags)
    worker.advance(6)
    assert started.result(timeout=10) == 3
    (run,) = found(spans, "procedure traced.adds")
    assert run.parent is None


def test_it_is_not_loaded_by_itself(tmp_path: Path) -> None:
    code = (
        "import sys, onserver, onserver.process.put, onserver.process.runner, onserver.life.child\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.trace')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)


def test_a_child_that_ends_has_its_traces_sent(spans: InMemorySpanExporter) -> None:
    sent: list[int] = []

    class Provider(TracerProvider):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            sent.append(timeout_millis)
            return True

    Spans(Provider()).flush(0.5)
    assert sent == [500]
    assert spans.get_finished_spans() == ()
