"""`@server_method`: a function that belongs to the server, and is called like any other.

    called by code that runs on the server   in place, in the session of that code
    by the web, where it is published        in a worker, in the session of the web that asks, which waits: the URLs
                                             `/action/NAME` and `/4DACTION/NAME`, a tag of a page, REST
    in a program that is a remote client     in a worker, in the session and the twin of the client, which waits
    by `execute_on_server`                   in a worker, as any procedure, in the one stored-procedure session

The session of its caller is not sent: the record says that it runs there (letter `S`), and the worker takes the session
that the signature names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, cast, overload

from onserver.process.afar import far
from onserver.process.authority import require_in_place
from onserver.process.declare import require_declarable, require_free_name
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.process.procedure import AsyncProcedure, Procedure
from onserver.process.put import Order
from onserver.process.rules import Rules
from onserver.registry import PROCEDURE, declare
from onserver.server import Server
from onserver.session.context import in_web
from onserver.session.promotions import promoting
from onserver.session.roles_resources import Resource

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class ServerMethod(Procedure[P, R_co]):
    """A function of the server. Made by `@server_method`; calling it runs it in place.

    Example:
        >>> @server_method(published=True)
        ... def whoami() -> str:
        ...     return session().user_name
        >>> whoami.published
        True
    """

    def __init__(
        self, function: Callable[..., Any], *, answers: str = "", timeout: float = 0.0, **options: Any
    ) -> None:
        super().__init__(function, rules=Rules(timeout=timeout), **options)
        #: The content type of its text on the web.
        self.answers = answers

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now. In a request of the web its session needs what the method `requires`.

        In a program that is connected as a remote client it runs on the server, and this waits for it.

        Raises:
            PrivilegeDenied: ONS-4103.
        """
        there = far()
        if there is not None:
            answer: R_co = there.call(self.name, args, kwargs)
            return answer
        with in_place(self):
            return super().__call__(*args, **kwargs)

    @functools.cached_property
    def call_order(self) -> Order:
        """What is put for a call: it runs in the session of its caller."""
        return replace(self.order, flags=self.order.flags + IN_CALLERS_SESSION)


class AsyncServerMethod(ServerMethod[P, R_co], AsyncProcedure[P, R_co]):
    """A function of the server that is `async def`. Calling it answers the coroutine."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:  # type: ignore[override]
        """Answer the coroutine of the function, to be awaited here and now; a remote client's runs on the server."""
        there = far()
        return self._awaited(args, kwargs) if there is None else there.acall(self.name, args, kwargs)

    async def _awaited(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R_co:
        with in_place(self):
            result: R_co = await cast("Callable[..., Coroutine[Any, Any, R_co]]", self.function)(*args, **kwargs)
            return result


@contextmanager
def in_place(method: Procedure[..., Any]) -> Generator[None]:
    """One call in place: what the web may not, is refused, and `roles.json` may promote what is called.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    if not in_web():
        yield
        return
    require_here(method)
    with promoting(Server.current().require_roles().promotes(method.resource or Resource("method", method.name))):
        yield


def require_here(method: Procedure[..., Any]) -> None:
    """Refuse what the session that is served here may not call, by its privileges as they are now.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    require_in_place(Server.current(), method.name, method.requires, method.resource)


class Options(TypedDict, total=False):
    """The options of `@server_method`, each of which `server_method` describes."""

    name: str | None
    aliases: Sequence[str]
    published: bool
    answers: str
    requires: str | Sequence[str]
    queue: str
    priority: int
    timeout: float
    rerun: bool
    redact: bool


_NAMES: Final = tuple(Options.__annotations__)


class Declaring(Protocol):
    """What `@server_method(…)` answers: the decorator itself."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncServerMethod[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> ServerMethod[P, R]: ...


@overload
def server_method(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncServerMethod[P, R]: ...
@overload
def server_method(function: Callable[P, R], /) -> ServerMethod[P, R]: ...
@overload
def server_method(**options: Unpack[Options]) -> Declaring: ...
def server_method(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Let a function belong to the server: whoever calls it from outside waits while it runs there, in their session.

    Args:
        function: the function, where the decorator has no arguments; plain or `async def`.
        options: these:
        name: its name; by default the module below `tasks` and the function's own, as in `shop.total`.
        aliases: earlier names.
        published: open it to the web, by `/action/NAME` and `/4DACTION/NAME`, the tag 4DSCRIPT and REST. What is not
            published is not there, as far as the web can see.
        answers: content type of the text that it returns to the web, as in `text/html`; `text/plain` by default.
        requires: a privilege that whoever calls it has to have, or several, all of which.
        queue: where its calls wait for a worker.
        priority: of its calls, 0 to 9; 9 goes first.
        timeout: seconds that one run may take, 0 for no limit.
        rerun: whether it runs again when its worker died.
        redact: show its arguments nowhere.

    Raises:
        BadDeclaration: ONS-1009, something that cannot be kept: a generator, an unknown option or value.

    Example:
        >>> @server_method(published=True, name="action_Session")
        ... def action_session() -> str:
        ...     return f"4DACTION --> Session is {session().user_name}"

    4D: a method with the attributes *Execute on server* and, published, *Available through 4D tags and URLs*.
    """
    return functools.partial(_declared, options=options) if function is None else _declared(function, options)


def _declared(function: Callable[..., Any], options: Mapping[str, Any]) -> ServerMethod[..., Any]:
    require_declarable(function, options, _NAMES)
    made: ServerMethod[..., Any]
    if inspect.iscoroutinefunction(function):
        made = cast("ServerMethod[..., Any]", AsyncServerMethod(function, **options))
    else:
        made = cast("ServerMethod[..., Any]", ServerMethod(function, **options))
    require_free_name(made)
    declare(PROCEDURE, made)
    return made
