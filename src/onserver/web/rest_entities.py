"""Entities as REST tells them: what the session may read of them, and no more.

    {"__entityModel": "Company", "__KEY": "1", "__STAMP": 3, "name": …, "staff": {"__deferred": {"uri": …}}}

What belongs to an entity is told as a link; with all it has where `$expand` names it, or with what `$attributes` asks
of it: `staff.*`, `staff.name`. An attribute that may not be read is left out, as if the class had none of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import Session, with_parent

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.data.copies import key_values
from onserver.data.values import key_text, told
from onserver.web.bodies import BadBody
from onserver.web.rest_query import TOP, Query
from onserver.web.rest_select import Classes

#: What is told of an entity: names, and what is told of those related; nothing in it means all.
Wanted: TypeAlias = dict[str, "Wanted"]

_ALL: Final = "*"


class Telling:
    """Tells entities in one answer.

    Args:
        data: the session of the database.
        classes: answers the class of data of a mapped class.
        access: what the request may.
        root: where the web server is mounted.
    """

    def __init__(self, data: Session, classes: Classes, access: Access, root: str = "") -> None:
        self._data = data
        self._classes = classes
        self._access = access
        self._root = root

    def one(self, dataclass: DataClass, entity: Any, query: Query) -> dict[str, Any]:
        """Tell one entity.

        Raises:
            BadBody: 400, it is asked for an attribute that there is not.
            PrivilegeDenied: ONS-4103, nothing of this class may be read.
        """
        self._access.require("read", dataclass.resource)
        return {"__entityModel": dataclass.name, **self._told(dataclass, entity, *wanted(query))}

    def page(self, dataclass: DataClass, entities: Iterable[Any], query: Query, count: int) -> dict[str, Any]:
        """Tell some of many.

        Args:
            dataclass: of the entities.
            entities: those that are told.
            query: what is told of each.
            count: how many there are.

        Raises:
            BadBody: 400, it is asked for an attribute that there is not.
            PrivilegeDenied: ONS-4103, nothing of this class may be read.
        """
        self._access.require("read", dataclass.resource)
        names, expand = wanted(query)
        found = [self._told(dataclass, entity, names, expand) for entity in entities]
        return {
            "__entityModel": dataclass.name,
            "__COUNT": count,
            "__SENT": len(found),
            "__FIRST": query.skip,
            "__ENTITIES": found,
        }

    def uri(self, dataclass: DataClass, key: str = "", rest: str = "") -> str:
        """Answer where something is."""
        return f"{self._root}/rest/{quote(dataclass.name)}{f'({quote(key)})' if key else ''}{rest}"

    def _told(self, dataclass: DataClass, entity: Any, names: Wanted, expand: Wanted) -> dict[str, Any]:
        readable = self._access.readable(dataclass)
        key = key_text(key_values(dataclass, entity))
        answer: dict[str, Any] = {"__KEY": key}
        stamp = stamp_of(dataclass, entity)
        if stamp is not None:
            answer["__STAMP"] = told(stamp)
        for name in names or readable:
            if name not in dataclass.attributes:
                raise BadBody(400, f"`{dataclass.name}` has no attribute `{name[:40]}`.")
            if name not in readable:
                continue
            if not readable[name].related:
                answer[name] = told(getattr(entity, name))
            else:
                inside = expand.get(name, names.get(name))
                answer[name] = self._related(dataclass, entity, key, name, inside)
        return answer

    def _related(self, dataclass: DataClass, entity: Any, key: str, name: str, inside: Wanted | None) -> Any:
        relation = dataclass.related(name)
        other = self._classes(relation.mapper.class_)
        place = self.uri(dataclass, key, f"/{quote(name)}?$expand={quote(name)}")
        if not relation.uselist:
            return self._related_one(other, getattr(entity, name), inside)
        if not inside:
            return {"__deferred": {"uri": place}}
        self._access.require("read", other.resource)
        belonging = with_parent(entity, getattr(dataclass.model, name))
        count = self._data.scalar(sa.select(sa.func.count()).select_from(other.model).where(belonging))
        order = [getattr(other.model, part) for part in other.key]
        found = self._data.scalars(sa.select(other.model).where(belonging).order_by(*order).limit(TOP)).all()
        names = {} if _ALL in inside else inside
        return {
            "__ENTITYSET": place,
            "__COUNT": count,
            "__SENT": len(found),
            "__FIRST": 0,
            "__ENTITIES": [self._told(other, one, names, {}) for one in found],
        }

    def _related_one(self, other: DataClass, entity: Any, inside: Wanted | None) -> Any:
        if entity is None:
            return None
        if inside:
            self._access.require("read", other.resource)
            return self._told(other, entity, {} if _ALL in inside else inside, {})
        key = key_text(key_values(other, entity))
        return {"__deferred": {"uri": self.uri(other, key), "__KEY": key}}


def wanted(query: Query) -> tuple[Wanted, Wanted]:
    """Answer what is asked to be told of each entity, and of which related ones all is."""
    names: Wanted = {}
    for path in query.attributes:
        inside = names
        for name in path:
            inside = inside.setdefault(name, {})
    return names, {name: {_ALL: {}} for name in query.expand}


def stamp_of(dataclass: DataClass, entity: Any) -> Any:
    """Answer the number of an entity's changes; None where its class counts none (`version_id_col`)."""
    column = dataclass.mapper.version_id_col
    return None if column is None else getattr(entity, dataclass.mapper.get_property_by_column(column).key)


def expands(query: Query) -> Mapping[str, Any]:
    """Answer what is told of related entities, by name; nothing where they are links."""
    names, expand = wanted(query)
    return {name: inside for name, inside in (names | expand).items() if inside}
