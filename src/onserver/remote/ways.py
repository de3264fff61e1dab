"""The ways to a server: over the web to its gateway; over its Redis or in place, in a program that has the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import msgspec

from onserver.connections.facts import Event, Opened
from onserver.connections.granting import agrant, grant
from onserver.connections.wire import CONTENT, Ended, Known, Wish
from onserver.errors import BrokerUnavailable, CertificateRefused, OnServerError, ServerUnreachable
from onserver.lazy import load
from onserver.process.failure import error_at_home, is_among
from onserver.remote.trust import refusal_in, trusting
from onserver.server import Server

#: What each wish is answered by; None where it is none of these.
ANSWERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "open": Opened, "connect": int, "call": Ended | None, "answer": Ended | None, "wait": tuple[Event, ...],
        "start": int, "process": Ended | None, "ask": int, "register": bool, "unregister": bool, "token": str,
        "facts": Known,
    }
)  # fmt: skip
#: Longer than a wish waits for its answer, in seconds: then the connection is held for broken.
_SPARE_SECONDS: Final = 15.0
#: Farewells, for which nobody who leaves waits for long.
_BRIEF: Final = frozenset({"close", "disconnect", "sleep"})
_BRIEF_SECONDS: Final = 5.0
#: What a server in front says while the gateway is away.
_AWAY: Final = frozenset({502, 503, 504})
_encode: Final = msgspec.msgpack.Encoder().encode


class Cut(Exception):
    """There was no answer: the wish may have arrived or not, and is to be sent again. Its text says why."""


class Way(Protocol):
    """How wishes travel."""

    @property
    def url(self) -> str:
        """Where to, for people."""
        ...

    def ask(self, session: str, wish: Wish) -> Any:
        """Have a wish granted.

        Raises:
            Cut: there was no answer.
            CertificateRefused: ONS-1207, over the web; nothing was sent.
            OnServerError: the server's own refusal.
        """
        ...

    async def aask(self, session: str, wish: Wish) -> Any:
        """`ask` without blocking the loop."""
        ...

    def close(self) -> None:
        """Let go of what connects."""
        ...

    async def aclose(self) -> None:
        """Let go of what connects this loop."""
        ...


class OverWeb:
    """The way to a gateway.

    Args:
        url: of the gateway, as in `https://shop.example`; a path before `/remote` may follow.
        verify: what proves who the server is: True, a file of certificates, or an `ssl.SSLContext`.
    """

    def __init__(self, url: str, verify: Any = True) -> None:
        self.url = url.rstrip("/")
        self._http = load("httpx2", "remote")
        proof = trusting(verify, self._http.create_ssl_context)
        self._options: dict[str, Any] = {"verify": proof, "follow_redirects": False}
        self._limits = self._http.Limits(max_connections=None, max_keepalive_connections=20)
        self._clients: dict[int, Any] = {}
        self._in_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def ask(self, session: str, wish: Wish) -> Any:
        """Post a wish."""
        verb, request = self._request(session, wish)
        try:
            response = self._client().post(**request)
        except self._http.TransportError as error:
            raise self._broken(error) from error
        return _answer(verb, response)

    async def aask(self, session: str, wish: Wish) -> Any:
        """Post a wish from the running loop."""
        verb, request = self._request(session, wish)
        loop = asyncio.get_running_loop()
        client = self._in_loops.get(loop)
        if client is None:
            client = self._in_loops[loop] = self._http.AsyncClient(limits=self._limits, **self._options)
        try:
            response = await client.post(**request)
        except self._http.TransportError as error:
            raise self._broken(error) from error
        return _answer(verb, response)

    def close(self) -> None:
        """Close the connections of this program's threads."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of threads."""
        client = self._in_loops.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    def _broken(self, error: Exception) -> Exception:
        """What a connection that broke means: to be tried again, but for who is not believed to be the server."""
        refused = refusal_in(error)
        return CertificateRefused(self.url, refused) if refused else Cut(_reason(error))

    def _client(self) -> Any:
        """The connections of this process; a forked child gets its own and leaves its parent's alone."""
        found = self._clients.get(os.getpid())
        if found is None:
            made = self._http.Client(limits=self._limits, **self._options)
            found = self._clients.setdefault(os.getpid(), made)
        return found

    def _request(self, session: str, wish: Wish) -> tuple[str, dict[str, Any]]:
        verb = type(wish).__name__.lower()
        headers = {"Content-Type": CONTENT, "Accept": CONTENT} | (
            {"Authorization": f"Bearer {session}"} if session else {}
        )
        waits = getattr(wish, "seconds", 0.0) if verb != "token" else 0.0
        spare = _BRIEF_SECONDS if verb in _BRIEF else _SPARE_SECONDS
        timeout = self._http.Timeout(waits + spare, connect=spare, pool=None)
        url = f"{self.url}/remote/{verb}"
        return verb, {"url": url, "content": _encode(wish), "headers": headers, "timeout": timeout}


class InPlace:
    """The way in a program that has the server itself: the desk is called.

    Args:
        server: the loaded project.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"server {server.name}"

    def ask(self, session: str, wish: Wish) -> Any:
        """Call the desk."""
        try:
            return grant(self.server, session, wish)
        except BrokerUnavailable as error:
            raise Cut(str(error)) from error

    async def aask(self, session: str, wish: Wish) -> Any:
        """Call the desk, with threads beside the loop for short trips."""
        try:
            return await agrant(self.server, session, wish, asyncio.to_thread)
        except BrokerUnavailable as error:
            raise Cut(str(error)) from error

    def close(self) -> None:
        """Nothing: the server stays whoever's it is."""

    async def aclose(self) -> None:
        """Nothing, as `close`."""


class OverRedis(InPlace):
    """The way over the Redis of a server, in a program that has made that server for it alone.

    Args:
        server: the loaded project, closed with the way.
        address: of its Redis, without password, for people.
    """

    def __init__(self, server: Server, address: str) -> None:
        super().__init__(server)
        self.url = f"{address} (server {server.name})"

    def close(self) -> None:
        """Close the server."""
        self.server.close()

    async def aclose(self) -> None:
        """`close` without blocking the loop."""
        await asyncio.to_thread(self.server.close)


def _answer(verb: str, response: Any) -> Any:
    ours = response.headers.get("content-type", "") == CONTENT
    if not ours:
        if response.status_code in _AWAY:
            raise Cut(f"status {response.status_code} of a server in front")
        reason = f"status {response.status_code}, which is no answer of a gateway that takes remote clients"
        raise ServerUnreachable(str(response.url), 0.0, reason)
    if response.status_code == 200:
        kind = ANSWERS.get(verb)
        return None if kind is None else msgspec.msgpack.decode(response.content, type=kind)
    error = error_at_home(_only_ours, response.content)
    if isinstance(error, BrokerUnavailable):
        raise Cut(error.message) from error
    raise error or OnServerError()


def _only_ours(module: str) -> bool:
    return is_among((), module)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
