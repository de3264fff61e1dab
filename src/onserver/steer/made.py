"""What the modules of actions share: fields that many have, and how the fields of one become values."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from onserver.errors import BadField
from onserver.process.handle import Process
from onserver.process.record import read_record
from onserver.server import Server
from onserver.steer.action import Field

Given: TypeAlias = Mapping[str, str]
T = TypeVar("T")

#: The number of a process.
PROCESS: Final = Field(name="process", kind="whole", required=True, minimum=1, label="Process")
REASON: Final = Field(name="reason", maximum=200, label="Reason")
FOR: Final = Field(name="seconds", kind="seconds", maximum=31_536_000, label="For how long")


def number(given: Given, name: str = "process") -> int:
    """Answer a whole number that was given."""
    return int(given[name])


def seconds(given: Given, name: str) -> float | None:
    """Answer a length of time, in seconds; None where none was given."""
    return float(given[name]) if name in given else None


def yes(given: Given, name: str) -> bool:
    """Answer whether this was said."""
    return given.get(name) == "true"


def state_of(server: Server, process: int) -> str:
    """Answer the state of a process; empty where there is none."""
    found = read_record(server.store, process)
    return found.state.value if found is not None else ""


def handle(server: Server, given: Given) -> Process[object]:
    """Answer the process that is meant."""
    return Process[object](server, number(given))


def value_of(text: str) -> object:
    """Read a value: as JSON where it is JSON, else as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def arguments(action: str, given: Given) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a procedure: `args`, a JSON list, and `kwargs`, a JSON object.

    Raises:
        BadField: ONS-6005, one is something else.
    """
    return _read(action, given, "args", "[]", list[Any]), _read(action, given, "kwargs", "{}", dict[str, Any])


def facts(action: str, given: Given, name: str) -> dict[str, Any]:
    """Read a field that is a JSON object.

    Raises:
        BadField: ONS-6005, it is something else.
    """
    return _read(action, given, name, "{}", dict[str, Any])


def _read(action: str, given: Given, name: str, absent: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(given.get(name, absent), type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadField(action, name, f"is no JSON {'list' if absent == '[]' else 'object'}") from error


def line(*words: str) -> str:
    """Answer a command line of these words, without those that are empty."""
    return " ".join(shlex.quote(word) for word in words if word)


def command(verb: str, *names: str, **options: str) -> Callable[[Given], str]:
    """Answer what writes the command line of an action.

    Args:
        verb: its beginning, as in `onserver abort`.
        names: of the fields that are its words, in order.
        options: field to option, as in `reason="--reason"`; of a field that says yes, the option alone.
    """

    def written(given: Given) -> str:
        words = verb.split() + [given.get(name, "") for name in names]
        for name, option in options.items():
            value = given.get(name, "")
            if value == "true":
                words.append(option)
            elif value and value != "false":
                words += [option, value]
        return line(*words)

    return written
