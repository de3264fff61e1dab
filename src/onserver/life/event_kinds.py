"""The catalogue of system events: the name and code of each, what its payload says, and where its hooks run.

Codes 1 and 2 are the original's (On System Event, specification 6.6); those from 101 up are ours, and stay what they
are. `docs/reference/events.md` is made from this table, and what scripts write in Lua is compared with it by a test.

A payload says the same in every release: fields may be added, and none changes its type or meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from onserver.errors import BadEvent

#: What an event is about: the whole server, a machine, or one worker.
Scope = Literal["cluster", "machine", "worker"]
#: The type of a field and what it says.
Fields = Mapping[str, tuple[type, str]]

#: The code of all events that users name.
USER: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of event.

    Attributes:
        code: its number, for hooks that are told by number, as the original's is.
        name: its name.
        scope: what it is about: of the cluster, it is told once; of a machine, once for each machine, however many
            workers are on it; of a worker, once for each worker.
        meaning: when it is told.
        fields: its payload.
    """

    code: int
    name: str
    scope: Scope
    meaning: str
    fields: Fields


_CAUSE = (str, "`sleep`: the machine; `signal`: the worker was stopped, or goes on")
_WORKER: Fields = {"member": (int, "its number"), "worker": (str, "its name"), "host": (str, "its machine")}
_PROCESS: Fields = {
    "number": (int, "of the process"),
    "procedure": (str, "what it ran"),
    "queue": (str, "where it had waited"),
    "name": (str, "its name, or empty"),
    "error": (str, "class of the exception"),
    "message": (str, "its text, cut to 300 bytes; empty with `redact`"),
}
_OTHER_REDIS: Fields = {"run": (str, "run id of the Redis that answers now"), "before": (str, "that of the one before")}


def _kinds() -> tuple[Kind, ...]:
    def of(scope: Scope, code: int, name: str, meaning: str, fields: Fields) -> Kind:
        return Kind(code=code, name=name, scope=scope, meaning=meaning, fields=fields)

    return (
        of("machine", 1, "background", "a machine goes to sleep, or a worker is stopped (SIGTSTP)", {"cause": _CAUSE}),
        of("machine", 2, "foreground", "it is awake again, or goes on (SIGCONT)", {"cause": _CAUSE}),
        of("cluster", 101, "worker.joined", "a worker has become a member", _WORKER),
        of("cluster", 102, "worker.left", "a worker has left in good order", _WORKER),
        of(
            "cluster", 103, "worker.dead", "a worker was declared dead; what it ran waits again",
            {**_WORKER, "why": (str, "for people")},
        ),
        of(
            "cluster", 104, "leader.changed", "another worker has the duties of the cluster",
            {"member": (int, "number of the leader"), "worker": (str, "its name"), "before": (int, "the former, or 0")},
        ),
        of(
            "cluster", 111, "redis.lost", "workers had no usable answer from Redis; written when it answers again",
            {"address": (str, "where"), "reason": (str, "what was seen first")},
        ),
        of(
            "cluster", 112, "redis.back", "Redis answers again",
            {"address": (str, "where"), "seconds": (float, "how long it did not")},
        ),
        of("cluster", 113, "redis.failed_over", "another Redis has taken the place of the one before", _OTHER_REDIS),
        of("cluster", 114, "redis.restarted", "Redis was started anew", _OTHER_REDIS),
        of(
            "cluster", 115, "redis.read_only", "Redis took no writes for a while: it was a replica",
            {"address": (str, "where"), "seconds": (float, "how long it was away in all")},
        ),
        of(
            "cluster", 116, "redis.memory", "Redis uses more memory than `events.redis_memory_percent`, or less again",
            {
                "over": (bool, "it is over the mark"), "used_bytes": (int, "what it uses"),
                "limit_bytes": (int, "its `maxmemory`, or where it has none the memory of its machine"),
                "percent": (float, "share of it"),
            },
        ),
        of(
            "cluster", 117, "redis.clock_jumped", "the clock of Redis was changed",
            {"seconds": (float, "by how much; negative: it was put back")},
        ),
        of(
            "machine", 121, "disk.low", "a disk has less room than `events.disk_free_percent`, or more again",
            {
                "over": (bool, "it has less"), "path": (str, "a folder on it"), "free_bytes": (int, "what is free"),
                "percent": (float, "share of it that is free"),
            },
        ),
        of(
            "machine", 122, "memory.pressure", "work waits for memory more than `events.pressure_percent` of the time",
            {
                "over": (bool, "it is over the mark, or under it again"),
                "some": (float, "percent of the last 10 s in which some work waited for memory"),
                "full": (float, "in which all did"),
            },
        ),
        of(
            "machine", 123, "clock.jumped", "the clock of a machine was changed",
            {"seconds": (float, "by how much; negative: it was put back")},
        ),
        of(
            "worker", 124, "load.shed", "a worker takes no more work because memory is short, or takes it again",
            {
                "shed": (bool, "it takes none"),
                "some": (float, "percent of the last 10 s in which some work waited for memory"),
            },
        ),
        of(
            "worker", 125, "settings.reloaded", "a worker has read its settings anew (SIGHUP)",
            {
                "changed": (list, "keys whose value is another"), "restart": (list, "those that need a restart"),
                "error": (str, "why all settings are as they were, or empty"),
            },
        ),
        of(
            "worker", 126, "shutdown.asked", "a worker is to end: SIGTERM, or its machine shuts down",
            {"by": (str, "`SIGTERM` or `logind`"), "grace_seconds": (float, "what runs may finish within it")},
        ),
        of("cluster", 131, "process.failed", "a process has failed, and is not tried again", _PROCESS),
        of("cluster", 132, "process.dead", "a process is a dead letter now", _PROCESS),
        of("cluster", 133, "process.lost", "a process was lost with its worker, and does not run again", _PROCESS),
        of(
            "cluster", 134, "queue.waits",
            "the first in line of a queue has waited longer than `events.queue_wait_seconds`, or none has any more",
            {
                "over": (bool, "one has"), "queue": (str, "which"), "number": (int, "the process, or 0"),
                "seconds": (float, "how long it has waited"),
            },
        ),
        of(
            "cluster", 141, "maintenance.on", "the server takes no new work",
            {
                "message": (str, "for whoever is refused"), "by": (str, "who said so"),
                "until_ms": (int, "till when, or 0"),
            },
        ),
        of("cluster", 142, "maintenance.off", "the server takes new work again", {"by": (str, "who, or empty")}),
        of(
            "cluster", 152, "backup.ended", "a backup has ended, well or not",
            {
                "code": (int, "0, or what stopped it"), "reason": (str, "in words"), "number": (int, "of the archive"),
                "path": (str, "where it is, or empty"), "seconds": (float, "how long it took"),
            },
        ),
    )  # fmt: skip


#: All kinds of events but those that users name, by code.
KINDS: Final = _kinds()
_BY_NAME: Final = {kind.name: kind for kind in KINDS}


def kind_of(name: str) -> Kind | None:
    """The kind of that name; None for one that users name."""
    return _BY_NAME.get(name)


def checked(name: str, payload: Mapping[str, object]) -> int:
    """Compare a payload with the catalogue. Returns the code.

    Raises:
        BadEvent: ONS-1108, a field is missing, is not in the catalogue, or has another type.
    """
    kind = _BY_NAME.get(name)
    if kind is None:
        return USER
    if payload.keys() != kind.fields.keys():
        raise BadEvent(name, f"its payload has the fields {', '.join(kind.fields)}")
    for field, (type_, _meaning) in kind.fields.items():
        wanted = (int, float) if type_ is float else type_
        if not isinstance(payload[field], wanted) or (type_ is not bool and isinstance(payload[field], bool)):
            raise BadEvent(name, f"its field `{field}` is {'an' if type_ is int else 'a'} {type_.__name__}")
    return kind.code
