"""Attributes that code of the web may not read: null to it, and what the database has to the data model.

What is hidden is kept beside the entity, so that it can be shown again: to triggers, which would save what they reckon
from it, and to a function that `roles.json` promotes while it runs. What the code itself has changed is never touched.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import set_committed_value

from onserver.data.access import Access
from onserver.data.classes import DataClass

#: What is hidden of each entity, by the name of the attribute. Not kept in the entity, which may be pickled.
_hidden: Final[WeakKeyDictionary[InstanceState[Any], dict[str, Any]]] = WeakKeyDictionary()
_trusted: ContextVar[bool] = ContextVar("onserver_data_trusted", default=False)


def trusted() -> bool:
    """Whether the data model itself is at work here, for which no permission is looked at: a trigger runs."""
    return _trusted.get()


def show(entity: Any, dataclass: DataClass, access: Access) -> None:
    """Hide what may not be read of an entity, and show again what may.

    Args:
        entity: of whatever it has loaded.
        dataclass: its class.
        access: who looks at it.
    """
    state: InstanceState[Any] = inspect(entity)
    kept = _always_shown(dataclass)
    for name, attribute in dataclass.attributes.items():
        if attribute.kind == "storage" and name in state.dict and name not in kept:
            _show(entity, state, name, readable=trusted() or access.may("read", attribute.resource))


def loaded(entity: Any, names: Iterable[str] | None) -> None:
    """Forget what was hidden of an entity: the database has told these attributes anew; None: all of them."""
    known = _hidden.get(inspect(entity))
    for name in list(known or ()) if names is None else names:
        if known:
            known.pop(name, None)


@contextmanager
def trusting() -> Generator[None]:
    """Let the data model itself work: nothing is hidden from it."""
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


def _show(entity: Any, state: InstanceState[Any], name: str, *, readable: bool) -> None:
    known = _hidden.get(state, {})
    if (name not in known) is readable or state.attrs[name].history.has_changes():
        return
    if readable:
        set_committed_value(entity, name, known.pop(name))
        return
    _hidden.setdefault(state, {})[name] = state.dict[name]
    set_committed_value(entity, name, None)


def _always_shown(dataclass: DataClass) -> frozenset[str]:
    """Answer what SQLAlchemy itself cannot do without: the key, and the number of changes."""
    version = dataclass.mapper.version_id_col
    counted = () if version is None else (dataclass.mapper.get_property_by_column(version).key,)
    return frozenset((*dataclass.key, *counted))
