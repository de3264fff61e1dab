"""What is refused of remote clients: that they connect, and as whom."""

from __future__ import annotations

from onserver.errors.sessions import SessionError


class ConnectionsRejected(SessionError):
    """The server takes no new connection of a remote client now; those that are there go on."""

    code = 4113
    problem: str = "new connections are rejected"

    @property
    def message(self) -> str:
        return f"The server takes no new connection: {self.problem}."

    @property
    def hint(self) -> str:
        return "`onserver connections status` tells whether it is closed for them, and who asked for that."


class LoginRefused(SessionError, PermissionError):
    """A name and a password with which nobody can log in; it is not told which of them is wrong."""

    code = 4114
    user: str = ""
    #: Seconds until its password is looked at again, where there were too many wrong ones.
    wait: int = 0

    @property
    def message(self) -> str:
        if not self.user:
            return "Who connects has to log in."
        if self.wait:
            return f"User `{self.user}` was not let in: too many passwords were wrong; try again in {self.wait} s."
        return f"User `{self.user}` was not let in: no such name and password."

    @property
    def hint(self) -> str:
        return "`onserver users ls` lists who may log in; a project without users asks nobody for a password."
