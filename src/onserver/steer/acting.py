"""Actions of the administration, from a program."""

from __future__ import annotations

from onserver.server import Server
from onserver.steer.action import Outcome
from onserver.steer.actions import ACTIONS
from onserver.steer.actor import whoever_runs_this
from onserver.steer.fields import checked
from onserver.steer.gate import CONFIRM, perform


def act(action: str, /, **fields: object) -> Outcome:
    """Do to the current server what the admin page can do, in the name of whoever runs this program.

    Args:
        action: its name, as in `dead.drop`; `onserver audit --actions` lists all.
        **fields: what it is told: texts, numbers, True or False.

    Returns:
        What came of it.

    Raises:
        ActionNotFound: ONS-6003.
        ActionRefused: ONS-6004, nothing can be changed: `admin.read_only`.
        BadField: ONS-6005.
        OnServerError: it cannot be done; nothing has changed, or what the error says has.

    Example:
        >>> act("queue.pause", queue="mail").text
        'mail is paused.'
    """
    server = Server.current()
    given = {name: _text(value) for name, value in fields.items() if value is not None}
    known = ACTIONS.get(action)
    if known is not None and known.confirm:  # who writes it down means it
        given[CONFIRM] = "yes" if known.confirm == "ask" else known.about(checked(known, given))
    return perform(server, whoever_runs_this(server, "python"), action, given)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
