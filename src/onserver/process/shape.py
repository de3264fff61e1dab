"""The parameters of a procedure, as far as a caller must respect them.

Arguments are checked before anything is sent, also by a program that has only the procedure's name: its shape is in
the server's list of procedures. Checking is all that happens here; defaults are filled in where the function runs, by
the code that runs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from onserver.errors import BadArguments

_POSITIONAL_ONLY = "positional"
_ORDINARY = "ordinary"
_MANY = "many"
_KEYWORD = "keyword"
_ANY_KEYWORD = "any keyword"
_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: _POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: _ORDINARY,
    inspect.Parameter.VAR_POSITIONAL: _MANY,
    inspect.Parameter.KEYWORD_ONLY: _KEYWORD,
    inspect.Parameter.VAR_KEYWORD: _ANY_KEYWORD,
}


@dataclass(frozen=True)
class Shape:
    """What may be passed: (name, kind, required) of each parameter, and the signature as people read it."""

    name: str
    text: str
    parameters: tuple[tuple[str, str, bool], ...]

    @classmethod
    def of(cls, function: Callable[..., Any], skip: int = 0) -> "Shape":
        """Read the shape of a function; `skip` leading parameters are given by us and not by the caller."""
        signature = inspect.signature(function)
        kept = list(signature.parameters.values())[skip:]
        parameters = tuple((p.name, _KINDS[p.kind], p.default is p.empty) for p in kept)
        return cls(function.__name__, function.__name__ + _readable(signature, kept), parameters)

    @classmethod
    def from_json(cls, name: str, facts: Mapping[str, Any]) -> "Shape":
        """Read what `as_json` wrote, for the procedure of this name."""
        parameters = tuple((str(p), str(kind), bool(required)) for p, kind, required in facts["parameters"])
        return cls(name.rpartition(".")[2], str(facts["signature"]), parameters)

    def as_json(self) -> dict[str, object]:
        """Answer the shape ready for JSON."""
        return {"signature": self.text, "parameters": [list(parameter) for parameter in self.parameters]}

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Check arguments against the parameters.

        Returns:
            The arguments in the form that is sent: by position where that is possible, keywords sorted, so that two
            calls that mean the same are the same bytes.

        Raises:
            BadArguments: ONS-1105, too many, missing, unknown or doubled.
        """
        if not kwargs and self._fewest <= len(args) <= self._most:
            return args, kwargs
        return self._bind(list(args), dict(kwargs))

    @cached_property
    def _places(self) -> list[tuple[str, str, bool]]:
        return [p for p in self.parameters if p[1] in {_POSITIONAL_ONLY, _ORDINARY}]

    @cached_property
    def _most(self) -> int:
        """How many arguments may be given by position."""
        return 1 << 30 if any(kind == _MANY for _, kind, _ in self.parameters) else len(self._places)

    @cached_property
    def _fewest(self) -> int:
        """How many must be given by position when none is given by keyword; too many where a keyword is a must."""
        if any(kind == _KEYWORD and required for _, kind, required in self.parameters):
            return 1 << 31
        return sum(required for _, _, required in self._places)

    def _bind(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if len(args) > self._most:
            raise self._bad(f"takes {_arguments(self._most)}, {len(args)} were given")
        given = len(args)
        for name, kind, _ in self._places[len(args) :]:
            if kind != _ORDINARY or name not in kwargs:
                break
            args.append(kwargs.pop(name))
        missing = [n for n, kind, required in self._places[len(args) :] if required and _absent(n, kind, kwargs)]
        missing += [n for n, kind, required in self.parameters if kind == _KEYWORD and required and n not in kwargs]
        doubled = [name for name, kind, _ in self._places[:given] if kind == _ORDINARY and name in kwargs]
        if doubled:
            raise self._bad(f"is given {_list(doubled)} twice")
        self._refuse_unknown(kwargs)
        if missing:
            raise self._bad(f"misses {_list(missing)}")
        return args, dict(sorted(kwargs.items()))

    def _refuse_unknown(self, kwargs: Mapping[str, Any]) -> None:
        if any(kind == _ANY_KEYWORD for _, kind, _ in self.parameters):
            return
        named = {name for name, kind, _ in self.parameters if kind in {_ORDINARY, _KEYWORD}}
        unknown = [name for name in kwargs if name not in named]
        if unknown:
            raise self._bad(f"has no parameter {_list(unknown)}")

    def _bad(self, problem: str) -> BadArguments:
        return BadArguments(self.name, problem, self.text)

    def argument_name(self, index: int) -> str:
        """Name the argument at a position, for errors."""
        if index < len(self._places):
            return self._places[index][0]
        many = next((name for name, kind, _ in self.parameters if kind == _MANY), "")
        return f"{many}[{index - len(self._places)}]" if many else f"number {index + 1}"


def _absent(name: str, kind: str, kwargs: Mapping[str, Any]) -> bool:
    return kind == _POSITIONAL_ONLY or name not in kwargs


class _Plain:
    """An annotation that is text already: shown without quotation marks."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _readable(signature: inspect.Signature, kept: Sequence[inspect.Parameter]) -> str:
    def plain(annotation: object) -> object:
        return _Plain(annotation) if isinstance(annotation, str) else annotation

    parameters = [p.replace(annotation=plain(p.annotation)) for p in kept]
    return str(signature.replace(parameters=parameters, return_annotation=plain(signature.return_annotation)))


def _arguments(count: int) -> str:
    return "no arguments" if count == 0 else f"{count} argument{'' if count == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
