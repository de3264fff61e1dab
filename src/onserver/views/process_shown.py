"""One process with all that is kept of it: what it was given, what came of it, what it has written, and its moments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from onserver.errors import OnServerError, ProcessNotFound
from onserver.process.failure import value_at_home
from onserver.process.inbox import End
from onserver.process.log import Log, read_log
from onserver.process.record import Record, State, read_record
from onserver.redis.store import Store
from onserver.values import decode
from onserver.views.arguments import Arguments, arguments_of
from onserver.views.family import Family, family_of
from onserver.views.processes import Row, Seen

#: Characters of a value at most.
_LONGEST: Final = 4000


@dataclass(frozen=True)
class Moment:
    """Something that has happened to a process.

    Attributes:
        kind: `asked`, `begun`, `raised`, `replayed`, `signed` or `ended`.
        at_ms: when, milliseconds since 1970.
        text: what there is to say of it: who, where, or why.
        number: of an attempt; 0 of anything else.
    """

    kind: str
    at_ms: int
    text: str = ""
    number: int = 0


@dataclass(frozen=True)
class Procedure:
    """What the server knows of a procedure.

    Attributes:
        name: in full.
        signature: as people read it, or empty.
        doc: its docstring, or empty.
        queue: in which it waits.
        parameters: name, kind and whether it has to be given, of each.
    """

    name: str
    signature: str = ""
    doc: str = ""
    queue: str = ""
    parameters: Sequence[tuple[str, str, bool]] = ()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """See the top of this module.

    Attributes:
        row: as it is in a list.
        record: its record.
        procedure: what it runs.
        arguments: what it was given.
        result: what it has returned, as Python writes it; empty where it has returned nothing yet, or None.
        error: of what it raised or died of, or who ended it and why: `type`, `message`, `traceback`; nothing of one
            that ended well.
        log: its last lines; None where its record has none.
        variables: what it and others have written there, as Python writes it.
        moments: in the order in which they were.
        family: who has started it, and what it has started itself.
    """

    row: Row
    record: Record
    procedure: Procedure
    arguments: Arguments = field(repr=False)
    result: str = field(repr=False)
    error: Mapping[str, Any]
    log: Log | None = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    moments: Sequence[Moment]
    family: Family


def shown(seen: Seen, number: int, lines: int) -> Shown:
    """Read one process.

    Args:
        seen: the look at the server.
        number: its number.
        lines: how many lines of its log are read, the last ones.

    Raises:
        ProcessNotFound: ONS-2001, there is none, or its record has expired.
    """
    store = seen.store
    record, row = read_record(store, number), next(iter(seen.rows([number])), None)
    if record is None or row is None:
        raise ProcessNotFound(number)
    ended, told, variables = store.pipeline(
        [
            ("HMGET", store.key(f"p:{number}"), "r", "e"),
            ("HGET", store.key("procedures"), record.procedure),
            ("HGETALL", store.key(f"vars:{number}")),
        ]
    )
    result, error = ended
    return Shown(
        row=row,
        record=record,
        procedure=_procedure(record.procedure, told),
        arguments=arguments_of(store, [number])[number],
        result=text_of(result) if record.state == State.DONE and result else "",
        error=_error(record, error) if error and record.state != State.DONE else {},
        log=read_log(store, number, lines),
        variables={name.decode(): text_of(value) for name, value in zip(variables[::2], variables[1::2], strict=True)},
        moments=sorted(_moments(seen, record), key=lambda moment: moment.at_ms),
        family=family_of(store, record),
    )


def _error(record: Record, payload: bytes) -> Mapping[str, Any]:
    """Return the facts of an error; of an end that is no exception, what whoever waits for it would be told."""
    facts = {"type": "", "traceback": "", **decode(payload)}
    if "message" not in facts:
        try:
            value_at_home(lambda _module: False, record.number, record.procedure, End(record.state.value, payload))
        except OnServerError as error:
            facts["message"] = error.message
    return {"message": "", **facts}


def text_of(value: bytes) -> str:
    """Write a value that was sent as Python does; of a very long one the beginning."""
    text = repr(decode(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def procedures(store: Store) -> list[Procedure]:
    """Read all procedures that the server knows, by their names."""
    found = store.command("HGETALL", store.key("procedures"))
    told = {name.decode(): facts for name, facts in zip(found[::2], found[1::2], strict=True)}
    return [_procedure(name, told[name]) for name in sorted(told)]


def procedure_of(store: Store, name: str) -> Procedure:
    """Read what the server knows of a procedure, by its full name; nothing but the name where it knows nothing."""
    return _procedure(name, store.command("HGET", store.key("procedures"), name))


def _procedure(name: str, told: bytes | None) -> Procedure:
    facts: dict[str, Any] = json.loads(told) if told else {}
    return Procedure(
        name,
        str(facts.get("signature", "")),
        str(facts.get("doc") or ""),
        str(facts.get("queue", "")),
        [(str(one), str(kind), bool(required)) for one, kind, required in facts.get("parameters", ())],
    )


def _moments(seen: Seen, record: Record) -> Iterator[Moment]:
    if record.accepted_ms:
        yield Moment("asked", record.accepted_ms, record.caller)
    if record.claimed_ms:
        yield Moment("begun", record.claimed_ms, seen.node(record.holder.partition(".")[0]))
    for one in record.attempts:
        yield Moment("raised", one.at_ms, f"{one.type}: {one.error}".removesuffix(": "), one.number)
    if record.replayed_ms:
        yield Moment("replayed", record.replayed_ms, record.replayed_by)
    if record.signed_ms:
        yield Moment("signed", record.signed_ms, record.signed_by)
    if record.ended_ms and record.state.ended:
        yield Moment("ended", record.ended_ms, record.why)
