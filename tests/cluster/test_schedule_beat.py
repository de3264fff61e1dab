"""Entries of Celery's beat: each time starts one task, whoever keeps them: workers of ours, of Celery's, or beats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from onserver.process.plan import plan_of
from onserver.testing.cluster import CELERY_APP, Cluster
from tests.cluster.conftest import Open
from tests.cluster.test_schedule import HOUR, data, have_run, now, set_clock, settled, started

TASKS = """
from celery import shared_task

from onserver import procedure, process
from onserver.testing.ledger import note


@shared_task
def tell(word, times=1):
    note(word, int(process().scheduled.timestamp()) if process().scheduled else "-", process().number, times)


@procedure
def say(word):
    note(word, int(process().scheduled.timestamp()), process().number)
"""

ENTRIES = """
from celery.beat import BeatLazyFunc
from celery.schedules import crontab

app.conf.beat_schedule = {
    "full": {"task": "tasks.jobs.tell", "schedule": crontab(minute=0), "args": ["full"], "kwargs": {"times": 2}},
    "half": {"task": "jobs.say", "schedule": 1800.0, "args": ("half",), "options": {"priority": 9}},
    "lazy": {"task": "tasks.jobs.tell", "schedule": crontab(minute=0), "args": (BeatLazyFunc(lambda: "lazy"),)},
}
"""


@pytest.fixture
def cluster(cluster_of: Open) -> Cluster:
    """A project whose application has a `beat_schedule`; it is ten to."""
    made = cluster_of(0, tasks=TASKS, settings={"celery": "workers:app"})
    (made.project / "workers" / "__init__.py").write_text(CELERY_APP + ENTRIES)
    set_clock(made, (int(now(made)) // HOUR + 1) * HOUR - 600)
    return made


def hour_passes(cluster: Cluster) -> None:
    """A full hour comes, and the next half; each starts what it should, once."""
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    before = {name: started(cluster, name) for name in ("full", "half", "lazy")}
    set_clock(cluster, full - 1)
    for name, times in before.items():
        have_run(cluster, name, [*times, full])
    set_clock(cluster, full + HOUR // 2 - 1)
    have_run(cluster, "half", [*before["half"], full, full + HOUR // 2])
    settled(cluster)
    for name in ("full", "lazy"):
        assert started(cluster, name) == [*before[name], full]


def test_a_leader_of_ours_and_one_of_celerys(cluster: Cluster) -> None:
    (ours,) = cluster.start(executors=1)
    hour_passes(cluster)
    assert cluster.ledger.of("full")[0][3] == "2", "with its arguments by name"
    rows = {row["name"]: row for row in data(cluster, "schedule", "ls")}
    assert {name: (row["procedure"], row["source"]) for name, row in rows.items()} == {
        "full": ("tasks.jobs.tell", "celery"), "half": ("jobs.say", "celery"), "lazy": ("tasks.jobs.tell", "celery"),
    }  # fmt: skip

    cluster.start(pool="solo")
    cluster.kill(ours)
    hour_passes(cluster)


@contextmanager
def beats(cluster: Cluster, folder: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """As many of `celery beat -S onserver`."""
    command = [sys.executable, "-m", "celery", "-A", "workers", "beat", "-S", "onserver", "--pidfile=", "-l", "INFO"]
    programs: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(count):
            with (folder / f"beat{index}.log").open("wb") as log:
                programs.append(
                    subprocess.Popen(
                        command, env=cluster.environment(), cwd=cluster.project, stdout=log, stderr=subprocess.STDOUT
                    )
                )
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.wait()


def test_two_beats_and_a_leader_start_each_once(cluster: Cluster, tmp_path: Path) -> None:
    with beats(cluster, tmp_path, 2) as programs:
        for index in range(2):
            log = tmp_path / f"beat{index}.log"
            cluster.wait_for(lambda log=log: "beat: Starting" in log.read_text(), 30)  # type: ignore[misc]
        cluster.start(executors=2)
        hour_passes(cluster)
        assert data(cluster, "schedule", "pause", "full")["changed"]
        full = (int(now(cluster)) // HOUR + 1) * HOUR
        set_clock(cluster, full - 1)
        cluster.wait_for(lambda: full in started(cluster, "lazy"))
        settled(cluster)
        assert full not in started(cluster, "full")
        assert all(program.poll() is None for program in programs)


def test_beats_alone_put_their_tasks(cluster: Cluster, tmp_path: Path) -> None:
    """No worker is up: what beats put waits for one, as with Celery's own."""
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    store = cluster.server.store
    with beats(cluster, tmp_path, 2):
        cluster.wait_for(lambda: store.command("SCARD", store.key("schedules")) == 3, 30)
        set_clock(cluster, full - 1)
        cluster.wait_for(lambda: all(one.number for one in plan_of(store)), 30)
    cluster.start(executors=1)
    for name in ("full", "half", "lazy"):
        have_run(cluster, name, [full])
