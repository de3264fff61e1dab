"""What is measured of each: what `make bench` measures of us and Celery, on a Redis that is reached over TCP."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree, ignore_patterns

from benchmarks import engine
from benchmarks.measures import FULL, PROJECT, QUICK, Bench, Figures, Scale, drain_batched
from benchmarks.peers.systems import SYSTEMS, System
from benchmarks.programs import Place, Worker

#: Who takes longer for a few than the others for all that is measured of them: a rate is the same for fewer.
_SLOW = {"Celery", "RQ", "streaq", "arq"}


def scale(*, quick: bool) -> Scale:
    """How much is done."""
    if quick:
        some, few = dict.fromkeys(SYSTEMS, 60), dict.fromkeys(SYSTEMS, 10)
        return replace(QUICK, drain=some, many=some, calls=few, callers=dict.fromkeys(SYSTEMS, 32))
    return replace(
        FULL,
        drain={name: 3000 if name in _SLOW else 10_000 for name in SYSTEMS},
        calls={name: 300 if name in _SLOW else 1000 for name in SYSTEMS},
        callers={name: 640 if name in _SLOW else 3200 for name in SYSTEMS},
        many={name: 3000 if name in _SLOW else 20_000 for name in SYSTEMS},
        idle_seconds=3.0,
    )


class PeerBench(Bench):
    """One system of one repetition."""

    def __init__(self, folder: Path, system: System, scale: Scale) -> None:
        super().__init__(folder, system.name, scale)
        self.system = system
        self.client = system.client
        self.has_many = system.many

    @contextmanager
    def open(self, variant: str = "") -> Iterator[tuple[engine.Engine, Place]]:
        """Give a new Redis, and the place where its programs run."""
        folder = self.next_folder()
        with engine.running(folder / "redis", engine.free_port()) as redis:
            left_out = ignore_patterns("__pycache__", "ordinary.py", "turns.py")
            project = copytree(PROJECT, folder / "project", ignore=left_out)
            url = f"redis://127.0.0.1:{redis.port}/0"
            variables = {
                "BENCH_PORT": str(redis.port),
                "BENCH_URL": url,
                "ONSERVER_PROJECT": str(project),
                "ONSERVER_REDIS": url,
                "ONSERVER_SIGNING_KEY": "a key for nothing but this measurement",
                "RQ_REDIS_URL": url,
                **self.system.variables,
                **(self.system.calling if variant == "calls" else {}),
                **((self.system.batched or {}) if variant == "batch" else {}),
            }
            place = Place(project, folder / "count", variables, self.system.python)
            place.reset()
            yield redis, place

    def check_runs(self, runs: int, total: int) -> None:
        """Refuse what was run too rarely; of others than us also say what they ran twice, which some do when late."""
        if runs < total or self.side == "ours":
            super().check_runs(runs, total)
        elif runs > total:
            sys.stderr.write(f"{self.side}: {runs - total} of {total} tasks were run twice\n")

    def worker(self, place: Place) -> Worker:
        """Start its worker: two processes."""
        return Worker(place, *self.system.workers)


MEASURES: dict[str, Callable[[Bench], Figures]] = {
    "drain": Bench.drain,
    "batch": drain_batched,
    "calls": Bench.calls,
    "enqueue": Bench.enqueue,
    "cold": Bench.cold,
}
