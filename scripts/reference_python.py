"""The pages of what a program imports, from the docstrings: a part of `scripts.reference`.

Signatures are those of the source, so that they read as they were written, on every Python. A docstring is Google's
style: its sections become lists, its examples blocks.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from typing import Any, Final, get_overloads

#: Each page, and the module whose public names it describes.
MODULES: Final = {
    "python": "onserver",
    "python-web": "onserver.web",
    "python-remote": "onserver.remote",
    "python-data": "onserver.data",
    "python-admin": "onserver.admin",
    "python-steer": "onserver.steer",
    "python-testing": "onserver.testing",
}
#: Headings of the names of `onserver` itself, by the package that has them.
_GROUPS: Final = {
    "process": "Procedures and processes",
    "session": "Sessions and storage",
    "life": "Hooks and the life of a server",
    "backup": "Backups",
    "server": "The server",
}
_SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Warns|Example|Examples):\s*$")
_ITEM = re.compile(r"(\*{0,2}\w[\w.]*): ?(.*)$")
_LISTED: Final = {"Args", "Attributes", "Raises", "Warns"}


def names_of(module: str) -> Sequence[str]:
    """Answer the public names of a module that are described; `errors` has a page of its own."""
    return [name for name in import_module(module).__all__ if name != "errors"]


def described(module: str) -> Iterator[str]:
    """Describe the public names of a module.

    Args:
        module: its name.
    """
    before, in_code = "text", False
    for line in _described(module):
        in_code ^= line.startswith("```")
        if line or before or in_code:  # no two empty lines but in code
            yield line
        before = line


def _described(module: str) -> Iterator[str]:
    found = [(name, getattr(import_module(module), name)) for name in names_of(module)]
    if module != "onserver":
        for name, thing in sorted(found, key=lambda one: one[0].lower()):
            yield from _thing(name, thing)
        return
    order = list(_GROUPS)
    found.sort(key=lambda one: (order.index(_group(one[1])), one[0].lower()))
    for group, things in groupby(found, key=lambda one: _group(one[1])):
        yield from ("", f"## {_GROUPS[group]}")
        for name, thing in things:
            yield from _thing(name, thing, level=3)


def _group(thing: Any) -> str:
    return str(thing.__module__).split(".")[1]


def _thing(name: str, thing: Any, level: int = 2) -> Iterator[str]:
    yield from ("", f"{'#' * level} {name}", "")
    if not inspect.isclass(thing):
        yield from _signatures(name, thing)
        yield from _text(thing)
        return
    yield from ("```py", f"class {name}{_arguments_of_class(thing)}", "```", "")
    yield from _text(thing)
    for member, what in _members(thing):
        yield from ("", f"{'#' * (level + 1)} {name}.{member}", "")
        yield from _member(member, what)


def _arguments_of_class(thing: type[Any]) -> str:
    own = vars(thing).get("__init__")
    return _written(own)[0] if inspect.isfunction(own) and _has_source(own) else ""


def _members(thing: type[Any]) -> Iterator[tuple[str, Any]]:
    """Answer what a class has that is public and described, in the order in which it stands in the source."""
    found: dict[str, Any] = {}
    for base in reversed(thing.__mro__):
        if base.__module__.startswith("onserver"):
            found |= {name: what for name, what in vars(base).items() if not name.startswith("_")}
    for name, what in found.items():
        if name == name.lower() and _is_member(what) and inspect.getdoc(_function(what)):
            yield name, what


def _is_member(what: object) -> bool:
    kinds = (property, functools.cached_property, classmethod, staticmethod)
    return isinstance(what, kinds) or inspect.isfunction(what)


def _function(what: Any) -> Any:
    if isinstance(what, property):
        return what.fget
    return what.func if isinstance(what, functools.cached_property) else getattr(what, "__func__", what)


def _member(name: str, what: Any) -> Iterator[str]:
    function = _function(what)
    if isinstance(what, property | functools.cached_property):
        answer = _written(function)[1]
        yield from ("```py", f"{name}{f': {answer}' if answer else ''}", "```", "")
    else:
        yield from _signatures(name, function)
    yield from _text(function)


# ---- signatures


def _signatures(name: str, function: Callable[..., Any]) -> Iterator[str]:
    forms = get_overloads(function) or [function]
    yield "```py"
    for form in forms:
        arguments, answer = _written(form)
        awaited = "async " if inspect.iscoroutinefunction(form) else ""
        yield f"{awaited}{name}{arguments}{f' -> {answer}' if answer else ''}"
    yield from ("```", "")


def _has_source(function: Callable[..., Any]) -> bool:
    try:
        inspect.getsource(function)
    except (OSError, TypeError):  # made by `dataclass`, say
        return False
    return True


def _written(function: Callable[..., Any]) -> tuple[str, str]:
    """Answer arguments and answer of a function as its source has them, without `self`."""
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef), function
    answer = ast.unparse(node.returns) if node.returns is not None else ""
    return f"({', '.join(_arguments(node.args))})", answer.strip("'\"")


def _arguments(given: ast.arguments) -> Iterator[str]:
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]
    for at, (one, default) in enumerate(zip(plain, defaults, strict=True)):
        if at or one.arg not in ("self", "cls"):
            yield _argument(one, default)
            if at + 1 == len(given.posonlyargs):
                yield "/"
    if given.vararg:
        yield f"*{_argument(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(one, default)
    if given.kwarg:
        yield f"**{_argument(given.kwarg)}"


def _argument(one: ast.arg, default: ast.expr | None = None) -> str:
    kind = f": {ast.unparse(one.annotation)}" if one.annotation else ""
    return f"{one.arg}{kind}" + (f"{' = ' if kind else '='}{ast.unparse(default)}" if default else "")


# ---- docstrings


def _text(thing: Any) -> Iterator[str]:
    """Answer a docstring as Markdown."""
    section, lines = "", list[str]()
    for line in (inspect.getdoc(thing) or "").replace("``", "`").splitlines():
        head = _SECTION.match(line)
        if head or (section and line and not line.startswith(" ")):
            yield from _section(section, lines)
            section, lines = head[1] if head else "", []
        if not head:
            lines.append(line)
    yield from _section(section, lines)


def _section(section: str, lines: Sequence[str]) -> Iterator[str]:
    text = textwrap.dedent("\n".join(lines)).strip("\n")
    if not text:
        return
    if section.startswith("Example"):
        yield from _example(text)
    elif section in _LISTED:
        yield from (f"*{section}*", "", *_items(text), "")
    elif section:
        yield from (f"*{section}*: {' '.join(text.split())}", "")
    else:
        yield from (*_paragraphs(text), "")


def _paragraphs(text: str) -> Iterator[str]:
    """Answer text, in which what is indented is a block."""
    for block, lines in groupby(text.splitlines(), key=lambda line: line.startswith("    ")):
        text_of = list(lines)
        yield from ("```text", *text_of, "```") if block else text_of


def _items(text: str) -> Iterator[str]:
    items: list[str] = []
    for line in text.splitlines():
        head = _ITEM.match(line)
        if head:
            items.append(f"- `{head[1]}`: {head[2]}")
        elif items and line.strip():
            items[-1] += f" {line.strip()}"
    yield from items


def _example(text: str) -> Iterator[str]:
    """Answer an example: sessions of Python as they are, else words, and the code below them."""
    if ">>>" in text:
        shown = re.sub(r"\s*# doctest: \+\w+", "", text)
        yield from ("```pycon", *shown.splitlines(), "```", "")
        return
    words, _, code = text.partition("::\n")
    yield from (f"{' '.join(words.split())}:" if code else " ".join(words.split()), "")
    if code:
        yield from ("```py", *textwrap.dedent(code).strip("\n").splitlines(), "```", "")
