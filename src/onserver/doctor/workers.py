"""Who takes part: silent members, their clocks, their versions, their code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from onserver import __version__
from onserver.cluster.sweep import bury_gone, bury_member
from onserver.doctor.engine import APART
from onserver.doctor.findings import Finding, note, well, wrong
from onserver.life.code import Code
from onserver.redis.store import Store
from onserver.server import Server

_FIELDS: Final = ("kind", "node", "version", "code", "files", "pool", "ahead_ms")
#: Leases of silence after which somebody alive would have declared a member dead.
_LEASES: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One member, as its record has it; `ahead` is by how many seconds its clock goes before that of Redis."""

    number: int
    kind: str
    node: str
    version: str
    code: str
    files: str
    pool: str
    ahead: float
    silence: float

    @property
    def called(self) -> str:
        """For people."""
        return f"{self.node or self.kind} (member {self.number})"


def look_at_workers(server: Server) -> Iterator[Finding]:
    """Look at the members of a server."""
    seen = _members(server.store)
    alive = [one for one in seen if one.silence <= _LEASES * server.settings.member.lease_seconds]
    workers = [one for one in alive if one.kind == "worker"]
    if workers:
        count = f"{len(workers)} {'worker' if len(workers) == 1 else 'workers'}"
        yield well("members", f"{count} up: {', '.join(one.node for one in workers)}")
    else:
        yield note("members", "no worker is up", "onserver worker")
    for one in seen:
        if one not in alive:
            text = f"{one.called} has been silent for {one.silence:.0f} s, and nobody has declared it dead"
            yield wrong("members", text, "Start a worker; or let `onserver doctor --fix` do it.", _burier(server, one))
    for one in alive:
        if abs(one.ahead) > APART:
            way = "ahead of" if one.ahead > 0 else "behind"
            text = f"the clock of {one.called} is {abs(one.ahead):.0f} s {way} that of Redis"
            yield wrong("clock", text, "Let that machine keep time (NTP).")
    yield from _look_at_versions(alive)
    yield from _look_at_code(server, workers)


def _look_at_versions(alive: list[Seen]) -> Iterator[Finding]:
    others = [one for one in alive if one.version != __version__]
    if alive and not others:
        yield well("versions", f"all {len(alive)} run onserver {__version__}")
    for one in others:
        text = f"{one.called} runs onserver {one.version or 'of an older release'}, this is {__version__}"
        yield wrong("versions", text, "Install the same everywhere, and restart it.")


def _look_at_code(server: Server, workers: list[Seen]) -> Iterator[Finding]:
    by_pool: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    there = {one.files for one in workers}
    for one in workers:
        by_pool[one.pool][one.code].append(one.node)
    for codes in by_pool.values():
        if len(codes) > 1:
            told = ", ".join(f"{' '.join(nodes)} runs code {code}" for code, nodes in sorted(codes.items()))
            yield wrong("code", told, "onserver reload, or redeploy those with the older one")
    if len(there) == 1:
        if there == {Code.of(server).files}:
            yield well("code", "the workers run the task files of this folder")
        else:
            yield note("code", "the workers run other task files than those of this folder", "onserver reload")


def _members(store: Store) -> list[Seen]:
    beats = store.command("ZRANGE", store.key("members"), 0, -1, "WITHSCORES")
    now = store.now_ms()
    seen: list[Seen] = []
    for number, beat in zip(beats[::2], beats[1::2], strict=True):
        found = store.command("HMGET", store.key(f"member:{number.decode()}"), *_FIELDS)
        kind, node, version, code, files, pool, ahead = ((text or b"").decode() for text in found)
        silence = max(0.0, (now - float(beat)) / 1000)
        seen.append(
            Seen(
                number=int(number),
                kind=kind,
                node=node,
                version=version,
                code=code,
                files=files,
                pool=pool,
                ahead=int(ahead or 0) / 1000,
                silence=silence,
            )
        )
    return seen


def _burier(server: Server, one: Seen) -> Callable[[], str]:
    lease_ms = int(server.settings.member.lease_seconds * 1000)

    def mend() -> str:
        gone = bury_gone(server.store, server.settings)
        was = one.number in gone or bury_member(
            server.store, server.settings, one.number, "was silent when the doctor came", lease_ms
        )
        return f"{one.called} was declared dead; what it held is free" if was else f"{one.called} has gone meanwhile"

    return mend
