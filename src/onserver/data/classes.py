"""A class of data as those outside see it: its name, its attributes, the key of its entities; read off a mapped class.

    storage          a column                            alias        another name of one (`synonym`)
    relatedEntity    what belongs to one other           calculated   an expression, or a property of Python's
    relatedEntities  what many others belong to          (`hybrid_property`, `column_property`)

Names that begin with `_` are nobody's but the class's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import Mapper, RelationshipProperty

from onserver.session.roles_resources import Nature, Resource

Kind: TypeAlias = Literal["storage", "relatedEntity", "relatedEntities", "alias", "calculated"]

_NATURES: Final[Mapping[str, Nature]] = {"alias": "alias", "calculated": "computed"}
#: The original's names of types.
_TYPES: Final[tuple[tuple[type[Any], str], ...]] = (
    (sa.Boolean, "bool"), (sa.Integer, "number"), (sa.Numeric, "number"), (sa.Date, "date"), (sa.DateTime, "date"),
    (sa.Time, "duration"), (sa.Interval, "duration"), (sa.LargeBinary, "blob"), (sa.JSON, "object"),
)  # fmt: skip


@dataclass(frozen=True)
class Attribute:
    """An attribute of a class of data.

    Attributes:
        name: its name.
        kind: what it is.
        type: of its values, as the original names it; the class that it leads to, where it is a relation.
        resource: what it is to `roles.json`.
    """

    name: str
    kind: Kind
    type: str
    resource: Resource

    @property
    def related(self) -> bool:
        """Whether it leads to another class."""
        return self.kind in {"relatedEntity", "relatedEntities"}


class DataClass:
    """A class of data.

    Args:
        model: the mapped class.
        known: the classes of its datastore; what leads to any other is nobody's but its own.
        name: what those outside call it; by default its own.
    """

    def __init__(self, model: type[Any], known: Collection[type[Any]], name: str = "") -> None:
        self.model = model
        self.name = name or model.__name__
        self._known = known
        self.resource = Resource("dataclass", self.name)

    @property
    def mapper(self) -> Mapper[Any]:
        """How it is mapped."""
        found: Mapper[Any] = sa.inspect(self.model)
        return found

    @cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """All attributes that have a public name, in the order of the class."""
        found: dict[str, Attribute] = {}
        for name, prop in self.mapper.attrs.items():
            if isinstance(prop, RelationshipProperty) and prop.mapper.class_ in self._known:
                kind: Kind = "relatedEntities" if prop.uselist else "relatedEntity"
                self._note(found, name, kind, prop.mapper.class_.__name__)
        for name, attr in self.mapper.column_attrs.items():
            stored = isinstance(attr.columns[0], sa.Column)
            self._note(found, name, "storage" if stored else "calculated", type_name(attr.columns[0].type))
        for name, synonym in self.mapper.synonyms.items():
            target = found.get(str(synonym.name))
            self._note(found, name, "alias", target.type if target else "object")
        for name, descriptor in self.mapper.all_orm_descriptors.items():
            if descriptor.extension_type is HybridExtensionType.HYBRID_PROPERTY:
                self._note(found, str(name), "calculated", "object")
        return found

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Names of the attributes that make the key of an entity."""
        mapper = self.mapper
        return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)

    def related(self, name: str) -> RelationshipProperty[Any]:
        """Answer the relation of a name."""
        return self.mapper.relationships[name]

    def described(self, readable: Mapping[str, Attribute]) -> dict[str, Any]:
        """Answer what `$catalog/NAME` tells.

        Args:
            readable: the attributes that who asks may read.
        """
        return {
            "name": self.name,
            "className": self.name,
            "dataURI": f"/rest/{self.name}",
            "attributes": [
                {"name": one.name, "kind": one.kind, "type": one.type, "identifying": one.name in self.key}
                for one in readable.values()
            ],
            "key": [{"name": name} for name in self.key],
        }

    def _note(self, found: dict[str, Attribute], name: str, kind: Kind, type_: str) -> None:
        if not name.startswith("_"):
            nature: Nature = _NATURES.get(kind, "stored")
            found[name] = Attribute(name, kind, type_, Resource("attribute", f"{self.name}.{name}", nature))


def type_name(kind: sa.types.TypeEngine[Any]) -> str:
    """Answer what the original calls values of a type."""
    return next((name for of, name in _TYPES if isinstance(kind, of)), "string")
