"""`@data_function`: functions of classes of data, which run on the server, whoever calls them.

    class Album(Base):
        @data_function(published=True)
        def margin(self) -> Decimal: …                               of an entity

        @data_function(published=True)
        @classmethod
        def cheap(cls, most: Decimal) -> list[Album]: …              of the class

        @data_function(on="selection")
        @classmethod
        def total(cls, albums: Sequence[Album]) -> Decimal: …        of some of its entities

        @local
        def title(self) -> str: …                                    runs where it is called, as any function

Called on the server they run in place. Called by a remote client they run in a worker, in the client's session: what
goes there is the key of the entity, what comes back is a copy. By REST, what is `published` runs in a worker in the
session of the web. To `roles.json` each is the method `Album.margin`.

A function runs inside `datastore.session()`: what it changes is saved when it returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypedDict, TypeVar, Unpack, cast, overload

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, object_session

from onserver.data.classes import DataClass
from onserver.data.copies import copied, entities_of, entity_of, key_values, revived, sent, taken
from onserver.data.datastore import Datastore, Datastores
from onserver.data.values import key_text
from onserver.data.watching import dataclass_of, shown
from onserver.errors import BadDeclaration
from onserver.process.afar import far
from onserver.process.declare import require_declarable
from onserver.process.server_method import ServerMethod, in_place
from onserver.registry import PROCEDURE, declare
from onserver.server import Server
from onserver.session.context import in_web
from onserver.session.roles_resources import Resource

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

On: TypeAlias = Literal["entity", "class", "selection"]
_ONS: Final = ("entity", "class", "selection")
_LOCAL: Final = "__onserver_local__"


class DataMethod(ServerMethod[P, R_co]):
    """A function of a class of data, as those outside call it. Made by `@data_function`.

    Attributes:
        dataclass: the name of its class.
        on: of what it is a function.
        function_name: its own name.
        exposed: whether REST may call it.
    """

    def __init__(
        self, function: Callable[..., Any], *, dataclass: str, name: str, on: On, exposed: bool, **options: Any
    ) -> None:
        self.dataclass, self.on, self.exposed = dataclass, on, exposed
        self.function_name = name
        super().__init__(function, name=f"{dataclass}.{name}", **options)


class Options(TypedDict, total=False):
    """The options of `@data_function`, each of which `data_function` describes."""

    on: On
    published: bool
    requires: str | Sequence[str]
    queue: str
    priority: int
    timeout: float
    rerun: bool
    redact: bool


_NAMES: Final = tuple(Options.__annotations__)


@overload
def data_function(function: F, /) -> F: ...
@overload
def data_function(**options: Unpack[Options]) -> Callable[[F], F]: ...
def data_function(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Let a function of a class of data run on the server, in the session of whoever calls it.

    Args:
        function: the function, where the decorator has no arguments; one of the class is a `classmethod`.
        options: these:
        on: of what it is a function: `entity`, as plain functions are, `class`, as class methods are, or `selection`:
            a class method whose first argument is a list of entities.
        published: open it to REST.
        requires: a privilege that whoever calls it has to have, or several, all of which.
        queue: where its calls wait for a worker.
        priority: of its calls, 0 to 9; 9 goes first.
        timeout: seconds that one run may take, 0 for no limit.
        rerun: whether it runs again when its worker died.
        redact: show its arguments nowhere.

    Raises:
        BadDeclaration: ONS-1009, it is `async def`, or has something that cannot be kept.

    4D: a function of a data model class (specification 5.2), `exposed` where it is published.
    """
    return functools.partial(_Declared, options=options) if function is None else _Declared(function, options)


def local(function: F) -> F:
    """Let a function of a class of data run where it is called, in a remote client too; `session()` is the client's.

    4D: the keyword `local`.
    """
    setattr(function, _LOCAL, True)
    return function


class _Declared:
    """Stands in the body of a class for a function of it, until the class is made.

    Args:
        function: the function.
        options: those of the decorator.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        of_class = isinstance(function, classmethod)
        function = cast("Any", function).__func__ if of_class else function
        require_declarable(function, options, _NAMES)
        self._function = function
        self._options = dict(options)
        self._on: On = self._options.pop("on", "class" if of_class else "entity")
        self._exposed = bool(self._options.pop("published", False))
        if inspect.iscoroutinefunction(function):
            raise BadDeclaration(function.__qualname__, "is a coroutine", "Sessions of SQLAlchemy block: use def.")
        if self._on not in _ONS or of_class != (self._on != "entity"):
            problem = f"has on={self._on!r}, and is {'a' if of_class else 'no'} class method"
            raise BadDeclaration(function.__qualname__, problem, "`class` and `selection` are for class methods.")

    def __set_name__(self, owner: type[Any], name: str) -> None:
        run = _Run(owner, self._function, self._on)
        method: DataMethod[..., Any] = DataMethod(
            run.far_side(), dataclass=owner.__name__, name=name, on=self._on, exposed=self._exposed, **self._options
        )
        declare(PROCEDURE, method)
        called = run.near_side(method)
        setattr(owner, name, called if self._on == "entity" else classmethod(called))


class _Run:
    """Both sides of a function: where it is called, and where it runs for somebody far away.

    Args:
        owner: its class.
        function: the function.
        on: of what it is one.
    """

    def __init__(self, owner: type[Any], function: Callable[..., Any], on: On) -> None:
        self._owner = owner
        self._function = function
        self._on = on

    def near_side(self, method: DataMethod[..., Any]) -> Callable[..., Any]:
        """Make what stands in the class."""
        function, on = self._function, self._on

        @functools.wraps(function)
        def called(this: Any, *args: Any, **kwargs: Any) -> Any:
            there = far()
            if there is None:
                those = [this] if on == "entity" else args[0] if on == "selection" and args else ()
                session = self._session(this if on == "entity" else None)
                with shown(_promoted(method, those), in_place(method)), session:
                    return function(this, *args, **kwargs)
            known = _Known(self._owner)
            given = [sent(one, known.of) for one in args]
            if on == "entity":
                given.insert(0, key_text(key_values(known.one, this)))
            elif on == "selection" and args:
                given[0] = [key_text(key_values(known.one, entity)) for entity in args[0]]
            answer = there.call(method.name, given, {name: sent(one, known.of) for name, one in kwargs.items()})
            return revived(answer, known.named)

        return called

    def far_side(self) -> Callable[..., Any]:
        """Make what the worker runs: its first argument is the key of the entity, or are the keys of the selection."""
        function, on = self._function, self._on

        def run(*args: Any, **kwargs: Any) -> Any:
            store = _store_of(self._owner)
            dataclass = store.of(self._owner)
            named = _named(store)
            with store.session() as data:
                this: Any = self._owner
                if on == "entity":
                    this, args = entity_of(data, dataclass, args[0]), args[1:]
                elif on == "selection":
                    args = (entities_of(data, dataclass, _texts(args[0])), *args[1:])
                given = [one if on == "selection" and not n else taken(one, data, named) for n, one in enumerate(args)]
                answer = function(this, *given, **{name: taken(one, data, named) for name, one in kwargs.items()})
                data.flush()
                return copied(answer, dataclass_of)

        functools.update_wrapper(run, function)
        run.__signature__ = self._signature()  # type: ignore[attr-defined]
        return run

    def _signature(self) -> inspect.Signature:
        """Answer its parameters as those far away give them."""
        signature = inspect.signature(self._function)
        first, *rest = signature.parameters.values()
        if self._on == "entity":
            rest = [first.replace(name="key", annotation=str, kind=first.POSITIONAL_ONLY), *rest]
        return signature.replace(parameters=rest)

    def _session(self, entity: Any) -> Any:
        """Answer the session in which it runs in place: that of the entity, where it is in one."""
        store = _store_of(self._owner)
        return store.joined(None if entity is None else object_session(entity))


class _Known:
    """The classes of data that a remote client's program knows: those beside the class whose function is called.

    Args:
        owner: that class.
    """

    def __init__(self, owner: type[Any]) -> None:
        mapper: Mapper[Any] = sa.inspect(owner)
        models: list[type[Any]] = [one.class_ for one in mapper.registry.mappers]
        self._classes = {model: DataClass(model, models) for model in models}
        self.one = self._classes[owner]

    def of(self, model: type[Any]) -> DataClass | None:
        """Answer the class of data of a mapped class."""
        return self._classes.get(model)

    def named(self, name: str) -> DataClass | None:
        """Answer the class of data of a name."""
        return next((one for one in self._classes.values() if one.name == name), None)


def data_methods(server: Server) -> Mapping[tuple[str, str], DataMethod[..., Any]]:
    """Answer the published functions of classes of data, by class and name."""
    found = [cast("DataMethod[..., Any]", one) for one in server.registry.all() if isinstance(one, DataMethod)]
    return {(one.dataclass, one.function_name): one for one in found if one.exposed}


def _promoted(method: DataMethod[..., Any], entities: Sequence[Any]) -> Sequence[Any]:
    """Answer the entities of which a function may read more than its caller: those it is given, if it is promoted."""
    if not entities or not in_web():
        return ()
    return entities if Server.current().require_roles().promotes(Resource("method", method.name)) else ()


def _store_of(owner: type[Any]) -> Datastore:
    store = Server.current().part(Datastores).find(owner)
    if store is None:
        problem = "has functions, and is of no datastore"
        raise BadDeclaration(owner.__name__, problem, "Name the class in `@datastore(…)`.")
    return store


def _named(store: Datastore) -> Callable[[str], DataClass | None]:
    return lambda name: next((one for one in store.dataclasses() if one.name == name), None)


def _texts(keys: Any) -> list[str]:
    return [str(key) for key in cast("Sequence[Any]", keys)]
