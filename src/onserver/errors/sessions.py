"""What is refused to a session, or to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from onserver.errors.facts import OnServerError


class SessionError(OnServerError):
    """A session or a caller was refused."""

    code = 4000


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


class SessionNotFound(SessionError):
    """There is no session that a word means, or `several` are meant by it."""

    code = 4108
    session: str
    several: Sequence[str] = ()

    @property
    def message(self) -> str:
        if self.several:
            return f"Several sessions are meant by `{self.session}`: {', '.join(self.several)}."
        return f"There is no session `{self.session}`."

    @property
    def hint(self) -> str:
        return "Give the id of one." if self.several else "`onserver session ls` lists all."


class NoSession(SessionError):
    """Something of a session was asked for where there is none."""

    code = 4109
    wanted: str

    @property
    def message(self) -> str:
        return f"There is no session here, and so no `{self.wanted}`."

    @property
    def hint(self) -> str:
        return "Sessions are in procedures, hooks and requests of the web; a client program has none."


class PrivilegeDenied(SessionError, PermissionError):
    """The caller lacks a privilege; `granted_by` are the roles that would give it.

    `procedure` is what was to be started or run, and `reason` why `roles.json` refuses it, where that is known.
    """

    code = 4103
    privilege: str
    user: str = ""
    roles: Sequence[str] = ()
    granted_by: Sequence[str] = ()
    procedure: str = ""
    reason: str = ""

    @property
    def message(self) -> str:
        roles = f"roles: {', '.join(self.roles)}" if self.roles else "no roles"
        who = f"{self.user or 'guest'} ({roles})"
        if self.reason:
            return f"`{self.procedure}` refused for {who}: {self.reason}."
        needed = f", which `{self.procedure}` takes," if self.procedure else ""
        return f"`{self.privilege}`{needed} refused for {who}."

    @property
    def hint(self) -> str:
        if self.reason:
            return "`onserver roles show` lists who gives what."
        return f"Granted by: {', '.join(self.granted_by)}." if self.granted_by else "No role grants it."


class CallerRevoked(SessionError):
    """Who asked for a process has been shut out since: the session was dropped, or the user removed or revoked.

    `by` did that at `at_ms` (milliseconds since 1970), for this `reason`, as far as that is known.
    """

    code = 4107
    user: str
    session: str
    problem: str
    by: str = ""
    reason: str = ""
    at_ms: int = 0

    @property
    def message(self) -> str:
        when = f" at {datetime.fromtimestamp(self.at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if self.at_ms else ""
        by = f" by {self.by}" if self.by else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"Refused, as {self.problem}{by}{when}{why}; {self.user or 'a guest'} had asked for it."

    @property
    def hint(self) -> str:
        return "Whoever may, starts it anew; what was asked for before stays refused."


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
        what = f"The message for `{self.procedure}`" if self.procedure else "A message"
        process = f" (#{self.number})" if self.number is not None else ""
        return f"{what}{process} was refused: {self.problem}."

    @property
    def hint(self) -> str:
        if self.key:
            return "If it was retired: `onserver keys resign` signs it anew, and `onserver dead replay` runs it then."
        return "All programs of a project need its signing key (`signing.key_file`, or ONSERVER_SIGNING_KEY)."
