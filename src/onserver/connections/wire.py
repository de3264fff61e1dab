"""What a remote client and its server say to each other: the same for both ways, over the web and in place.

Each wish of a client is a struct, named by its verb, and answered by what the desk answers. Both travel as MessagePack
and are checked against these types when they are read, so that nothing else ever reaches the desk. Arguments and
results of the project's functions are bytes in them, as `onserver.values` has made them: they are not looked at.

| wish | answer |
|---|---|
| `Open` | `Opened` |
| `Connect` | number of the connection |
| `Call`, `Answer` | `Ended`, or None: it has not ended within `seconds` |
| `Wait` | events |
| `Process` | `Ended`, or None |
| the others | as the methods of the desk |

What is raised travels as `onserver.process.failure` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from onserver.connections.facts import Opening

#: The content type of wishes, answers and errors.
CONTENT: Final = "application/vnd.onserver"
#: The longest that a wish waits for its answer, in seconds: what stands between client and server cuts longer silence.
LONGEST_SECONDS: Final = 25.0
#: How many ends of calls a client says at once that it has.
MOST_HAD: Final = 1000

Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, Meta(max_length=200)]
Number = Annotated[int, Meta(ge=0, lt=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_SECONDS)]


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a client wants."""


class Open(Wish, frozen=True, kw_only=True):
    """A session. Who asks has none yet; `asked.ip` is for the server to say."""

    asked: Opening


class Connect(Wish, frozen=True, kw_only=True):
    """A connection."""

    name: Name
    call: Id
    seconds: Seconds = LONGEST_SECONDS


class Disconnect(Wish, frozen=True, kw_only=True):
    """The end of a connection."""

    connection: Number


class Call(Wish, frozen=True, kw_only=True):
    """A call of a function, and its answer, if it comes in time."""

    connection: Number
    call: Id
    name: Name
    body: bytes
    seconds: Seconds = LONGEST_SECONDS


class Answer(Wish, frozen=True, kw_only=True):
    """The answer to a call that was put before."""

    call: Id
    seconds: Seconds = LONGEST_SECONDS


class Wait(Wish, frozen=True, kw_only=True):
    """To be told of events: the client is there."""

    known: Number
    seconds: Seconds = LONGEST_SECONDS
    #: Calls whose ends the client has: they are kept for it no longer.
    have: Annotated[tuple[Id, ...], Meta(max_length=MOST_HAD)] = ()


class Start(Wish, frozen=True, kw_only=True):
    """A process, as by `execute_on_server`; `options` are encoded values."""

    start: Id
    name: Name
    body: bytes
    options: bytes = b"\x80"


class Process(Wish, frozen=True, kw_only=True):
    """The end of a process that the client has started."""

    number: Number
    seconds: Seconds = LONGEST_SECONDS


class Ask(Wish, frozen=True, kw_only=True):
    """That clients run a procedure."""

    ask: Id
    name: Name
    procedure: Name
    body: bytes


class Register(Wish, frozen=True, kw_only=True):
    """To take requests under a name."""

    name: Name


class Unregister(Wish, frozen=True, kw_only=True):
    """To take no requests any more."""


class Token(Wish, frozen=True, kw_only=True):
    """A one-time token of the session."""

    seconds: Annotated[float, Meta(ge=10, le=366 * 86_400)]


class Facts(Wish, frozen=True, kw_only=True):
    """What the session is now."""


class Sleep(Wish, frozen=True, kw_only=True):
    """The client's machine goes to sleep."""


class Wake(Wish, frozen=True, kw_only=True):
    """It is awake again."""


class Close(Wish, frozen=True, kw_only=True):
    """The end of the session."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a call or a process ended: as in Redis."""

    state: str
    result: bytes = b""
    error: bytes = b""


class Known(Struct, frozen=True, kw_only=True):
    """What a client is told of its session: `info` as the original has it, and what it may."""

    user: str
    info: dict[str, Any]
    privileges: tuple[str, ...] = ()


#: The wishes by their verb.
VERBS: Final[Mapping[str, type[Wish]]] = MappingProxyType(
    {
        kind.__name__.lower(): kind
        for kind in (
            Open, Connect, Disconnect, Call, Answer, Wait, Start, Process, Ask, Register, Unregister, Token, Facts,
            Sleep, Wake, Close,
        )
    }
)  # fmt: skip
