"""Backups under load: every archive is of one instant, and nobody who writes meanwhile fails."""

from __future__ import annotations

from typing import Any

import pytest

from onserver import backup, execute_on_server
from onserver.backup.catalog import find, listed
from onserver.backup.reading import read_manifest
from tests.cluster.backups import TASKS, folder_of, storage_in
from tests.cluster.conftest import Open

#: A backup takes longer, the more of it is in the way.
FILLING = 2_000
TOTAL = 1_000_000

TRANSFERS = (
    TASKS
    + '''
from time import monotonic

@procedure
def transfer_until_told():
    """Move one from left to right, and back, until somebody says stop; answers how often, and the longest wait."""
    times, longest = 0, 0.0
    while not session().storage.get("stop"):
        began = monotonic()
        with session().storage.use() as root:
            root["left"], root["right"] = root["left"] - 1, root["right"] + 1
        longest, times = max(longest, monotonic() - began), times + 1
    return [times, longest]
'''
)


@pytest.mark.parametrize("backups", [5, pytest.param(30, marks=pytest.mark.long)])
def test_every_archive_holds_the_sum_while_four_workers_transfer(
    cluster_of: Open, backups: int, record_property: Any
) -> None:
    cluster = cluster_of(4, executors=1, tasks=TRANSFERS, settings={"backup.keep": "0", "backup.verify": "false"})
    with cluster.storage.use() as root:
        root["left"], root["right"] = TOTAL, 0
        for number in range(FILLING):
            root[f"filling-{number}"] = {"number": number, "text": "x" * 100}
    with cluster.as_current():
        writers = [execute_on_server("jobs.transfer_until_told") for _ in range(4)]
        cluster.wait_for(lambda: cluster.storage["right"] > 10)
        results = [backup() for _ in range(backups)]
        with cluster.storage.use() as root:
            root["stop"] = True
        ended = [writer.result(timeout=60) for writer in writers]
    assert [(result.code, result.reason) for result in results] == [(0, "")] * backups
    assert min(times for times, _ in ended) > 0
    moved = -1
    for one in listed(cluster.server):
        held = storage_in(folder_of(cluster), one.name)
        assert held["left"] + held["right"] == TOTAL
        assert held["right"] >= moved
        moved = held["right"]
        assert len(held) == FILLING + 2
    assert moved <= cluster.storage["right"] == sum(times for times, _ in ended)
    report(cluster, ended, record_property)


def report(cluster: Any, ended: list[Any], record_property: Any) -> None:
    """Say how long writers waited: by their own clock, and for the script that is the instant of an archive."""
    manifests = [read_manifest(*find(cluster.server, one.name)) for one in listed(cluster.server)]
    held = max(manifest.about.facts["held_ms"] for manifest in manifests)
    longest = max(wait for _, wait in ended)
    record_property("longest_wait_seconds", round(longest, 3))
    record_property("longest_hold_ms", held)
    times = sum(times for times, _ in ended)
    print(f"{len(manifests)} backups, {times} transfers; longest wait {longest * 1000:.0f} ms, of it held {held:g} ms")
