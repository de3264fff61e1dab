"""Where a function of the server is called from a program that is a remote client: far away.

A program becomes one when it connects (`onserver.remote`, a floor above, which this one does not know). From then on a
server method, or a function of the data model, that is called in it goes to the server, in the order of its connection
process. Which connection process that is, is decided in two steps: that of the block around the call
(`with client.process():`), which coroutines and threads that are started with the context see as well; else the main
one of the client that the program connected last and has not closed.

Code that runs *for* the server is no client, even where its program has connected somewhere: inside a run, and while a
request is served, `far` answers None, and the function runs in place.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

from onserver.session.context import outside
from onserver.session.running import running, running_here, served_here


class Afar(Protocol):
    """A connection process of a client: what is called through it, runs on the server, in the client's session."""

    @property
    def session(self) -> Any:
        """What `session()` answers in the client's own program: the object on its side, or None."""
        ...

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Have a function run on the server, wait for it, and answer its result or raise what it raised."""
        ...

    def acall(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Coroutine[Any, Any, Any]:
        """`call` without blocking the loop."""
        ...


def far() -> Afar | None:
    """Answer where a function of the server goes that is called here; None: it runs in place."""
    if not _connected and _around.get() is None:  # most programs, in a fraction of a microsecond
        return None
    if running_here() is not None or served_here.get() is not None:
        return None
    around = _around.get()
    if around is not None:
        return around
    if running() is not None:  # a thread that a run has started
        return None
    with _changing:
        return _connected[-1] if _connected else None


def connected(there: Afar) -> None:
    """Let the program be a client of this connection, until `disconnected`."""
    with _changing:
        _connected.append(there)


def disconnected(there: Afar) -> None:
    """The program is no client of this connection any more; nothing where it was none."""
    with _changing:
        _connected[:] = [known for known in _connected if known is not there]


@contextmanager
def through(there: Afar) -> Generator[None]:
    """Let what is called inside of this block go this way, whatever the program is connected to."""
    token = _around.set(there)
    try:
        yield
    finally:
        _around.reset(token)


_connected: Final[list[Afar]] = []
_changing: Final = threading.Lock()
_around: Final[ContextVar[Afar | None]] = ContextVar("onserver_afar", default=None)

outside.far = far
