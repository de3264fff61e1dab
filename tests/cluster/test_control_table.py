"""What every order does, wherever a process runs and whatever it is doing: each row is tried on a real worker."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from onserver import Process, execute_on_server
from onserver.errors import NoWorker
from onserver.process.control import Answer
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.orders import ASYNC_TASKS, TASKS, quick

LONG = 60.0
WHERE = ["executor", "loop", "prefork", "threads", "solo"]


class Row(NamedTuple):
    """One row: an order, what the process is doing, and per place what is answered and how it stands in the end.

    `then` is "STATE", or "STATE/level" (of an abort) or "STATE/why" (of a pause).
    """

    order: str
    doing: str
    answer: str
    executor: str
    loop: str
    prefork: str
    threads: str
    solo: str


STOPPED, CHECKPOINT, AWAIT = "its executor is stopped", "at a checkpoint", "at an await"
#: A loop does not wait for a checkpoint: the run is cancelled where it awaits.
CANCELLED = "aborted/interrupted"
KILLED = "aborted/killed"
THREAD = "cannot be killed: it runs in a thread of a Celery worker"
TABLE = [
    Row("abort", "queued", "removed", *["aborted/"] * 5),
    Row("abort", "delayed", "removed", *["aborted/"] * 5),
    Row("abort", "paused unbegun", "removed", *["aborted/"] * 5),
    Row("abort", "heeds", "asked", "aborted/asked", CANCELLED, *["aborted/asked"] * 3),
    Row("abort", "deaf", "asked", *["aborted/interrupted"] * 5),
    Row("abort", "stands", "asked", "aborted/asked", CANCELLED, *["aborted/asked"] * 3),
    Row("abort", "paused heeds", "asked", "aborted/asked", CANCELLED, *["aborted/asked"] * 3),
    Row("abort", "done", "ended", *["done/"] * 5),
    Row("force", "queued", "removed", *["aborted/"] * 5),
    Row("force", "stubborn", "asked", KILLED, KILLED, KILLED, f"running/{THREAD}", f"running/{THREAD}"),
    Row("force", "done", "ended", *["done/"] * 5),
    Row("pause", "queued", "paused", *["paused/"] * 5),
    Row("pause", "delayed", "paused", *["paused/"] * 5),
    Row("pause", "heeds", "asked", f"paused/{STOPPED}", f"paused/{AWAIT}", *[f"paused/{CHECKPOINT}"] * 3),
    Row("pause", "delicate", "asked", *[f"paused/{CHECKPOINT}"] * 5),
    Row("pause", "stands", "asked", *[f"paused/{CHECKPOINT}"] * 5),
    Row("pause", "done", "ended", *["done/"] * 5),
    Row("resume", "paused unbegun", "queued", *["queued/"] * 5),
    Row("resume", "paused delayed", "queued", *["delayed/"] * 5),
    Row("resume", "paused heeds", "asked", *["done/"] * 5),
    Row("resume", "heeds", "running", *["running/"] * 5),
    Row("resume", "queued", "running", *["queued/"] * 5),
    Row("resume", "done", "ended", *["done/"] * 5),
    Row("abort", "paused delayed", "removed", *["aborted/"] * 5),
    Row("force", "delayed", "removed", *["aborted/"] * 5),
    Row("force", "paused unbegun", "removed", *["aborted/"] * 5),
    Row("force", "paused delayed", "removed", *["aborted/"] * 5),
    Row("pause", "deaf", "asked", f"paused/{STOPPED}", f"paused/{AWAIT}", *["done/"] * 3),
    Row("pause", "paused unbegun", "paused", *["paused/"] * 5),
    Row("pause", "paused heeds", "asked", f"paused/{STOPPED}", f"paused/{AWAIT}", *[f"paused/{CHECKPOINT}"] * 3),
    Row("resume", "delayed", "running", *["delayed/"] * 5),
    Row("resume", "deaf", "running", *["running/"] * 5),
    Row("resume", "stands", "running", *["waiting/"] * 5),
    Row("resume", "paused stands", "asked", *["waiting/"] * 5),
    Row("replay", "queued", "running", *["queued/"] * 5),
    Row("replay", "delayed", "running", *["delayed/"] * 5),
    Row("replay", "heeds", "running", *["running/"] * 5),
    Row("replay", "stands", "running", *["waiting/"] * 5),
    Row("replay", "paused unbegun", "running", *["paused/"] * 5),
    Row("replay", "paused heeds", "running", f"paused/{STOPPED}", f"paused/{AWAIT}", *[f"paused/{CHECKPOINT}"] * 3),
    Row("replay", "done", "ended", *["done/"] * 5),
    Row("replay", "aborted", "ended", *["aborted/"] * 5),
    # they run again, and end as before
    Row("replay", "failed", "queued", *["failed/"] * 5),
    Row("replay", "dead", "queued", *["dead/"] * 5),
    Row("replay", "lost", "queued", *["lost/"] * 5),
]
ENDED = ("failed", "aborted", "lost", "dead")
TABLE += [
    Row(order, state, "ended", *[f"{state}/"] * 5) for order in ("abort", "force", "pause", "resume") for state in ENDED
]


def cases() -> Iterator[Any]:
    """Every cell. Left to `make test-long`: threads and solo, and what does not depend on where a process has run."""
    for where in WHERE:
        for row in TABLE:
            alike = row.order == "replay" if row.doing not in ENDED else row.order != "replay"
            slow = where in WHERE[3:] or (where != "executor" and alike)
            yield pytest.param(
                where, row, id=f"{where}-{row.order} {row.doing}", marks=[pytest.mark.long] if slow else []
            )


class Places:
    """The cluster of one place at a time: rows come place by place, and starting workers is what takes time here.

    A parameter of the fixture would not do: beside a parameter of the test, it would be made anew for each row.
    """

    def __init__(self, redis: str, folders: pytest.TempPathFactory) -> None:
        self._redis = redis
        self._folders = folders
        self._where = ""
        self._opened = ExitStack()

    def at(self, where: str) -> Cluster:
        """The cluster there, which is opened when the last row was elsewhere."""
        if where != self._where:
            self.close()
            tasks = ASYNC_TASKS if where == "loop" else TASKS
            self.cluster = self._opened.enter_context(
                open_cluster(self._redis, self._folders.mktemp(where), tasks=tasks)
            )
            pool = "" if where in ("executor", "loop") else where
            self.cluster.start(1, pool=pool, executors=1 if where == "solo" else 2)
            self.cluster.start(1, executors=1, options=("-Q", "mortal"))  # where processes are lost
            self._where = where
        return self.cluster

    def close(self) -> None:
        self._where = ""
        self._opened.close()


@pytest.fixture(scope="module")
def places(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    places = Places(onserver_redis, tmp_path_factory)
    try:
        yield places
    finally:
        places.close()


def given(order: str, process: Process[Any]) -> Answer:
    if order == "force":
        return process.abort(force=True)
    answer: Answer = getattr(process, order)()
    return answer


def stands(process: Process[Any]) -> str:
    record = process.record()
    return f"{record.state}/{record.why if record.state == 'paused' else record.level}"


def brought_to(cluster: Cluster, doing: str, seconds: float) -> Process[Any]:
    """A process that is doing this when the order is given."""
    if doing.startswith("paused "):
        process = brought_to(cluster, doing.removeprefix("paused "), seconds)
        process.pause()
        cluster.wait_for(lambda: process.state == "paused", 60)
        return process
    if doing in ("queued", "unbegun"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoWorker)
            return quick.options(queue="nowhere").start(1)
    if doing in ENDED:
        return ended(cluster, doing)
    if doing == "delayed":
        return quick.options(delay=3600).start(1)
    process = (
        quick.start(1) if doing == "done" else execute_on_server(f"jobs.{doing.partition(' ')[2] or doing}", seconds)
    )
    cluster.wait_for(lambda: cluster.ledger.count("began", process.number), 60)
    if doing == "done":
        process.wait(timeout=60)
    return process


def ended(cluster: Cluster, state: str) -> Process[Any]:
    """A process that has ended so."""
    if state == "aborted":
        process = brought_to(cluster, "queued", 0.0)
        process.abort()
    else:
        process = execute_on_server(f"jobs.is_{state}")
    assert process.wait(timeout=60) == state
    return process


@pytest.mark.parametrize(("where", "row"), list(cases()))
def test_an_order(places: Places, where: str, row: Row) -> None:
    cluster = places.at(where)
    expected: str = getattr(row, where)
    seconds = {"stubborn": 4.0, "deaf": 2.0 if row.order == "pause" and expected == "done/" else LONG}.get(
        row.doing, 0.5 if row.order == "resume" and expected == "done/" else LONG
    )
    with cluster.as_current(), ExitStack() as held:
        if row.doing.endswith("stands"):
            held.enter_context(cluster.storage.use("held"))
        process = brought_to(cluster, row.doing, seconds)
        if row.doing == "stands":
            cluster.wait_for(lambda: process.state == "waiting", 60)
        assert given(row.order, process).level == row.answer
        cluster.wait_for(lambda: stands(process) == expected, 60)
        if not process.state.ended:
            held.close()
            process.resume()
            process.abort(force=row.doing == "stubborn")  # a killed child takes a prefork pool seconds to replace
            process.wait(timeout=60)
