"""What is measured: each measure takes a side and a scale, and answers figures by name.

A measure has a Redis of its own, empty at first. Queues are filled before a worker starts, so that a drain is of what
was queued; its rate is that from 5 % done to the last, so that starting is no part of it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns

from benchmarks import engine, growth
from benchmarks.programs import Failed, Place, Worker

Figures = dict[str, float]

#: The project that our workers run.
PROJECT = Path(__file__).parent / "project"
#: Command lines of the workers, after the interpreter.
_WORKERS = {
    "stock": ["-m", "celery", "-A", "benchmarks.stock", "worker", "-l", "WARNING", "-P", "prefork", "-c", "2"],
    "ours": ["-m", "onserver.cli", "worker"],  # its project says two executors
    "ordinary": ["-m", "onserver.cli", "worker"],
}
#: Stock Celery; our procedures; ordinary Celery tasks on our transport and result backend.
SIDES = tuple(_WORKERS)
_SETTLE_SECONDS = 0.5
_CALLERS = 32
#: What `growth` has measured for the other side.
_grown: dict[str, Figures] = {}


@dataclass(frozen=True)
class Scale:
    """How much is done; everything is in numbers of tasks, or seconds."""

    drain: dict[str, int]
    calls: dict[str, int]
    callers: dict[str, int]
    one: int
    many: dict[str, int]
    idle_seconds: float
    shared_seconds: float
    #: Processes queued, sessions, members.
    stored: dict[str, tuple[int, int, int]]
    claims: int
    sessions: dict[str, int]
    looks: int
    requests: int


FULL = Scale(
    drain={"stock": 4000, "ours": 10_000, "ordinary": 5000},
    calls={"stock": 400, "ours": 1500},
    callers={"stock": 640, "ours": 4800},
    one=2000,
    many={"stock": 4000, "ours": 20_000},
    idle_seconds=4.0,
    shared_seconds=1.0,
    stored={"stock": (1000, 1000, 1), "ours": (1_000_000, 100_000, 1000)},
    claims=100,
    sessions={"stock": 1000, "ours": 100_000},
    looks=2000,
    requests=400,
)
QUICK = Scale(
    drain={"stock": 60, "ours": 60, "ordinary": 60},
    calls={"stock": 10, "ours": 10},
    callers={"stock": 32, "ours": 32},
    one=30,
    many={"stock": 60, "ours": 60},
    idle_seconds=0.5,
    shared_seconds=0.1,
    stored={"stock": (1000, 200, 1), "ours": (3000, 400, 3)},
    claims=20,
    sessions={"stock": 200, "ours": 400},
    looks=50,
    requests=20,
)


class Bench:
    """One side of one repetition, in a folder whose files are in memory."""

    #: Whether its client can enqueue many in one call.
    has_many = True

    def __init__(self, folder: Path, side: str, scale: Scale) -> None:
        self.side = side
        self.scale = scale
        #: Its client, a module of `benchmarks`.
        self.client = side
        self._folder = folder
        self._serial = 0

    def next_folder(self) -> Path:
        """Return a folder for one more Redis and its programs."""
        self._serial += 1
        return self._folder / f"{self.side}{self._serial}"

    @contextmanager
    def open(self, variant: str = "") -> Iterator[tuple[engine.Engine, Place]]:
        """Give a new Redis, and the place where its programs run."""
        folder = self.next_folder()
        with engine.running(folder / "redis") as redis:
            left_out = ["ordinary.py"] if self.side != "ordinary" else []
            left_out += ["turns.py"] if variant != "turns" else []
            project = copytree(PROJECT, folder / "project", ignore=ignore_patterns("__pycache__", *left_out))
            variables = {
                "BENCH_SOCKET": str(redis.socket),
                "ONSERVER_PROJECT": str(project),
                "ONSERVER_REDIS": f"unix://{redis.socket}",
                "ONSERVER_SIGNING_KEY": "a key for nothing but this measurement",
            }
            place = Place(project, folder / "count", variables)
            place.reset()
            yield redis, place

    def worker(self, place: Place) -> Worker:
        """Start this side's worker, with two executors."""
        return Worker(place, _WORKERS[self.side])

    # ---- the measures

    def drain(self, variant: str = "many") -> Figures:
        """So many queued, then a worker: rate, and what each cost."""
        total = self.scale.drain[self.side]
        with self.open(variant) as (redis, place):
            place.client(self.client, "enqueue", variant if self.has_many else "one", total)
            with self.worker(place) as worker:
                worker.wait_count(total // 20)
                before, cpu, first, began = redis.counts(), worker.cpu(), place.count(), time.perf_counter()
                seconds = worker.wait_count(total) - began
                counts, cpu, done = redis.counts().since(before), worker.cpu() - cpu, max(1, total - first)
                time.sleep(_SETTLE_SECONDS)
                figures = worker.memory()
                self.check_runs(place.count(), total)
        return (
            figures
            | {
                "per_s": done / seconds,
                "trips": counts.trips / done,
                "commands": counts.commands / done,
                "redis_cpu_us": counts.cpu / done * 1e6,
                "worker_cpu_us": cpu / done * 1e6,
            }
            | {f"calls_{name}": calls / done for name, calls in counts.calls.items() if calls > done / 100}
        )

    def calls(self) -> Figures:
        """One call after the other, then 32 callers in one program: threads, and coroutines where a client has both."""
        with self.open("calls") as (redis, place), self.worker(place) as worker:
            self._warm(place, worker)
            before = redis.counts()
            one = place.client(self.client, "call", "call", total := self.scale.calls[self.side])
            trips = redis.counts().since(before).trips / (total + max(5, total // 20))
            threads = self._several(redis, place, worker, self.client)
            on_a_loop = self._several(redis, place, worker, "ours_on_a_loop") if self.side == "ours" else threads
        figures = {name: one[name] for name in ("p50", "p95", "p99", "client_cpu_us")} | {"trips": trips}
        for kind, several in (("callers", threads), ("loop", on_a_loop)):
            shown = ("per_s", "p50", "p95", "client_cpu_us", "all_cpu_us")
            figures |= {f"{kind}_{name}": several[name] for name in shown}
        return figures

    def _several(self, redis: engine.Engine, place: Place, worker: Worker, client: str) -> Figures:
        """Several callers in one program; and what a call costs all programs together."""
        before, cpu, total = redis.counts(), worker.cpu(), self.scale.callers[self.side]
        several = place.client(client, "callers", "call", _CALLERS, total)
        cpu = worker.cpu() - cpu + redis.counts().since(before).cpu
        return several | {"all_cpu_us": several["client_cpu_us"] + cpu / (total + _CALLERS) * 1e6}  # one each before

    def enqueue(self) -> Figures:
        """Nobody takes what is enqueued; the queue is there already."""
        with self.open() as (_, place):
            one = place.client(self.client, "enqueue", "one", self.scale.one)
            figures = {"one_per_s": one["per_s"], "one_cpu_us": one["client_cpu_us"]}
            if self.has_many:
                many = place.client(self.client, "enqueue", "many", self.scale.many[self.side])
                figures |= {"many_per_s": many["per_s"], "many_cpu_us": many["client_cpu_us"]}
        return figures

    def cold(self) -> Figures:
        """From the start of the worker to its first run; then what it asks of Redis while it has nothing to do."""
        with self.open() as (redis, place):
            place.client(self.client, "enqueue", "one", 1)
            with self.worker(place) as worker:
                seconds = worker.wait_count(1) - worker.started
                time.sleep(_SETTLE_SECONDS * 2)
                before, cpu = redis.counts(), worker.cpu()
                time.sleep(self.scale.idle_seconds)
                counts, cpu = redis.counts().since(before), worker.cpu() - cpu
                memory = worker.memory()
        idle = self.scale.idle_seconds
        figures = {"first_s": seconds, "idle_trips_s": counts.trips / idle, "idle_cpu_pct": cpu / idle * 100}
        return figures | {f"idle_{name}": value for name, value in memory.items()}

    def shared(self) -> Figures:
        """The shared state, without a worker: one program, and eight."""
        found: Figures = {}
        with self.open() as (_, place):
            for what, programs in (("use", 1), ("use", 8), ("add", 8), ("read", 1)):
                report = place.client("shared", self.side, what, programs, self.scale.shared_seconds)
                found |= {f"{what}{programs}_{name}": value for name, value in report.items()}
        return found

    def growth(self) -> Figures:
        """Ours in both columns: with little stored, and with a million queued, 100,000 sessions, 1,000 members.

        Both are measured at the same time, by the side that is asked first.
        """
        if self.side not in _grown:
            stored = self.scale.stored
            with ExitStack() as running:
                sizes = [(running.enter_context(self.open())[1], size) for size in stored.values()]
                _grown.update(zip(stored, growth.measured(sizes, self.scale.claims), strict=True))
        return _grown.pop(self.side)

    def sessions(self) -> Figures:
        """Ours in both columns: with a thousand sessions, and with a hundred thousand."""
        with self.open() as (_, place):
            return place.client("many_sessions", self.scale.sessions[self.side], self.scale.looks)

    def web(self) -> Figures:
        """Requests with a session: ours, and what the frameworks have."""
        with self.open() as (_, place):
            return place.client("web_sessions", self.side, self.scale.requests)

    def check_runs(self, runs: int, total: int) -> None:
        """Refuse what was run too rarely, or twice."""
        if runs != total:
            raise Failed(f"{runs} runs of {total} tasks")

    def _warm(self, place: Place, worker: Worker) -> None:
        place.client(self.client, "enqueue", "one", 4)
        worker.wait_count(4)


def drain_batched(bench: Bench) -> Figures:
    """The drain of procedures that say `batch=True`."""
    return bench.drain("batch")


def drain_turns(bench: Bench) -> Figures:
    """The drain of coroutines, each of which lets its loop turn once."""
    return bench.drain("turns")


#: Each measure by its name, and the sides that have it.
MEASURES: dict[str, tuple[Callable[[Bench], Figures], tuple[str, ...]]] = {
    "drain": (Bench.drain, ("stock", "ours", "ordinary")),
    "batch": (drain_batched, ("ours",)),
    "turns": (drain_turns, ("ours",)),
    "calls": (Bench.calls, ("stock", "ours")),
    "enqueue": (Bench.enqueue, ("stock", "ours")),
    "cold": (Bench.cold, ("stock", "ours")),
    "shared": (Bench.shared, ("stock", "ours")),
    "growth": (Bench.growth, ("stock", "ours")),
    "sessions": (Bench.sessions, ("stock", "ours")),
    "web": (Bench.web, ("stock", "ours")),
}
#: What is measured in the first repetition only: it takes its time, and CPU time is steady.
ONCE = frozenset({"growth", "sessions"})
