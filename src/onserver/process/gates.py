"""Wide pauses: of a queue, a procedure, everything. What waits does not begin; what runs goes on, unless that is said.

They are kept in Redis and honoured by the one decision what may begin (`redis/lua/fragments/claim.lua`), so they work
while no worker is up and survive restarts of everything. Processes of hooks and what descends from them are not held:
a server could not start or stop otherwise. When a pause ends, by somebody or by its time, idle executors are given what
has waited, in the same step. A pause of a procedure holds what waits under an alias of it as well.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, Literal, NamedTuple

from onserver.errors import BadArguments, ProcedureNotFound, ProcessNotFound
from onserver.process.control import asked_by, pause, resume
from onserver.process.execute import Names
from onserver.redis.store import Store
from onserver.server import Server

Kind = Literal["all", "queue", "procedure"]

_LONGEST_SECONDS: Final = 366 * 86_400.0
_KINDS: Final[dict[str, Kind]] = {"q": "queue", "p": "procedure"}


class Gate(NamedTuple):
    """One wide pause.

    Attributes:
        kind: `all`, `queue` or `procedure`.
        name: of the queue or procedure; empty for everything.
        by: who asked for it.
        since_ms: since when, milliseconds since 1970 by the clock of Redis.
        until_ms: when it ends by itself, likewise; 0 for never.
        names: of the procedure, all that it has or had (`aliases=`): what waits may have been put under any.
    """

    kind: Kind
    name: str
    by: str
    since_ms: int
    until_ms: int
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The same in words."""
        what = "everything is" if self.kind == "all" else f"{self.kind} `{self.name}` is"
        until = f", until {_clock(self.until_ms)}" if self.until_ms else ""
        return f"{what} paused by {self.by} since {_clock(self.since_ms)}{until}"

    def holds(self, queue: str, procedure: str) -> bool:
        """Whether it keeps a process of this procedure in this queue from beginning, unless it descends from a hook."""
        if self.kind == "procedure":
            return procedure == self.name or procedure in self.names
        return self.kind == "all" or self.name == queue


def pause_queue(
    server: Server, queue: str, *, by: str = "", for_seconds: float | None = None, running: bool = False
) -> Gate:
    """Let nothing that waits in a queue begin, until `resume_queue`.

    Args:
        server: the server.
        queue: its name; there need not be anything in it yet.
        by: who asks, for people; whoever asks here by default.
        for_seconds: after so many seconds it ends by itself; what ran then has to be resumed.
        running: pause what runs as well, each process by itself, as `Process.pause` does.

    Raises:
        BadArguments: ONS-1105, `for_seconds` is out of range.
    """
    return _shut(server, f"q:{queue}", by, for_seconds, running=running)


def resume_queue(server: Server, queue: str, *, running: bool = False) -> bool:
    """End a pause of a queue. Returns whether there was one.

    Args:
        server: the server.
        queue: its name.
        running: resume its processes that are paused by themselves as well.
    """
    return _open(server, f"q:{queue}", running=running)


def pause_procedure(
    server: Server, procedure: str, *, by: str = "", for_seconds: float | None = None, running: bool = False
) -> Gate:
    """Let no process of a procedure begin, in whatever queue it waits, until `resume_procedure`.

    Args:
        server: the server.
        procedure: its name, or the end of it where no other's ends so; of an ordinary task of Celery's the full name.
        by: see `pause_queue`.
        for_seconds: see `pause_queue`.
        running: see `pause_queue`.

    Raises:
        ProcedureNotFound: ONS-1104, no procedure of this name was ever registered.
        BadArguments: ONS-1105, `for_seconds` is out of range.
    """
    return _shut(server, f"p:{_full_name(server, procedure)}", by, for_seconds, running=running)


def resume_procedure(server: Server, procedure: str, *, running: bool = False) -> bool:
    """End a pause of a procedure; see `resume_queue`. Returns whether there was one.

    Raises:
        ProcedureNotFound: ONS-1104.
    """
    return _open(server, f"p:{_full_name(server, procedure)}", running=running)


def pause_all(server: Server, *, by: str = "", for_seconds: float | None = None, running: bool = False) -> Gate:
    """Let nothing begin, until `resume_all`; pauses of queues and procedures are not touched. See `pause_queue`.

    Raises:
        BadArguments: ONS-1105, `for_seconds` is out of range.
    """
    return _shut(server, "all", by, for_seconds, running=running)


def resume_all(server: Server, *, running: bool = False) -> bool:
    """End a pause of everything; those of queues and procedures stay. Returns whether there was one."""
    return _open(server, "all", running=running)


def paused(server: Server) -> list[Gate]:
    """Answer the wide pauses that are in force, that of everything first."""
    return paused_on(server.store)


def paused_on(store: Store) -> list[Gate]:
    """Answer the same for whoever has the server's keys only."""
    found = store.command("HGETALL", store.key("paused"))
    if not found:
        return []
    gates = [_named(store, _read(gate.decode(), text.decode())) for gate, text in _pairs(found)]
    now = store.now_ms()
    return sorted(gate for gate in gates if not gate.until_ms or gate.until_ms > now)


def _full_name(server: Server, name: str) -> str:
    try:
        return server.part(Names).order(name).procedure
    except ProcedureNotFound:  # a task of Celery's that workers have is described by nothing
        store = server.store
        codes = [code.decode() for code in store.command("HKEYS", store.key("codes"))]
        if any(store.pipeline([("SISMEMBER", store.key(f"code:{code}"), name) for code in codes])):
            return name
        raise


def _shut(server: Server, gate: str, by: str, for_seconds: float | None, *, running: bool) -> Gate:
    if for_seconds is not None and not 0 < for_seconds <= _LONGEST_SECONDS:
        raise BadArguments("pause", f"is given for_seconds={for_seconds!r}", "for_seconds: 0 to a year")
    store, asks = server.store, by or asked_by(server)
    for_ms = "" if for_seconds is None else max(1, int(for_seconds * 1000))
    since, until, who = store.run("shut_gate", store.nonce(), gate, asks, for_ms)
    made = _named(store, _read(gate, f"{since} {until} {who.decode()}"))
    for number in _held(server.store, made) if running else ():
        with suppress(ProcessNotFound):  # it has ended meanwhile, and was dropped
            pause(server, number)
    return made


def _open(server: Server, gate: str, *, running: bool) -> bool:
    store, meant = server.store, _named(server.store, _read(gate, "0 0 "))
    was = bool(store.run("open_gate", store.nonce(), gate))
    for number in (*_held(store, meant), *_resting(store, meant)) if running else ():
        with suppress(ProcessNotFound):  # as above
            resume(server, number)
    return was


def _held(store: Store, gate: Gate) -> list[int]:
    """Answer what runs, or was paused while it ran, and is held by a wide pause of this kind."""
    holders = store.command("SMEMBERS", store.key("live"))
    lists = store.pipeline([("LRANGE", store.key(f"held:{holder.decode()}"), 0, -1) for holder in holders])
    return _meant(store, gate, [int(number) for numbers in lists for number in numbers])


def _resting(store: Store, gate: Gate) -> list[int]:
    return _meant(store, gate, [int(number) for number in store.command("ZRANGE", store.key("resting"), 0, -1)])


def _meant(store: Store, gate: Gate, numbers: Sequence[int]) -> list[int]:
    records = store.pipeline([("HMGET", store.key(f"p:{number}"), "q", "t", "x", "hk") for number in numbers])
    found: list[int] = []
    for number, record in zip(numbers, records, strict=True):
        queue, procedure, root, hook = ((text or b"").decode() for text in record)
        if not (root or hook) and gate.holds(queue, procedure):
            found.append(number)
    return found


def _read(gate: str, text: str) -> Gate:
    kind, _, name = gate.partition(":")
    since, until, by = text.split(" ", 2)
    return Gate(_KINDS.get(kind, "all"), name, by, int(since), int(until))


def _named(store: Store, gate: Gate) -> Gate:
    """Answer the same with all names of its procedure."""
    if gate.kind != "procedure":
        return gate
    aliases = {alias.decode(): name.decode() for alias, name in _pairs(store.command("HGETALL", store.key("aliases")))}
    now = aliases.get(gate.name, gate.name)
    return gate._replace(names=(now, *sorted(alias for alias, name in aliases.items() if name == now)))


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _clock(ms: int) -> str:
    then, now = datetime.fromtimestamp(ms / 1000).astimezone(), datetime.now().astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
