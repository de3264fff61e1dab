"""Time limits of procedures and of ordinary tasks, where Celery runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import chord
from celery.exceptions import ChordError

from onserver import execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import ProcessTimeout
from onserver.testing.cluster import Cluster, open_cluster

TASKS = """
import time
from celery import shared_task
from onserver import Retry, procedure, process
from onserver.errors import ProcessTimeout
from onserver.testing.ledger import note

def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)

@procedure(timeout=1, grace=30)
def soft(seconds: float):
    note("began", process().number)
    try:
        spin(seconds)
    finally:
        note("cleaned", process().number)
    return "ended"

@procedure(timeout=1, grace=1)
def hard(seconds: float):
    note("began", process().number)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            spin(seconds)
        except BaseException as error:
            note("swallowed", process().number, type(error).__name__)
    return "ended"

@procedure(timeout=1, grace=30, retry=Retry(ProcessTimeout, delays=[0]))
def tried():
    note("began", process().number, process().attempt)
    spin(60 if process().attempt < 2 else 0)
    return process().attempt

@procedure
def total(values):
    return len(values)

@shared_task(name="plain_soft", soft_time_limit=1)
def plain_soft():
    spin(60)

@shared_task(name="plain_late", bind=True)
def plain_late(self):
    note("late", self.request.id)
    spin(4)
    return "ended"

@shared_task(name="plain_hard")
def plain_hard():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            spin(60)
        except BaseException:
            pass
"""


#: Tried by `make test-long`.
LONG = [pytest.param(pool, marks=pytest.mark.long) for pool in ("threads", "solo")]


@pytest.fixture(scope="module", params=["", "prefork", *LONG], ids=["executors", "prefork", "threads", "solo"])
def place(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Cluster]]:
    pool: str = request.param
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("limits"), tasks=TASKS) as opened:
        opened.start(1, pool=pool, executors=1 if pool == "solo" else 2)
        with opened.as_current():
            yield pool, opened


@pytest.fixture
def app(place: tuple[str, Cluster]) -> Any:
    return make_app(place[1].server)


def test_a_procedure_is_interrupted_at_its_time_limit(place: tuple[str, Cluster]) -> None:
    _, cluster = place
    process = execute_on_server("jobs.soft", 60.0)
    with pytest.raises(ProcessTimeout, match=r"was ended: it reached its timeout of 1 s"):
        process.result(timeout=60)
    assert process.state == "failed"
    assert cluster.ledger.count("began", process.number) == 1
    assert cluster.ledger.count("cleaned", process.number) == 1
    assert execute_on_server("jobs.soft", 0.0).result(timeout=60) == "ended"


def test_its_policy_may_run_it_again(place: tuple[str, Cluster]) -> None:
    process = execute_on_server("jobs.tried")
    assert process.result(timeout=60) == 2
    assert [one.type for one in process.record().attempts] == ["ProcessTimeout"]


def test_in_a_chord_it_is_a_failure_like_any_other(app: Any) -> None:
    header = [app.signature("jobs.soft", (seconds,)) for seconds in (0.0, 60.0)]
    result = chord(header)(app.signature("jobs.total"))
    with pytest.raises(ChordError, match="ProcessTimeout"):
        result.get(timeout=60, follow_parents=False)  # else that of the header, where it looks between the two


def test_one_that_goes_on_is_killed_where_that_is_possible(place: tuple[str, Cluster]) -> None:
    pool, cluster = place
    process = execute_on_server("jobs.hard", 4.0)
    if pool in ("threads", "solo"):  # nobody can: its end is what its body makes of it
        assert process.result(timeout=60) == "ended"
        cluster.wait_for(lambda: f"#{process.number} has reached its time limit" in cluster.worker(0).output)
    else:
        with pytest.raises(ProcessTimeout, match="timeout of 1 s"):
            process.result(timeout=60)
    assert cluster.ledger.count("began", process.number) == 1
    assert cluster.ledger.count("swallowed", process.number) >= 1


def test_an_ordinary_task_has_celerys_limits_where_it_has_them(place: tuple[str, Cluster], app: Any) -> None:
    pool, cluster = place
    if pool in ("threads", "solo"):  # these have none: it goes on past both, to its end
        late = app.send_task("plain_late", soft_time_limit=1, time_limit=2)
        assert late.get(timeout=60) == "ended"
        assert cluster.ledger.count("late", late.id) == 1
        return
    soft, hard = app.send_task("plain_soft", soft_time_limit=1), app.send_task("plain_hard", time_limit=2)
    with pytest.raises(SoftTimeLimitExceeded):
        soft.get(timeout=60)
    with pytest.raises(TimeLimitExceeded if pool else ProcessTimeout):
        hard.get(timeout=60)
