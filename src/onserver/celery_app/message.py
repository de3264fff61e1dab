"""Celery's message, protocol 2, and the record that it becomes: made short on the way in, rebuilt on the way out.

Of the headers only what differs from the defaults is kept. When nothing is left and the body is in our own encoding
without canvas around it, the record is *lean*: the same bytes that `execute_on_server` writes, and run by the same
short runner. The header `onserver` is ours: on the way out it says in whose name the message was delivered; it never
goes in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kombu.utils.json import dumps, loads

from onserver.celery_app import content
from onserver.process.claim import Claim
from onserver.values import decode, encode

#: The header that says who holds the process of a delivered message.
MARK: Final = "onserver"
PRIORITY: Final = 5

_DEFAULTS: Final[Mapping[str, Any]] = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "argsrepr": "",
    "kwargsrepr": "",
    "origin": "",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
#: Headers that a procedure's message does without: they describe what the record says anyway.
_DESCRIPTIVE: Final = frozenset({"argsrepr", "kwargsrepr", "origin"})
_OWN_FIELDS: Final = frozenset({"task", "id", MARK})
_NO_CANVAS: Final[Mapping[str, None]] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_NO_CANVAS_TAIL: Final = encode(_NO_CANVAS)
_JSON: Final = ("application/json", "utf-8")


@dataclass(frozen=True)
class Stored:
    """What of a message goes into the record."""

    procedure: str
    task_id: str
    body: bytes
    #: JSON, or empty for a lean record.
    headers: bytes
    due_ms: int
    priority: int
    retries: int
    #: Hard time limit in milliseconds, 0 for none.
    timeout_ms: int


def shorten(message: Mapping[str, Any]) -> Stored:
    """Make a task message short enough to be a record."""
    headers = dict(message["headers"])
    body = _bytes(message["body"])
    kind = message["content-type"], message["content-encoding"]
    ours = kind[0] == content.CONTENT_TYPE
    kept = {name: value for name, value in headers.items() if _differs(name, value, headers, lean=ours)}
    if ours and body[:1] == b"\x93" and body.endswith(_NO_CANVAS_TAIL):  # an array of three, the third without canvas
        body = b"\x92" + body[1 : -len(_NO_CANVAS_TAIL)]
    elif ours:
        kept["canvas"] = True
    if not ours:
        kept["as"] = "" if kind == _JSON else list(kind)
    eta = headers.get("eta")
    limit = (headers.get("timelimit") or (None, None))[0]
    return Stored(
        procedure=headers["task"],
        task_id=headers["id"],
        body=body,
        headers=dumps(kept).encode() if kept else b"",
        due_ms=due_of(eta),
        priority=_priority(message["properties"].get("priority")),
        retries=int(headers.get("retries") or 0),
        timeout_ms=int(limit * 1000) if limit else 0,
    )


def arguments(body: bytes, headers: bytes) -> tuple[Sequence[Any], Mapping[str, Any]] | None:
    """Read the arguments of a stored message; None where they are in an encoding that is not read here."""
    kind = loads(headers).get("as") if headers else None
    if kind:
        return None
    args, kwargs, *_ = loads(body) if kind == "" else decode(body)
    return args, kwargs


def rebuild(
    claim: Claim, task_id: str, holder: str, caller: Mapping[str, Any] | None = None, change: int = 0
) -> dict[str, Any]:
    """Make the message of a claimed process, as Kombu's virtual transports pass it on.

    Args:
        claim: what was claimed.
        task_id: its id.
        holder: in whose name.
        caller: the verified snapshot of who asked.
        change: the storage's change number that its run must have seen.

    A delay is over when a process is claimed, so `eta` is None: Celery would park the message in the worker's timer.
    """
    kept: dict[str, Any] = loads(claim.headers) if claim.headers else {}
    for name in _OWN_FIELDS:  # `shorten` writes none of them, and what is signed is the claim's own
        kept.pop(name, None)
    kind = kept.pop("as", None)
    canvas = kept.pop("canvas", False)
    body: bytes | str = claim.body
    if kind is not None:
        content_type, encoding = kind or _JSON
        if encoding == "utf-8":
            body = claim.body.decode()
    else:
        content_type, encoding = content.CONTENT_TYPE, content.ENCODING
        if not canvas:
            body = b"\x93" + claim.body[1:] + _NO_CANVAS_TAIL
    fixed = {"task": claim.procedure, "id": task_id, "root_id": task_id}
    headers: dict[str, Any] = {**_DEFAULTS, **fixed, **kept, "eta": None}
    if claim.attempts or "Y" in claim.flags:
        headers["retries"] = claim.attempts
    if claim.timeout_ms and claim.grace_ms:  # of a procedure: its interruption, and the kill
        headers["timelimit"] = [(claim.timeout_ms + claim.grace_ms) / 1000, claim.timeout_ms / 1000]
    headers[MARK] = {
        "number": claim.number,
        "holder": holder,
        "delivery": claim.deliveries + 1,
        "attempt": headers["retries"] + 1,
        "name": claim.name,
        "root": claim.root,
        "caller": caller,
        "flags": claim.flags,
        "change": change,
    }
    return {
        "body": body,
        "content-type": content_type,
        "content-encoding": encoding,
        "headers": headers,
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_tag": str(claim.number),
            "body_encoding": None,
            "priority": 9 - int(float(claim.score or 0)) // (1 << 44),
            "delivery_info": {"exchange": "", "routing_key": claim.queue, "redelivered": claim.deliveries > 0},
        },
    }


def _differs(name: str, value: Any, headers: Mapping[str, Any], *, lean: bool) -> bool:
    if name in _OWN_FIELDS or name == "eta":
        return False
    if name == "root_id":
        return value not in (None, headers["id"])
    if name in _DESCRIPTIVE and (lean or value in ("()", "{}")):
        return False
    if name == "timelimit":
        return value is not None and list(value) != [None, None]
    return not (name in _DEFAULTS and (value == _DEFAULTS[name] or value in (None, {}, "")))


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


def _priority(value: object) -> int:
    try:
        return max(0, min(9, int(value)))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return PRIORITY


def due_of(eta: str | None) -> int:
    """When a message is due, in milliseconds since 1970; 0 for one that has no `eta`."""
    if not eta:
        return 0
    when = datetime.fromisoformat(eta)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
