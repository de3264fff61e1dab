"""A proxy between a program and Redis that breaks the connection in the ways in which networks do.

    with Proxy(address) as proxy:
        store = Store(proxy.address, "shop")
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS)
        store.run("put", …)                      # sent twice: the reply to the first one was lost

It needs no privileges. It understands enough of Redis' protocol to know which reply belongs to which command. One
thread runs it; its methods may be called from any other, and hold for everything that arrives from then on.

| method | what the program sees |
|---|---|
| `swallow_reply` | a command was carried out, its reply never comes, and the connection breaks (or stays silent) |
| `cut_request` | the connection breaks after n bytes of what it sends |
| `reset` | all connections are reset; new ones are served |
| `black_hole` | nothing is answered any more and nothing arrives; with `new=False`, new connections are served |
| `refuse` | all connections are reset and new ones refused |
| `delay`, `trickle` | replies come late, or byte by byte |
| `heal` | new connections are served as if nothing had been; those that were in a black hole stay there |
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Self

import hiredis

from onserver.redis.address import Address, unix_address

Words = Sequence[bytes]
Matching = Callable[[Words], bool]

_CHUNK = 65536
_START_SECONDS = 10.0
#: The commands by which scripts are run.
RUNS: Final = frozenset({b"EVALSHA", b"FCALL"})
_RESET = struct.pack("ii", 1, 0)


class _Swallow:
    """What `swallow_reply` asked for: the countdown, and what happens then."""

    def __init__(self, nth: int, matching: Matching, *, cut: bool) -> None:
        self.left, self.matching, self.cut = nth, matching, cut

    def hits(self, words: Words) -> bool:
        if self.left > 0 and self.matching(words):
            self.left -= 1
            return self.left == 0
        return False


class _Flow:
    """One connection: the program's side, Redis' side, and the commands whose replies are still to come."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter | None) -> None:
        self.near, self.far = near, far
        self.asked: deque[Words] = deque()
        self.requests = hiredis.Reader(notEnoughData=...)
        self.deaf = False
        self.task = asyncio.current_task()

    def reset(self) -> None:
        for side in (self.near, self.far):
            if side is not None:
                end = side.get_extra_info("socket")
                if end is not None and end.family != socket.AF_UNIX:
                    with contextlib.suppress(OSError):  # the other side was quicker: it is closed
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.transport.abort()


class Proxy:
    """See the top of this module.

    Args:
        upstream: the Redis behind it, `redis://` or `unix://`.
        path: listen on this Unix socket; on a TCP port of its own when None.
    """

    def __init__(self, upstream: Address, path: Path | None = None) -> None:
        self.upstream = upstream
        self.address = unix_address(str(path), upstream.db) if path else upstream
        #: Every command that arrived: its words. For counting round trips.
        self.commands: list[Words] = []
        #: How many replies were swallowed and requests cut so far.
        self.broken = 0
        self._path = path
        self._flows: set[_Flow] = set()
        self._swallow: _Swallow | None = None
        self._cut_after: int | None = None
        self._deaf = False
        self._delay = self._trickle = 0.0
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    # -- life

    def start(self) -> Self:
        """Listen; `address` is where."""
        self._thread.start()
        self._call(self._listen())
        return self

    def close(self) -> None:
        """Reset all connections and end the thread."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- faults

    def swallow_reply(self, nth: int = 1, matching: Matching = lambda _: True, *, cut: bool = True) -> None:
        """Lose the reply to the nth command that matches, counted from now.

        Args:
            nth: 1 for the next one.
            matching: gets the words of a command.
            cut: reset the connection then; False leaves it open and silent.
        """
        self._swallow = _Swallow(nth, matching, cut=cut)

    def cut_request(self, after: int) -> None:
        """Pass on so many bytes of what programs send from now on, all together, then reset that connection."""
        self._cut_after = after

    def reset(self) -> None:
        """Reset all connections that there are."""
        self._call(self._reset_all())

    def black_hole(self, *, new: bool = True) -> None:
        """Let nothing through on the connections that there are and, with `new`, on those to come."""
        self._deaf = new
        for flow in list(self._flows):
            flow.deaf = True

    def refuse(self) -> None:
        """Reset all connections and listen no more."""
        self._call(self._stop_listening())

    def delay(self, seconds: float) -> None:
        """Hold every piece of a reply back for so long."""
        self._delay = seconds

    def trickle(self, seconds: float) -> None:
        """Pass replies on byte by byte, with a pause of so long after each."""
        self._trickle = seconds

    def heal(self) -> None:
        """Break nothing any more."""
        self._deaf, self._swallow, self._cut_after = False, None, None
        self._delay = self._trickle = 0.0
        if self._server is None:
            self._call(self._listen())

    # -- inside the thread

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def _listen(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path))
            return
        port = self.address.nodes[0][1] if self.address is not self.upstream else 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        port = self._server.sockets[0].getsockname()[1]
        self.address = Address(kind="tcp", nodes=(("127.0.0.1", port),), db=self.upstream.db)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            if self._path is not None:
                self._path.unlink(missing_ok=True)
        await self._reset_all()

    async def _reset_all(self) -> None:
        for flow in self._flows:
            flow.reset()
        if self._flows:
            await asyncio.wait([flow.task for flow in self._flows if flow.task], timeout=_START_SECONDS)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        flow = _Flow(near, None)
        self._flows.add(flow)
        try:
            if self._deaf:
                await _drain(near_reader)
                return
            far_reader, flow.far = await self._dial()
            pumps = [
                asyncio.ensure_future(self._pump_requests(near_reader, flow)),
                asyncio.ensure_future(self._pump_replies(far_reader, flow)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            return  # Redis is not there: the program sees its connection closed, as it would without a proxy
        finally:
            flow.reset()
            self._flows.discard(flow)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.kind == "unix":
            return await asyncio.open_unix_connection(self.upstream.path)
        return await asyncio.open_connection(*self.upstream.nodes[0])

    async def _pump_requests(self, reader: asyncio.StreamReader, flow: _Flow) -> None:
        while data := await reader.read(_CHUNK):
            if flow.deaf:
                continue
            cut = self._cut_after
            if cut is not None:
                data, self._cut_after = data[:cut], cut - len(data)
            self._note(data, flow)
            assert flow.far is not None
            flow.far.write(data)
            await flow.far.drain()
            if cut is not None and cut <= len(data):
                self.broken += 1
                self._cut_after = None
                return

    def _note(self, data: bytes, flow: _Flow) -> None:
        flow.requests.feed(data)
        while (words := flow.requests.gets()) is not ...:
            flow.asked.append(words)
            self.commands.append(words)

    async def _pump_replies(self, reader: asyncio.StreamReader, flow: _Flow) -> None:
        buffer = b""
        while data := await reader.read(_CHUNK):
            buffer += data
            if self._delay:
                await asyncio.sleep(self._delay)
            while (end := end_of_reply(buffer, 0)) is not None:
                reply, buffer = buffer[:end], buffer[end:]
                words = flow.asked.popleft() if flow.asked else ()
                if flow.deaf:
                    continue
                if self._swallow is not None and self._swallow.hits(words):
                    self.broken += 1
                    if self._swallow.cut:
                        return
                    flow.deaf = True
                    continue
                await self._pass_on(reply, flow)

    async def _pass_on(self, reply: bytes, flow: _Flow) -> None:
        step = 1 if self._trickle else len(reply)
        for at in range(0, len(reply), step):
            flow.near.write(reply[at : at + step])
            await flow.near.drain()
            if self._trickle:
                await asyncio.sleep(self._trickle)


async def _drain(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):  # the program went away from the black hole
        while await reader.read(_CHUNK):
            pass


def end_of_reply(buffer: bytes, start: int) -> int | None:
    r"""Where the reply that begins at `start` ends, or None while it is not whole. RESP2 only.

    Example:
        >>> end_of_reply(b"$2\r\nOK\r\n:1\r\n", 0)
        8
    """
    line = buffer.find(b"\r\n", start)
    if line < 0:
        return None
    kind, end = buffer[start : start + 1], line + 2
    if kind not in b"$*":
        return end
    count = int(buffer[start + 1 : line])
    if kind == b"$":
        end += count + 2 if count >= 0 else 0
        return end if end <= len(buffer) else None
    for _ in range(count):
        part = end_of_reply(buffer, end)
        if part is None:
            return None
        end = part
    return end
