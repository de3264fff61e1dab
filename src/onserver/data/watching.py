"""What happens on the way to the database and back, in every session of SQLAlchemy of the program.

    saved, dropped    permissions are asked for what the code has changed, then triggers run (see `triggers`)
    read              a class that may not be read is refused; an attribute that may not be read is null
    UPDATE, DELETE    as statements: permissions of the class are asked for, and no trigger runs

Permissions are asked for where code of the web does it (specification 8.5), and for classes of a datastore. What a
trigger changes in turn, the data model asks for, and nobody else: no permission is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol, cast

from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session
from sqlalchemy.orm.attributes import set_committed_value

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.registry import Registry
from onserver.server import Server
from onserver.session.context import in_web
from onserver.session.context import session as session_here
from onserver.session.roles_resources import Action

#: The kinds of datastores and triggers in the registry.
DATASTORE: Final = "datastore"
TRIGGER: Final = "trigger"

#: What this program has declared; entities are saved in programs without a server as well.
_registry: Final = Registry()


class _Store(Protocol):
    def has(self, model: type[Any]) -> bool: ...

    def of(self, model: type[Any]) -> DataClass: ...


class _Trigger(Protocol):
    name: str
    model: type[Any]
    on: tuple[str, ...]
    function: Any


def watch() -> None:
    """Watch every session of SQLAlchemy in this program; once is enough."""
    for target, name, heard in _HEARD:
        if not event.contains(target, name, heard):
            event.listen(target, name, heard)


def dataclass_of(model: type[Any]) -> DataClass | None:
    """Answer the class of data of a mapped class; None where no datastore has it."""
    stores = cast("Iterable[_Store]", _registry.all(DATASTORE))
    return next((store.of(model) for store in stores if store.has(model)), None)


def _before_flush(data: Session, _context: object, _instances: object) -> None:
    seen: set[int] = set()
    asking = in_web()
    while True:
        found = [(entity, what) for entity, what in _changes(data) if id(entity) not in seen]
        if not found:
            return
        for entity, what in found:
            seen.add(id(entity))
            if asking:
                _ask(entity, what)
        asking = False  # what comes now, triggers have made
        for entity, what in found:
            for one in _triggers(entity, what):
                one.function(entity, what)


def _changes(data: Session) -> Iterable[tuple[Any, str]]:
    yield from ((entity, "insert") for entity in list(data.new))
    yield from ((entity, "update") for entity in list(data.dirty) if data.is_modified(entity))
    yield from ((entity, "delete") for entity in list(data.deleted))


def _triggers(entity: Any, what: str) -> list[_Trigger]:
    declared = cast("Iterable[_Trigger]", _registry.all(TRIGGER))
    return sorted(
        (one for one in declared if isinstance(entity, one.model) and what in one.on), key=lambda one: one.name
    )


_ASKED: Final[tuple[Action, ...]] = ("read", "update", "drop", "create")
_ACTIONS: Final[dict[str, Action]] = {"insert": "create", "update": "update", "delete": "drop"}


def _ask(entity: Any, what: str) -> None:
    """Refuse what a session of the web may not do.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    dataclass = dataclass_of(cast("type[object]", type(entity)))
    if dataclass is None:
        return
    access, action = _access(), _ACTIONS[what]
    access.require(action, dataclass.resource)
    state = cast("InstanceState[Any]", inspect(entity))
    for name, attribute in dataclass.attributes.items():
        if attribute.kind not in {"storage", "relatedEntity"} or (what == "delete" and attribute.related):
            continue
        if what == "delete":
            touched = state.dict.get(name) is not None or not access.may("read", attribute.resource)
        else:
            history = state.attrs[name].history
            touched = history.has_changes() if what == "update" else any(one is not None for one in history.added or ())
        if touched:
            access.require(action, attribute.resource)


def _hide(entity: Any, _context: object, _names: object = None) -> None:
    """Let an attribute that may not be read be null."""
    if not in_web():
        return
    dataclass = dataclass_of(cast("type[object]", type(entity)))
    if dataclass is None:
        return
    access, loaded = _access(), cast("InstanceState[Any]", inspect(entity)).dict
    version = dataclass.mapper.version_id_col
    kept = {*dataclass.key, *(() if version is None else (dataclass.mapper.get_property_by_column(version).key,))}
    for name, attribute in dataclass.attributes.items():
        shown = attribute.kind != "storage" or name not in loaded or name in kept
        if not shown and not access.may("read", attribute.resource):
            set_committed_value(entity, name, None)


def _execute(asked: ORMExecuteState) -> None:
    if not in_web() or asked.is_column_load or asked.is_relationship_load:
        return
    ways = (asked.is_select, asked.is_update, asked.is_delete, asked.is_insert)
    for action, so in zip(_ASKED, ways, strict=True):
        for mapper in asked.all_mappers if so else ():
            dataclass = dataclass_of(mapper.class_)
            if dataclass is not None:
                _access().require(action, dataclass.resource)


def _access() -> Access:
    return Access(Server.current(), cast("Any", session_here()))


_HEARD: Final[tuple[tuple[Any, str, Any], ...]] = (
    (Session, "before_flush", _before_flush),
    (Session, "do_orm_execute", _execute),
    (Mapper, "load", _hide),
    (Mapper, "refresh", _hide),
)
