"""The server of this program: settings, connection and registry, and the one piece of module-level state.

A program has one current server: the one that was loaded or made last, or, when nothing was, the project that is found
from the current folder upwards at the first use. Connections are made when something is first asked of Redis, so that
loading costs no trip.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from onserver import settings as settings_files
from onserver.cluster.client import ClientMember
from onserver.errors import NotConnected, ProjectNotFound
from onserver.project import put_on_path
from onserver.redis.address import Address, parse
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.registry import Registry
from onserver.session.context import outside
from onserver.session.session import Session
from onserver.session.storage import Storage
from onserver.settings import Settings, find_project

T = TypeVar("T")

#: The key prefix of the stored-procedure session's storage, behind the server's own.
SPACE = "st:"


class Server:
    """A server as this program sees it: what it is called, where its Redis is, what it knows how to run.

    Args:
        name: the server's name; all its keys begin with it.
        redis: `embedded`, or a URL: redis://, rediss://, unix://, redis+sentinel://, redis+cluster://.
        settings: all settings, instead of the two above with defaults for the rest.
        project: the project's folder, None for a program without one.

    Making one makes it the current server of this program.

    Example:
        >>> server = Server("doctest", redis="redis://127.0.0.1:6379/0")
        >>> server.name, Server.current() is server
        ('doctest', True)
        >>> server.close()
    """

    def __init__(
        self, name: str = "", redis: str = "", *, settings: Settings | None = None, project: Path | None = None
    ) -> None:
        self.settings = settings or Settings(name=name, redis=redis or "embedded", project=project)
        self.name = self.settings.name
        self.project = project
        self.registry = Registry()
        self.embedded = self.settings.redis == "embedded"
        self._making = threading.RLock()
        self._redis: Embedded | None = None
        self._store: Store | None = None
        self._storage: Storage | None = None
        self._client: ClientMember | None = None
        self._session: Session | None = None
        self._parts: dict[type[Any], Any] = {}
        _Current.server = self

    @classmethod
    def load(cls, project: str | Path | None = None, *, environ: Mapping[str, str] = os.environ) -> "Server":
        """Load a project's settings and make its server the current one.

        Args:
            project: its folder; None: ONSERVER_PROJECT, else the nearest folder with `config/onserver.toml`, from the
                current one upwards.
            environ: where `ONSERVER_*` are read from.

        Raises:
            ProjectNotFound: ONS-1001, there is none.
            UnknownSetting: ONS-1003, a setting or variable does not exist.
            BadSetting: ONS-1007, one has a wrong value.
        """
        folder = find_project(explicit=project, environ=environ)
        put_on_path(folder)
        return cls(settings=settings_files.load(folder, environ), project=folder)

    @classmethod
    def current(cls) -> "Server":
        """Answer this program's server, loading the project around the current folder at the first use.

        Raises:
            NotConnected: ONS-1005, none was loaded, and there is no project here.
        """
        if _Current.server is None:
            try:
                return cls.load()
            except ProjectNotFound as error:
                raise NotConnected from error
        return _Current.server

    @property
    def store(self) -> Store:
        """The connection to this server's keys; the embedded Redis is started when it is first asked for."""
        with self._making:
            if self._store is None:
                settings = self.settings
                self._store = Store(
                    self._address(),
                    self.name,
                    connect_seconds=settings.redis_connect_seconds,
                    command_seconds=settings.redis_command_seconds,
                    wait_for_replicas=settings.wait_for_replicas,
                    testing=os.environ.get("ONSERVER_TESTING") == "1",
                )
            return self._store

    def _address(self) -> Address:
        if not self.embedded:
            return parse(self.settings.redis)
        self._redis = Embedded(self.project or Path.cwd(), server=self.settings.redis_server)
        return self._redis.start()

    @property
    def redis(self) -> Embedded | None:
        """The embedded Redis that this program uses, if it is one."""
        return self._redis

    @property
    def client(self) -> ClientMember:
        """This program's membership, for what it holds outside of processes."""
        with self._making:
            if self._client is None:
                self._client = ClientMember(self.store, self.settings, f"{socket.gethostname()}:{os.getpid()}")
            return self._client

    @property
    def storage(self) -> Storage:
        """The storage of the server: that of its stored-procedure session, reached from any program."""
        with self._making:
            if self._storage is None:
                self._storage = Storage(self.store, SPACE, self.settings, self.client.holder, self.client.holding)
            return self._storage

    def session(self) -> Session:
        """The stored-procedure session of the present epoch.

        4D: the session of the virtual user, one for all stored procedures and hooks (specification 3.3).
        """
        with self._making:
            if self._session is None:
                fields = self.store.command("HMGET", self.store.key("server"), "session", "opened")
                identity, opened = ((fields[0] or b"").decode(), int(fields[1] or 0))
                self._session = Session(
                    identity,
                    self.settings.session.user_name,
                    self.storage,
                    machine=socket.gethostname(),
                    created_ms=opened,
                )
            return self._session

    def part(self, kind: Callable[["Server"], T]) -> T:
        """Answer the one instance of a class that belongs to this server, making it from the server if need be."""
        found = self._parts.get(cast("type[Any]", kind))
        if found is None:
            with self._making:
                found = self._parts.get(cast("type[Any]", kind))
                if found is None:
                    found = kind(self)
                    self._parts[cast("type[Any]", kind)] = found
        return cast("T", found)

    def forget_epoch(self) -> None:
        """Another epoch has begun: its session is to be read."""
        self._session = None

    def close(self) -> None:
        """Let go of Redis: what this program holds falls, its connections are closed."""
        with self._making:
            if self._client is not None:
                self._client.close()
            if self._storage is not None:
                self._storage.close()
            if self._store is not None:
                self._store.close()
            if self._redis is not None:
                self._redis.close()
            self._client = self._storage = self._store = self._redis = self._session = None
            self._parts.clear()
        if _Current.server is self:
            _Current.server = None

    def __repr__(self) -> str:
        return f"<Server {self.name} at {self.settings.redis}>"


class _Current:
    """The one piece of module-level state: this program's server."""

    server: Server | None = None


def _outside() -> None:
    """`session()` outside of every run: None in a client program; `NotConnected` where there is no server."""
    Server.current()


outside.answer = _outside
