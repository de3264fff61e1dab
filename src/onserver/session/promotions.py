"""Promotions: privileges that a function has while it runs, whoever called it (specification 2.9).

A promotion is of what runs, and not of a session: of one request of the web while it is served, or of one process. It
is undone when the function that made it ends. That function is the innermost `promoting`: the runner and whoever calls
an exposed function open one for each call; without one it is the whole request or process. So one that raises before it
could `demote` leaves nothing behind, and two functions that run side by side in one request know nothing of each
other's.

Only in the web do privileges filter code, so there is nothing to promote anywhere else: `place` answers None there.
What a promoted function starts is another process, and has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Protocol


class Scope:
    """One function call, or the request or process around all of them, and what was promoted in it.

    Args:
        static: privileges that the call is given by `roles.json`.
        around: the scope in which it is called; None for a whole request or process.
    """

    __slots__ = ("_around", "_dynamic", "_last", "_static")

    def __init__(self, static: Iterable[str] = (), around: Scope | None = None) -> None:
        self._static = tuple(static)
        self._around = around
        self._dynamic: dict[int, str] = {}
        self._last = 0

    @property
    def root(self) -> Scope:
        """The request or process that this scope is of."""
        scope = self
        while scope._around is not None:
            scope = scope._around
        return scope

    @property
    def privileges(self) -> tuple[str, ...]:
        """What is promoted here, by this call and those around it."""
        return tuple(name for scope in self._outwards() for name in (*scope._static, *scope._dynamic.values()))

    def promote(self, privilege: str) -> int:
        """Note a promotion; answers its number, which grows with each one in the request or process."""
        root = self.root
        root._last += 1
        self._dynamic[root._last] = privilege
        return root._last

    def demote(self, number: int) -> None:
        """Undo the promotion of this number; nothing where there is none."""
        for scope in self._outwards():
            scope._dynamic.pop(number, None)

    def _outwards(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope._around


class Request(Protocol):
    """A request that is served; whoever serves it looks at its session when it is over."""

    session: Any


class Place(NamedTuple):
    """Where code of the web runs."""

    #: Of the request or process.
    scope: Scope
    #: The session in which it runs.
    session: Any
    #: The request, whose session may be replaced; None in a process.
    request: Request | None


class Surroundings:
    """Where the code that asks is running; the context module puts its answer in `answer`."""

    def __init__(self) -> None:
        self.answer: Callable[[], Place | None] | None = None

    def __call__(self) -> Place | None:
        """Answer it; None before that module is loaded."""
        return None if self.answer is None else self.answer()


#: Answers where code of the web runs, and None for all other code.
place: Final = Surroundings()

_called: ContextVar[Scope | None] = ContextVar("onserver_promoting", default=None)


def scope_in(found: Place) -> Scope:
    """Answer the innermost function call of this context in a place."""
    called = _called.get()
    return called if called is not None and called.root is found.scope else found.scope


@contextmanager
def promoting(privileges: Iterable[str] = ()) -> Generator[None]:
    """Call a function: it has these privileges, and what is promoted in it is undone when the block ends.

    Args:
        privileges: the static promotions of the function, `Roles.promotes`.

    4D: the action `promote` of a permission.
    """
    found = place()
    if found is None:
        yield
        return
    token = _called.set(Scope(privileges, scope_in(found)))
    try:
        yield
    finally:
        _called.reset(token)
