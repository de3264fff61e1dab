"""The parameters of a procedure as a form has them: what each may be, by its signature, and how a text becomes it.

A program that only looks at a server has no function to inspect: the signature is read as it stands in the server's
list of procedures.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from onserver.views.process_shown import Procedure

#: How a parameter is asked for.
Widget: TypeAlias = Literal["text", "whole", "number", "bool", "list", "object", "json"]
#: Annotation, without `None`, to how it is asked for; every other one is JSON, or text where it is none.
_WIDGETS: Final[Mapping[str, Widget]] = {"str": "text", "int": "whole", "float": "number", "bool": "bool"}
#: Kinds of parameters; see `onserver.process.shape`.
_POSITIONAL, _ORDINARY, _MANY, _ANY_KEYWORD = "positional", "ordinary", "many", "any keyword"


@dataclass(frozen=True)
class Parameter:
    """One of them.

    Attributes:
        name: of it.
        kind: `positional`, `ordinary`, `many` (`*args`), `keyword` or `any keyword` (`**kwargs`).
        required: whether it has to be given.
        annotation: as its signature has it, or empty.
        default: as its signature has it, or empty.
    """

    name: str
    kind: str
    required: bool
    annotation: str = ""
    default: str = ""

    @property
    def widget(self) -> Widget:
        """How it is asked for."""
        if self.kind in (_MANY, _ANY_KEYWORD):
            return "list" if self.kind == _MANY else "object"
        bare = {part.strip() for part in self.annotation.split("|")} - {"None"}
        return _WIDGETS.get(bare.pop(), "json") if len(bare) == 1 else "json"

    def read(self, text: str) -> Any:
        """Turn what was typed into a value.

        Raises:
            ValueError: it is none that this parameter takes; the text is the second half of a sentence.
        """
        widget = self.widget
        if widget == "text":
            return text
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            if widget == "json":
                return text
            raise ValueError(f"is no {_TOLD[widget]}") from None
        if widget != "json" and not _is_one(value, widget):
            raise ValueError(f"is no {_TOLD[widget]}")
        return value


_TOLD: Final[Mapping[Widget, str]] = {
    "whole": "whole number",
    "number": "number",
    "bool": "`true` or `false`",
    "list": "JSON list",
    "object": "JSON object",
}
_TYPES: Final[Mapping[Widget, tuple[type, ...]]] = {
    "whole": (int,),
    "number": (int, float),
    "bool": (bool,),
    "list": (list,),
    "object": (dict,),
}


def _is_one(value: object, widget: Widget) -> bool:
    return isinstance(value, _TYPES[widget]) and (widget == "bool" or not isinstance(value, bool))


def parameters(procedure: Procedure) -> list[Parameter]:
    """Read the parameters of a procedure, in their order."""
    told = dict(_told(procedure.signature))
    return [Parameter(name, kind, required, *told.get(name, ("", ""))) for name, kind, required in procedure.parameters]


def bound(procedure: Procedure, texts: Mapping[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Turn what was typed into the arguments of a call; what was left empty is not given.

    Args:
        procedure: that is called.
        texts: by the names of its parameters.

    Returns:
        Those by position, and those by name.

    Raises:
        ValueError: of a parameter that there is not, or that takes no such value: its name and what is wrong.
    """
    known = parameters(procedure)
    for name in texts.keys() - {one.name for one in known}:
        raise ValueError(name, "is no parameter")
    args, kwargs, gap = list[Any](), dict[str, Any](), False
    for one in known:
        text = texts.get(one.name, "")
        if not text:
            gap = gap or one.kind in (_POSITIONAL, _ORDINARY)
            continue
        try:
            value = one.read(text)
        except ValueError as error:
            raise ValueError(one.name, str(error)) from None
        if one.kind == _ANY_KEYWORD:
            kwargs |= value
        elif one.kind == _MANY or (one.kind == _POSITIONAL and not gap) or (one.kind == _ORDINARY and not gap):
            args += value if one.kind == _MANY else [value]
        else:
            kwargs[one.name] = value
    return args, kwargs


def _told(signature: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield annotation and default of each parameter, as a signature has them; nothing where it cannot be read."""
    try:
        (function,) = ast.parse(f"def {signature}: ...").body
    except (SyntaxError, ValueError):
        return
    if not isinstance(function, ast.FunctionDef):
        return
    given = function.args
    places = [*given.posonlyargs, *given.args]
    defaults: Sequence[ast.expr | None] = [*[None] * (len(places) - len(given.defaults)), *given.defaults]
    pairs = [*zip(places, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    pairs += [(one, None) for one in (given.vararg, given.kwarg) if one is not None]
    for one, default in pairs:
        annotation = ast.unparse(one.annotation) if one.annotation is not None else ""
        yield one.arg, (annotation.strip("'\""), ast.unparse(default) if default is not None else "")
