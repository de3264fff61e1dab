"""What is refused of users and their passwords."""

from __future__ import annotations

from onserver.errors.sessions import SessionError


class UserNotFound(SessionError, LookupError):
    """The server has no user of this name."""

    code = 4110
    user: str

    @property
    def message(self) -> str:
        return f"There is no user `{self.user}`."

    @property
    def hint(self) -> str:
        return "`onserver users ls` lists them, `onserver users add` makes one."


class UserExists(SessionError):
    """The server has a user of this name already; upper and lower case do not count."""

    code = 4111
    user: str

    @property
    def message(self) -> str:
        return f"There is a user `{self.user}` already."

    @property
    def hint(self) -> str:
        return "`onserver users passwd` gives another password; `onserver users rm` removes a user."


class PasswordRefused(SessionError, ValueError):
    """A password, or the name of a user, cannot be taken; `problem` continues the sentence."""

    code = 4112
    problem: str
    what: str = "The password"

    @property
    def message(self) -> str:
        return f"{self.what} {self.problem}."
