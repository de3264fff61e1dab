"""The record of each run of a hook: who ran it, for how long, and how it ended.

The newest 1,000 or so are kept in the stream `hook_runs`. Of a start-up or shutdown hook the script that settles its
process writes it, of one that is run in place `note_hook`; where the runner was killed, whoever buries it does, so that
a run that never said a word is there too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from onserver import values
from onserver.errors import HookFailed, NotSendable
from onserver.process.claim import Claim, Settlement
from onserver.process.runner import Raised, out_of_time, settlement
from onserver.redis.store import Store
from onserver.registry import Declared
from onserver.server import Server
from onserver.session.context import Run, current_run

#: How a run ended: it returned; it returned what refuses; it raised; its time was up; its runner was killed; it was
#: ended for a reason outside of it, and is run again; somebody aborted it.
Outcome = Literal["ok", "veto", "failed", "timeout", "died", "cut", "aborted"]

_KEY: Final = "hook_runs"
#: Why one was killed.
DEAF: Final = "its time was up, and it did not end when it was interrupted"
_LONGEST: Final = 4000


@dataclass(frozen=True, kw_only=True)
class HookRecord:
    """One run of one hook.

    Attributes:
        at: when it ended, in UTC.
        kind: `on_server_startup`, ….
        hook: its name.
        epoch: the life of the server in which it ran.
        number: of its process, or of the one that ran it; 0 where a program did that is no worker.
        attempt: which delivery of that process it was, from 1.
        worker: who ran it.
        seconds: that it took.
        outcome: how it ended.
        value: what it returned, where that can be kept.
        reason: of a refusal, or what it raised.
    """

    at: datetime
    kind: str
    hook: str
    epoch: int
    number: int
    attempt: int
    worker: str
    seconds: float
    outcome: Outcome
    value: Any = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON; the time in ISO 8601."""
        return vars(self) | {"at": self.at.isoformat(timespec="milliseconds")}


def read_runs(store: Store, hook: str = "", limit: int = 1000) -> list[HookRecord]:
    """The newest runs, the newest one first.

    Args:
        store: the Redis of the server.
        hook: only those of this name; "" for all.
        limit: how many at most.
    """
    entries = store.command("XREVRANGE", store.key(_KEY), "+", "-")
    runs = (_read(entry[1]) for entry in entries)
    return [run for run, _ in zip(_named(runs, hook), range(limit), strict=False)]


def earlier_runs(store: Store, before: str = "", chunk: int = 200) -> Iterator[tuple[str, HookRecord]]:
    """Yield the runs that are kept, the newest one first, each with its id.

    Args:
        store: the Redis of the server.
        before: id of a run; only those before it.
        chunk: how many are read in one trip.
    """
    end = f"({before}" if before else "+"
    while entries := store.command("XREVRANGE", store.key(_KEY), end, "-", "COUNT", chunk):
        yield from ((identity.decode(), _read(fields)) for identity, fields in entries)
        end = f"({entries[-1][0].decode()}"


def _named(runs: Iterator[HookRecord], hook: str) -> Iterator[HookRecord]:
    return (run for run in runs if hook in ("", run.hook))


def _read(flat: Sequence[bytes]) -> HookRecord:
    found = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    outcome, value, reason = _ended(found["s"].decode(), found["r"])
    return HookRecord(
        at=datetime.fromtimestamp(int(found["at"]) / 1000, UTC),
        kind=found["k"].decode(),
        hook=found["h"].decode(),
        epoch=int(found["e"]),
        number=int(found["n"]),
        attempt=int(found["d"]),
        worker=found["w"].decode(),
        seconds=int(found["ms"]) / 1000,
        outcome=outcome,
        value=value,
        reason=reason,
    )


def _ended(state: str, payload: bytes) -> tuple[Outcome, Any, str]:
    """Outcome, value and reason of the state and payload of a record or of `note_end`."""
    said: Any = values.decode(payload) if payload else None
    if state == "done":
        return "ok", said, ""
    if state in ("veto", "timeout"):
        return cast("Outcome", state), said["value"], said["reason"]
    if isinstance(said, Mapping):
        facts = cast("Mapping[str, Any]", said)
        timeout = state == "failed" and facts.get("type") == "ProcessTimeout"
        return "timeout" if timeout else cast("Outcome", state), None, error_line(facts)
    return cast("Outcome", state), None, ""


def error_line(facts: Mapping[str, Any]) -> str:
    """The line that says what was raised, of the error value of a record."""
    return f"{facts.get('type', 'an error')}: {facts.get('message', '')}".rstrip(": ")


class Noting:
    """Writes the record of one run in place, from its beginning to its end.

    Args:
        server: the server.
        hook: what is run.
        kind: of which kind.
    """

    def __init__(self, server: Server, kind: str, hook: Declared) -> None:
        self._server, self._run = server, current_run()
        self._words = (kind, hook.name)

    def begins(self) -> None:
        """Say so: who buries this runner then knows what it ran. Outside of processes there is nobody who could."""
        if self._run is not None and self._run.number:
            self._send("", "", b"")

    def ended(
        self, outcome: Outcome, seconds: float, *, value: Any = None, reason: str = "", error: bytes = b""
    ) -> None:
        """Write the record."""
        if outcome == "ok":
            self._send(int(seconds * 1000), "done", _encoded(value))
        elif outcome == "failed":
            self._send(int(seconds * 1000), "failed", error)
        else:
            said = {"value": values.decode(_encoded(value)), "reason": reason[:_LONGEST]}
            self._send(int(seconds * 1000), outcome, values.encode(said))

    def _send(self, ms: int | str, state: str, payload: bytes) -> None:
        store, run = self._server.store, self._run
        holder, number, delivery = (run.holder, run.number, run.delivery) if run and run.number else ("", 0, 1)
        who = (_worker(self._server, run), ms, state, payload)
        store.run("note_hook", store.nonce(), holder, number, *self._words, delivery, *who)


def end_late(server: Server, holder: str, claim: Claim) -> Settlement:
    """The runner of a process was killed at a time limit: say how the process ends.

    If it was the limit of a hook in place, the process ends with its failure, and its run gets its record here.
    """
    store = server.store
    said, worker = store.pipeline(
        [
            ("HGET", store.key(f"p:{claim.number}"), "hn"),
            ("HGET", store.key(f"member:{holder.partition('.')[0]}"), "node"),
        ]
    )
    if said is None:
        return out_of_time(claim, server)
    kind, hook, began = said.decode().rsplit(" ", 2)
    ms = max(0, store.now_ms() - int(began))
    payload = values.encode({"value": None, "reason": DEAF})
    words = (kind, hook, claim.deliveries + 1, (worker or b"").decode(), ms, "timeout", payload)
    store.run("note_hook", store.nonce(), holder, claim.number, *words)
    return settlement(claim, server, Raised(HookFailed(kind, hook, f"ProcessTimeout: {DEAF}", ""), by_body=True))


def _worker(server: Server, run: Run | None) -> str:
    member = run.holder.partition(".")[0] if run is not None and run.number else ""
    node = server.store.command("HGET", server.store.key(f"member:{member}"), "node") if member else None
    return node.decode() if node else socket.gethostname()


def _encoded(value: Any) -> bytes:
    """What a hook returned, or None where that cannot be kept: it is nobody's result."""
    try:
        return values.encode(value)
    except NotSendable:
        return values.encode(None)
