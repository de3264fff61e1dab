"""Which procedures and hooks this program knows, by name.

A decorator only records (`declare`); looking something up binds what was recorded since, all of it or, when two things
have one name, nothing. So a task file may be imported in any order, before or after there is a server, and the error
says which two files quarrel. What was recorded by a module that has been unloaded since is forgotten; importing a
module again replaces what its first import recorded.
"""

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any, Final, Protocol

from onserver.errors import DuplicateName

#: The kind of what `@procedure` declares; a hook's kind is the name of its decorator.
PROCEDURE: Final = "procedure"


class Declared(Protocol):
    """What a task file declares with one of our decorators."""

    @property
    def name(self) -> str:
        """Full name: module below `tasks`, and the function's own, unless `name=` says otherwise."""
        ...

    @property
    def aliases(self) -> Sequence[str]:
        """Earlier names, which messages in Redis may still carry."""
        ...

    @property
    def function(self) -> Callable[..., Any]:
        """What runs."""
        ...

    def describe(self) -> Mapping[str, object]:
        """Answer what other programs may know of it, ready for JSON."""
        ...


class _Recorded:
    """One declaration, and the module object that made it."""

    def __init__(self, kind: str, declared: Declared) -> None:
        self.kind, self.declared = kind, declared
        self.module = sys.modules.get(declared.function.__module__)

    @property
    def current(self) -> bool:
        return sys.modules.get(self.declared.function.__module__) is self.module

    @property
    def local(self) -> bool:
        """Made inside a function: such a one is made anew whenever that function is called."""
        return "<locals>" in self.declared.function.__qualname__


_recorded: dict[tuple[str, str, str, str], _Recorded] = {}
_count = 0


def declare(kind: str, declared: Declared) -> None:
    """Record a procedure or hook; it is bound to its name when somebody looks for one."""
    global _count  # what a program has declared is a fact of the program, as its imported modules are
    function = declared.function
    _recorded[kind, function.__module__, function.__qualname__, declared.name] = _Recorded(kind, declared)
    _count += 1


def kept() -> Mapping[tuple[str, str, str, str], _Recorded]:
    """Everything that has been declared, to be given to `keep` if what is declared next turns out to be wrong."""
    return dict(_recorded)


def keep(declared: Mapping[tuple[str, str, str, str], _Recorded]) -> None:
    """Be as at the time of `kept`."""
    global _count  # see `declare`
    _recorded.clear()
    _recorded.update(declared)
    _count += 1


def name_below_tasks(function: Callable[..., Any]) -> str:
    """Answer the name that a function has by itself: module below `tasks`, behind the component that has the `tasks`.

    Example:
        >>> name_below_tasks(name_below_tasks)  # in tasks/shop.py: shop.…, in billing/tasks/shop.py: billing.shop.…
        'onserver.registry.name_below_tasks'
    """
    module = function.__module__
    if module == "tasks":
        return function.__name__
    if "__path__" in getattr(function, "__globals__", ()):  # a package: what its `__init__.py` has
        module += "."
    component, below, rest = f".{module}".partition(".tasks.")
    name = f"{component}.{rest}" if below else module
    return f"{name.strip('.')}.{function.__name__}".lstrip(".")


def place_of(function: Callable[..., Any]) -> str:
    """Answer file and line of a function, for people."""
    code: CodeType | None = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else function.__module__


class Registry:
    """The procedures and hooks of this program by name, as far as they are imported."""

    def __init__(self) -> None:
        self._seen = -1
        self._by_name: dict[str, dict[str, Declared]] = {}
        self._listed: dict[str, list[Declared]] = {}

    def bind(self) -> None:
        """Bind what was declared since the last look.

        Raises:
            DuplicateName: ONS-1006, two of one kind have one name; nothing of what is new was bound.
        """
        if self._seen == _count:
            return
        count = _count
        by_name: dict[str, dict[str, Declared]] = {}
        listed: dict[str, list[Declared]] = {}
        owners: dict[tuple[str, str], _Recorded] = {}
        for recorded in _recorded.values():
            if recorded.current:
                _take(recorded, owners)
        for (kind, name), recorded in owners.items():
            by_name.setdefault(kind, {})[name] = recorded.declared
            if name == recorded.declared.name:
                listed.setdefault(kind, []).append(recorded.declared)
        self._by_name, self._listed, self._seen = by_name, listed, count

    def find(self, name: str, kind: str = PROCEDURE) -> Declared | None:
        """Answer what has this full name or alias, or None."""
        if self._seen != _count:
            self.bind()
        found = self._by_name.get(kind)
        return None if found is None else found.get(name)

    def all(self, kind: str = PROCEDURE) -> Sequence[Declared]:
        """Answer everything of one kind, in the order of declaration."""
        self.bind()
        return self._listed.get(kind, ())

    def names(self, kind: str = PROCEDURE) -> Sequence[str]:
        """Answer all names of one kind, aliases included: what a worker says it can run."""
        self.bind()
        return tuple(self._by_name.get(kind, {}))

    def described(self) -> dict[str, str]:
        """Answer name → JSON of each procedure, as the server keeps it for those who lack the code; alias → =NAME."""
        self.bind()
        procedures = self._by_name.get(PROCEDURE, {})
        aliases = {name: f"={procedure.name}" for name, procedure in procedures.items() if name != procedure.name}
        return aliases | {procedure.name: json.dumps(procedure.describe()) for procedure in self.all()}


def find_name(typed: str, known: Iterable[str]) -> tuple[str | None, list[str]]:
    """Find the full name that somebody means who typed a name or its unambiguous end.

    Returns:
        The name, or None and the names that come near, best first.

    Example:
        >>> find_name("add", ["shop.add", "shop.bump"])
        ('shop.add', [])
        >>> find_name("shop.ad", ["shop.add", "shop.bump"])
        (None, ['shop.add', 'shop.bump'])
    """
    names = list(known)
    if typed in names:
        return typed, []
    ends = [name for name in names if name.endswith("." + typed)]
    if len(ends) == 1:
        return ends[0], []
    if ends:
        return None, sorted(ends)
    near = difflib.get_close_matches(typed, names, n=3, cutoff=0.6)
    last = {name.rpartition(".")[2]: name for name in names}
    near += [last[short] for short in difflib.get_close_matches(typed.rpartition(".")[2], last, n=3, cutoff=0.6)]
    return None, list(dict.fromkeys(near))[:3]


def _take(recorded: _Recorded, owners: dict[tuple[str, str], _Recorded]) -> None:
    declared = recorded.declared
    for name in (declared.name, *declared.aliases):
        before = owners.get((recorded.kind, name))
        if before is not None and not (before.local or recorded.local):
            kind = "procedures" if recorded.kind == PROCEDURE else f"`{recorded.kind}` hooks"
            raise DuplicateName(name, place_of(before.declared.function), place_of(declared.function), kind)
        owners[recorded.kind, name] = recorded
