"""Celery's canvas, states and remote control over our transport and backend, in our executors and in Celery's pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from onserver import Process, begin_maintenance, end_maintenance, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import MaintenanceMode
from onserver.testing.cluster import Cluster, open_cluster

TASKS = (Path(__file__).parent / "celery_project.py").read_text()


#: Tried by `make test-long`.
LONG = [pytest.param(pool, marks=pytest.mark.long) for pool in ("solo", "threads")]


@pytest.fixture(scope="module", params=["", "prefork", *LONG], ids=["executors", "prefork", "solo", "threads"])
def cluster(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("celery"), tasks=TASKS) as opened:
        opened.start(1, pool=request.param)
        with opened.as_current():
            yield opened


@pytest.fixture
def app(cluster: Cluster) -> Any:
    return make_app(cluster.server)


def test_a_group_of_a_hundred(app: Any) -> None:
    result = group(app.signature("plain_add", (i, i)) for i in range(100)).apply_async()
    assert result.get(timeout=60) == [2 * i for i in range(100)]


def test_a_chain_of_ten(app: Any) -> None:
    first = app.signature("jobs.add", (1, 1))
    rest = [app.signature("plain_add" if i % 2 else "jobs.add", (1,)) for i in range(9)]
    assert chain(first, *rest).apply_async().get(timeout=60) == 11


def test_a_chord_of_fifty(app: Any) -> None:
    header = [app.signature("plain_add", (i, 1)) for i in range(50)]
    assert chord(header)(app.signature("plain_total")).get(timeout=60) == sum(range(1, 51))


def test_a_chord_of_procedures(app: Any) -> None:
    header = [app.signature("jobs.add", (i, 1)) for i in range(10)]
    assert chord(header)(app.signature("jobs.total")).get(timeout=60) == sum(range(1, 11))


def test_nested_canvas(app: Any) -> None:
    inner = chain(app.signature("plain_add", (1, 2)), app.signature("plain_add", (3,)))
    nested = chord([inner, app.signature("plain_add", (4, 5))])(app.signature("plain_total"))
    assert nested.get(timeout=60) == 15


def test_in_maintenance_senders_are_refused_and_canvases_that_run_go_on(app: Any, cluster: Cluster) -> None:
    header = [app.signature("held_add", (1, 1, "opened")), app.signature("held_add", (2, 2, "opened"))]
    going: list[Any] = [
        chain(app.signature("held_add", (1, 1, "opened")), app.signature("plain_add", (1,))).apply_async(),
        chord(header)(app.signature("plain_total")),
    ]
    cluster.wait_for(lambda: cluster.ledger.count("held") >= 1)
    begin_maintenance("closed")
    try:
        ways: tuple[Callable[[], Any], ...] = (
            lambda: app.send_task("plain_add", (1, 1)),
            lambda: group(app.signature("plain_add", (i, i)) for i in range(3)).apply_async(),
            lambda: app.signature("jobs.add", (1, 1)).apply_async(countdown=60),
        )
        for way in ways:
            with pytest.raises(MaintenanceMode, match="in maintenance: closed"):
                way()
        with cluster.storage.use() as root:
            root["opened"] = True
        assert [result.get(timeout=60) for result in going] == [3, 6]
    finally:
        end_maintenance()
    assert app.send_task("plain_add", (1, 1)).get(timeout=60) == 2


def test_a_retry_keeps_its_process(app: Any, cluster: Cluster) -> None:
    result = app.send_task("flaky", (f"flaky-{cluster.workers[0].pid}",))
    assert result.get(timeout=60) == 2
    attempts = Process.get(app.desk.number_of(result.id)).record().attempts
    assert [(one.number, one.type, one.delay_seconds > 0) for one in attempts] == [
        (1, "Retry", True),
        (2, "Retry", True),
    ]


def test_a_policy_of_a_procedure_holds_wherever_it_runs(app: Any) -> None:
    lean, traced = execute_on_server("jobs.tried", 3), app.signature("jobs.tried", (3,), retries=0).apply_async()
    assert (lean.result(timeout=60), traced.get(timeout=60)) == (3, 3)
    for process in (lean, Process.get(app.desk.number_of(traced.id))):
        assert [(one.number, one.type, one.error) for one in process.record().attempts] == [
            (1, "OSError", "attempt 1"),
            (2, "OSError", "attempt 2"),
        ]
    dead = execute_on_server("jobs.tried", 99)
    assert dead.wait(timeout=60) == "dead"
    assert len(dead.record().attempts) == 3


def test_a_retry_whose_result_is_ignored_is_an_attempt_as_well(app: Any, cluster: Cluster) -> None:
    process = Process.get(app.desk.number_of(app.send_task("silent_flaky").id))
    cluster.wait_for(lambda: process.state == "done", 60)
    assert [(one.number, one.type) for one in process.record().attempts] == [(1, "OSError")]


def test_a_failure_comes_back_as_what_it_was(app: Any) -> None:
    result = app.send_task("fails")
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        result.get(timeout=60)
    assert result.state == "FAILURE"
    assert "ZeroDivisionError" in result.traceback


def test_a_task_is_a_process_of_the_one_session(app: Any, cluster: Cluster) -> None:
    session, number = app.send_task("where").get(timeout=60)
    assert session == cluster.server.session().id
    assert Process.get(number).result(timeout=60) == [session, number]


def test_an_ignored_result_is_still_an_end(app: Any, cluster: Cluster) -> None:
    key = f"silent-{cluster.workers[0].pid}"
    app.send_task("silent", (key,))
    cluster.wait_for(lambda: key in cluster.storage and cluster.storage[key] == 1)


def test_an_unknown_id_is_pending(app: Any) -> None:
    assert app.AsyncResult("6f1b9e0a-7c1d-4e57-9a53-000000000000").state == "PENDING"


def test_a_procedure_called_both_ways_is_one_record(app: Any) -> None:
    assert app.send_task("jobs.add", (2, 3)).get(timeout=60) == 5
    assert execute_on_server("jobs.add", 2, 4).result(timeout=60) == 6


def test_inspect_answers_one_node(app: Any) -> None:
    answers = app.control.inspect(timeout=5.0, limit=1).ping()
    assert [next(iter(answer.values())) for answer in [next(iter(answers.values()))]] == ["pong"]


def test_the_start_up_hook_ran_once(cluster: Cluster) -> None:
    assert cluster.ledger.count("hook", "opened") == 1
