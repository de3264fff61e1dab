"""What can be done to a server, each thing once: for the page, the HTTP API and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from onserver.server import Server


@dataclass(frozen=True, kw_only=True)
class Field:
    """What an action is told.

    Attributes:
        name: of it.
        kind: what it may be.
        required: whether there is no action without it.
        choices: of a `choice`.
        maximum: of a number, or of the characters of a text.
        label: for people, in English.
    """

    name: str
    kind: Literal["text", "number", "seconds", "bool", "choice", "json", "text_area"] = "text"
    required: bool = False
    choices: Sequence[str] = ()
    maximum: float = 0
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an action.

    Attributes:
        said: for people.
        before: what there was.
        after: what there is.
        target: what it was done to.
        data: for programs.
    """

    said: str
    before: str = ""
    after: str = ""
    target: str = ""
    data: Any = None


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that can be done.

    Attributes:
        name: noun and verb, as in `process.abort`.
        privilege: without which it is refused.
        run: does it.
        fields: what it is told.
        confirm: whether it is asked once more: not at all, by a button, or by typing the name of what it is done to.
        cli: the same on the command line.
        python: the same in Python.
    """

    name: str
    privilege: str
    run: Callable[[Server, Mapping[str, str]], Outcome]
    fields: Sequence[Field]
    confirm: Literal["", "ask", "typed"] = ""
    cli: Callable[[Mapping[str, str]], str]
    python: Callable[[Mapping[str, str]], str]


ACTIONS: Final[Mapping[str, Action]] = {}
