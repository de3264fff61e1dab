"""Restoring: the drill onto an empty machine, into a running server, in part, elsewhere; and what refuses it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onserver import Process, backup, execute_on_server, restore_info, server_epoch
from onserver.backup.replay import look
from onserver.process.execute import order_of
from onserver.process.maintenance import begin_maintenance, end_maintenance
from onserver.process.put import Sender
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.values import decode
from tests.cluster.backups import TASKS, archives_of, folder_of
from tests.cluster.conftest import Open

QUICK = {"backup.verify": "false"}
WORK = (
    TASKS
    + """
@procedure
def work(word):
    note("ran", word)
    return word
"""
)


def onserver(cluster: Any, *words: str, status: int = 0, crash_at: str = "") -> Any:
    """Run the command of the cluster's project; answers its data, or its error."""
    command = [sys.executable, "-m", "onserver.cli", *words, "--json"]
    environment = os.environ | cluster.environment() | ({"ONSERVER_CRASH_AT": crash_at} if crash_at else {})
    done = subprocess.run(command, env=environment, cwd=cluster.project, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{words}: {done.stdout}\n{done.stderr}"
    if crash_at:
        return None
    answer = json.loads(done.stdout)
    return answer["data"] if answer["ok"] else answer["error"]


def put(cluster: Any, **entries: object) -> None:
    with cluster.storage.use() as root:
        for name, value in entries.items():
            root[name] = value


def storage_of(cluster: Any) -> dict[str, Any]:
    return {key: cluster.storage[key] for key in cluster.storage}


def archive(cluster: Any, number: int = 1) -> Path:
    return folder_of(cluster) / f"{cluster.server.name}[{number:04}].onsb"


@pytest.fixture
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis of another machine."""
    with Embedded(tmp_path_factory.mktemp("other"), linger_seconds=0) as embedded:
        embedded.start()
        yield f"unix://{embedded.home.socket}"


def test_the_drill_a_machine_is_lost_and_an_empty_one_takes_its_place(
    other_redis: str, cluster_of: Open, tmp_path: Path
) -> None:
    lost = cluster_of(1, tasks=WORK)
    put(lost, rates={"EUR": 1.1}, note="before")
    lost.storage.counter("readings").add(7)
    with lost.as_current():
        execute_on_server("jobs.work", "done").result(timeout=60)
        later = order_of(lost.server, "jobs.work")
        waiting = [
            lost.server.part(Sender).put(replace(later, delay=3600), [word], {}).number for word in ("one", "two")
        ]
        assert backup(label="nightly").code == 0
    kept = str(shutil.copy(archive(lost), tmp_path / "kept.onsb"))
    lost.kill(lost.workers[0])

    empty = cluster_of(0, tasks=WORK, settings={"name": lost.server.name, "redis": other_redis})
    empty.variables["ONSERVER_SIGNING_KEY"] = lost.variables["ONSERVER_SIGNING_KEY"]  # it is in no backup
    shown = onserver(empty, "backup", "info", kept)
    assert (shown["about"]["label"], shown["about"]["counts"]["storage"]) == ("nightly", 3)
    would = onserver(empty, "backup", "restore", kept, "--dry-run")
    assert (would["saves"], would["refusal"], would["there"].get("storage")) == (False, None, None)
    restored = onserver(empty, "backup", "restore", kept, "--yes")
    assert (restored["before"], restored["loaded"]["alive"]) == (None, 2)
    assert storage_of(empty) == {"rates": {"EUR": 1.1}, "note": "before", "readings": 7}
    empty.start(1)
    with empty.as_current():
        assert server_epoch().previous == "restored"
        assert restore_info().code == 0
        assert restore_info().path == kept
        assert [Process.get(number).state for number in waiting] == ["paused", "paused"]
        for number in waiting:
            Process.get(number).resume()
        empty.advance(7200)
        assert sorted(Process.get(number).result(timeout=60) for number in waiting) == ["one", "two"]
    assert storage_of(empty)["rates"] == {"EUR": 1.1}


def test_a_running_server_is_restored_under_maintenance_after_a_backup_of_what_is_there(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=WORK, settings=QUICK | {"backup.keep": "1"})
    put(cluster, rates=1)
    with cluster.as_current():
        assert backup().number == 1
        put(cluster, rates=2, more=3)
        refused = onserver(cluster, "backup", "restore", "1", "--yes", status=3)
        assert refused["code"] == "ONS-5203"
        assert "onserver maintenance on" in refused["message"]
        assert archives_of(cluster) == ["[0001]"]
        begin_maintenance("restoring")
        restored = onserver(cluster, "backup", "restore", "1", "--yes")
        assert restored["before"] == str(archive(cluster, 2))
        assert archives_of(cluster) == ["[0001]", "[0002]"]  # the one that was restored is still there
        end_maintenance()
        assert storage_of(cluster) == {"rates": 1}
        assert execute_on_server("jobs.work", "goes on").result(timeout=60) == "goes on"
        begin_maintenance("and back")
        onserver(cluster, "backup", "restore", "2", "--yes", "--no-backup", "--only", "storage")
        end_maintenance()
        assert storage_of(cluster) == {"rates": 2, "more": 3}


@pytest.mark.long
def test_into_an_empty_namespace_and_files_beside_the_archive(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=WORK, settings=QUICK)
    put(cluster, rates=1)
    name = f"{cluster.server.name}-copy"
    with cluster.as_current():
        assert backup().code == 0
    done = onserver(cluster, "backup", "restore", "latest", "--to", name, "--yes")
    assert (done["before"], done["loaded"]["keys"]["storage"] > 0) == (None, True)
    assert onserver(cluster, "backup", "restore", "latest", "--to", name, "--yes", status=3)["code"] == "ONS-5203"
    copy = Store(cluster.server.store.address, name, connect_seconds=3, command_seconds=5, testing=True)
    try:
        assert decode(copy.command("HGET", copy.key("st:e:rates"), "v")) == 1
    finally:
        for key in copy.command("KEYS", copy.prefix + "*"):
            copy.command("DEL", key)
        copy.close()
    files = onserver(cluster, "backup", "restore", "latest", "--only", "project")
    folder = archive(cluster).with_suffix("")
    assert files["folder"] == str(folder)
    assert (folder / "project" / "tasks" / "jobs.py").read_text() == WORK
    assert onserver(cluster, "backup", "restore", "latest", "--only", "project", status=3)["code"] == "ONS-5203"


def redis_time(cluster: Any) -> datetime:
    """What the clock of Redis says, which dates changes."""
    seconds, micros = cluster.server.store.command("TIME")
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))


def test_the_log_between_backups_is_replayed_up_to_a_time(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=WORK, settings=QUICK | {"backup.log": "true"})
    folder, name = folder_of(cluster), cluster.server.name
    put(cluster, rates=1)
    with cluster.as_current():
        assert backup().code == 0
        put(cluster, rates=2)
        between = redis_time(cluster)
        cluster.wait_for(lambda: redis_time(cluster) > between + timedelta(milliseconds=5))
        put(cluster, rates=3, wrong=True)
        cluster.wait_for(lambda: sum(found.changes for found in look(folder, name)) >= 2)
        begin_maintenance("somebody wrote what was wrong")
        restored = onserver(cluster, "backup", "restore", "1", "--until", between.isoformat(), "--yes")
        assert restored["replayed"]["changes"] == 1
        assert storage_of(cluster) == {"rates": 2}
        long_ago = onserver(cluster, "backup", "restore", "1", "--until", "2020-01-01", "--yes", status=3)
        assert "take an earlier one" in long_ago["message"]
        end_maintenance()
    whole = onserver(cluster, "backup", "verify", "--all")
    assert all(one["ok"] for one in whole)
    assert any(one["name"].endswith(".journal") for one in whole)


@pytest.mark.parametrize(
    ("step", "way", "expected"),
    [("before_restore_switch", "--undo", {"rates": 2}), ("after_restore_switch", "--finish", {"rates": 1})],
)
def test_a_restore_that_was_killed_says_so_and_is_undone_or_finished(
    cluster_of: Open, step: str, way: str, expected: dict[str, Any]
) -> None:
    cluster = cluster_of(0, tasks=WORK, settings=QUICK)
    put(cluster, rates=1)
    onserver(cluster, "backup", "now")
    put(cluster, rates=2)
    restore = ("backup", "restore", "1", "--yes", "--no-backup")
    onserver(cluster, *restore, status=-signal.SIGKILL, crash_at=step)
    refused = onserver(cluster, *restore, status=3)
    assert "has begun and not ended" in refused["message"]
    assert onserver(cluster, "backup", "now", status=3)["facts"]["number"] == 1417
    onserver(cluster, "backup", "restore", "--finish" if way == "--undo" else "--undo", status=3)
    onserver(cluster, "backup", "restore", way)
    assert storage_of(cluster) == expected
    assert onserver(cluster, "backup", "now")["number"] == 2


def test_what_is_not_there_is_said_by_the_exit_status(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=WORK)
    for words in (("restore", "77", "--yes"), ("show", "latest"), ("verify", "latest")):
        assert onserver(cluster, "backup", *words, status=4)["code"] == "ONS-5208"
    assert onserver(cluster, "backup", "restore", "--finish", status=3)["code"] == "ONS-5203"


def test_a_damaged_archive_is_refused_and_nothing_is_changed(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=WORK, settings=QUICK)
    put(cluster, rates=1)
    made = onserver(cluster, "backup", "now")
    assert (made["number"], made["verified"]) == (1, "")
    put(cluster, rates=2)
    path = archive(cluster)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert onserver(cluster, "backup", "verify", "1", status=9)["code"] == "ONS-5202"
    assert [one["ok"] for one in onserver(cluster, "backup", "verify", "--all", status=9)] == [False]
    assert onserver(cluster, "backup", "restore", "1", "--yes", status=9)["code"] == "ONS-5202"
    assert storage_of(cluster) == {"rates": 2}
    assert archives_of(cluster) == ["[0001]"]


def test_a_veto_and_a_failure_are_said_by_the_exit_status(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=WORK, settings=QUICK)
    put(cluster, closing=True)
    refused = onserver(cluster, "backup", "now", status=3)
    assert (refused["code"], refused["facts"]) == (
        "ONS-5201", {"hook": "jobs.guard", "answer": 201, "reason": "month-end close"},
    )  # fmt: skip
    assert onserver(cluster, "backup", "now", "--force")["number"] == 1
    assert onserver(cluster, "backup", "ls")[0]["number"] == 1
    assert onserver(cluster, "backup", "info")["backup"]["code"] == 0
    assert onserver(cluster, "backup", "prune", "--keep", "1", "--yes") == []
    (folder_of(cluster) / "backupHistory.json").write_text("{")
    failed = onserver(cluster, "backup", "now", "--force", status=3)
    assert (failed["code"], failed["facts"]["number"]) == ("ONS-5209", 1407)
