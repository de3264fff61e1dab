"""Celery's events of `onserver worker`, as Flower and `celery events` receive them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from onserver import execute_on_server
from onserver.celery_app.app import make_app
from onserver.testing.cluster import Cluster, open_cluster

TASKS = (Path(__file__).parent / "control_project.py").read_text()


class Listener:
    """Receives events as Flower does, in a thread of its own."""

    def __init__(self, app: Any) -> None:
        self.state = app.events.State()
        self.seen: list[dict[str, Any]] = []
        self._connection = app.connection_for_read()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._take})
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _take(self, event: dict[str, Any]) -> None:
        self.state.event(event)
        self.seen.append(event)

    def _listen(self) -> None:
        self._receiver.capture(wakeup=False)

    def of(self, task_id: str) -> list[str]:
        """The types of the events of one task, in the order of arrival."""
        return [event["type"] for event in self.seen if event.get("uuid") == task_id]

    def kinds(self) -> set[str]:
        return {event["type"] for event in self.seen}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(60)
        self._connection.release()


@pytest.fixture(scope="module")
def cluster(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("events"), tasks=TASKS) as opened:
        opened.start(1)
        with opened.as_current():
            yield opened


@pytest.fixture
def app(cluster: Cluster) -> Any:
    return make_app(cluster.server)


@pytest.fixture
def listener(app: Any, cluster: Cluster) -> Iterator[Listener]:
    assert app.control.broadcast("ping", reply=True, timeout=60, limit=1)  # the worker has subscribed
    before = cluster.server.store.command("PUBSUB", "NUMPAT")
    with Listener(app) as listening:
        cluster.wait_for(lambda: cluster.server.store.command("PUBSUB", "NUMPAT") > before)
        yield listening


def enable(app: Any) -> str:
    (answer,) = app.control.enable_events(reply=True, timeout=10, limit=1)
    (said,) = answer.values()
    return str(said["ok"])


def test_events_are_off_until_somebody_asks(app: Any, cluster: Cluster, listener: Listener) -> None:
    app.control.disable_events(reply=True, timeout=10, limit=1)
    assert execute_on_server("jobs.add", 1, 2).result(timeout=60) == 3
    assert enable(app) == "task events enabled"
    cluster.wait_for(lambda: "worker-online" in listener.kinds())
    assert not [kind for kind in listener.kinds() if kind.startswith("task-")]
    assert enable(app) == "task events already enabled"


def test_a_procedure_is_seen_from_its_claim_to_its_end(app: Any, cluster: Cluster, listener: Listener) -> None:
    enable(app)
    process = execute_on_server("jobs.add", 20, y=22)
    assert process.result(timeout=60) == 42
    task_id = app.desk.task_id_of(process.number)
    cluster.wait_for(lambda: "task-succeeded" in listener.of(task_id))
    assert listener.of(task_id) == ["task-received", "task-started", "task-succeeded"]
    seen = listener.state.tasks[task_id]
    assert (seen.name, seen.state, seen.result) == ("jobs.add", "SUCCESS", "42")
    assert (seen.args, seen.kwargs) == ("(20, 22)", "{}")
    assert seen.runtime > 0
    assert seen.worker.hostname.startswith("w1@")
    assert app.AsyncResult(task_id).get(timeout=60) == 42


def test_a_failure_has_its_exception_and_traceback(app: Any, cluster: Cluster, listener: Listener) -> None:
    enable(app)
    for name in ("jobs.fails", "refuses"):
        result = app.send_task(name)
        cluster.wait_for(lambda result=result: "task-failed" in listener.of(result.id), 60)  # type: ignore[misc]
    seen = {task.name: task for task in listener.state.tasks.values() if task.state == "FAILURE"}
    assert seen["jobs.fails"].exception == "ZeroDivisionError('on purpose')"
    assert seen["refuses"].exception == "ValueError('no')"
    assert "in refuses" in seen["refuses"].traceback


def test_a_retry_is_one_task_that_was_retried(app: Any, cluster: Cluster, listener: Listener) -> None:
    enable(app)
    result = app.send_task("flaky")
    assert result.get(timeout=60) == "at last"
    cluster.wait_for(lambda: "task-succeeded" in listener.of(result.id))
    assert listener.of(result.id) == [
        "task-received", "task-started", "task-retried", "task-received", "task-started", "task-succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize("force", [False, True], ids=["interrupted", "killed"])
def test_an_abort_is_a_revoked_task(app: Any, cluster: Cluster, listener: Listener, force: bool) -> None:
    enable(app)
    process = execute_on_server("jobs.hold", f"for ever {force}")
    task_id = app.desk.task_id_of(process.number)
    cluster.wait_for(lambda: "task-started" in listener.of(task_id))
    process.abort(force=force)
    cluster.wait_for(lambda: "task-revoked" in listener.of(task_id))
    assert listener.of(task_id) == ["task-received", "task-started", "task-revoked"]


def test_arguments_that_are_to_be_hidden_are_in_no_event(app: Any, cluster: Cluster, listener: Listener) -> None:
    enable(app)
    process = execute_on_server("jobs.secret", "swordfish")
    assert process.result(timeout=60) == 9
    task_id = app.desk.task_id_of(process.number)
    cluster.wait_for(lambda: "task-succeeded" in listener.of(task_id))
    assert listener.state.tasks[task_id].args == "<redacted>"
    assert "swordfish" not in repr(listener.seen)


def test_the_worker_is_seen_as_long_as_events_are_on(app: Any, cluster: Cluster, listener: Listener) -> None:
    enable(app)
    cluster.wait_for(lambda: "worker-heartbeat" in listener.kinds())
    (name,) = listener.state.workers
    assert name.startswith("w1@")
    assert listener.state.workers[name].alive
    app.control.disable_events(reply=True, timeout=10, limit=1)
    cluster.wait_for(lambda: "worker-offline" in listener.kinds())


def test_the_program_celery_events_shows_them(app: Any, cluster: Cluster) -> None:
    enable(app)
    command = [sys.executable, "-m", "celery", "-A", "workers", "events", "--dump"]
    with subprocess.Popen(
        command, env=cluster.environment(), cwd=cluster.project, text=True, stdout=subprocess.PIPE, bufsize=1
    ) as program:
        assert program.stdout is not None
        lines = iter(program.stdout.readline, "")
        assert any("HEARTBEAT" in line.upper() for line in lines)  # now it listens
        process = execute_on_server("jobs.add", 1, 2)
        task_id = app.desk.task_id_of(process.number)
        assert any("succeeded" in line and task_id in line for line in lines)
        program.terminate()
