"""A server without programs: real records and scripts, whose executors are moved by the test, one step at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from onserver.cluster.member import Member
from onserver.cluster.sweep import release_due
from onserver.life.code import Code
from onserver.life.epoch import open_epoch, run_epoch
from onserver.planned import QueueSettings
from onserver.process.claim import WIDTH, Claim
from onserver.process.put import Order, Sender
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.settings import MemberSettings, Settings, SigningSettings


class Floor:
    """One worker, whose executors begin and end what the test says."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store = server.store
        self.member = Member.join(self.store, server.settings, "worker", "test")
        self.code = Code.of(server)
        self.member.register(self.code.digest, self.code.described)
        self.member.set_limits(self.code.limits)
        run_epoch(self.store, open_epoch(self.member, keep_storage=False).epoch.number)

    def executor(self, *queues: str) -> "Executor":
        """Another executor, on these queues."""
        names = queues or ("default",)
        return Executor(self, self.member.enlist(self.code.digest, names), names)

    def executors(self, count: int) -> "list[Executor]":
        return [self.executor() for _ in range(count)]

    def put(self, procedure: Any, *args: Any, **options: Any) -> int:
        """Start a process; its number."""
        order: Order = (procedure.options(**options) if options else procedure).order
        return Sender(self.server).put(order, args, {}).number

    def many(self, procedure: Any, items: Sequence[tuple[Any, ...]]) -> list[int]:
        return [made.number for made in Sender(self.server).put_many(procedure.order, [(args, {}) for args in items])]

    def state(self, number: int) -> str:
        return self.field(number, "s")

    def field(self, number: int, name: str) -> str:
        return (self.store.command("HGET", self.store.key(f"p:{number}"), name) or b"").decode()

    def advance(self, seconds: float) -> None:
        """Let time pass, and let the leader do what is due by then."""
        self.store.command("INCRBY", self.store.key("clock"), int(seconds * 1000))
        self.due()

    def restoring(self, who: str = "somebody") -> None:
        """As while a restore puts keys in their place: until the key `cut` is deleted."""
        self.store.command("SET", self.store.key("cut"), f"restore:{who}")
        self.store.command("HSET", self.store.key("server"), "rare", 1)

    def due(self) -> float | None:
        return release_due(self.member)

    def running(self) -> list[int]:
        holders = self.store.command("SMEMBERS", self.store.key("live"))
        keys = [self.store.key(f"held:{holder.decode()}") for holder in holders]
        lists = self.store.pipeline([("LRANGE", key, 0, -1) for key in keys])
        return sorted(int(number) for numbers in lists for number in numbers)

    def orphans(self) -> list[str]:
        return [str(orphan) for orphan in find_orphans(self.store)]


class Executor:
    """One holder."""

    def __init__(self, floor: Floor, holder: str, queues: Sequence[str]) -> None:
        self.floor, self.holder, self.queues = floor, holder, tuple(queues)

    def step(self, count: int, *settlement: Any) -> list[Claim]:
        process = self.floor.server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        words = (count, 0, *keep, self.floor.code.digest, len(self.queues), *self.queues, *settlement)
        refused, _, _, *messages = self.floor.store.run("step", self.holder, *words)
        assert refused == []
        return [Claim.read(message) for message in messages]

    def claim(self) -> int:
        """Claim one: its number, or 0 when there is none; then this executor is idle."""
        claims = self.step(1)
        return claims[0].number if claims else 0

    def end(self, number: int, *, claim: bool = False) -> int:
        """End a process, and claim the next if that is said: its number, or 0."""
        claims = self.step(int(claim), number, "end", "done", b"\xc0", "")
        return claims[0].number if claims else 0

    def back(self, number: int, extra: str = "") -> None:
        self.step(0, number, "back", "", b"", extra)

    def given(self) -> int:
        """What was handed over to it meanwhile: a number, or 0."""
        texts = self.floor.store.command("LPOP", self.floor.store.key(f"x:{self.holder}"), WIDTH + 1)
        return int(texts[0]) if texts and texts[0] != b"wake" else 0


@contextmanager
def open_floor(address: Address, **queues: QueueSettings) -> Iterator[Floor]:
    """A floor with a server of a fresh name; `queues` are its settings."""
    settings = Settings(
        name=f"t{uuid4().hex[:8]}",
        redis=f"unix://{address.path}",
        signing=SigningSettings(key="a key that only the tests have"),
        member=MemberSettings(lease_seconds=3600.0),
        queue=queues,
    )
    with Server(settings=settings) as server, server.as_current():
        yield Floor(server)
