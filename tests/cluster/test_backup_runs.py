"""Backups by real workers: asked for, refused, killed at every step, and told in every case."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from onserver import Process, backup, execute_on_server
from onserver.backup.asking import result_of_process, start_backup
from onserver.backup.state import Ask, State
from onserver.errors import BackupFailed, BackupRunning
from onserver.life.events import read_events
from onserver.life.hook_records import read_runs
from tests.cluster.backups import TASKS, archives_of, files_of, folder_of, storage_in, told
from tests.cluster.conftest import Open

QUICK = {"backup.verify": "false"}


def put(cluster: Any, **entries: object) -> None:
    with cluster.storage.use() as root:
        for name, value in entries.items():
            root[name] = value


def closed(cluster: Any) -> bool:
    return State(cluster.server.store).going() is None


def test_a_backup_is_a_process_that_hooks_surround(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS)
    put(cluster, rates={"EUR": 1.0})
    with cluster.as_current():
        result = backup(label="before the move")
    assert (result.code, result.reason, result.number) == (0, "", 1)
    assert result.path == str(folder_of(cluster) / f"{cluster.server.name}[0001].onsb")
    assert cluster.ledger.of("asked") == [["asked", "1", "1", "before the move", "False"]]
    assert told(cluster) == [["told first", "0", "1", "1"], ["told second", "0", "1", "1"]]
    assert storage_in(folder_of(cluster), f"{cluster.server.name}[0001].onsb") == {"rates": {"EUR": 1.0}}
    history = json.loads((folder_of(cluster) / "backupHistory.json").read_text())
    assert [(one["number"], one["code"], one["label"]) for one in history["operations"]] == [(1, 0, "before the move")]
    assert history["archives"][0]["verified"]
    events = [event for event in read_events(cluster.server.store) if event.name == "backup.ended"]
    assert [(event.payload["code"], event.payload["number"]) for event in events] == [(0, 1)]
    runs = [run for run in read_runs(cluster.server.store) if "backup" in run.kind]
    assert [(run.hook, run.outcome) for run in reversed(runs)] == [
        ("jobs.guard", "ok"), ("jobs.first", "ok"), ("jobs.second", "ok"),
    ]  # fmt: skip


def test_a_refused_backup_writes_nothing_and_tells_the_very_code(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK)
    put(cluster, closing=True)
    with cluster.as_current():
        refused = backup()
        assert (refused.code, refused.reason, refused.path) == (201, "month-end close", None)
        assert archives_of(cluster) == []
        assert told(cluster) == [["told first", "201", "1", "1"], ["told second", "201", "1", "1"]]
        forced = backup(force=True)
    assert (forced.code, forced.number) == (0, 1)
    assert archives_of(cluster) == ["[0001]"]
    last = State(cluster.server.store).last()
    assert last is not None
    assert (last.hook, last.code) == ("jobs.guard", 0)
    assert "@" in last.forced_by


def test_one_backup_at_a_time_and_none_inside_a_block(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK)
    state = State(cluster.server.store)
    with cluster.as_current(), cluster.server.client.holding() as holder:
        going = state.begin(holder, "h1", 0, Ask())
        assert going is not None
        with pytest.raises(BackupRunning) as running:
            backup()
        assert running.value.process == 0
        while not state.close(going, *state.standing()):
            pass
        assert execute_on_server("jobs.ask_in_block").result(timeout=60) == [5209, 1404]
        assert execute_on_server("jobs.ask_in_procedure").result(timeout=60) == 1


def test_without_a_worker_nobody_makes_one(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    with cluster.as_current(), pytest.raises(BackupFailed) as refused:
        backup()
    assert refused.value.number == 1414


@pytest.mark.long
def test_three_archives_are_kept_and_only_those_in_their_place_are_removed(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK)
    with cluster.as_current():
        for _ in range(4):
            assert backup().code == 0
        assert archives_of(cluster) == ["[0002]", "[0003]", "[0004]"]
        moved = folder_of(cluster) / f"{cluster.server.name}[0002].onsb"
        moved.rename(moved.with_name("mine.onsb"))
        assert backup().code == 0
        (folder_of(cluster) / "backupHistory.json").unlink()
        assert backup().number == 1
    assert archives_of(cluster)[:1] == ["[0001]"]
    assert "mine.onsb" in files_of(cluster)


@pytest.mark.parametrize(
    ("step", "code", "kept"),
    [("in_cut", 1409, []), ("before_rename", 1409, []), ("in_verify", 1411, ["[0001]"])],
)
def test_kill_9_at_a_step_leaves_no_half_archive_and_all_hooks_told_once(
    cluster_of: Open, step: str, code: int, kept: list[str]
) -> None:
    cluster = cluster_of(1, tasks=TASKS, crash_at=f"{step}@executor")
    with cluster.as_current():
        result = backup(timeout=60)
        assert (result.code, result.number) == (code, 1)
        assert "killed" in result.reason
        assert told(cluster) == [["told first", str(code), "1", "1"], ["told second", str(code), "1", "1"]]
        assert archives_of(cluster) == kept
        assert not [name for name in files_of(cluster) if name.startswith(".")]
        again = backup(timeout=60)
    assert (again.code, again.number) == (0, 1 + len(kept))
    assert len(told(cluster)) == 4


@pytest.mark.parametrize(
    ("where", "code", "expected"),
    [
        ("asked", 1409, ["told first", "told second"]),
        ("first", 0, ["told first", "told second"]),
        ("second", 0, ["told first", "told second"]),
    ],
)
def test_kill_9_in_a_hook(cluster_of: Open, where: str, code: int, expected: list[str]) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK)
    put(cluster, dies=where)
    with cluster.as_current():
        result = backup(timeout=60)
    assert result.code == code
    assert cluster.ledger.count("dies", where) == 1
    assert [words[0] for words in told(cluster)] == expected
    assert len(cluster.ledger.of("asked")) == 1
    assert archives_of(cluster) == (["[0001]"] if code == 0 else [])


def test_the_whole_worker_is_killed_and_another_one_tells_the_hooks(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK, crash_at="before_rename@executor")
    with cluster.as_current():
        process = start_backup(cluster.server, Ask(asked_by="ann"))
        cluster.wait_for(lambda: process.record().deliveries or told(cluster))
        cluster.kill(cluster.workers[0])
        cluster.start(1)
        result = result_of_process(process, 60)
        cluster.wait_for(lambda: closed(cluster))
    assert result.code == 1409
    assert sorted(words[0] for words in told(cluster)) == ["told first", "told second"]
    assert archives_of(cluster) == []


def test_an_aborted_backup_is_1406_and_its_hooks_are_told(cluster_of: Open) -> None:
    tasks = (
        TASKS
        + """
import time
@on_backup_startup(after="guard")
def slow(backup):
    note("slow")
    time.sleep(30)
"""
    )
    cluster = cluster_of(1, tasks=tasks, settings=QUICK)
    with cluster.as_current():
        process: Process[Any] = start_backup(cluster.server, Ask())
        cluster.wait_for(lambda: cluster.ledger.of("slow"))
        process.abort()
        assert result_of_process(process, 60).code == 1406
        cluster.wait_for(lambda: closed(cluster))
        assert told(cluster) == [["told first", "1406", "1", "1"], ["told second", "1406", "1", "1"]]
        last = State(cluster.server.store).last()
        assert last is not None
        assert last.code == 1406
    assert archives_of(cluster) == []


def test_the_journal_says_what_happened(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings={**QUICK, "backup.verbose": "false"})
    with cluster.as_current():
        assert backup(label="one").code == 0
    text = (cluster.project / ".onserver/logs/Backup Journal[001].txt").read_text()
    lines = [line.split("  ", 1)[1] for line in text.splitlines()]
    assert len(lines) == 2
    assert lines[0].startswith("backup begins (by hand, asked by ")
    assert lines[1].startswith(f"backup 1 ended well: {os.fspath(folder_of(cluster))}")


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_workers_of_celery_make_backups_too(cluster_of: Open, pool: str) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings=QUICK, pool=pool)
    put(cluster, rates=1)
    result = cluster.backup(label=pool)
    assert (result.code, result.number) == (0, 1)
    assert [words[0] for words in told(cluster)] == ["told first", "told second"]
    assert storage_in(folder_of(cluster), f"{cluster.server.name}[0001].onsb") == {"rates": 1}
