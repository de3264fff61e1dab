"""`@trigger`: what runs when an entity is saved or dropped, in the process that does it, in the session of that.

    @trigger(Invoice, on=("insert", "update"))
    def number(invoice: Invoice, event: str) -> None:
        invoice.changed_by = session().user_name

It runs before the database is told, inside the transaction: what it changes of the entity is saved with it, what it
raises refuses the whole transaction. Triggers of one class run in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import sqlalchemy as sa

from onserver.data.watching import TRIGGER, watch
from onserver.errors import BadDeclaration
from onserver.registry import declare, name_below_tasks

Event: TypeAlias = Literal["insert", "update", "delete"]
F = TypeVar("F", bound=Callable[..., object])

_EVENTS: Final = ("insert", "update", "delete")


class Trigger:
    """One trigger. Made by `@trigger`.

    Args:
        function: what runs, with the entity and the event.
        model: the mapped class.
        on: the events.
    """

    aliases: Sequence[str] = ()

    def __init__(self, function: Callable[..., object], model: type[Any], on: Sequence[str]) -> None:
        self.function: Callable[..., Any] = function
        self.name = name_below_tasks(function)
        self.model = model
        self.on = tuple(on)

    def describe(self) -> Mapping[str, object]:
        """Answer what other programs may know of it."""
        return {"class": self.model.__name__, "on": list(self.on)}


def trigger(model: type[Any], *, on: Event | Sequence[Event] = ("insert", "update", "delete")) -> Callable[[F], F]:
    """Run a function before an entity of a class is saved or dropped.

    Args:
        model: the class that SQLAlchemy maps, or a base of such; entities of classes derived from it count too.
        on: the events: `insert`, `update`, `delete`, one or several.

    Raises:
        BadDeclaration: ONS-1009, the class is not mapped, or there is no such event.

    4D: the trigger of a table.
    """
    events = (on,) if isinstance(on, str) else tuple(on)

    def declared(function: F) -> F:
        name = getattr(function, "__qualname__", repr(function))
        if sa.inspect(model, raiseerr=False) is None and not hasattr(model, "registry"):
            raise BadDeclaration(name, "is of no class that SQLAlchemy maps", "Derive it from your `DeclarativeBase`.")
        if not events or any(event not in _EVENTS for event in events):
            raise BadDeclaration(name, f"has on={on!r}", f"The events are {', '.join(_EVENTS)}.")
        watch()
        declare(TRIGGER, cast("Any", Trigger(function, model, events)))
        return function

    return declared
