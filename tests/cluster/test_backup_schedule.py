"""Backups by schedule: once at their dates, whoever leads; tried again, suspended, and missed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from onserver import backup, backup_info
from onserver.backup.codes import Code
from onserver.backup.state import State
from tests.cluster.backups import TASKS, archives_of, told
from tests.cluster.conftest import Open

HOURLY = {"backup.verify": "false", "backup.schedule": "every hour"}
HOUR = 3600


def planned(cluster: Any) -> int:
    """The next date that Redis knows, 0 for none."""
    return State(cluster.server.store).standing()[1].next_ms


def last(cluster: Any) -> tuple[str, int]:
    """Why the last backup was made, and how it ended."""
    operation = State(cluster.server.store).last()
    return ("", -1) if operation is None else (operation.trigger, operation.code)


def has_told(cluster: Any, count: int) -> bool:
    """Whether the shutdown hooks were told so often."""
    return len(told(cluster)) == count


def is_planned_after(cluster: Any, due: int) -> bool:
    """Whether the next date is later than this one."""
    return planned(cluster) > due


def bring_forward(cluster: Any, ms_ago: int = 0) -> int:
    """Let the next date be now, or so long ago; answers it."""
    state = State(cluster.server.store)
    while True:
        text, standing = state.standing()
        due: int = cluster.server.store.now_ms() - ms_ago
        if state.plan(text, replace(standing, next_ms=due)):
            return due


def test_a_date_makes_one_backup_whoever_leads(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS, settings=HOURLY)
    for number in (1, 2):
        cluster.wait_for(lambda: planned(cluster))
        due = bring_forward(cluster)
        cluster.wait_for(partial(has_told, cluster, 2 * number))
        cluster.wait_for(partial(is_planned_after, cluster, due))
    assert archives_of(cluster) == ["[0001]", "[0002]"]
    assert last(cluster) == ("schedule", 0)
    assert len(cluster.ledger.of("asked")) == 2


def test_what_is_refused_is_tried_again_then_suspended_until_one_by_hand_ends_well(cluster_of: Open) -> None:
    settings = HOURLY | {"backup.retry_seconds": "0.5", "backup.attempts": "2"}
    cluster = cluster_of(1, tasks=TASKS, settings=settings)
    state = State(cluster.server.store)
    with cluster.storage.use() as root:
        root["closing"] = True
    cluster.wait_for(lambda: planned(cluster))
    bring_forward(cluster)
    cluster.wait_for(lambda: state.standing()[1].suspended)
    assert last(cluster) == ("retry", 201)
    assert [words[2] for words in cluster.ledger.of("asked")] == ["1", "2"]  # the attempts
    with cluster.as_current():
        info = backup_info()
        assert (info.suspended, info.next, info.code) == (True, None, 201)
        assert str(Code.TOO_MANY_ATTEMPTS) in info.reason
        with cluster.storage.use() as root:
            root["closing"] = False
        assert backup().code == 0
        assert backup_info().suspended is False
        assert backup_info().next is not None


def test_a_date_that_passed_without_a_worker_was_missed(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=HOURLY | {"backup.retry_seconds": "3"})
    cluster.wait_for(lambda: planned(cluster))
    cluster.kill(cluster.workers[0])
    bring_forward(cluster, ms_ago=10 * HOUR * 1000)
    cluster.start(1)
    cluster.wait_for(lambda: last(cluster) == ("missed", Code.MISSED))
    assert told(cluster) == []
    cluster.wait_for(lambda: last(cluster) == ("retry", 0))
    assert archives_of(cluster) == ["[0001]"]
