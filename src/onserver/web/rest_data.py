"""Data by REST: what a request for a class of data is answered with, in a thread, in the session of the request.

    GET  Company?$filter=…           a page of them          POST Company?$method=update      make and change
    GET  Company(7)                  one of them             POST Company(7)?$method=delete   drop; what `$filter` says,
    GET  …?$method=entityset         and keep them as a set                                   and a set, as well
    GET  Company/$entityset/ID       a page of a set         GET  …/$entityset/ID?$method=release   let a set go

Everything that one request changes is changed in one transaction. A request that drops has to say what: all of a class
is dropped by a filter that fits all.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass as plain
from itertools import islice
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session as Data
from sqlalchemy.orm.exc import StaleDataError

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.data.copies import entities_of, found, key_values
from onserver.data.values import BadValue, key_text
from onserver.server import Server
from onserver.session.entity_sets import MOST_ENTITIES, EntitySets, TooManySets
from onserver.session.session import Session
from onserver.web.bodies import BadBody
from onserver.web.rest_changes import Changing
from onserver.web.rest_entities import Telling, expands
from onserver.web.rest_path import RestPath
from onserver.web.rest_query import TOP, Query
from onserver.web.rest_select import Classes, Selecting

_GONE: Final = "There is no such set of entities: it was released, or its time is over."


class Store(Protocol):
    """A database."""

    def of(self, model: type[Any]) -> DataClass:
        """Answer the class of data of a mapped class."""
        ...

    def session(self) -> AbstractContextManager[Data]:
        """Open a session of the database: committed when the block ends, rolled back when it raises."""
        ...


class Source(Protocol):
    """Where data comes from."""

    def dataclasses(self) -> Sequence[DataClass]:
        """Answer the classes of data that those outside may ask for."""
        ...

    def named(self, name: str) -> tuple[Store, DataClass] | None:
        """Answer the class of data of a name, and its database; None where there is none."""
        ...


@plain(frozen=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        path: what it names.
        query: what it says behind its `?`.
        method: of HTTP.
        body: as it came.
        root: where the web server is mounted.
    """

    path: RestPath
    query: Query
    method: str
    body: bytes = b""
    root: str = ""


def catalog(source: Source) -> list[dict[str, str]]:
    """Answer what `$catalog` tells of the classes of data."""
    return [
        {"name": one.name, "uri": f"/rest/$catalog/{one.name}", "dataURI": f"/rest/{one.name}"}
        for one in source.dataclasses()
    ]


def describe(server: Server, source: Source, mine: Session | None, name: str) -> dict[str, Any]:
    """Answer what `$catalog/NAME` tells of a class of data: the attributes that the session may read.

    Raises:
        BadBody: 404, there is none of this name.
    """
    _, dataclass = _named(source, name)
    return dataclass.described(Access(server, mine).readable(dataclass))


def answer(server: Server, source: Source, mine: Session | None, asked: Asked) -> Any:
    """Answer a request for data.

    Args:
        server: the loaded project.
        source: where the data is.
        mine: the session of the request; None where the web server keeps none.
        asked: the request.

    Raises:
        BadBody: it cannot be answered, with the status that says how.
        PrivilegeDenied: ONS-4103.
    """
    with _one(server, source, mine, asked) as one:
        return one.answer()


def keys(server: Server, source: Source, mine: Session | None, asked: Asked) -> list[str]:
    """Answer the keys of the entities that a request means, in their order; arguments and errors as of `answer`."""
    with _one(server, source, mine, asked) as one:
        return one.keys()


@contextmanager
def _one(server: Server, source: Source, mine: Session | None, asked: Asked) -> Generator[_One]:
    store, dataclass = _named(source, asked.path.names[0])
    access = Access(server, mine)
    sets = None if mine is None else mine.entity_sets(server.settings.web.answer_seconds)
    try:
        with store.session() as data:
            yield _One(data, store.of, access, dataclass, asked, sets, mine)
    except (IntegrityError, StaleDataError) as error:
        raise BadBody(409, "The database refused it: it does not fit what is there.") from error
    except BadValue as error:
        raise BadBody(400, f"{error}.") from error
    except StatementError as error:
        if isinstance(error, DBAPIError) and not isinstance(error, DataError):
            raise  # of the database, and not of what was sent
        raise BadBody(400, "The database refused a value.") from error


class _One:
    """Answers one request. Its arguments are those of `answer`, and what that has opened."""

    def __init__(
        self,
        data: Data,
        classes: Classes,
        access: Access,
        dataclass: DataClass,
        asked: Asked,
        sets: EntitySets | None,
        mine: Session | None,
    ) -> None:
        self._data, self._access, self._dataclass, self._asked = data, access, dataclass, asked
        self._sets, self._mine = sets, mine
        self._query = asked.query
        self._selecting = Selecting(classes, access)
        self._telling = Telling(data, classes, access, asked.root)
        self._changing = Changing(data, classes, access)

    def answer(self) -> Any:
        path, method = self._asked.path, self._query.method
        if method == "release":
            return self._release()
        if method in {"update", "delete"}:
            _require_post(self._asked)
            return self._update() if method == "update" else self._delete()
        if self._asked.method not in {"GET", "HEAD"} or len(path.names) > 2:
            raise BadBody(404, f"`{self._dataclass.name}` has no such function.")
        if path.key is not None:
            return self._telling.one(self._dataclass, self._entity(path.key), self._query)
        self._access.require("read", self._dataclass.resource)
        return self._page()

    def keys(self) -> list[str]:
        self._access.require("read", self._dataclass.resource)
        return list(self._keys())

    # -- reading

    def _page(self) -> dict[str, Any]:
        query = self._query
        top = min(query.top, TOP) if expands(query) else query.top
        keys = self._keys() if self._asked.path.entity_set or query.method == "entityset" else None
        if keys is None:
            chosen = self._selecting.statement(self._dataclass, query)
            count = self._data.scalar(sa.select(sa.func.count()).select_from(chosen.order_by(None).subquery())) or 0
            entities = self._data.scalars(chosen.offset(query.skip).limit(top)).all()
            return self._telling.page(self._dataclass, entities, query, count)
        made = self._make(keys) if query.method == "entityset" else self._place(self._asked.path.entity_set or "")
        entities = entities_of(self._data, self._dataclass, keys[query.skip : query.skip + top])
        return {"__ENTITYSET": made, **self._telling.page(self._dataclass, entities, query, len(keys))}

    def _entity(self, key: str) -> Any:
        entity = found(self._data, self._dataclass, key)
        if entity is None:
            raise BadBody(404, f"There is no `{self._dataclass.name}` of this key.")
        return entity

    def _keys(self) -> Sequence[str]:
        """Answer the keys of the entities that are asked for, in their order."""
        kept = self._kept()
        if kept is not None and self._query.filter is None and not self._query.order:
            return kept
        columns = [getattr(self._dataclass.model, name) for name in self._dataclass.key]
        chosen = self._selecting.statement(self._dataclass, self._query).with_only_columns(*columns)
        texts = (key_text(row) for row in self._data.execute(chosen))
        if kept is None:
            keys = list(islice(texts, MOST_ENTITIES + 1))
            if len(keys) > MOST_ENTITIES:
                raise BadBody(413, f"A set has {MOST_ENTITIES:,} entities at most: say `$filter`.")
            return keys
        if self._query.order:
            inside = set(kept)
            return [text for text in texts if text in inside]
        fitting = set(texts)
        return [text for text in kept if text in fitting]

    # -- sets

    def _kept(self) -> Sequence[str] | None:
        identity = self._asked.path.entity_set
        if identity is None:
            return None
        kept = None if self._sets is None else self._sets.keys(self._dataclass.name, identity)
        if kept is None:
            raise BadBody(404, _GONE)
        return kept

    def _make(self, keys: Sequence[str]) -> str:
        if self._sets is None or self._mine is None:
            raise BadBody(400, "This web server keeps no sessions, which sets of entities are of.")
        quotas, query = self._mine.quotas, self._query
        most = quotas.nb_entity_sets
        try:
            made = self._sets.make(
                self._dataclass.name, keys, ordered=bool(query.order), timeout=quotas.timeout_of_set(query.timeout),
                most=most,
            )  # fmt: skip
        except TooManySets as error:
            raise BadBody(429, f"This session has {most} entity sets, as many as it may: release one.") from error
        return self._place(made.id)

    def _place(self, identity: str) -> str:
        return self._telling.uri(self._dataclass, rest=f"/$entityset/{identity}")

    def _release(self) -> dict[str, bool]:
        identity = self._asked.path.entity_set
        if identity is None:
            raise BadBody(400, "`$method=release` is for a set of entities.")
        if self._sets is None or not self._sets.release(self._dataclass.name, identity):
            raise BadBody(404, _GONE)
        return {"ok": True}

    # -- changes

    def _update(self) -> Any:
        if self._asked.path.key is not None or self._asked.path.entity_set is not None:
            raise BadBody(400, "`$method=update` is for the class: what is changed, the body says by its `__KEY`.")
        try:
            sent = msgspec.json.decode(self._asked.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadBody(400, f"The body is no JSON: {error}.") from error
        saved = self._changing.save(self._dataclass, sent)
        told = [{**self._telling.one(self._dataclass, one, Query()), "uri": self._uri(one)} for one in saved]
        return told if isinstance(sent, list) else told[0]

    def _delete(self) -> dict[str, bool]:
        path = self._asked.path
        if path.key is not None:
            entities = [self._entity(path.key)]
        elif path.entity_set is None and self._query.filter is None:
            raise BadBody(400, "Say what is to be dropped: a key, a set, or `$filter`.")
        else:
            entities = entities_of(self._data, self._dataclass, self._keys())
        self._changing.drop(self._dataclass, entities)
        return {"ok": True}

    def _uri(self, entity: Any) -> str:
        return self._telling.uri(self._dataclass, key_text(key_values(self._dataclass, entity)))


def _named(source: Source, name: str) -> tuple[Store, DataClass]:
    found = source.named(name)
    if found is None:
        raise BadBody(404, "There is no class of data of this name.")
    return found


def _require_post(asked: Asked) -> None:
    if asked.method != "POST":
        raise BadBody(405, f"`$method={asked.query.method}` takes POST.")
