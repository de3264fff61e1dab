"""What logind tells over D-Bus: the machine goes to sleep, is awake again, or shuts down.

One socket, which the supervisor's loop watches among its others: no thread, since this program forks. A *delay lock*
(an inhibitor) makes logind wait, 5 s by default, until what has to be done before is done; it is a file descriptor, and
logind waits until every copy of it is closed, so a child that was forked closes its own at once.

Signals count only from whoever owns the name of logind at that moment: others may send to this socket too.
"""

# jeepney says nothing of its types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import jeepney
from jeepney.bus import get_bus
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, prep_socket
from jeepney.low_level import HeaderFields, MessageFlag
from jeepney.wrappers import DBusErrorResponse

_NAME: Final = "org.freedesktop.login1"
_PATH: Final = "/org/freedesktop/login1"
_INTERFACE: Final = "org.freedesktop.login1.Manager"
#: Signal and its argument to the order that it is.
_ORDERS: Final = {
    ("PrepareForSleep", True): "sleep",
    ("PrepareForSleep", False): "awake",
    ("PrepareForShutdown", True): "shutdown",
}
_ANSWER_SECONDS: Final = 2.0


class _Bus(DBusConnection):  # type: ignore[misc]  # jeepney has no types
    """Waits for no answer for ever, as jeepney does for the first one: a bus may let us in and then say nothing."""

    def receive(self, *, timeout: float | None = None) -> Any:
        return super().receive(timeout=_ANSWER_SECONDS if timeout is None else timeout)


def _open_bus() -> _Bus:
    socket = prep_socket(get_bus("SYSTEM"), True, timeout=_ANSWER_SECONDS)
    try:
        return _Bus(socket, True)
    except (OSError, DBusErrorResponse) as error:
        socket.close()
        raise OSError(str(error)) from error


class Logind:
    """A connection to the system's bus. Making one raises OSError where there is none.

    Args:
        who: name of this worker, for people who ask what delays their machine.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._lock: Any = None
        self._heard: deque[Any] = deque()
        self._bus = _open_bus()
        try:
            proxy = Proxy(message_bus, self._bus, timeout=_ANSWER_SECONDS)
            for member in ("PrepareForSleep", "PrepareForShutdown"):
                facts: dict[str, Any] = {"type": "signal", "interface": _INTERFACE, "member": member, "path": _PATH}
                proxy.AddMatch(jeepney.MatchRule(sender=_NAME, **facts))
                self._bus.filter(jeepney.MatchRule(**facts), queue=self._heard)
        except (OSError, DBusErrorResponse) as error:
            self._bus.close()
            raise OSError(str(error)) from error
        _open.add(self)

    def fileno(self) -> int:
        """What to watch."""
        return int(self._bus.sock.fileno())

    def read(self) -> list[str]:
        """What has arrived: `sleep`, `awake`, `shutdown`; `deaf` when the bus has gone."""
        try:
            while True:
                self._bus.recv_messages(timeout=0)
        except TimeoutError:
            return list(self._orders())
        except OSError:
            return [*self._orders(), "deaf"]

    def _orders(self) -> Iterator[str]:
        while self._heard:
            message = self._heard.popleft()
            order = _ORDERS.get((message.header.fields[HeaderFields.member], bool(message.body[0])))
            if order is not None and message.header.fields.get(HeaderFields.sender) == self._owner():
                yield order

    def _owner(self) -> str:
        with suppress(DBusErrorResponse, OSError, TimeoutError):  # nobody owns it: then nobody may speak for it
            return str(Proxy(message_bus, self._bus, timeout=_ANSWER_SECONDS).GetNameOwner(_NAME)[0])
        return ""

    # -- the delay lock

    def delay(self) -> bool:
        """Have logind wait before the next sleep or shutdown. Returns whether it does."""
        if self._lock is None:
            manager = jeepney.DBusAddress(_PATH, bus_name=_NAME, interface=_INTERFACE)
            words = ("sleep:shutdown", self._who, "hooks are told, and what runs may finish", "delay")
            call = jeepney.new_method_call(manager, "Inhibit", "ssss", words)
            call.header.flags |= MessageFlag.no_auto_start
            with suppress(OSError, TimeoutError):  # nobody answers: it is not waited for
                answer = self._bus.send_and_get_reply(call, timeout=_ANSWER_SECONDS)
                if answer.header.message_type == jeepney.MessageType.method_return:
                    self._lock = answer.body[0]
                    os.set_inheritable(self._lock.fileno(), False)
        return self._lock is not None

    def go_on(self) -> None:
        """It need not wait any more."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def close(self) -> None:
        """Hear nothing more, and let it go on."""
        self.go_on()
        self._bus.close()
        _open.discard(self)


_open: weakref.WeakSet[Logind] = weakref.WeakSet()


def _close_in_child() -> None:
    for logind in list(_open):
        logind.close()


os.register_at_fork(after_in_child=_close_in_child)
