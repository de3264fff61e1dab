"""The server that this program works with: its settings, its Redis, what it can run, its storage.

A program has one current server: the project that it loads, the one that it names, or else the project that it is in,
found when it is first needed. That is the one piece of state that belongs to the program and not to an object.

Nothing is connected before it is used. What other modules keep for as long as a server lives (an inbox, the signing
keys) they keep in its parts; a child that was forked begins with none of them.
"""

import os
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self, TypeVar, cast

import msgspec

from onserver import project as projects
from onserver.cluster.client import ClientMember
from onserver.errors import NotConnected, ProjectNotFound
from onserver.lazy import load as load_lazily
from onserver.redis.address import Address, parse
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.registry import Registry
from onserver.session.context import outside
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
from onserver.settings import Settings, find_project, load

T = TypeVar("T")

_EMBEDDED = "embedded"
#: Where a single-user application keeps what is its own, below its project.
_STANDALONE = ".onserver/standalone"


class Server:
    """A server: a name and a place in Redis, as this program sees it.

    Args:
        name: the server's name; all its keys have it.
        redis: where its Redis is: an address, or `embedded` where a project folder is given.
        project: the project's folder, for its tasks and its signing key; None for a program without one.
        settings: all settings; `name` and `redis` are then taken from them.

    Making one makes it the current server of the program.

    Example:
        >>> Server("shop", redis="redis://redis.example:6379/0").name
        'shop'
    """

    def __init__(
        self,
        name: str = "",
        redis: str = _EMBEDDED,
        *,
        project: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.project = Path(project).resolve() if project is not None else None
        self.settings = settings or Settings(name=name, redis=redis, project=self.project)
        self.name = self.settings.name
        self.registry = Registry()
        self._tasks_loaded = False
        self._roles = RolesFile(self.project / ROLES) if self.project else None
        self._redis: Embedded | None = None
        self._store: Store | None = None
        self._client: ClientMember | None = None
        self._storage: Storage | None = None
        self._sessions: Sessions | None = None
        self._alone = False
        self._forget()
        _servers.add(self)
        self.make_current()

    @classmethod
    def load(cls, project: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Read a project's settings and make its server the current one; its tasks are imported by `load_tasks`.

        Args:
            project: its folder; None for the one of ONSERVER_PROJECT, or the nearest from the current folder upwards.
            environ: variables that win over the settings file.

        Raises:
            ProjectNotFound: ONS-1001.
            UnknownSetting: ONS-1003.
            BadSetting: ONS-1007.
        """
        folder = find_project(explicit=project, environ=environ)
        projects.put_on_path(folder)
        return cls(project=folder, settings=load(folder, environ))

    @classmethod
    def standalone(cls, project: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Be a single-user application: code of a project without a server, for development and tests.

        `session()` is then the one standalone session wherever no request of the web is served; nothing in it asks for
        privileges. Its Redis is a private one, in `.onserver/standalone`, whatever the settings say. Procedures are
        called in place; no worker is there to take processes.

        Args:
            project: its folder; None for the one of ONSERVER_PROJECT, or the nearest from the current folder upwards.
            environ: variables that win over the settings file.

        Raises:
            ProjectNotFound: ONS-1001.

        4D: a project that is opened by 4D single-user.
        """
        folder = find_project(explicit=project, environ=environ)
        projects.put_on_path(folder)
        made = cls(project=folder, settings=msgspec.structs.replace(load(folder, environ), redis=_EMBEDDED))
        made._alone = True
        return made

    @classmethod
    def attach(
        cls, app: Any, *, broker: Literal["keep", "onserver"] = "keep", project: str | Path | None = None
    ) -> "Server":
        """Let an existing Celery application join the server of its project: each of its tasks is then a process.

        It keeps its configuration, its tasks and how its workers are started; nothing of Celery's is replaced, and
        without this call it is what it was.

        Args:
            app: the application, whether it has read its configuration or not.
            broker: `keep`, its messages travel as before, and have records beside them: sessions, storage, locks, hooks
                and control of processes hold; order, delay and redelivery are its broker's. `onserver`, its messages
                are records, in the Redis of the server: everything holds. `onserver compat` tells the difference.
            project: the folder of its settings; None for the one of ONSERVER_PROJECT, or the nearest from the current
                folder upwards, else from the file of the caller upwards.

        Raises:
            ProjectNotFound: ONS-1001.
            NoSigningKey: ONS-1010.

        Example:
            In `proj/celery.py`, of which nothing else changes::

                app = Celery("proj")
                server = Server.attach(app)

        4D: has no counterpart.
        """
        server = _current[-1] if _current and project is None else cls._of_application(project, sys._getframe(1))
        load_lazily("onserver.celery_app.attach:attach")(server, app, broker)
        return server

    @classmethod
    def _of_application(cls, project: str | Path | None, caller: FrameType) -> Self:
        try:
            return cls.load(project)
        except ProjectNotFound:
            if project is not None or os.environ.get("ONSERVER_PROJECT"):
                raise
            return cls.load(find_project(start=Path(caller.f_code.co_filename).resolve().parent))

    @classmethod
    def current(cls) -> "Server":
        """Answer the current server of this program, that of the project that it is in if none was made.

        Raises:
            NotConnected: ONS-1005, no server was made and there is no project here.
        """
        if _current:
            return _current[-1]
        with _finding:
            if not _current:
                try:
                    cls.load()
                except ProjectNotFound as error:
                    raise NotConnected from error
            return _current[-1]

    def make_current(self) -> None:
        """Let `execute_on_server` and all else that names no server mean this one."""
        _current[:] = [self]

    @contextmanager
    def as_current(self) -> Generator[Self]:
        """Be the current server until the block ends."""
        before = list(_current)
        self.make_current()
        try:
            yield self
        finally:
            _current[:] = before

    def load_tasks(self) -> None:
        """Import `tasks/` of project and components, and bind all procedures and hooks to their names. Done once.

        Raises:
            RolesFileError: ONS-1004, `config/roles.json` is wrong: nobody gets in before it is mended.
            ImportFailed: ONS-1002, a module raised; the error is the cause.
            DuplicateName: ONS-1006, two procedures, or two hooks of one kind, have one name.
        """
        self.require_roles()
        if self.project is not None and not self._tasks_loaded:
            projects.import_tasks(self.project, self.settings.components)
        self._tasks_loaded = True
        self.registry.bind()

    def components(self) -> Sequence[projects.Component]:
        """Answer the components of the project, in the order in which they are imported.

        Raises:
            ImportFailed: ONS-1002, the setting `components` names a package that is not there.
        """
        if self.project is None:
            return ()
        return [projects.find_component(self.project, name) for name in self.settings.components]

    def require_roles(self) -> Roles:
        """Answer the privileges and roles in force: those of `config/roles.json`, read anew when it was replaced.

        Raises:
            RolesFileError: ONS-1004, at the first reading: the file is wrong. Later the old one stays in force.
        """
        return self._roles.roles() if self._roles else Roles()

    # -- what it is made of, connected when first used

    @property
    def embedded(self) -> bool:
        """Whether its Redis is the project's own."""
        return self.settings.redis == _EMBEDDED

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

    def part(self, make: Callable[["Server"], T]) -> T:
        """Answer what `make` makes of this server; the same one until the program ends, or forks."""
        found = self._parts.get(make)
        if found is None:
            with self._making:
                found = self._parts.get(make)
                if found is None:
                    found = self._parts[make] = make(self)
        return cast("T", found)

    def replace_part(self, make: Callable[["Server"], Any], part: object) -> None:
        """Let `part(make)` answer this one from now on: for the test plug-in, which runs processes where they start."""
        self._parts[make] = part

    def close(self) -> None:
        """Let go of Redis: what this program holds falls, its connections are closed."""
        with self._making:
            for part in (self._client, self._storage, self._store, *self._parts.values(), self._redis):
                close = getattr(part, "close", None)
                if close is not None:
                    close()
            if self._sessions is not None:
                self._sessions.let_go()
            self._client = self._storage = self._sessions = self._store = self._redis = None
            self._parts.clear()
        if self in _current:
            _current.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server {self.name} at {self.settings.redis}>"

    def _address(self) -> Address:
        if not self.embedded:
            return parse(self.settings.redis)
        if self.project is None:
            raise NotConnected  # an embedded Redis belongs to a project
        home = self.project / _STANDALONE if self._alone else self.project
        self._redis = Embedded(home, server=self.settings.redis_server)
        return self._redis.start()

    def _forget(self) -> None:
        self._parts: dict[Callable[[Server], Any], Any] = {}
        self._making = threading.RLock()


def _standalone(server: Server) -> Alone:
    if server.project is None:
        raise NotConnected
    return Alone(server.sessions, server.project / _STANDALONE)


def _stored_procedure_session(server: Server) -> Session:
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


_current: list[Server] = []
_finding = threading.Lock()
_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _forget_in_child() -> None:
    global _finding  # the parent may have been finding its project in another thread
    _finding = threading.Lock()
    for server in list(_servers):
        server._forget()  # the child has its own inbox and locks


os.register_at_fork(after_in_child=_forget_in_child)


def _outside() -> Session | None:
    """`session()` outside of every run: the standalone session, or None in a client program.

    Raises:
        NotConnected: ONS-1005, there is no server.
    """
    server = Server.current()
    return server.session() if server._alone else None


outside.answer = _outside
