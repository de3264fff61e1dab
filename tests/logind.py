"""A private bus with a stand-in for logind: it hands out delay locks, and tells of sleep and shutdown as that does."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jeepney
import pytest
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.low_level import HeaderFields, Message, MessageType

from onserver.testing.wait import wait_for

NAME, PATH, INTERFACE = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
CONFIGURATION = """<busconfig>
  <type>custom</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


class Logind:
    """The stand-in. Its locks are pipes, as logind's are: one is given up when all copies of its end are closed."""

    def __init__(self, address: str) -> None:
        self._bus = open_dbus_connection(address, enable_fds=True)
        Proxy(message_bus, self._bus).RequestName(NAME)
        #: Who asked for a lock, in order.
        self.asked: list[tuple[str, str]] = []
        self._locks: list[int] = []
        self._sending = threading.Lock()
        self._ends = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._bus.sock, self._ends[0]], [], [])
            if self._ends[0] in ready:
                return
            try:
                while True:
                    self._answer(self._bus.receive(timeout=0))
            except TimeoutError:
                continue  # all that has arrived was answered

    def _answer(self, message: Message) -> None:
        if message.header.message_type == MessageType.method_call:
            assert message.header.fields[HeaderFields.member] == "Inhibit"
            what, who, _why, mode = message.body
            self.asked.append((f"{what} {mode}", who))
            reader, writer = os.pipe()
            self._locks.append(reader)
            with self._sending:
                self._bus.send(jeepney.new_method_return(message, "h", (writer,)))
            os.close(writer)

    @property
    def waits(self) -> int:
        """How many locks it would wait for."""
        return sum(not select.select([lock], [], [], 0)[0] for lock in self._locks)

    def tell(self, signal: str, begins: bool) -> None:
        """Send `PrepareForSleep` or `PrepareForShutdown`."""
        _send(self._bus, signal, begins, self._sending)

    def close(self) -> None:
        os.write(self._ends[1], b".")
        self._thread.join(10)
        for descriptor in (*self._locks, *self._ends):
            os.close(descriptor)
        self._bus.close()


def _send(bus: DBusConnection, signal: str, begins: bool, sending: threading.Lock) -> None:
    with sending:
        bus.send(jeepney.new_signal(jeepney.DBusAddress(PATH, interface=INTERFACE), signal, "b", (begins,)))


def impostor(address: str, signal: str) -> None:
    """Send the signal as somebody who is not logind."""
    with open_dbus_connection(address) as bus:
        _send(bus, signal, True, threading.Lock())
        Proxy(message_bus, bus).ListNames()  # an answer: the signal went before it


@contextmanager
def private_logind(folder: Path) -> Iterator[tuple[str, Logind]]:
    """A bus, and the stand-in on it. Answers its address."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("no dbus-daemon here: `scripts/packages.sh` installs it")
    path = folder / "bus"
    (folder / "bus.conf").write_text(CONFIGURATION.format(path=path))
    with ExitStack() as ends:
        program = subprocess.Popen([daemon, "--config-file", str(folder / "bus.conf"), "--nofork"])
        ends.callback(program.wait)
        ends.callback(program.kill)
        wait_for(path.exists, 30, "the bus")
        logind = Logind(f"unix:path={path}")
        ends.callback(logind.close)
        yield f"unix:path={path}", logind
