"""The one gate: whatever changes something, from the page, the HTTP API or the command line, goes through `perform`.

It asks, in this order: is there such an action, may this actor do it, are its fields what they have to be, was it
confirmed, is the login young enough for what cannot be undone. Then it is done. Whatever comes of it is written down,
and what was refused too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onserver.errors import ActionNotFound, ActionRefused, LoginTooOld, NotConfirmed, OnServerError
from onserver.process.control import asking_as
from onserver.server import Server
from onserver.steer.actions import ACTIONS, Action, Outcome
from onserver.steer.actor import Actor
from onserver.steer.audit import record
from onserver.steer.fields import checked
from onserver.steer.granted import READING

#: The field that confirms: `yes`, or the name of what it is done to.
CONFIRM: Final = "confirm"
_YES: Final = "yes"


def perform(server: Server, actor: Actor, name: str, given: Mapping[str, str]) -> Outcome:
    """Do something, if whoever asks may.

    Args:
        server: to which it is done.
        actor: who asks.
        name: of the action, as in `process.abort`.
        given: its fields, and `confirm`.

    Raises:
        ActionNotFound: ONS-6003.
        ActionRefused: ONS-6004, a privilege is missing, or nothing can be changed.
        BadField: ONS-6005.
        NotConfirmed: ONS-6006.
        LoginTooOld: ONS-6007.
        OnServerError: the action cannot be done; nothing has changed, or what it says has.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise ActionNotFound(name[:100])
    target = ""
    try:
        require(actor, action)
        values = checked(action, {field: text for field, text in given.items() if field != CONFIRM})
        target = action.about(values)
        _confirmed(actor, action, target, given.get(CONFIRM, ""))
    except NotConfirmed:
        raise  # nothing was refused: it is asked
    except OnServerError as error:
        record(server.store, actor, name, result="refused", target=target, why=error.message)
        raise
    return _done(server, actor, action, values)


def _done(server: Server, actor: Actor, action: Action, values: Mapping[str, str]) -> Outcome:
    """Do it, and write down what came of it: that it begins before, so that nothing is done that nobody can tell of."""
    store, target = server.store, action.about(values)
    begun = record(store, actor, action.name, result="begun", target=target)
    try:
        with asking_as(actor.user):
            outcome = action.run(server, values)
    except Exception as error:
        why = error.message if isinstance(error, OnServerError) else str(error) or type(error).__name__
        record(store, actor, action.name, result="failed", target=target, why=why, begun=begun)
        raise
    record(
        store, actor, action.name, result="done", target=outcome.target or target, before=outcome.before,
        after=outcome.after, begun=begun,
    )  # fmt: skip
    return outcome


def require(actor: Actor, action: Action) -> None:
    """Refuse what somebody may not do.

    Raises:
        ActionRefused: ONS-6004.
    """
    if action.privilege not in actor.privileges:
        raise ActionRefused(action.name, f"it takes the privilege {action.privilege}")
    if actor.read_only and action.privilege not in READING:
        raise ActionRefused(action.name, "nothing can be changed here, it is read-only")


def _confirmed(actor: Actor, action: Action, target: str, confirm: str) -> None:
    if not action.confirm:
        return
    if action.confirm == "typed" and not actor.fresh:
        raise LoginTooOld(action.name)
    if not confirm or confirm != (target if action.confirm == "typed" else _YES):
        raise NotConfirmed(action.name, action.confirm, target)
