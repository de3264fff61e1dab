"""`celery inspect` and `celery control` on `onserver worker`: each command is answered, as Celery does or in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError
from celery.worker.control import Panel

from onserver import Process, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import ProcessAborted
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.wait import wait_for

TASKS = (Path(__file__).parent / "control_project.py").read_text()
#: Words for the commands that take some.
WORDS: dict[str, list[str]] = {
    "query_task": ["6f1b9e0a-7c1d-4e57-9a53-000000000000"],
    "revoke": ["6f1b9e0a-7c1d-4e57-9a53-000000000000"],
    "terminate": ["KILL", "6f1b9e0a-7c1d-4e57-9a53-000000000000"],
    "revoke_by_stamped_headers": ["stamp=1"],
    "rate_limit": ["jobs.add", "1/s"],
    "time_limit": ["jobs.add", "1", "2"],
    "add_consumer": ["other"],
    "cancel_consumer": ["default"],
}


@pytest.fixture(scope="module")
def cluster(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("control"), tasks=TASKS) as opened:
        opened.start(1)
        with opened.as_current():
            app: Any = make_app(opened.server)
            assert app.control.broadcast("ping", reply=True, timeout=60, limit=1)  # the worker listens
            yield opened


def celery(cluster: Cluster, *words: str) -> Any:
    """Run the program `celery` as a person does, and answer what the worker said."""
    kind, command, *more = words
    line = [sys.executable, "-m", "celery", "-A", "workers", kind, command, "-t", "10", "-d", node(cluster), "--json"]
    run = subprocess.run(
        [*line, *more], env=cluster.environment(), cwd=cluster.project, text=True, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    answers = json.loads(run.stdout)
    if isinstance(answers, list):
        (answers,) = answers
    return answers[node(cluster)]


def node(cluster: Cluster) -> str:
    app: Any = make_app(cluster.server)
    (answer,) = app.control.broadcast("ping", reply=True, timeout=60, limit=1)
    (name,) = answer
    return str(name)


@pytest.fixture
def held(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Process[Any]]:
    """A process that runs until the test is over."""
    name = request.node.name
    process: Process[Any] = execute_on_server("jobs.hold", name)
    cluster.wait_for(lambda: cluster.storage.get(f"{name}:begun") == 1)
    yield process
    with cluster.storage.use() as root:
        root[name] = True
    assert process.result(timeout=60) == name


def test_inspect_active_shows_what_runs(cluster: Cluster, held: Process[Any]) -> None:
    (found,) = celery(cluster, "inspect", "active")
    assert found["id"] == make_app(cluster.server).desk.task_id_of(held.number)
    assert found["name"] == "jobs.hold"
    assert found["args"] == "('test_inspect_active_shows_what_runs',)"
    assert found["worker_pid"] in cluster.worker(0).executors
    assert found["delivery_info"]["routing_key"] == "default"
    assert celery(cluster, "inspect", "reserved") == []


def test_query_task_finds_what_runs(cluster: Cluster, held: Process[Any]) -> None:
    task_id = make_app(cluster.server).desk.task_id_of(held.number)
    answer = celery(cluster, "inspect", "query_task", task_id)
    assert {identifier: stand[0] for identifier, stand in answer.items()} == {task_id: "active"}


def test_inspect_scheduled_shows_what_is_delayed(cluster: Cluster) -> None:
    app: Any = make_app(cluster.server)
    result = app.send_task("plain_add", (1, 2), countdown=300)
    (found,) = celery(cluster, "inspect", "scheduled")
    assert found["request"]["id"] == result.id
    assert found["request"]["args"] == "(1, 2)"
    assert found["eta"]
    result.forget()


def test_inspect_registered_stats_and_queues(cluster: Cluster) -> None:
    registered = celery(cluster, "inspect", "registered")
    assert {"jobs.add", "plain_add"} <= {line.split(" ")[0] for line in registered}
    assert not [line for line in registered if line.startswith("celery.")]
    stats = celery(cluster, "inspect", "stats")
    assert stats["pid"] == cluster.worker(0).pid
    assert sorted(stats["pool"]["processes"]) == sorted(cluster.worker(0).executors)
    (queue,) = celery(cluster, "inspect", "active_queues")
    assert queue["name"] == "default"


@pytest.mark.parametrize("command", sorted(set(Panel.meta) - {"shutdown"}))
def test_every_command_is_answered(cluster: Cluster, command: str) -> None:
    app: Any = make_app(cluster.server)
    before = cluster.worker(0).output
    arguments: dict[str, Any] = {}
    meta = Panel.meta[command]
    words = list(WORDS.get(command, []))
    for name, _kind in meta.args or ():
        if words:
            arguments[name] = words.pop(0)
    if meta.variadic:
        arguments[meta.variadic] = words
    answers = app.control.broadcast(command, arguments=arguments, reply=True, timeout=60, limit=1)
    ((answer,),) = [answer.values() for answer in answers]
    if isinstance(answer, dict) and "error" in answer:
        assert answer["error"].startswith(f"{command}: ")
        assert "does not know" not in answer["error"]
    assert cluster.worker(0).output == before, "an answer, and no traceback"


def test_a_command_that_nobody_knows_is_answered_too(cluster: Cluster) -> None:
    app: Any = make_app(cluster.server)
    answers = app.control.broadcast("dance", reply=True, timeout=60, limit=1)
    assert list(answers[0].values()) == [{"error": "dance: this worker does not know that command"}]


def test_revoke_aborts_what_waits_and_what_runs(cluster: Cluster) -> None:
    app: Any = make_app(cluster.server)
    waiting = app.send_task("plain_add", (1, 2), countdown=300)
    running: Process[Any] = execute_on_server("jobs.hold", "never")
    cluster.wait_for(lambda: cluster.storage.get("never:begun") == 1)
    assert celery(cluster, "control", "revoke", waiting.id)["ok"] == f"{waiting.id}: aborted"
    task_id = app.desk.task_id_of(running.number)
    assert "asked" in celery(cluster, "control", "terminate", "KILL", task_id)["ok"]
    with pytest.raises(ProcessAborted, match="revoked"):
        running.result(timeout=60)
    assert {waiting.id, task_id} <= set(celery(cluster, "inspect", "revoked"))
    assert waiting.state == app.AsyncResult(task_id).state == "REVOKED"


def test_control_shutdown_lets_what_runs_finish(cluster: Cluster) -> None:
    (second,) = cluster.start(1)
    process = execute_on_server("jobs.add", 1, 1)
    assert process.result(timeout=60) == 2
    app: Any = make_app(cluster.server)
    name = f"{second.node}@{node(cluster).partition('@')[2]}"
    wait_for(lambda: app.control.broadcast("ping", reply=True, timeout=1, destination=[name]), 60)
    (answer,) = app.control.broadcast("shutdown", reply=True, timeout=60, limit=1, destination=[name])
    assert answer[name]["ok"].startswith("shutting down")
    assert second.wait(60) == 0


def test_a_revoke_is_remembered_while_no_worker_is_up(onserver_redis: str, tmp_path: Path) -> None:
    with open_cluster(onserver_redis, tmp_path, tasks=TASKS) as cluster, cluster.as_current():
        app: Any = make_app(cluster.server)
        revoked, other = app.send_task("plain_add", (1, 2)), app.send_task("plain_add", (3, 4))
        revoked.revoke()
        cluster.start(1)
        assert other.get(timeout=60) == 7
        assert revoked.state == "REVOKED"
        with pytest.raises(TaskRevokedError):
            revoked.get(timeout=60)
