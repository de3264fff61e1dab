"""Traces of real workers: executors and loops go on with the trace, and send what they have when they end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from onserver import Process, execute_on_server
from tests.cluster.conftest import Open

TRACED = (Path(__file__).parent / "traced_project.py").read_text()


def test_executors_and_loops_are_in_the_trace_of_who_started(
    cluster_of: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, provider = tmp_path / "spans", TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    cluster = cluster_of(1, tasks=TRACED, SPANS=str(file))
    with cluster.as_current():
        with provider.get_tracer("shop").start_as_current_span("order") as order:
            started = execute_on_server("jobs.outer")
        inner = started.result(timeout=60)
        assert Process.get(inner).result(timeout=60) == 1
    worker = cluster.worker(0)
    worker.signal(signal.SIGTERM)
    worker.wait()
    spans = {name: words for *words, name in (line.split(" ", 3) for line in file.read_text().splitlines())}
    assert set(spans) == {"procedure jobs.outer", "start jobs.inner", "procedure jobs.inner"}
    assert {words[0] for words in spans.values()} == {f"{order.get_span_context().trace_id:032x}"}
    assert spans["start jobs.inner"][2] == spans["procedure jobs.outer"][1]
    assert spans["procedure jobs.inner"][2] == spans["start jobs.inner"][1]
