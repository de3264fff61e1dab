"""`@published`: a function of a session singleton that is called from outside, by REST or by a remote client.

    class Basket(SessionSingleton):
        @published
        @shared
        def add(self, line: str) -> int: …

It is a server method as any other, of the name `Basket.add`, in the session of whoever calls: it runs in a worker, and
does there what `Basket.me.add(…)` does. To `roles.json` it is a `singletonMethod`. It has no URL of its own but that of
REST, `/rest/$singleton/Basket/add`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from onserver.errors import BadDeclaration
from onserver.process.declare import require_declarable
from onserver.process.server_method import AsyncServerMethod, ServerMethod
from onserver.registry import PROCEDURE, declare
from onserver.session.roles_resources import Resource
from onserver.session.singletons import SessionSingleton, name_of_singleton

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class SingletonMethod(ServerMethod[P, R_co]):
    """A function of a session singleton, as those outside call it. Made by `@published`.

    Attributes:
        singleton: the name of its class.
        function_name: its own.
    """

    def __init__(self, function: Callable[..., Any], *, singleton: str, **options: Any) -> None:
        self.singleton, self.function_name = singleton, function.__name__
        name = f"{singleton}.{function.__name__}"
        self.resource = Resource("singletonMethod", name)
        super().__init__(function, name=name, **options)


class AsyncSingletonMethod(SingletonMethod[P, R_co], AsyncServerMethod[P, R_co]):
    """One that is `async def`."""


class Options(TypedDict, total=False):
    """The options of `@published`, each of which `published` describes."""

    requires: str | Sequence[str]
    queue: str
    priority: int
    timeout: float
    rerun: bool
    redact: bool


_NAMES: Final = tuple(Options.__annotations__)


@overload
def published(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def published(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def published(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Open a function of a session singleton to those outside: to REST, and to remote clients.

    Args:
        function: the function, where the decorator has no arguments; plain or `async def`, `shared` or not.
        options: these:
        requires: a privilege that whoever calls it has to have, or several, all of which.
        queue: where its calls wait for a worker.
        priority: of its calls, 0 to 9; 9 goes first.
        timeout: seconds that one run may take, 0 for no limit.
        rerun: whether it runs again when its worker died.
        redact: show its arguments nowhere.

    Raises:
        BadDeclaration: ONS-1009, it is no function of a session singleton, or has something that cannot be kept.

    Example:
        >>> class Wishes(SessionSingleton):
        ...     wishes = ()
        ...
        ...     @published
        ...     @shared
        ...     def wish(self, text: str) -> int:
        ...         self.wishes = [*self.wishes, text]
        ...         return len(self.wishes)
        >>> Wishes.of(Server.current().session()).wish("snow")
        1

    4D: `exposed` before a function of a singleton.
    """
    return functools.partial(_Published, options=options) if function is None else _Published(function, options)


class _Published:
    """Stands in the body of a class for a function of it, until the class is made.

    Args:
        function: the function.
        options: those of its server method.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        require_declarable(function, options, _NAMES)
        self._function = function
        self._options = options

    def __set_name__(self, owner: type, name: str) -> None:
        if not issubclass(owner, SessionSingleton) or name.startswith("_"):
            problem = "is published, and is no public function of a session singleton"
            raise BadDeclaration(f"{owner.__qualname__}.{name}", problem, "Publish a server method, by its option.")
        setattr(owner, name, self._function)  # before the class wraps its functions
        function = _function_of(owner, self._function)
        asynchronous = inspect.iscoroutinefunction(self._function)
        kind = AsyncSingletonMethod if asynchronous else SingletonMethod
        declare(PROCEDURE, cast("Any", kind)(function, singleton=name_of_singleton(owner), **self._options))


def _function_of(owner: type[SessionSingleton], function: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function that calls it, of the singleton of the session in which it runs."""
    signature = inspect.signature(function)
    name = function.__name__
    if inspect.iscoroutinefunction(function):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await getattr(owner.me, name)(*args, **kwargs)

        made: Callable[..., Any] = awaited
    else:

        def called(*args: Any, **kwargs: Any) -> Any:
            return getattr(owner.me, name)(*args, **kwargs)

        made = called
    functools.update_wrapper(made, function)
    made.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    return made
