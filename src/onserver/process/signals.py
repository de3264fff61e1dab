"""Signals: something has happened, and whoever waits for it goes on.

A one-shot signal, `Signal()`, is passed along: as an argument, in a variable, in the storage. Whoever receives it has
the same signal. A named one, `signal(name)`, is there for everybody who knows its name, and can be reset. Both carry
properties, which are changed under a lock as the storage is; `trigger` needs none. A signal is kept for
`process.signal_seconds` after it was last used; as long as somebody waits for it, it is in use.

Nobody owns a signal, anybody may trigger it: so a wait for one is shown in the wait-for graph, and closes no circle.
"""

import asyncio
import secrets
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Final

from onserver.errors import BadArguments, NotInUse, SignalGone
from onserver.process.hearing import heard
from onserver.process.owner import own_part
from onserver.process.signal_use import Uses
from onserver.process.signal_wait import Waiting, lives_ms
from onserver.server import Server
from onserver.session.steps import Step, Steps, adrive, drive, refuse_in_loop
from onserver.values import Reference, decode, encode

_DESCRIPTION: Final = "description"
#: What the name of a one-shot signal begins with.
ONE_SHOT: Final = "#"


def signal(name: str) -> "NamedSignal":
    """Answer the signal of this name, which is there as soon as somebody uses it.

    Args:
        name: case-sensitive; it may not begin with `#`.

    Raises:
        BadArguments: ONS-1105, no name, or one that begins with `#`.

    Example:
        >>> signal("month closed").trigger()
        True
        >>> signal("month closed").wait(timeout=1)
        True
        >>> signal("month closed").reset()
    """
    if not name or name.startswith(ONE_SHOT):
        problem = f"cannot be named {name!r}" if name else "has no name"
        raise BadArguments("signal", problem, "signal(name)")
    named: NamedSignal = NamedSignal._of(name)
    return named


def signal_on(server: Server, name: str) -> "NamedSignal":
    """Answer the signal of this name of a server, whichever is the current one."""
    named = signal(name)
    named._known = server
    return named


def find_signal(name: str) -> "Signal":
    """Answer the signal that was sent under this name."""
    found: Signal = (Signal if name.startswith(ONE_SHOT) else NamedSignal)._of(name)
    return found


class Signal:
    """A one-shot signal: triggered once, never again; make another one.

    Args:
        description: for people.

    Example:
        >>> done = Signal("import of the feed")
        >>> with done.use():  # a procedure that was given `done` could do this
        ...     done["rows"] = 42
        >>> done.trigger()
        True
        >>> done.wait(timeout=1), done["rows"]
        (True, 42)

    4D: `New signal`, the class `4D.Signal` (specification 5.8). Here it may be sent anywhere, also to another machine.
    Made by one round trip.
    """

    def __init__(self, description: str = "") -> None:
        self._name = f"{ONE_SHOT}{secrets.token_hex(8)}"
        self._known: Server | None = Server.current()
        properties = encode({_DESCRIPTION: description}, "Signal")
        self._known.store.run("make_signal", self._name, properties, lives_ms(self._known))

    @classmethod
    def _of(cls, name: str) -> Any:
        found = cls.__new__(cls)
        found._name, found._known = name, None
        return found

    @property
    def name(self) -> str:
        """Its name; that of a one-shot signal begins with `#` and was never used before."""
        return self._name

    # -- waiting

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is triggered; at once if it was. True when it is, False when the time is over.

        Args:
            timeout: seconds; None waits as long as it takes, 0 only looks.

        Raises:
            SignalGone: ONS-2003, a one-shot signal that nobody has used for `process.signal_seconds`.
            SyncInAsyncError: ONS-2302, in a running event loop; `await signal` there, limited by `asyncio.timeout`.

        4D: `.wait()`; the state of the process is `WAITING` meanwhile (4: waiting for internal flag).
        """
        if timeout is None or timeout > 0:
            refuse_in_loop("signal.wait()", "await signal")
        return drive(self._waited(timeout))

    def __await__(self) -> Generator[Any, None, bool]:
        return adrive(self._waited(None)).__await__()

    def trigger(self) -> bool:
        """Wake all who wait, and those who will. False when it was triggered before: then nothing happens.

        Raises:
            SignalGone: ONS-2003, as `wait`.
        """
        server = self._server
        outcome = server.store.run("trigger_signal", self._name, server.store.nonce(), lives_ms(server))
        if outcome < 0:
            raise SignalGone(self._name)
        return bool(outcome)

    async def atrigger(self) -> bool:
        """`trigger` without blocking the loop."""
        return await asyncio.to_thread(self.trigger)

    @property
    def signaled(self) -> bool:
        """Whether it was triggered: one round trip."""
        return bool(self._server.store.command("HEXISTS", self._entry, "s"))

    # -- properties

    @property
    def description(self) -> str:
        """What it is about, for people; written inside `use`."""
        return str(self.get(_DESCRIPTION) or "")

    @description.setter
    def description(self, text: str) -> None:
        self[_DESCRIPTION] = str(text)

    def properties(self) -> dict[str, Any]:
        """Read all its properties at once, the description among them; inside `use` as they are edited."""
        draft = self._draft
        if draft is not None:
            return dict(draft)
        found = self._server.store.command("HGET", self._entry, "v")
        return decode(found) if found else {}

    def get(self, key: str, default: Any = None) -> Any:
        """A property; `default` where there is none."""
        return self.properties().get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self.properties()[key]

    def __contains__(self, key: object) -> bool:
        return key in self.properties()

    def __iter__(self) -> Iterator[str]:
        return iter(self.properties())

    def __setitem__(self, key: str, value: Any) -> None:
        draft = self._draft
        if draft is None:
            raise NotInUse(f"signal {self._name}")
        draft[key] = value

    def use(self, timeout: float | None = None) -> "SignalUse":
        """Lock its properties, and change them: `with signal.use():`, in a running loop `async with`.

        They are written whole when the block ends, or not at all when it raises.

        Args:
            timeout: seconds to wait for the lock; None waits as long as it takes.

        Raises:
            LockTimeout: ONS-3101.
            LockLost: ONS-3104, on leaving: nothing was written.
            SignalGone: ONS-2003, as `wait`.
            NotInUse: ONS-3103, where it is written outside of such a block.

        4D: `Use … End use`.
        """
        return SignalUse(self, timeout)

    # -- as a value

    def __onserver_value__(self) -> Reference:
        return Reference("signal", self._name)

    def __reduce__(self) -> tuple[Any, ...]:
        return find_signal, (self._name,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signal) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    # -- the steps

    @property
    def _server(self) -> Server:
        if self._known is None:  # received: it belongs to the server of whoever uses it
            self._known = Server.current()
        return self._known

    @property
    def _entry(self) -> str:
        return self._server.store.key(f"sg:e:{self._name}")

    @property
    def _draft(self) -> dict[str, Any] | None:
        return self._server.part(Uses).draft(own_part(), self._name)

    def _waited(self, timeout: float | None) -> Steps[bool]:
        waiting = Waiting(self._server, self._name)
        if timeout is not None and timeout <= 0:
            end = yield Step(lambda: waiting.look(""))
        else:
            try:
                end = yield from heard(self._server, waiting, timeout)
            except GeneratorExit:
                raise
            except BaseException:
                yield Step(waiting.leave)
                raise
            if end is None:
                return bool((yield Step(waiting.leave)))  # it may have come meanwhile
        if end is not None and end.state == "gone":
            raise SignalGone(self._name)
        return end is not None


class NamedSignal(Signal):
    """A signal by its name, for everybody. Made by `signal(name)`."""

    def reset(self) -> None:
        """Be as if nobody had triggered it; who waits goes on waiting."""
        self._server.store.run("reset_signal", self._name)

    async def areset(self) -> None:
        """`reset` without blocking the loop."""
        await asyncio.to_thread(self.reset)


class SignalUse:
    """The block in which the properties of a signal may be changed."""

    def __init__(self, used: Signal, timeout: float | None) -> None:
        self._used = used
        self._timeout = timeout

    def __enter__(self) -> Signal:
        refuse_in_loop("with signal.use()", "async with signal.use()")
        drive(self._enter())
        return self._used

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drive(self._leave(failed=kind is not None))

    async def __aenter__(self) -> Signal:
        await adrive(self._enter())
        return self._used

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await adrive(self._leave(failed=kind is not None))

    def _enter(self) -> Steps[None]:
        return self._used._server.part(Uses).enter(self._used.name, self._timeout)

    def _leave(self, *, failed: bool) -> Steps[None]:
        return self._used._server.part(Uses).leave(self._used.name, failed=failed)
