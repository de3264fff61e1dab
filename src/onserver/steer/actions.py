"""All actions, by name."""

from __future__ import annotations

from typing import Final

from onserver.steer import (
    acts_backup,
    acts_diagnostics,
    acts_gates,
    acts_process,
    acts_roles,
    acts_session,
    acts_storage,
    acts_work,
)
from onserver.steer.action import Action, Field, Outcome

__all__ = ["ACTIONS", "Action", "Field", "Outcome"]

ACTIONS: Final[dict[str, Action]] = {
    action.name: action
    for acts in (
        acts_process,
        acts_gates,
        acts_session,
        acts_storage,
        acts_work,
        acts_backup,
        acts_roles,
        acts_diagnostics,
    )
    for action in acts.ACTS
}
