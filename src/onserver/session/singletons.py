"""Session singletons: one object of a class for each session, which all that runs in the session has in common.

    class Basket(SessionSingleton):
        lines: list[str]

        def __init__(self) -> None:
            self.lines = []

        @shared
        def add(self, line: str) -> int:
            self.lines.append(line)
            return len(self.lines)

    Basket.me.add("chair")

`Basket.me` is the one of the session that `session()` answers. Its attributes are kept as one entry of the session's
storage, so every process and request of the session sees them, on whatever machine, and they end with it. What can be
an attribute is what the storage takes; those whose names begin with `_` are not kept, and so are refused.

Reading needs no lock. Attributes are changed in functions that are `shared`, or inside `with Basket.me.use()`; both are
blocks of the storage, so all of what they change is kept, or nothing. The first of them, or the first who reads,
makes the object: `__init__` is run in that block, without arguments, once for each session.

In requests of the web the permissions of `roles.json` for `singleton` and `singletonMethod` decide who may call its
functions, and their `promote` holds while they run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, ParamSpec, Self, TypeVar, cast

from onserver.errors import NoSession, NotInUse, PrivilegeDenied
from onserver.session.context import session
from onserver.session.promotions import place, promoting
from onserver.session.roles_resources import Resource
from onserver.session.session import Session

P = ParamSpec("P")
R = TypeVar("R")
SingletonT = TypeVar("SingletonT", bound="SessionSingleton")

_PREFIX: Final = "singleton:"
_STATE: Final = "state"
_SHARED: Final = "__onserver_shared__"

#: The attributes that may be changed here: of which session and entry, and the entry as its block has it.
_in_use: ContextVar[Mapping[tuple[str, str], dict[str, Any]]] = ContextVar("onserver_singletons")


def shared(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of a session singleton change its attributes: it runs in a block of the storage.

    Example:
        >>> class Counted(SessionSingleton):
        ...     number = 0
        ...
        ...     @shared
        ...     def up(self) -> None:
        ...         self.number += 1
        >>> counted = Counted.of(Server.current().session())
        >>> counted.up()
        >>> counted.number
        1

    4D: `shared Function`.
    """
    setattr(function, _SHARED, True)
    return function


class SingletonType(type):
    """The type of session singletons: it gives each of them its `me`."""

    @property
    def me(cls: type[SingletonT]) -> SingletonT:  # type: ignore[misc]  # a metaclass' property
        """The one of the session in which this runs.

        Raises:
            NoSession: ONS-4109, no session is here, as in a client program.
        """
        here = cast("Session | None", session())
        if here is None:
            raise NoSession(cls.__qualname__)
        return cls.of(here)


class SessionSingleton(metaclass=SingletonType):
    """Base of session singletons; see the top of this module.

    Example:
        >>> class Visits(SessionSingleton):
        ...     count = 0
        ...
        ...     @shared
        ...     def note(self) -> int:
        ...         self.count += 1
        ...         return self.count
        >>> visits = Visits.of(Server.current().session())  # in a procedure or a request: Visits.me
        >>> visits.note(), visits.note(), visits.count
        (1, 2, 2)

    4D: `session shared singleton`, of which `cs.Visits.me` is the instance.
    """

    _session: Session
    _entry = ""
    _resource = Resource("singleton", "")
    _defaults: Mapping[str, Any] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = name_of_singleton(cls)
        cls._entry, cls._resource = _PREFIX + name, Resource("singleton", name)
        cls._defaults = dict(cls._defaults)
        for key, value in list(vars(cls).items()):
            if key.startswith("_"):
                continue
            if inspect.isfunction(value):
                setattr(cls, key, _called(value))
            elif not hasattr(value, "__get__"):  # what every new one begins with
                cls._defaults[key] = value
                delattr(cls, key)

    @classmethod
    def of(cls, session: Session) -> Self:
        """The one of a session; in it `Basket.me` is the same."""
        made = object.__new__(cls)
        object.__setattr__(made, "_session", session)
        return made

    @contextmanager
    def use(self, timeout: float | None = None) -> Generator[Self]:
        """Change its attributes inside; all of it is kept when the block ends, or nothing.

        Args:
            timeout: seconds to wait while others change it; None for as long as it takes.

        Raises:
            LockTimeout: ONS-3101, and whatever `Storage.use` raises.
        """
        with self._session.storage.use(self._entry, timeout=timeout) as entry, _Open(self, entry):
            yield self

    @asynccontextmanager
    async def ause(self, timeout: float | None = None) -> AsyncGenerator[Self]:  # noqa: ASYNC109  # as `use`
        """The same as `use`, for `async with`."""
        async with self._session.storage.use(self._entry, timeout=timeout) as entry:
            with _Open(self, entry):
                yield self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._kept()
        if found is None:
            with self.use():  # makes it
                pass
            found = self._kept() or {}
        try:
            return found[name]
        except KeyError:
            raise AttributeError(f"{type(self).__qualname__} has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self._changing(name)[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._changing(name)[name]
        except KeyError:
            raise AttributeError(name) from None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and cast("Self", other)._session.id == self._session.id

    def __hash__(self) -> int:
        return hash((type(self), self._session.id))

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} of session {self._session.id}>"

    def _key(self) -> tuple[str, str]:
        return self._session.id, self._entry

    def _block(self) -> dict[str, Any] | None:
        """Answer its entry, where it may be changed here."""
        blocks = _in_use.get({})
        return blocks.get(self._key()) if blocks else None

    def _kept(self) -> Mapping[str, Any] | None:
        entry = self._block() or self._session.storage.get(self._entry)
        return None if entry is None else entry[_STATE]

    def _changing(self, name: str) -> dict[str, Any]:
        entry = self._block()
        if entry is None or name.startswith("_"):
            raise NotInUse
        return cast("dict[str, Any]", entry[_STATE])


class _Open:
    """A block in which one object may be changed; makes it where there is none."""

    def __init__(self, singleton: SessionSingleton, entry: dict[str, Any]) -> None:
        self._singleton, self._entry = singleton, entry

    def __enter__(self) -> None:
        key = self._singleton._key()
        self._token = _in_use.set({**_in_use.get({}), key: self._entry})
        if self._entry:
            return
        try:
            self._entry[_STATE] = dict(self._singleton._defaults)
            type(self._singleton).__init__(self._singleton)
        except BaseException:
            _in_use.reset(self._token)
            raise

    def __exit__(self, *_: object) -> None:
        _in_use.reset(self._token)


class _Call(NamedTuple):
    """One call of a function of a singleton."""

    singleton: SessionSingleton
    method: str

    def promoted(self) -> Collection[str]:
        """Answer what the function is promoted to, after refusing who may not call it; only in the web."""
        here, asked = place(), self.singleton._session
        if here is None:
            return ()
        resource = Resource("singletonMethod", f"{self.singleton._resource.name}.{self.method}")
        verdict = asked.may("execute", resource)
        if not verdict:
            record = asked.record
            raise PrivilegeDenied("", record.user, record.roles, (), resource.name, verdict.why)
        return asked.roles.promotes(resource)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a public function of a singleton."""
    changes, method = hasattr(function, _SHARED), function.__name__
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(self: SessionSingleton, *args: Any, **kwargs: Any) -> Any:
            with promoting(_Call(self, method).promoted()):
                if not changes:
                    return await function(self, *args, **kwargs)
                async with self.ause():
                    return await function(self, *args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(self: SessionSingleton, *args: Any, **kwargs: Any) -> Any:
        with promoting(_Call(self, method).promoted()):
            if not changes:
                return function(self, *args, **kwargs)
            with self.use():
                return function(self, *args, **kwargs)

    return called


def name_of_singleton(cls: type) -> str:
    """Answer the name of a class of singletons below `tasks`, as procedures have it."""
    component, below, rest = f".{cls.__module__}".partition(".tasks.")
    module = f"{component}.{rest}" if below else cls.__module__
    name = cls.__qualname__.replace("<locals>.", "")
    return name if cls.__module__ == "tasks" else f"{module.strip('.')}.{name}"
