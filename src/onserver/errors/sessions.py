"""What is refused to a session, or to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from onserver.errors.facts import OnServerError


class SessionError(OnServerError):
    """A session or a caller was refused."""

    code = 4000


class BadToken(SessionError):
    """A token is not valid: forged, spent, or of another server."""

    code = 4101
    problem: str = "it is unknown or was used already"

    @property
    def message(self) -> str:
        return f"The token was refused: {self.problem}."


class SessionExpired(SessionError):
    """The session has ended."""

    code = 4102
    session: str = ""

    @property
    def message(self) -> str:
        return f"Session {self.session} has expired." if self.session else "The session has expired."

    @property
    def hint(self) -> str:
        return "Log in again."


class PrivilegeDenied(SessionError, PermissionError):
    """The caller lacks a privilege; `granted_by` are the roles that would give it."""

    code = 4103
    privilege: str
    user: str = ""
    roles: Sequence[str] = ()
    granted_by: Sequence[str] = ()

    @property
    def message(self) -> str:
        roles = f"roles: {', '.join(self.roles)}" if self.roles else "no roles"
        return f"`{self.privilege}` refused for {self.user or 'guest'} ({roles})."

    @property
    def hint(self) -> str:
        return f"Granted by: {', '.join(self.granted_by)}." if self.granted_by else "No role grants it."


class MaintenanceMode(SessionError):
    """The server is in maintenance and takes no new work."""

    code = 4104
    text: str = ""

    @property
    def message(self) -> str:
        return f"The server is in maintenance{f': {self.text}' if self.text else ''}."

    @property
    def hint(self) -> str:
        return "What runs goes on; `onserver maintenance status` tells until when."


class ConnectionVetoed(SessionError):
    """A hook refused this connection with a code."""

    code = 4105
    hook: str
    answer: int
    reason: str = ""

    @property
    def message(self) -> str:
        return (
            f"Hook `{self.hook}` refused the connection with {self.answer}{f': {self.reason}' if self.reason else ''}."
        )


class BadSignature(SessionError):
    """A message that was not signed by a program of this project, or is too old, or was changed on the way.

    `key` is the id of the signing key that the message names, where the project does not have that key (any more).
    """

    code = 4106
    procedure: str
    problem: str
    number: int | None = None
    key: str = ""

    @property
    def message(self) -> str:
        process = f" (#{self.number})" if self.number is not None else ""
        return f"The message for `{self.procedure}`{process} was refused: {self.problem}."

    @property
    def hint(self) -> str:
        if self.key:
            return "If it was retired: `onserver keys resign` signs it anew, and `onserver dead replay` runs it then."
        return "All programs of a project need its signing key (`signing.key_file`, or ONSERVER_SIGNING_KEY)."
