"""What the server's record says of its epoch and of the hooks that ran in it."""

from collections.abc import Mapping
from typing import NamedTuple

from onserver.redis.store import Store


class Epoch(NamedTuple):
    """One life of the server, as it stands."""

    number: int
    state: str
    previous: str
    workers: int


class HookRun(NamedTuple):
    """One run of a hook: `outcome` is ok, failed or running; `ms` how long it took, None while it runs."""

    name: str
    outcome: str
    number: int
    ms: int | None

    def __str__(self) -> str:
        took = f" {self.ms} ms" if self.ms is not None else ""
        return f"{self.name} {self.outcome}{took}"


def epoch(store: Store) -> Epoch:
    """Read the server's record."""
    (number, state, previous), workers = store.pipeline(
        [("HMGET", store.key("server"), "epoch", "state", "previous"), ("SCARD", store.key("workers"))]
    )
    return Epoch(int(number or 0), (state or b"none").decode(), (previous or b"none").decode(), int(workers))


def hook_runs(store: Store, number: int) -> list[HookRun]:
    """Read which hooks ran in an epoch, in the order of their process numbers."""
    stands = _pairs(store.command("HGETALL", store.key(f"hooks:{number}")))
    found: list[HookRun] = []
    for name, stand in stands.items():
        outcome, _, process = stand.rpartition(b" ")
        begun, ended = store.command("HMGET", store.key(f"p:{process.decode()}"), "g", "f")
        ms = int(ended) - int(begun) if begun and ended else None
        found.append(HookRun(name.decode(), outcome.decode() or "running", int(process), ms))
    return sorted(found, key=lambda run: run.number)


def _pairs(answer: list[bytes] | Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    if isinstance(answer, Mapping):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))
