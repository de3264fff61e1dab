"""Limits, on the side of programs: which key a start has, what the scripts are told, and why something waits.

Whether one may begin is decided by Redis' scripts (`redis/lua/fragments/limits.lua`), for the whole cluster, wherever a
process may begin. Programs tell them two things: the rule of each procedure and queue, when a worker registers its
code, and the key of each process, with its start. The key is worked out by whoever starts it; where that program has
only the procedure's name, and the key is a function, the executor that gets it works it out and hands it back with it.

| text | is |
|---|---|
| `p:shop.render` | the field of a procedure's rule, and the limit's name where it has no keys |
| `customer=7`, `=ann` | a key: of a parameter, of a function |
| `p:shop.render customer=7` | the limit of that key |
| `q:reports` | a queue's own |
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias, cast
from uuid import UUID

from onserver.errors import BadArguments, BadDeclaration
from onserver.planned import QueueSettings
from onserver.process.rules import Limit
from onserver.process.shape import Shape

#: Answers the key of a start, or nothing where it cannot be told from these arguments by this program.
KeyOf: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any]], str]

#: Letters of a key that are kept; a longer one is told apart by its digest.
_LONGEST: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCALARS: Final = (str, int, float, Decimal, date, time, timedelta, UUID)
_HIDDEN: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def rule(limit: Limit | QueueSettings | None, name: str) -> str:
    """Say a limit to the scripts; empty for none.

    Args:
        limit: of a procedure or a queue.
        name: what it is counted under.
    """
    if limit is None or not (limit.at_once or limit.rate):
        return ""
    keyed = isinstance(limit, Limit) and limit.key is not None
    per = limit.per if isinstance(limit, Limit) else limit.per_seconds
    return f"{limit.at_once or 0} {limit.rate or 0} {max(1, round(per * 1000))} {'k' if keyed else '-'} {name}"


def rules_of(procedures: Mapping[str, tuple[Limit | None, str]], queues: Mapping[str, QueueSettings]) -> dict[str, str]:
    """Answer every rule, by its field, as `set_limits` wants them.

    Args:
        procedures: each name of a code, with its limit and what that is counted under (another name for an alias).
        queues: the settings of queues.
    """
    found = {f"p:{name}": rule(limit, counted) for name, (limit, counted) in procedures.items()}
    return found | {f"q:{name}": rule(limit, name) for name, limit in queues.items()}


def key_of(name: str, function: Callable[..., Any], limit: Limit, skip: int = 0) -> KeyOf | None:
    """Answer how the key of a start of this procedure is found; None where its limit has no keys.

    Args:
        name: of the procedure, for errors.
        function: its function.
        limit: its limit.
        skip: leading parameters that are given by us and not by the caller.

    Raises:
        BadDeclaration: ONS-1009, the key asks for a parameter that the procedure does not have.
    """
    key = limit.key
    if key is None:
        return None
    given = inspect.signature(function)
    signature = given.replace(parameters=list(given.parameters.values())[skip:])
    known = [parameter.name for parameter in signature.parameters.values() if parameter.kind not in _HIDDEN]
    wanted = [key] if isinstance(key, str) else _wanted(name, key, known)
    for word in wanted:
        if word not in known:
            problem = f"has a limit with a key for each `{word}`, which is no parameter of it"
            raise BadDeclaration(name, problem, f"Its parameters are: {', '.join(known) or 'none'}.")

    def find(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = {word: bound.arguments[word] for word in wanted}
        if isinstance(key, str):
            return _text(name, key, values[key], str(signature))
        return _text(name, "", key(**values), str(signature))

    return find


def key_of_parameter(parameter: str, shape: Shape) -> KeyOf:
    """Answer how the key is found by a program that has the procedure's name and shape: what has a default may lack."""

    def find(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        named = {shape.argument_name(index): value for index, value in enumerate(args)} | dict(kwargs)
        return _text(shape.name, parameter, named[parameter], shape.text) if parameter in named else ""

    return find


def describe_limit(limit: Limit | None) -> dict[str, object]:
    """Answer what the server's list of procedures says of a limit, ready for JSON; a key that is a function is true."""
    if limit is None:
        return {}
    key = limit.key if limit.key is None or isinstance(limit.key, str) else True
    return {"limit": {"at_once": limit.at_once, "rate": limit.rate, "per": limit.per, "key": key}}


def read_key(description: Mapping[str, Any], shape: Shape | None) -> KeyOf | None:
    """Read what `describe_limit` wrote, as far as another program can use it."""
    said: Mapping[str, Any] = description.get("limit") or {}
    key = said.get("key")
    return key_of_parameter(key, shape) if isinstance(key, str) and shape is not None else None


def limit_name(procedure_rule: str, key: str) -> str:
    """Answer the name under which a process with this key is counted, by its procedure's rule; as the scripts do."""
    *_, keyed, name = procedure_rule.split(" ", 4)
    if keyed == "k":
        return f"p:{name} {key}" if key else ""
    return f"p:{name}"


class LimitInForce(NamedTuple):
    """One limit as the cluster keeps it.

    Attributes:
        field: where it is kept, and the name of the limit where it has no keys.
        kind: `procedure` or `queue`.
        name: of the procedure or queue.
        at_once: so many run at the same time; 0 for no such limit.
        rate: so many begin within `per_seconds`; 0 for no such limit.
        per_seconds: see `rate`.
        keyed: each key is counted by itself.
    """

    field: str
    kind: str
    name: str
    at_once: int
    rate: int
    per_seconds: float
    keyed: bool


def in_force(rules: Mapping[str, str]) -> list[LimitInForce]:
    """Read the hash `limits`: of procedures, by name, then of queues; an alias is counted with its procedure."""
    found: list[LimitInForce] = []
    for field, text in sorted(rules.items()):
        at_once, rate, per, keyed, name = text.split(" ", 4)
        kind, _, own = field.partition(":")
        if own == name:
            named = "queue" if kind == "q" else "procedure"
            found.append(LimitInForce(field, named, name, int(at_once), int(rate), int(per) / 1000, keyed == "k"))
    return found


def in_words(text: str, name: str, taken: int, turn_ms: float | None, now_ms: int) -> str:
    """Say why a limit lets nobody begin now; empty where it does.

    Args:
        text: its rule.
        name: its name.
        taken: how many slots are taken.
        turn_ms: when its rate lets the next one begin, or None.
        now_ms: the present.
    """
    at_once, rate, per, *_ = text.split(" ", 4)
    whose = readable(name)
    if int(at_once) and taken >= int(at_once):
        return f"{taken} of {at_once} run at once: limit of {whose}"
    if turn_ms is not None and turn_ms > now_ms:
        left = (turn_ms - now_ms) / 1000
        return f"{rate} in {int(per) / 1000:g} s: limit of {whose}, the next in {left:.1f} s"
    return ""


def readable(limit: str) -> str:
    """Answer the name of a limit for people."""
    kind, _, name = limit.partition(":")
    if kind == "q":
        return f"queue `{name}`"
    procedure, _, key = name.partition(" ")
    return f"`{procedure}` for {key.removeprefix('=')}" if key else f"`{procedure}`"


def _wanted(name: str, key: Callable[..., Any], known: Iterable[str]) -> list[str]:
    parameters = inspect.signature(key).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return list(known)
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY}:
        problem = "has a limit whose key is a function that takes arguments by position"
        raise BadDeclaration(name, problem, "It gets those that it names: `key=lambda customer: customer`.")
    return [parameter.name for parameter in parameters]


def _text(procedure: str, parameter: str, value: object, signature: str) -> str:
    if value is not None and not isinstance(value, _SCALARS):
        of = f"limit key `{parameter}`" if parameter else "a limit key"
        problem = f"has {of} {value!r}, and a key is a text or a number"
        raise BadArguments(procedure, problem, procedure.rpartition(".")[2] + signature.removeprefix(procedure))
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(cast("object", value)))
    if len(text) > _LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        text = f"{text[: _LONGEST - 17]}…{digest}"
    return f"{parameter}={text}"
