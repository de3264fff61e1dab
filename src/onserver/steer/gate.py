"""The one gate: whatever changes something, from the page, the HTTP API or the command line, goes through `perform`.

It asks, in this order: is there such an action, may this actor do it, are its fields what they have to be, was it
confirmed, is the login young enough for what cannot be undone. Then it is done; what takes minutes, in the background,
where it was asked for on the page or through the HTTP API. Whatever comes of it is written down, and what was refused
too.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from onserver.errors import ActionNotFound, ActionRefused, LoginTooOld, NotConfirmed, OnServerError
from onserver.process.control import asking_as
from onserver.redis.store import Store
from onserver.server import Server
from onserver.steer.actions import ACTIONS, Action, Outcome
from onserver.steer.actor import Actor
from onserver.steer.audit import record
from onserver.steer.background import Background, Job
from onserver.steer.fields import checked
from onserver.steer.granted import READING

#: The field that confirms: `yes`, or the name of what it is done to.
CONFIRM: Final = "confirm"
_YES: Final = "yes"
#: From where somebody asks who does not wait for minutes.
_AT_ONCE: Final = ("page", "api")


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
    begun = record(server.store, actor, action.name, result="begun", target=action.about(values))
    if action.later and actor.where in _AT_ONCE:
        return _begun(server, actor, action, values, begun)
    return _carried_out(server, actor, action, values, begun)


def _begun(server: Server, actor: Actor, action: Action, values: Mapping[str, str], begun: str) -> Outcome:
    """Have it done by a thread, if it can be done: whoever asked gets an answer at once."""
    store, target = server.store, action.about(values)
    with _written_down(store, actor, action, target, begun):
        if action.ready is not None:
            action.ready(server, values)
        job = Job(id=begun, action=action.name, target=target, user=actor.user, at_ms=store.now_ms())
        server.part(Background).start(job, lambda: _carried_out(server, actor, action, values, begun))
    return Outcome(said=action.later, values={"target": target}, target=target, data={"begun": begun})


def _carried_out(server: Server, actor: Actor, action: Action, values: Mapping[str, str], begun: str) -> Outcome:
    store, target = server.store, action.about(values)
    with _written_down(store, actor, action, target, begun), asking_as(actor.user):
        outcome = action.run(server, values)
    record(
        store, actor, action.name, result="done", target=outcome.target or target, before=outcome.before,
        after=outcome.after, begun=begun,
    )  # fmt: skip
    return outcome


@contextmanager
def _written_down(store: Store, actor: Actor, action: Action, target: str, begun: str) -> Generator[None]:
    """Write down what is raised in the block."""
    try:
        yield
    except Exception as error:
        why = error.message if isinstance(error, OnServerError) else str(error) or type(error).__name__
        record(store, actor, action.name, result="failed", target=target, why=why, begun=begun)
        raise


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
