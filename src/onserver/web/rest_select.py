"""What a request asks of a class of data, as a statement of SQLAlchemy.

Names become attributes by being looked up, values are bound parameters; no text of a request is ever text of SQL. A
comparison is true or false, whatever is null: `!=` holds for null too, and NOT turns false into true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.data.values import column_name, converted, require_values
from onserver.web.bodies import BadBody
from onserver.web.rest_filter import All, Compare, Filter, Not
from onserver.web.rest_query import Order, Query

Condition: TypeAlias = sa.ColumnElement[bool]
#: Answers the class of data of a mapped class.
Classes: TypeAlias = Callable[[type[Any]], DataClass]

_COMPARED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
}
_ANY: Final = "@"


class Selecting:
    """Makes statements for one request.

    Args:
        classes: answers the class of data of a mapped class.
        access: what the request may.
    """

    def __init__(self, classes: Classes, access: Access) -> None:
        self._classes = classes
        self._access = access

    def statement(self, dataclass: DataClass, query: Query, within: Condition | None = None) -> sa.Select[Any]:
        """Make the statement that selects the entities, sorted; in the order of their keys where nothing else is said.

        Args:
            dataclass: of the entities.
            query: which of them.
            within: of which only; None for all there are.

        Raises:
            BadBody: 400, it names what there is not.
            BadValue: it compares with what does not fit.
            PrivilegeDenied: ONS-4103, it asks by what may not be read.
        """
        model = dataclass.model
        chosen = sa.select(model)
        if within is not None:
            chosen = chosen.where(within)
        if query.filter is not None:
            chosen = chosen.where(self._condition(dataclass, model, query.filter))
        for order in query.order:
            chosen = self._sorted(chosen, dataclass, order)
        return chosen.order_by(*(getattr(model, name) for name in dataclass.key))

    def _condition(self, dataclass: DataClass, entity: Any, asked: Filter) -> Condition:
        if isinstance(asked, Compare):
            return self._compared(dataclass, entity, asked, asked.path)
        if isinstance(asked, Not):
            return sa.case((self._condition(dataclass, entity, asked.of), 1), else_=0) == 0
        parts = [self._condition(dataclass, entity, part) for part in asked.parts]
        return sa.and_(*parts) if isinstance(asked, All) else sa.or_(*parts)

    def _compared(self, dataclass: DataClass, entity: Any, asked: Compare, path: Sequence[str]) -> Condition:
        name, *rest = path
        self._require(dataclass, name, related=bool(rest))
        if not rest:
            column = getattr(entity, column_name(dataclass, name))
            return _comparison(dataclass, name, column, asked)
        relation = dataclass.related(name)
        other = aliased(relation.mapper.class_)
        inner = self._compared(self._classes(relation.mapper.class_), other, asked, rest)
        way = getattr(entity, name).of_type(other)
        return cast("Condition", way.any(inner) if relation.uselist else way.has(inner))

    def _sorted(self, chosen: sa.Select[Any], dataclass: DataClass, order: Order) -> sa.Select[Any]:
        entity: Any = dataclass.model
        *ways, name = order.path
        for way in ways:
            self._require(dataclass, way, related=True)
            relation = dataclass.related(way)
            if relation.uselist:
                raise BadBody(400, f"`{dataclass.name}.{way}` leads to many, by which nothing can be sorted.")
            other = aliased(relation.mapper.class_)
            chosen = chosen.outerjoin(getattr(entity, way).of_type(other))
            dataclass, entity = self._classes(relation.mapper.class_), other
        self._require(dataclass, name, related=False)
        column = getattr(entity, column_name(dataclass, name))
        return chosen.order_by(column.desc() if order.descending else column.asc())

    def _require(self, dataclass: DataClass, name: str, *, related: bool) -> None:
        found = dataclass.attributes.get(name)
        if found is None or found.related != related:
            what = "relation" if related else "attribute with values"
            raise BadBody(400, f"`{dataclass.name}` has no {what} `{name[:40]}`.")
        self._access.require("read", found.resource)
        if not related and column_name(dataclass, name) not in dataclass.mapper.column_attrs:
            raise BadBody(400, f"`{dataclass.name}.{name}` is worked out, and cannot be searched or sorted by.")


def _comparison(dataclass: DataClass, name: str, column: Any, asked: Compare) -> Condition:
    kind = dataclass.mapper.columns[column_name(dataclass, name)].type
    if isinstance(kind, sa.JSON | sa.LargeBinary):
        raise BadBody(400, f"`{dataclass.name}.{name}` cannot be compared.")
    sign, value = asked.comparator, asked.value
    require_values(value)
    if sign == "in":
        return cast("Condition", column.in_([converted(dataclass, name, one) for one in value]))
    if sign == "begin":
        return _begins(dataclass, name, column, value)
    if isinstance(value, str) and _ANY in value and isinstance(kind, sa.String) and sign in {"=", "!="}:
        found: Condition = column.ilike(_pattern(value), escape="\\")
        return found if sign == "=" else sa.or_(sa.not_(found), column.is_(None))
    value = converted(dataclass, name, value)
    if sign == "=":
        return cast("Condition", column.is_(None) if value is None else column == value)
    if sign == "!=":
        return cast("Condition", column.is_not(None) if value is None else sa.or_(column != value, column.is_(None)))
    if value is None:
        raise BadBody(400, f"`{dataclass.name}.{name}` is compared with null by {sign}.")
    return cast("Condition", _COMPARED[sign](column, sa.literal(value, kind)))  # as it stands, True would be refused


def _begins(dataclass: DataClass, name: str, column: Any, value: str) -> Condition:
    if not isinstance(column.type, sa.String):
        raise BadBody(400, f"`{dataclass.name}.{name}` is no text, with which something could begin.")
    return cast("Condition", column.istartswith(value, autoescape=True))


def _pattern(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace(_ANY, "%")
