"""A Redis of this folder's own that writes every command to disk before it answers, and clusters on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.jobs import TASKS

Open = Callable[..., Cluster]


@pytest.fixture
def cluster_of(onserver_redis: str, tmp_path: Path) -> Iterator[Open]:
    """Open a cluster whose project has the tasks of `jobs_project.py`; ended with the test."""
    with ExitStack() as opened:

        def make(workers: int = 1, **options: Any) -> Cluster:
            settings = options.pop("settings", None)
            tasks = options.pop("tasks", TASKS)
            cluster = opened.enter_context(open_cluster(onserver_redis, tmp_path, tasks=tasks, settings=settings))
            if workers:
                cluster.start(workers, **options)
            return cluster

        yield make
