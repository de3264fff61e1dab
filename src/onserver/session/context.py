"""Which session is it? `session()` asks what is running, not where (specification 1.2).

A request of the web comes first: while it is *served* in this context, its session is the answer, or None where its web
server keeps no sessions. A remote client's call comes next, served as well. Else it is the run, which carries its
session: the server's, or for a server method that of whoever called it. What begins later in a context hides what began
before: a process that is run inside a request is a process, and a request that is served inside a process is a request.

Both are kept in context variables, so that coroutines see their own, and threads that are started with a copy of the
context (`asyncio.to_thread`, the thread pools of the web frameworks). A thread that was started without one serves
nothing. Outside of all this the program decides: the server module sets `outside`, which answers None in a client
program, as the original does on a remote 4D.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Any, Final

from msgspec import Struct, field

from onserver.session.promotions import Place, Scope, place
from onserver.session.record import SessionRecord
from onserver.session.running import Running, entered, running, running_here, served_here
from onserver.session.session import Session

__all__ = ["Run", "Served", "current_run", "entered", "in_web", "outside", "served", "serving", "session"]


class Run(Running, frozen=True, kw_only=True):
    """One run of one process: what `session()`, `process()` and `caller()` answer from while it lasts."""

    #: Full name of the procedure or task.
    procedure: str
    #: Name of the process: the one it was started under, else the procedure's.
    name: str
    #: The hook from which this run descends, or None.
    root: int | None
    #: The session in which the body runs; None for a server method that a web server without sessions has called.
    session: Session | None
    #: Verified snapshot of who asked, or None for a program that asked as the server.
    caller: Mapping[str, Any] | None
    #: When this run began, seconds since 1970 by the executor's clock.
    started: float
    #: Which attempt this is: 1 for the first, more when earlier runs raised and were retried.
    attempt: int = 1
    #: It runs in its caller's session, for a request of the web: privileges are asked for.
    web: bool = False
    #: What is promoted in it.
    scope: Scope = field(default_factory=Scope)


class Served(Struct, kw_only=True, eq=False):
    """One request of the web, or one call of a remote client, while it is served.

    There is one for each request, shared by all its coroutines and threads: what it is given (`session`) all of them
    see, and whoever serves it, who puts it into a cookie.
    """

    #: The session that it has been given so far, or None.
    given: Session | None
    #: Finds or opens its session when that is first asked for; None where there is nothing to be found.
    opens: Callable[[], Session | None] | None = None
    #: Name of the web server that received it, empty for the host's; None for a remote client's call.
    web: str | None
    #: Snapshot of who asks, where it came signed; None: it is made from the session.
    caller: Mapping[str, Any] | None
    #: The run inside which it is served, or None.
    within: Running | None = None
    #: What is promoted in it.
    scope: Scope = field(default_factory=Scope)

    #: What was known of the session that it was given in place of its own, when it was given it.
    began: SessionRecord | None = None
    #: Only one of those who serve it opens its session.
    opening: AbstractContextManager[object] = field(default_factory=threading.Lock)

    @property
    def session(self) -> Session | None:
        """The session in which it is served; None where its web server keeps none."""
        if self.given is None and self.opens is not None:
            with self.opening:
                if self.given is None:
                    self.given = self.opens()
        return self.given

    @session.setter
    def session(self, session: Session | None) -> None:
        self.given, self.began = session, None if session is None else session.record


class Outside:
    """What `session()` answers outside of every run.

    The server module puts its answer in `answer`; in a remote client's program the connection in `far` comes first.
    """

    def __init__(self) -> None:
        self.answer: Callable[[], Session | None] | None = None
        self.far: Callable[[], Any] | None = None

    def __call__(self) -> Session | None:
        there = None if self.far is None else self.far()
        if there is not None:
            found: Session | None = there.session
            return found
        return None if self.answer is None else self.answer()


outside: Final = Outside()


def current_run() -> Run | None:
    """Answer the run of this context, or None outside of every run."""
    run = running()
    return run if isinstance(run, Run) else None


class serving:  # noqa: N801  # used as a `with` statement's word
    """Serve one request of the web, or one call of a remote client, in this context, until the block ends.

    What the block is given is what is served; its `session` may be replaced meanwhile, as by a one-time token.

    Args:
        session: in which it is served: that of the web server that received the request, whichever component the code
            is of. None where sessions are switched off there: `session()` answers None.
        web: name of the web server that received it; empty is the host's.
        remote: it is a call of a remote client and no request of the web.
        caller: snapshot of who asks, where it came signed.
        opens: finds or opens the session when the request first asks for it and has none.

    Example:
        >>> with serving(Server.current().session()) as request:
        ...     session() is request.session
        True
    """

    __slots__ = ("_token", "here")

    def __init__(
        self,
        session: Session | None,
        *,
        web: str = "",
        remote: bool = False,
        caller: Mapping[str, Any] | None = None,
        opens: Callable[[], Session | None] | None = None,
    ) -> None:
        #: What is served, unless a request of the web is served already.
        self.here = Served(given=session, opens=opens, web=None if remote else web, caller=caller)
        self._token: Token[object | None] | None = None

    def __enter__(self) -> Served:
        here = self.here
        if here.web is None:
            around = served()
            if around is not None and around.web is not None:  # step 1 of the decision comes before step 2
                return around
        here.within = running_here()
        self._token = served_here.set(here)
        return here

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            served_here.reset(self._token)


def served() -> Served | None:
    """Answer what is served in this context, or None; what runs in it as a process hides it."""
    found = served_here.get()
    return found if isinstance(found, Served) and found.within is running_here() else None


def in_web() -> bool:
    """Whether a request of the web has caused what is running, and runs in its session: there privileges filter."""
    here = served()
    if here is not None:
        return here.web is not None
    run = current_run()
    return run is not None and run.web


def _place() -> Place | None:
    """Answer where code of the web runs here; None for all other code."""
    here = served()
    if here is not None:
        return Place(here.scope, here.session, here) if here.web is not None else None
    run = current_run()
    return Place(run.scope, run.session, None) if run is not None and run.web else None


place.answer = _place


def session() -> Session:
    """Answer the session of what is running.

    Returns:
        In a request of the web its session, None where the web server keeps none. In a procedure or hook the one
        stored-procedure session; in a server method that of its caller. Outside, in client programs, None: code that
        may run there tests `if not session()`. The annotation leaves None out, so that code that is surely inside stays
        plain.

    Raises:
        NotConnected: ONS-1005, outside, and this program has no server.

    Example:
        >>> from onserver import session
        >>> session() is None  # in a client program
        True

    4D: `Session`.
    """
    here = served()
    if here is not None:
        return here.session  # type: ignore[return-value]  # None: see above
    run = current_run()
    return outside() if run is None else run.session  # type: ignore[return-value]  # as above
