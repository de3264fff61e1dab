"""`@datastore`: a database of the project, and the classes of data in it.

    @datastore(Artist, Album)
    def ds() -> Engine:
        return create_engine("postgresql+psycopg://…")

    with ds.session() as data:
        data.add(Album(name="Alpha"))

The function makes the engine, when a program first asks for it: one in each program, made anew after a fork. A session
is committed when its block ends, and rolled back when it raises; inside one another, blocks are one session.

The classes are known by their names everywhere: to REST, to `roles.json`, to remote clients. So there is one of a name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from onserver.data.classes import DataClass
from onserver.data.watching import DATASTORE, watch
from onserver.errors import BadDeclaration
from onserver.registry import declare, name_below_tasks
from onserver.server import Server

_open: ContextVar[tuple[Datastore, Session] | None] = ContextVar("onserver_data", default=None)


class Datastore:
    """A database and its classes of data. Made by `@datastore`.

    Args:
        function: makes the engine.
        models: the mapped classes.
    """

    aliases: Sequence[str] = ()

    def __init__(self, function: Callable[[], sa.Engine], models: Sequence[type[Any]]) -> None:
        self.function: Callable[..., Any] = function
        self.name = name_below_tasks(function)
        self._classes = {model: DataClass(model, models) for model in models}
        self._guarding = dict(self._classes)
        self._engines: dict[int, sa.Engine] = {}
        self._making = threading.Lock()

    @property
    def engine(self) -> sa.Engine:
        """The engine of this program; made when it is first asked for."""
        found = self._engines.get(os.getpid())
        if found is None:
            with self._making:
                found = self._engines.get(os.getpid())
                if found is None:
                    found = self._engines[os.getpid()] = self.function()
        return found

    def dataclasses(self) -> Sequence[DataClass]:
        """Answer its classes of data, in the order in which they were named."""
        return list(self._classes.values())

    def has(self, model: type[Any]) -> bool:
        """Whether a mapped class is one of its classes."""
        return model in self._classes

    def of(self, model: type[Any]) -> DataClass:
        """Answer the class of data of a mapped class."""
        return self._classes[model]

    def guarding(self, model: type[Any]) -> DataClass | None:
        """Answer the class of data whose permissions hold for a mapped class: its own, or that of its nearest base.

        Args:
            model: the mapped class; one that is derived has the name of that base, and its own attributes besides.
        """
        found = self._guarding.get(model)
        if found is None:
            base = next((one for one in model.__mro__ if one in self._classes), None)
            if base is None:
                return None
            found = self._guarding[model] = DataClass(model, tuple(self._classes), base.__name__)
        return found

    @contextmanager
    def session(self) -> Generator[Session]:
        """Work with its data: committed when the block ends, rolled back when it raises.

        Inside another block of it the same session goes on, and the outermost block commits.
        """
        here = _open.get()
        if here is not None and here[0] is self:
            yield here[1]
            return
        with Session(self.engine) as data, data.begin():
            token = _open.set((self, data))
            try:
                yield data
            finally:
                _open.reset(token)

    @contextmanager
    def joined(self, data: Session | None) -> Generator[Session]:
        """Work in a session that is open already; in one of `session` where there is none."""
        if data is None:
            with self.session() as opened:
                yield opened
            return
        token = _open.set((self, data))
        try:
            yield data
        finally:
            _open.reset(token)

    def close(self) -> None:
        """Let go of the connections of this program."""
        found = self._engines.pop(os.getpid(), None)
        if found is not None:
            found.dispose()

    def describe(self) -> Mapping[str, object]:
        """Answer what other programs may know of it."""
        return {"classes": [one.name for one in self._classes.values()]}

    def __repr__(self) -> str:
        return f"<Datastore {self.name} of {', '.join(one.name for one in self._classes.values())}>"


def datastore(*models: type[Any]) -> Callable[[Callable[[], sa.Engine]], Datastore]:
    """Let a function make the engine of a database whose classes REST, remote clients and `roles.json` know.

    Args:
        models: the mapped classes of SQLAlchemy.

    Raises:
        BadDeclaration: ONS-1009, one of them is not mapped, or two have one name.

    4D: the datastore `ds`, and its dataclasses.
    """

    def declared(function: Callable[[], sa.Engine]) -> Datastore:
        names = [model.__name__ for model in models]
        for model in models:
            if sa.inspect(model, raiseerr=False) is None:
                problem = f"has `{getattr(model, '__name__', model)}`, which is no class that SQLAlchemy maps"
                raise BadDeclaration(function.__name__, problem, "Derive it from your `DeclarativeBase`.")
            if names.count(model.__name__) > 1:
                problem = f"has two classes of the name `{model.__name__}`"
                raise BadDeclaration(function.__name__, problem, "Give them different names.")
        made = Datastore(function, models)
        watch()
        declare(DATASTORE, cast("Any", made))
        return made

    return declared


class Datastores:
    """All datastores of a server, as one. Made by `server.part(Datastores)`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def all(self) -> Sequence[Datastore]:
        """Answer those that are declared by now."""
        return cast("Sequence[Datastore]", self._server.registry.all(DATASTORE))

    def dataclasses(self) -> Sequence[DataClass]:
        """Answer the classes of data of all of them."""
        return [one for store in self.all() for one in store.dataclasses()]

    def find(self, model: type[Any]) -> Datastore | None:
        """Answer the datastore of a mapped class; None where it is of none."""
        return next((store for store in self.all() if store.has(model)), None)

    def named(self, name: str) -> tuple[Datastore, DataClass] | None:
        """Answer the class of data of a name, and its datastore; None where there is none."""
        found = ((store, one) for store in self.all() for one in store.dataclasses() if one.name == name)
        return next(found, None)
