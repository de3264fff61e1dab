"""What the records say of the hooks that ran in an epoch."""

from typing import NamedTuple

from onserver.redis.store import Store


class HookRun(NamedTuple):
    """One run of a hook: `outcome` is ok, failed or running; `ms` how long it took, None while it runs."""

    name: str
    outcome: str
    number: int
    ms: int | None

    def __str__(self) -> str:
        took = f" {self.ms} ms" if self.ms is not None else ""
        return f"{self.name} {self.outcome}{took}"


def hook_runs(store: Store, epoch: int) -> list[HookRun]:
    """Read which hooks ran in an epoch, in the order of their process numbers."""
    answer = store.command("HGETALL", store.key(f"hooks:{epoch}"))
    stands = dict(zip(answer[::2], answer[1::2], strict=True))
    found: list[HookRun] = []
    for name, stand in stands.items():
        outcome, _, process = stand.rpartition(b" ")
        begun, ended = store.command("HMGET", store.key(f"p:{process.decode()}"), "g", "f")
        ms = int(ended) - int(begun) if begun and ended else None
        found.append(HookRun(name.decode(), outcome.decode() or "running", int(process), ms))
    return sorted(found, key=lambda run: run.number)
