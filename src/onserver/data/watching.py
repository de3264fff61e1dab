"""What happens on the way to the database and back, in every session of SQLAlchemy of the program.

    saved, dropped    permissions are asked for what the code has changed, then triggers run (see `triggers`)
    read              a class that may not be read is refused; an attribute that may not be read is null
    UPDATE, DELETE    as statements: permissions of the class are asked for, and no trigger runs

Permissions are asked for where code of the web does it (specification 8.5), and for classes of a datastore. What a
trigger changes in turn, the data model asks for, and nobody else: no permission is looked at, and nothing is hidden.
Entities of a class that is derived from one of a datastore, and is not named there, are guarded as those of its base.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol, cast

from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session

from onserver.data.access import Access
from onserver.data.classes import DataClass
from onserver.data.hiding import loaded, show, trusted, trusting
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
    def guarding(self, model: type[Any]) -> DataClass | None: ...


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
    """Answer the class of data whose permissions hold for a mapped class; None where no datastore has it or a base."""
    stores = cast("Iterable[_Store]", _registry.all(DATASTORE))
    return next((found for store in stores if (found := store.guarding(model)) is not None), None)


@contextmanager
def shown(entities: Iterable[Any], call: AbstractContextManager[None]) -> Generator[None]:
    """Call a function: it is shown of entities what it may read, which is hidden again after the call.

    Args:
        entities: of any class.
        call: the call, by which the function may be promoted.
    """
    mine = list(entities)
    try:
        with call:
            _look(mine)
            yield
    finally:
        _look(mine)


def _before_flush(data: Session, _context: object, _instances: object) -> None:
    seen: set[int] = set()
    web = asking = in_web() and not trusted()
    while True:
        _drop_orphans(data)
        found = [(entity, what) for entity, what in _changes(data) if id(entity) not in seen]
        if not found:
            return
        for entity, what in found:
            seen.add(id(entity))
            if asking:
                _ask(entity, what)
        asking = False  # what comes now, triggers have made
        due = [(one, entity, what) for entity, what in found for one in _triggers(entity, what)]
        with _seeing_all(data, hidden=web and bool(due)):
            for one, entity, what in due:
                one.function(entity, what)


@contextmanager
def _seeing_all(data: Session, *, hidden: bool) -> Generator[None]:
    """Run triggers: they see what the database has, also of entities that code of the web has loaded."""
    try:
        with trusting():
            if hidden:
                _look(list(data))
            yield
    finally:
        if hidden:
            _look(list(data))


def _drop_orphans(data: Session) -> None:
    """Drop what SQLAlchemy drops when it is taken from its owner (`delete-orphan`), before it does so unasked."""
    for entity in list(data.dirty):
        state = cast("InstanceState[Any]", inspect(entity))
        for relation in state.mapper.relationships:
            if relation.cascade.delete_orphan:
                for orphan in state.attrs[relation.key].history.deleted or ():
                    if orphan is not None and _is_orphan(data, relation.mapper, orphan):
                        data.delete(orphan)


def _is_orphan(data: Session, mapper: Mapper[Any], entity: Any) -> bool:
    state = cast("InstanceState[Any]", inspect(entity))
    there = state.persistent and state.session is data and entity not in data.deleted
    return there and mapper._is_orphan(state)  # what the flush itself asks


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


def _hide(entity: Any, _context: object, names: Iterable[str] | None = None) -> None:
    """Let an attribute that may not be read be null."""
    loaded(entity, names)
    if in_web():
        _look([entity])


def _look(entities: Iterable[Any]) -> None:
    access = _access() if in_web() else None
    for entity in entities:
        dataclass = None if access is None else dataclass_of(cast("type[object]", type(entity)))
        if access is not None and dataclass is not None:
            show(entity, dataclass, access)


def _execute(asked: ORMExecuteState) -> None:
    if not in_web() or trusted() or asked.is_column_load or asked.is_relationship_load:
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
