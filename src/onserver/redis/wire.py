"""One socket to one node: bytes out, replies in, with deadlines that hold.

Every wait ends with the time that is left, so a server that sends a byte now and then cannot stretch a deadline, and
setting a time-out costs no system call. Most answers are there at once and their deadlines are far away: then a plain
socket is read as one that blocks for `_SLICE_SECONDS`, which costs one system call, and one turn at the interpreter's
lock, where a `poll` before it costs two. For the last of its time, and with TLS, it is a `poll`.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import Any

from onserver.redis.address import Address, Node
from onserver.redis.resp import PENDING, Replies, feed

_CHUNK = 1 << 16
#: Seconds of a quiet connection after which the kernel asks the other side whether it is still there.
_KEEPALIVE_SECONDS = 10
_SLICE_SECONDS = 1
_SLICE_MS = 1000.0 * _SLICE_SECONDS
_NEVER = float("inf")
_give_way = getattr(os, "sched_yield", partial(sleep, 0))


class Wire:
    """A connected socket. `TimeoutError` at a deadline, `ConnectionError` when it broke."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._flags, self._slice_ms = _ways(connected)
        self._readable = select.poll()
        self._readable.register(connected, select.POLLIN)
        self._buffer = bytearray(_CHUNK)
        self._replies = Replies()

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it before the deadline (monotonic)."""
        try:
            sent = self._socket.send(data, self._flags)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        while rest:
            if not writable.poll(_left_ms(deadline)):
                raise TimeoutError
            with suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):  # spurious wake-up: wait again
                rest = rest[self._socket.send(rest, self._flags) :]

    def reply(self, deadline: float, wait_ms: float) -> Any:
        """The next reply, an `ErrorReply` among them, before the deadline (monotonic), which is `wait_ms` from now."""
        reader = self._replies
        while (reply := reader.gets()) is PENDING:
            # less than nothing, where connecting took all of the time, would be for ever
            if wait_ms < self._slice_ms and not self._readable.poll(max(0, wait_ms)):
                raise TimeoutError
            if count := self._receive(self._flags if wait_ms < self._slice_ms else 0):
                feed(reader, self._buffer, 0, count)
            wait_ms = _left_ms(deadline)
        return reply

    def look(self, until: float) -> None:
        """Look for a reply until then (monotonic) without going to sleep; who wants the processor has it meanwhile."""
        if self._replies.has_data():  # it came along with the one before: the socket may stay empty
            return
        poll = self._readable.poll
        while not poll(0) and monotonic() < until:
            _give_way()

    def offer(self, data: bytes | bytearray) -> int:
        """Send what the socket takes without waiting; answer how many bytes that is."""
        try:
            return self._socket.send(data, self._flags)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def arrived(self) -> list[Any]:
        """The replies that one look at the socket brings, without waiting for any."""
        reader, found = self._replies, list[Any]()
        if count := self._receive(self._flags):
            feed(reader, self._buffer, 0, count)
        while (reply := reader.gets()) is not PENDING:
            found.append(reply)
        return found

    def _receive(self, flags: int) -> int:
        try:
            count = self._socket.recv_into(self._buffer, 0, flags)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        if not count:
            raise ConnectionResetError("the connection was closed by the other side")
        return count

    def fileno(self) -> int:
        """The file descriptor, for a poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this process' end of it. A parent's or child's copy of the socket stays as it is."""
        self._socket.close()


class TlsWire(Wire):
    """The same through TLS, where decrypted bytes may wait although the socket is not readable."""

    def __init__(self, connected: ssl.SSLSocket) -> None:
        super().__init__(connected)
        self._tls = connected

    def _receive(self, flags: int) -> int:
        count = super()._receive(flags)
        while pending := self._tls.pending():
            feed(self._replies, self._buffer, 0, count)
            count = self._tls.recv_into(self._buffer, pending)
        return count


def dial(address: Address, node: Node | None, deadline: float) -> Wire:
    """Connect to `node` (or, when None, to the Unix socket of the address) before the deadline (monotonic).

    Raises:
        OSError: as `socket` has it: refused, no such file, no route, unknown name, TimeoutError.
    """
    if node is None:
        return Wire(_connect_unix(address.path, deadline))
    connected = socket.create_connection(node, timeout=max(deadline - monotonic(), 0.001))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
    context = address.tls_context()
    if context is None:
        return Wire(connected)
    try:
        secured = context.wrap_socket(connected, server_hostname=node[0])
    except BaseException:
        connected.close()
        raise
    return TlsWire(secured)


def _connect_unix(path: str, deadline: float) -> socket.socket:
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connecting.settimeout(max(deadline - monotonic(), 0.001))
        connecting.connect(path)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _ways(connected: socket.socket) -> tuple[int, float]:
    """Set a socket up; answer the flags with which it does not block, and from how many ms on a wait on it blocks."""
    plain = type(connected) is socket.socket and socket.socket.__module__ == "socket"  # nobody's event loop's
    connected.settimeout(None if plain else 0)
    if not plain:
        return 0, _NEVER
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SLICE_SECONDS, 0))
    return socket.MSG_DONTWAIT, _SLICE_MS


def _left_ms(deadline: float) -> float:
    return max(0.0, (deadline - monotonic()) * 1000)
