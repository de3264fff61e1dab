"""What a server is made of, each part made when it is first asked for: Redis, sessions, storage, this program in it.

Nothing is connected before it is used. What other modules keep for as long as a server lives (an inbox, the signing
keys) they keep here as well, by `part`; a child that was forked begins with none of them.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from onserver.cluster.client import ClientMember
from onserver.errors import NotConnected
from onserver.redis.address import Address, parse
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.session.info import own_facts
from onserver.session.record import SPACE, SessionRecord
from onserver.session.roles import Roles
from onserver.session.roles_file import FILE as ROLES
from onserver.session.roles_watch import RolesFile
from onserver.session.running import tell_when_left
from onserver.session.session import Session
from onserver.session.sessions import Sessions
from onserver.session.standalone import Alone
from onserver.session.storage import Storage
from onserver.settings import Settings

T = TypeVar("T")

#: What the setting `redis` says where Redis is the project's own.
EMBEDDED: Final = "embedded"
#: Where a single-user application keeps what is its own, below its project.
_STANDALONE: Final = ".onserver/standalone"


class Parts:
    """What a server has; `Server` says which one it is, and what it can run.

    Args:
        project: the project's folder, or None.
        settings: all settings.

    Attributes:
        name: the server's name; all its keys have it.
    """

    def __init__(self, project: Path | None, settings: Settings) -> None:
        self.project = project
        self.settings = settings
        self.name = settings.name
        self._roles = RolesFile(project / ROLES) if project else None
        self._redis: Embedded | None = None
        self._store: Store | None = None
        self._client: ClientMember | None = None
        self._storage: Storage | None = None
        self._sessions: Sessions | None = None
        self._alone = False
        self._instead: dict[Callable[[Any], Any], Callable[[Any], Any]] = {}
        self._forget()

    def require_roles(self) -> Roles:
        """Answer the privileges and roles in force: those of `config/roles.json`, read anew when it was replaced.

        Raises:
            RolesFileError: ONS-1004, at the first reading: the file is wrong. Later the old one stays in force.
        """
        return self._roles.roles() if self._roles else Roles()

    @property
    def alone(self) -> bool:
        """Whether this is a single-user application: it has no workers, and runs its processes itself."""
        return self._alone

    @property
    def embedded(self) -> bool:
        """Whether its Redis is the project's own."""
        return self.settings.redis == EMBEDDED

    @property
    def redis(self) -> Embedded | None:
        """The embedded Redis that this program uses, once it does."""
        return self._redis

    @property
    def store(self) -> Store:
        """Its keys in Redis; an embedded one is started when this is first asked for.

        Raises:
            NoRedis: ONS-1203, there is none to start.
        """
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
                if self._redis is not None:
                    self._store.on_refused.append(self._redis.revive)
            return self._store

    @property
    def client(self) -> ClientMember:
        """This program as a member, in whose name it locks outside of processes."""
        with self._making:
            if self._client is None:
                self._client = ClientMember(self.store, self.settings, f"{_program()}@{socket.gethostname()}")
            return self._client

    @property
    def storage(self) -> Storage:
        """The storage of the stored-procedure session; it belongs to the server, and is there while no worker is."""
        with self._making:
            if self._storage is None:
                self._storage = Storage(self.store, SPACE, self.settings, self.client.holder, self.client.holding)
                tell_when_left(self._storage)
            return self._storage

    def session(self) -> Session:
        """Answer the one session in which procedures and hooks run: that of the epoch at its first use here.

        In a single-user application it is the standalone session.
        """
        return self.part(_standalone).session if self._alone else self.part(_stored_procedure_session)

    @property
    def sessions(self) -> Sessions:
        """The sessions of the server, of all kinds."""
        with self._making:
            if self._sessions is None:
                owner = (self.client.holder, self.client.holding)
                self._sessions = Sessions(self.store, self.settings, self.require_roles, *owner, common=self.storage)
            return self._sessions

    def forget_epoch(self) -> None:
        """Another epoch has begun: its session is to be read."""
        self._parts.pop(_stored_procedure_session, None)

    def part(self, make: Callable[[Self], T]) -> T:
        """Answer what `make` makes of this server; the same one until the program ends, or forks."""
        found = self._parts.get(make)
        if found is None:
            with self._making:
                found = self._parts.get(make)
                if found is None:
                    found = self._parts[make] = self._instead.get(make, make)(self)
        return cast("T", found)

    def make_instead(self, make: Callable[[Any], T], other: Callable[[Any], T]) -> None:
        """Let `part(make)` answer what `other` makes: for a single-user application, in forked children as well."""
        self._instead[make] = other

    def before_close(self, end: Callable[[], None]) -> None:
        """Have this called when this server is closed, before it lets go of Redis."""
        self._ends.append(end)

    def replace_part(self, make: Callable[[Self], Any], part: object) -> None:
        """Let `part(make)` answer this one from now on: for the test plug-in, which runs processes where they start."""
        self._parts[make] = part

    def close(self) -> None:
        """Let go of Redis: what this program holds falls, its connections are closed."""
        while self._ends:
            self._ends.pop()()
        with self._making:
            for part in (self._client, self._storage, self._store, *self._parts.values(), self._redis):
                close = getattr(part, "close", None)
                if close is not None:
                    close()
            if self._sessions is not None:
                self._sessions.let_go()
            self._client = self._storage = self._sessions = self._store = self._redis = None
            self._parts.clear()

    def _address(self) -> Address:
        if not self.embedded:
            return parse(self.settings.redis)
        if self.project is None:
            raise NotConnected  # an embedded Redis belongs to a project
        home = self.project / _STANDALONE if self._alone else self.project
        self._redis = Embedded(home, server=self.settings.redis_server)
        return self._redis.start()

    def _forget(self) -> None:
        self._parts: dict[Callable[[Self], Any], Any] = {}
        self._ends: list[Callable[[], None]] = []
        self._making = threading.RLock()


def _standalone(server: Parts) -> Alone:
    if server.project is None:
        raise NotConnected
    return Alone(server.sessions, server.project / _STANDALONE)


def _stored_procedure_session(server: Parts) -> Session:
    found, opened_ms = server.store.command("HMGET", server.store.key("server"), "session", "opened")
    identity = (found or b"").decode()
    record = server.sessions.records.read(identity)
    if record is None:  # nobody has opened an epoch with this release
        facts: dict[str, Any] = {"user": server.settings.session.user_name, **own_facts(socket.gethostname())}
        record = SessionRecord(id=identity, kind="storedProcedure", created_ms=int(opened_ms or 0), **facts)
    return server.sessions.of(record)


def _program() -> str:
    """Answer a short name of this program, for people."""
    return Path(sys.argv[0] if sys.argv else "").stem or "client"
