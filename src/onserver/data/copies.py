"""Entities that go from one program to another: copies, and references by class and key.

    {"__DATACLASS": "Album", "__ENTITY": true, "__KEY": "7", "name": "Alpha", …}

Who gets one as an argument, gets the entity of that key; without a key, a new one with what it says. As a result it is
a copy: of it there is what the session may read. Sets of entities are lists of them; as an argument, the name of a set
that the session has made by REST stands for one: `{"__ENTITIES": true, "__DATASET": ID}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.data.values import converted, key_of, key_text, told
from onserver.errors import EntityNotFound
from onserver.server import Server
from onserver.session.context import in_web, session
from onserver.session.session import Session as OnServerSession

CLASS: Final = "__DATACLASS"
ENTITY: Final = "__ENTITY"
KEY: Final = "__KEY"
_ENTITIES: Final = "__ENTITIES"
_SET: Final = "__DATASET"
_CHUNK: Final = 500


def reference(dataclass: DataClass, entity: Any) -> dict[str, Any]:
    """Answer the reference to an entity."""
    return {CLASS: dataclass.name, ENTITY: True, KEY: key_text(key_values(dataclass, entity))}


def key_values(dataclass: DataClass, entity: Any) -> tuple[Any, ...]:
    """Answer the key of an entity."""
    return tuple(getattr(entity, name) for name in dataclass.key)


def sent(value: Any, of: Callable[[type[Any]], DataClass | None]) -> Any:
    """Answer an argument with a reference in place of each entity."""
    dataclass = of(cast("type[object]", type(value)))
    if dataclass is not None:
        return reference(dataclass, value)
    if isinstance(value, list | tuple):
        return [sent(one, of) for one in cast("Sequence[Any]", value)]
    return value


def copied(value: Any, of: Callable[[type[Any]], DataClass | None]) -> Any:
    """Answer a result with a copy in place of each entity: of what the session that runs here may read."""
    dataclass = of(cast("type[object]", type(value)))
    if dataclass is not None:
        readable = dataclass.attributes
        if in_web():
            readable = Access(Server.current(), cast("Any", session())).readable(dataclass)
        plain = {name: told(getattr(value, name)) for name, one in readable.items() if not one.related}
        return {**reference(dataclass, value), **plain}
    if isinstance(value, list | tuple | set | frozenset):
        return [copied(one, of) for one in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: copied(one, of) for key, one in cast("Mapping[Any, Any]", value).items()}
    return value


def revived(value: Any, of: Callable[[str], DataClass | None]) -> Any:
    """Answer a result with an entity in place of each copy: of no session, as the server had it."""
    if isinstance(value, list):
        return [revived(one, of) for one in cast("Sequence[Any]", value)]
    if not isinstance(value, dict):
        return value
    facts = cast("dict[str, Any]", value)
    dataclass = of(str(facts.get(CLASS))) if facts.get(ENTITY) is True else None
    if dataclass is None:
        return {name: revived(one, of) for name, one in facts.items()}
    entity: Any = dataclass.mapper.class_manager.new_instance()
    for name, one in dataclass.attributes.items():
        if one.kind == "storage" and name in facts:
            set_committed_value(entity, name, converted(dataclass, name, facts[name]))
    make_transient_to_detached(entity)
    return entity


def taken(value: Any, data: Session, named: Callable[[str], DataClass | None]) -> Any:
    """Answer an argument with the entity in place of each reference.

    Raises:
        EntityNotFound: ONS-3110.
        BadValue: what is said of a new entity does not fit.
    """
    if isinstance(value, list):
        return [taken(one, data, named) for one in cast("Sequence[Any]", value)]
    if not isinstance(value, dict):
        return value
    facts = cast("dict[str, Any]", value)
    if facts.get(_ENTITIES) is True and isinstance(facts.get(_SET), str):
        return _of_set(facts[_SET], data, named)
    dataclass = named(str(facts.get(CLASS))) if facts.get(ENTITY) is True else None
    if dataclass is None:
        return facts
    if facts.get(KEY) is not None:
        return entity_of(data, dataclass, facts[KEY])
    stored = {name for name, one in dataclass.attributes.items() if one.kind == "storage"}
    return dataclass.model(**{name: converted(dataclass, name, one) for name, one in facts.items() if name in stored})


def entity_of(data: Session, dataclass: DataClass, key: Any) -> Any:
    """Answer the entity of a key.

    Raises:
        EntityNotFound: ONS-3110.
    """
    entity = found(data, dataclass, key)
    if entity is None:
        raise EntityNotFound(dataclass.name, str(key)[:100])
    return entity


def found(data: Session, dataclass: DataClass, key: Any) -> Any:
    """Answer the entity of a key; None where there is none.

    Args:
        data: the session of the database.
        dataclass: of the entity.
        key: a text, or what JSON has for it.
    """
    text = key if isinstance(key, str) else key_text([key]) if isinstance(key, int | float) else None
    values = None if text is None else key_of(dataclass, text)
    if values is None or any(value is None for value in values):
        return None
    return data.get(dataclass.model, values)


def entities_of(data: Session, dataclass: DataClass, keys: Sequence[str]) -> list[Any]:
    """Answer the entities of these keys in their order, without those that are not there any more."""
    there: dict[str, Any] = {}
    values = [value for value in (key_of(dataclass, key) for key in keys) if value is not None]
    for place in range(0, len(values), _CHUNK):
        within = within_keys(dataclass, values[place : place + _CHUNK])
        for entity in data.scalars(sa.select(dataclass.model).where(within)):
            there[key_text(key_values(dataclass, entity))] = entity
    return [there[key] for key in keys if key in there]


def within_keys(dataclass: DataClass, keys: Sequence[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
    """Make the condition that an entity has one of these keys."""
    columns = [getattr(dataclass.model, name) for name in dataclass.key]
    if len(columns) == 1:
        return cast("sa.ColumnElement[bool]", columns[0].in_([key[0] for key in keys]))
    same = [sa.and_(*(column == part for column, part in zip(columns, key, strict=True))) for key in keys]
    return sa.or_(*same) if same else sa.false()


def _of_set(identity: str, data: Session, named: Callable[[str], DataClass | None]) -> list[Any]:
    here = cast("OnServerSession | None", session())
    if here is None:
        raise EntityNotFound("set of entities", identity[:100])
    sets = here.entity_sets()
    name = next((one.dataclass for one in sets.listed() if one.id == identity), "")
    dataclass = named(name)
    keys = None if dataclass is None else sets.keys(name, identity)
    if dataclass is None or keys is None:
        raise EntityNotFound("set of entities", identity[:100])
    return entities_of(data, dataclass, keys)
