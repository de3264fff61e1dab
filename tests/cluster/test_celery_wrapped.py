"""Celery's tracer, wrapped as collectors of errors and traces do it: procedures go through it; the worker says so."""

from __future__ import annotations

import pytest

from onserver import execute_on_server
from onserver.celery_app.app import make_app
from tests.cluster.conftest import Open

#: What such a collector does when its `init()` is called: `celery.app.trace.build_tracer` is replaced.
COLLECTOR = """
import functools
import celery.app.trace
from celery.app.task import Task
from onserver import on_server_startup, procedure, process
from onserver.testing.ledger import note


def collect():
    build = celery.app.trace.build_tracer

    def build_and_wrap(name, task, *args, **kwargs):
        traced = build(name, task, *args, **kwargs)

        @functools.wraps(traced)
        def collected(uuid, args, kwargs, request=None):
            note("span", name, uuid)
            return traced(uuid, args, kwargs, request)

        return collected

    celery.app.trace.build_tracer = build_and_wrap


@procedure
def add(x, y):
    note("ran", process().number)
    return x + y


@procedure(pass_process=True)
def fails(this):
    raise LookupError(str(this.number))


@on_server_startup
def opened():
    note("hook")
"""

HIDING = COLLECTOR.replace("    def build_and_wrap", "    @functools.wraps(build)\n    def build_and_wrap")
REQUEST = COLLECTOR.replace(
    "celery.app.trace.build_tracer = build_and_wrap", "Task.Request = 'tasks.jobs:Wrapped'\n    return"
)
LATE = (
    "\nfrom celery.signals import worker_process_init\n\nworker_process_init.connect(lambda **_: collect(), weak=False)"
)


@pytest.mark.parametrize(
    ("source", "line"),
    [(COLLECTOR + "\ncollect()", True), (HIDING + "\ncollect()", True), (COLLECTOR + LATE, False)],
    ids=["replaced", "replaced-with-wraps", "in-worker_process_init"],
)
def test_procedures_go_through_a_wrapped_tracer(cluster_of: Open, source: str, line: bool) -> None:
    cluster = cluster_of(1, tasks=source, executors=1)
    with cluster.as_current():
        process = execute_on_server("jobs.add", 20, 22)
        assert process.result(timeout=60) == 42
        with pytest.raises(LookupError):
            execute_on_server("jobs.fails").result(timeout=60)
        task_id = make_app(cluster.server).desk.task_id_of(process.number)
    assert cluster.ledger.count("span", "jobs.add", task_id) == 1
    assert cluster.ledger.count("span", "jobs.fails") == 1
    assert cluster.ledger.count("ran", process.number) == 1
    assert cluster.ledger.count("hook") == 1
    said = [text for text in cluster.worker(0).output.splitlines() if text.startswith("celery ")]
    assert len(said) == line, said
    assert all("jobs wraps its tracer: procedures go through it too" in text for text in said)


def test_a_request_of_somebodys_own_counts_as_wrapped(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=REQUEST + "\ncollect()", executors=1)
    with cluster.as_current():
        assert execute_on_server("jobs.add", 20, 22).result(timeout=60) == 42
    assert "tasks.jobs wraps its tracer" in cluster.worker(0).output


def test_nothing_is_said_where_nobody_wraps(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=COLLECTOR, executors=1)
    with cluster.as_current():
        assert execute_on_server("jobs.add", 20, 22).result(timeout=60) == 42
    assert cluster.ledger.count("span") == 0
    assert "wraps" not in cluster.worker(0).output


def test_looking_for_a_wrapper_loads_no_celery(cluster_of: Open) -> None:
    plain = (
        "import sys\nfrom onserver import procedure\n\n@procedure\ndef loaded():\n    return 'celery' in sys.modules\n"
    )
    cluster = cluster_of(1, tasks=plain, executors=1)
    with cluster.as_current():
        assert execute_on_server("jobs.loaded").result(timeout=60) is False
