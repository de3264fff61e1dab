"""Who is measured: in which environment, by which commands, and what of it is its own."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Ours, stock Celery and the loop by hand run in the environment of `make bench`, the others in those beside it.
_VENV = Path(sys.prefix)


@dataclass(frozen=True)
class System:
    """One that is measured."""

    name: str
    #: Its client, a module of `benchmarks`.
    client: str
    #: The command of its worker after the interpreter; a list of several where it takes a program for each process.
    workers: Sequence[Sequence[str]]
    #: What is measured: distributions whose versions are written down.
    packages: Sequence[str]
    #: Its environment beneath .venv; empty: that of `make bench`.
    set: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    #: Other variables for whoever calls and waits, and for the worker that answers.
    calling: Mapping[str, str] = field(default_factory=dict)
    #: Other variables where many may be taken at once and settled together; None: that is not measured.
    batched: Mapping[str, str] | None = None
    #: Whether there is a way to enqueue many in one call.
    many: bool = False
    #: Whether work that had begun is begun again when its worker is killed. Read in its code, not measured.
    redelivers: str = "yes"

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(_VENV / self.set / "bin" / "python") if self.set else sys.executable


_HUEY = "benchmarks.peers.with_huey.huey"
_TASKIQ = ("-m", "taskiq", "worker", "benchmarks.peers.with_taskiq:broker", "--log-level", "WARNING", "-w", "2")
_ARQ = ("-m", "arq", "benchmarks.peers.with_arq.WorkerSettings", "--custom-log-dict", "benchmarks.peers.with_arq.LOG")
_RQ = "from rq.cli import main; main()"
_RQ_POOL = ("worker-pool", "-q", "-P", ".", "-n", "2", "-w", "rq.worker.SimpleWorker", "default")

OURS = System("ours", "ours", [("-m", "onserver.cli", "worker")], ("onserver",), batched={}, many=True)
CELERY = System(
    "Celery", "stock",
    [("-m", "celery", "-A", "benchmarks.stock", "worker", "-l", "WARNING", "-P", "prefork", "-c", "2")],
    ("celery", "kombu", "redis"), many=True, redelivers="no: acknowledged at the start",
)  # fmt: skip
BY_HAND = System(
    "loop by hand", "peers.by_hand", [("-m", "benchmarks.peers.by_hand", "work")] * 2, ("redis",),
    variables={"BENCH_COUNT": "1"}, batched={"BENCH_COUNT": "64"}, many=True,
    redelivers="it could: nothing that does so is written",
)  # fmt: skip
PEERS = [
    System(
        "RQ", "peers.with_rq", [("-c", _RQ, *_RQ_POOL)], ("rq", "redis"), "bench-peers", many=True,
        redelivers="partly",
    ),
    System(
        "dramatiq", "peers.with_dramatiq",
        [("-m", "dramatiq", "benchmarks.peers.with_dramatiq", "-p", "2", "-t", "8")],
        ("dramatiq", "redis"), "bench-peers",
    ),
    System(
        "huey", "peers.with_huey", [("-m", "huey.bin.huey_consumer", _HUEY, "-q", "-w", "2", "-k", "process")],
        ("huey", "redis"), "bench-peers", calling={"BENCH_NOTIFY": "1"}, redelivers="no: taken out before it runs",
    ),
    System(
        "taskiq, list", "peers.with_taskiq", [_TASKIQ], ("taskiq", "taskiq-redis", "redis"), "bench-peers",
        {"BENCH_BROKER": "list"}, redelivers="no: taken out before it runs",
    ),
    System(
        "taskiq, stream", "peers.with_taskiq", [_TASKIQ], ("taskiq", "taskiq-redis", "redis"), "bench-peers",
        {"BENCH_BROKER": "stream"},
    ),
    System(
        "SAQ", "peers.with_saq", [("-m", "saq", "benchmarks.peers.with_saq.settings", "--workers", "2", "-q")],
        ("saq", "redis"), "bench-saq",
    ),
    System(
        "streaq", "peers.with_streaq", [("-m", "benchmarks.peers.with_streaq", "work")] * 2, ("streaq", "coredis"),
        "bench-peers", many=True,
    ),
    System("arq", "peers.with_arq", [_ARQ] * 2, ("arq", "redis"), "bench-arq"),
]  # fmt: skip
SYSTEMS = {system.name: system for system in [OURS, BY_HAND, CELERY, *PEERS]}
