"""One thing that can be done to a server: for the page, the HTTP API and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from onserver.server import Server

#: Characters of a value that people read.
_READ: Final = 500


@dataclass(frozen=True, kw_only=True)
class Field:
    """What an action is told.

    Attributes:
        name: of it.
        kind: what it may be.
        required: whether there is no action without it.
        choices: of a `choice`.
        maximum: of a number, or of the characters of a text.
        minimum: of a number; None for the maximum below zero.
        label: for people, in English.
    """

    name: str
    kind: Literal["text", "number", "whole", "seconds", "bool", "choice", "json", "text_area"] = "text"
    required: bool = False
    choices: Sequence[str] = ()
    maximum: float = 0
    minimum: float | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an action.

    Attributes:
        said: for people, in English, with its values in braces.
        values: that stand in it.
        before: what there was.
        after: what there is.
        target: what it was done to.
        data: for programs.
        secret: what is shown this once, and is in no audit: a one-time link.
        page: path of the page that shows what came of it, where that is another one than it was asked for from.
        instead: of pages that are there no more: path to the path of the one that is shown in its place to who asked
            from there.
    """

    said: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    before: str = ""
    after: str = ""
    target: str = ""
    data: Any = None
    secret: str = field(default="", repr=False)
    page: str = ""
    instead: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        """What is said, with its values."""
        return self.said.format(**self.values)


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that can be done.

    Attributes:
        name: noun and verb, as in `process.abort`.
        privilege: without which it is refused.
        run: does it.
        fields: what it is told.
        title: what it is called, in English: on its button, above its question.
        confirm: whether it is asked once more: not at all, by a button, or by typing the name of what it is done to.
        target: names what it is done to, from its fields; the first field by default.
        cli: the same on the command line.
        later: what is said where nobody waits for it, on the page and in the HTTP API, because it takes minutes:
            `{target}` is what it is done to. Empty for what is done at once.
        ready: of one that is done later, looks whether it can be done, and raises what is in its way.
        more: what the names of further fields begin with, which are texts; empty where there are none.
    """

    name: str
    privilege: str
    run: Callable[[Server, Mapping[str, str]], Outcome]
    fields: Sequence[Field]
    title: str = ""
    confirm: Literal["", "ask", "typed"] = ""
    target: Callable[[Mapping[str, str]], str] | None = None
    cli: Callable[[Mapping[str, str]], str]
    later: str = ""
    ready: Callable[[Server, Mapping[str, str]], None] | None = None
    more: str = ""

    def about(self, given: Mapping[str, str]) -> str:
        """Name what it is done to."""
        if self.target is not None:
            return self.target(given)
        return given.get(self.fields[0].name, "") if self.fields else ""

    def further(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return those of the given fields that are none of the declared ones; see `more`."""
        return {name: text for name, text in given.items() if self.more and name.startswith(self.more)}

    def python(self, given: Mapping[str, str]) -> str:
        """Write the same in Python; see `onserver.steer.act`. What is longer than people read is left open (`...`)."""
        words = [
            repr(self.name),
            *(f"{field.name}={_written(given[field.name])}" for field in self.fields if given.get(field.name)),
        ]
        further = self.further(given)
        words += [f"**{further!r}"] if further else []
        return f"act({', '.join(words)})"


def _written(text: str) -> str:
    return repr(text) if len(text) <= _READ else "..."
