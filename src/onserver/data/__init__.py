"""Data: a database of the project, functions of its classes, and what runs when an entity is saved or dropped.

    from onserver.data import datastore, data_function, trigger

It needs SQLAlchemy: `pip install 'onserver[data]'`. It is no ORM, but a thin layer on one: classes are mapped and asked
as SQLAlchemy has it, and from here they have functions that run on the server, permissions, triggers, and REST.
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.data.datastore import Datastore as Datastore
    from onserver.data.datastore import datastore as datastore
    from onserver.data.functions import data_function as data_function
    from onserver.data.functions import local as local
    from onserver.data.triggers import trigger as trigger

_NAMES: Final = {
    "Datastore": "onserver.data.datastore:Datastore",
    "data_function": "onserver.data.functions:data_function",
    "datastore": "onserver.data.datastore:datastore",
    "local": "onserver.data.functions:local",
    "trigger": "onserver.data.triggers:trigger",
}

__all__ = ["Datastore", "data_function", "datastore", "local", "trigger"]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
