"""Changes of data that REST asks for: entities made, changed and dropped, all of one request or none.

An object without `__KEY` makes an entity, one with it changes that entity. Where the class counts changes
(`version_id_col`), a `__STAMP` that is not the present one is refused: somebody else has changed it meanwhile.
What belongs to one other takes that one's key, `{"__KEY": "7"}`, or null. Permissions of attributes are asked for on
the way to the database (`onserver.data.watching`), as for all code of the web.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy.orm import Session

from onserver.data.access import Access
from onserver.data.classes import Attribute, DataClass
from onserver.data.copies import found, key_values
from onserver.data.values import column_name, converted, told
from onserver.session.roles_resources import Action
from onserver.web.bodies import BadBody
from onserver.web.rest_entities import stamp_of
from onserver.web.rest_select import Classes

#: How many entities one request may make or change.
MOST: Final = 1_000
#: What an answer has besides attributes, and may come back.
_PASSED: Final = frozenset({"__entityModel", "__DATACLASS", "__ENTITY", "__TIMESTAMP", "uri", "__STATUS"})


class Changing:
    """Changes data for one request.

    Args:
        data: the session of the database.
        classes: answers the class of data of a mapped class.
        access: what the request may.
    """

    def __init__(self, data: Session, classes: Classes, access: Access) -> None:
        self._data = data
        self._classes = classes
        self._access = access

    def save(self, dataclass: DataClass, sent: Any) -> list[Any]:
        """Make and change entities, and answer them.

        Args:
            dataclass: of the entities.
            sent: an object, or a list of them.

        Raises:
            BadValue: something does not fit its attribute.
            BadBody: 400, something of it cannot be; 404, there is no such entity; 409, somebody else has changed it.
            PrivilegeDenied: ONS-4103.
        """
        wishes = cast("Sequence[Any]", sent) if isinstance(sent, list) else [sent]
        if len(wishes) > MOST:
            raise BadBody(400, f"More than {MOST:,} entities come at once.")
        saved: list[Any] = []
        for wish in wishes:
            if not isinstance(wish, dict):
                raise BadBody(400, "An entity is sent as an object.")
            saved.append(self._save(dataclass, cast("dict[str, Any]", wish)))
        self._data.flush()
        self._data.expire_all()  # they are told as the database has them
        return saved

    def drop(self, dataclass: DataClass, entities: Iterable[Any]) -> None:
        """Drop entities.

        Raises:
            PrivilegeDenied: ONS-4103.
        """
        self._access.require("drop", dataclass.resource)
        for entity in entities:
            self._data.delete(entity)
        self._data.flush()

    def _save(self, dataclass: DataClass, wish: Mapping[str, Any]) -> Any:
        key = wish.get("__KEY")
        if key is None:
            self._access.require("create", dataclass.resource)
            entity: Any = dataclass.model()
            action: Action = "create"
        else:
            entity, action = self._present(dataclass, key, wish.get("__STAMP")), "update"
        for name, value in wish.items():
            if name in _PASSED or name in {"__KEY", "__STAMP"}:
                continue
            attribute = dataclass.attributes.get(name)
            if attribute is None or attribute.kind in {"calculated", "relatedEntities"}:
                raise BadBody(400, f"`{dataclass.name}` has no attribute `{name[:40]}` that could be set.")
            self._set(dataclass, entity, attribute, value, action)
        self._data.add(entity)
        return entity

    def _present(self, dataclass: DataClass, key: Any, stamp: Any) -> Any:
        self._access.require("update", dataclass.resource)
        entity = found(self._data, dataclass, key)
        if entity is None:
            raise BadBody(404, f"There is no `{dataclass.name}` of this key.")
        current = stamp_of(dataclass, entity)
        if stamp is not None and current is not None and told(current) != stamp:
            raise BadBody(409, "The stamp has changed: somebody has changed it meanwhile.")
        return entity

    def _set(self, dataclass: DataClass, entity: Any, attribute: Attribute, value: Any, action: Action) -> None:
        name = attribute.name
        if attribute.kind == "relatedEntity":
            value = self._other(dataclass, name, value)
        else:
            value = converted(dataclass, name, value)
            if column_name(dataclass, name) in dataclass.key and action == "update":
                if key_values(dataclass, entity)[dataclass.key.index(column_name(dataclass, name))] != value:
                    raise BadBody(400, f"`{dataclass.name}.{name}` is of the key, which stays.")
                return
        setattr(entity, name, value)

    def _other(self, dataclass: DataClass, name: str, value: Any) -> Any:
        if value is None:
            return None
        facts = cast("dict[str, Any]", value) if isinstance(value, dict) else {"__KEY": value}
        deferred = facts.get("__deferred")
        facts = cast("dict[str, Any]", deferred) if isinstance(deferred, dict) else facts
        other = self._classes(dataclass.related(name).mapper.class_)
        entity = found(self._data, other, facts.get("__KEY"))
        if entity is None:
            raise BadBody(400, f"`{dataclass.name}.{name}` is to be a `{other.name}` that there is not.")
        return entity
