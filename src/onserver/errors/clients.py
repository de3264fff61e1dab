"""What a remote client meets: its server does not answer, or something is for the server's side alone."""

from __future__ import annotations

from onserver.errors.reaching import ReachError
from onserver.errors.sessions import SessionError


class ServerUnreachable(ReachError, ConnectionError):
    """The server of a remote client did not answer for `seconds`; `call` is the id of a call that may run there."""

    code = 1206
    url: str
    seconds: float
    reason: str = ""
    call: str = ""

    @property
    def message(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.url} gave no answer for {self.seconds:.0f} s{why}."

    @property
    def hint(self) -> str:
        if self.call:
            return f"The call may run there, once; `client.fetch({self.call!r})` gets its answer later."
        if self.url.startswith("http"):
            return "Is `onserver web` running there, and does its setting `remote.over_web` let remote clients in?"
        return "Is its Redis running, and may this machine reach it?"


class CertificateRefused(ReachError, ConnectionError):
    """The server of a remote client could not prove who it is; nothing was sent to it, the password neither."""

    code = 1207
    url: str
    reason: str

    @property
    def message(self) -> str:
        return f"The certificate of {self.url} was refused: {self.reason}."

    @property
    def hint(self) -> str:
        return (
            "Connect to a name that it was made for; the authority that has signed it is named by "
            '`connect(…, verify="ca.pem")` or SSL_CERT_FILE.'
        )


class ServerSideOnly(SessionError):
    """Something of a session that works on its server's side only was asked for in the client; `wanted` is its name."""

    code = 4115
    wanted: str

    @property
    def message(self) -> str:
        return f"`{self.wanted}` does not work in a client: it is for code on the server."

    @property
    def hint(self) -> str:
        return "Call a server method that does it: it runs in the same session."
