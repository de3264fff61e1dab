"""What Redis, or the way to it, can say besides an answer: one class for each.

Callers that judge silence (faults.md rule 10: a member that hears *nothing* ends what it runs, one that is *refused*
does not) read `answered`: True where something on the other side spoke (refused, loading, read-only, out of memory),
False where nothing was heard or it is not known whether the command was carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from onserver.errors import (
    BrokerUnavailable,
    ChangesNotLogged,
    ConnectionsRejected,
    MaintenanceMode,
    MemberFenced,
    SessionExpired,
)
from onserver.redis.resp import ErrorReply


class LinkError(BrokerUnavailable):
    """A command that got no ordinary answer; the facts are those of `BrokerUnavailable`."""

    #: Whether the other side spoke. False means silence, or that the outcome is unknown.
    answered = True
    #: Whether the same bytes may be sent again in a moment with hope of success.
    again = True
    #: The next step for whoever reads the error.
    cure = "Is it running? `onserver dev` starts one."

    def __init__(self, address: str, tries: int, seconds: float, reason: str, remedy: str = "") -> None:
        super().__init__(address, tries, seconds, reason, remedy or self.cure)


class Refused(LinkError):
    """Nobody listens at the address: the connection was refused, or the socket file is not there."""


class Unreachable(LinkError):
    """No way to the address: an unknown host name, no route."""

    cure = "Are name, network and firewall as they should be?"
    answered = False


class Silent(LinkError):
    """No answer before the deadline. It is not known whether the command was carried out."""

    cure = "Is it stopped, overloaded, or cut off by the network?"
    answered = False


class Lost(LinkError):
    """The connection broke before the answer came. It is not known whether the command was carried out."""

    cure = "Was it restarted, or the network cut?"
    answered = False


class Loading(LinkError):
    """Redis has just started and is reading its file."""

    cure = "It has just started: wait until it has read its file."


class ReadOnly(LinkError):
    """This Redis takes no writes: it is a replica, or a primary that its replicas have left (a fail-over)."""

    cure = "Is a fail-over under way, or is this the address of a replica?"


class Busy(LinkError):
    """Redis cannot serve this now: a long script, a slot that is being moved, a cluster that is down."""

    cure = "Look at `SLOWLOG GET` and `CLUSTER INFO` there."


class Crowded(LinkError):
    """Redis has as many clients as it may (`maxclients`), and takes no more."""

    cure = "Raise `maxclients` there, or let fewer programs connect: `CLIENT LIST` has them."


class OutOfMemory(LinkError):
    """Redis takes no more memory (`maxmemory`), and this command wanted some."""

    cure = "Raise `maxmemory` there, or delete what is not needed."
    again = False


class Misconfigured(LinkError):
    """Redis refuses writes because it cannot write its own file (disk full, no permission)."""

    cure = "Give its disk room; see its log."
    again = False


class Unconfirmed(LinkError):
    """It was written, but fewer replicas confirmed it than `wait_for_replicas` asks for: a fail-over may lose it."""

    cure = "It stays unless a fail-over loses it. Is the replica up (`INFO replication`), and can it keep pace?"
    again = False


class Denied(LinkError):
    """A wrong or missing password, or a command that the user's ACL does not allow."""

    cure = "Check user and password in the setting `redis`, and the user's ACL."
    again = False


class ScriptRefused(Exception):
    """An error reply that none of the classes above stands for: mostly the refusal of one of our own scripts.

    `word` is the first word of the reply, `rest` the text after it.
    """

    def __init__(self, word: str, rest: str) -> None:
        super().__init__(word, rest)
        self.word, self.rest = word, rest

    def __str__(self) -> str:
        return f"{self.word} {self.rest}".rstrip()


class Moved(Exception):
    """The keys are served by another node of the cluster; `Link` goes there and asks again."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.host, self.port = host, port


class NoScript(Exception):
    """Redis does not know the script, or the function, that was named: it is sent whole."""


_WORDS: dict[str, type[LinkError]] = {
    "LOADING": Loading,
    "READONLY": ReadOnly,
    "MASTERDOWN": ReadOnly,
    "UNBLOCKED": ReadOnly,
    "NOREPLICAS": ReadOnly,
    "BUSY": Busy,
    "TRYAGAIN": Busy,
    "CLUSTERDOWN": Busy,
    # While a slot moves between two nodes every script is answered with ASK, because the one key that it declares (the
    # prefix) never exists. Waiting for the end of the move is right: run on either node, a script would miss the keys
    # that are on the other.
    "ASK": Busy,
    "OOM": OutOfMemory,
    "MISCONF": Misconfigured,
    "NOAUTH": Denied,
    "WRONGPASS": Denied,
    "NOPERM": Denied,
}

#: Errors of scripts that are made of one text, by their codes.
_REFUSALS: Final[Mapping[str, Callable[[str], Exception]]] = {
    "4102": SessionExpired,
    "4104": MaintenanceMode,
    "4113": ConnectionsRejected,
}


def translate(reply: ErrorReply, address: str) -> Exception:
    """The exception for an error reply of Redis."""
    text = str(reply)
    word, _, rest = text.partition(" ")
    if word in _WORDS:
        return _WORDS[word](address, 1, 0.0, f"answered {text.rstrip('.')}")
    if word == "FENCED":
        return MemberFenced(rest)
    if word == "ONS" and rest[:4] == "1274":
        return ChangesNotLogged(int(rest[5:]))
    if word == "ONS" and rest[:4] in _REFUSALS:
        return _REFUSALS[rest[:4]](rest[5:].partition(" script: ")[0])  # behind it Redis says where a script raised it
    if word == "NOSCRIPT" or text == "ERR Function not found":
        return NoScript(text)
    if word == "MOVED":
        host, _, port = rest.split()[1].rpartition(":")
        return Moved(host, int(port))
    if rest.startswith("max number of clients"):
        return Crowded(address, 1, 0.0, f"answered {text}")
    return ScriptRefused(word, rest)
