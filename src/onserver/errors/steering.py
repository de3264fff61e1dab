"""What is wrong with an action of the administration: on the admin page, in its HTTP API, on the command line."""

from __future__ import annotations

from onserver.errors.facts import OnServerError


class SteeringError(OnServerError):
    """An action of the administration was not done."""


class ActionNotFound(SteeringError, LookupError):
    """There is no action of this name."""

    code = 6003
    action: str

    @property
    def message(self) -> str:
        return f"There is no action `{self.action}`."


class ActionRefused(SteeringError):
    """Whoever asks may not do this; `reason` says what is missing."""

    code = 6004
    action: str
    reason: str

    @property
    def message(self) -> str:
        return f"`{self.action}` is refused: {self.reason}."


class BadField(SteeringError, ValueError):
    """A field of an action is missing, is not what it has to be, or is none of its fields."""

    code = 6005
    action: str
    field: str
    problem: str

    @property
    def message(self) -> str:
        return f"Field `{self.field}` of `{self.action}` {self.problem}."


class NotConfirmed(SteeringError):
    """An action has to be confirmed first: `how` is `ask`, or `typed`, where `target` has to be written once more."""

    code = 6006
    action: str
    how: str
    target: str = ""

    @property
    def message(self) -> str:
        return f"`{self.action}` has to be confirmed{f': {self.target}' if self.target else ''}."

    @property
    def hint(self) -> str:
        return f"Send `confirm` with the value `{self.target if self.how == 'typed' else 'yes'}`."


class LoginTooOld(SteeringError):
    """What cannot be undone asks for a login that is younger than five minutes."""

    code = 6007
    action: str

    @property
    def message(self) -> str:
        return f"`{self.action}` cannot be undone, and the login is older than five minutes."

    @property
    def hint(self) -> str:
        return "Log in again."


class NotDone(SteeringError):
    """An action cannot be done to what it was asked for; `problem` says why."""

    code = 6008
    action: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.action}` cannot be done: {self.problem}."
