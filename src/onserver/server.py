"""The server that this program works with: its settings and what it can run; its Redis, sessions and storage (`parts`).

A program has one current server: the project that it loads, the one that it names, or else the project that it is in,
found when it is first needed. That is the one piece of state that belongs to the program and not to an object.
"""

import os
import sys
import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

import msgspec

from onserver import project as projects
from onserver.discreet import discreet
from onserver.errors import NotConnected, ProjectNotFound
from onserver.lazy import load as load_lazily
from onserver.parts import EMBEDDED, Parts
from onserver.registry import Registry
from onserver.session.context import outside
from onserver.session.session import Session
from onserver.settings import Settings, find_project, load


class Server(Parts):
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
        redis: str = EMBEDDED,
        *,
        project: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        folder = Path(project).resolve() if project is not None else None
        super().__init__(folder, settings or Settings(name=name, redis=redis, project=folder))
        self.registry = Registry()
        self._tasks_loaded = False
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
        privileges. Its Redis is a private one, in `.onserver/standalone`, whatever the settings say. There are no
        workers: what `execute_on_server` starts runs in threads of this program. When it ends, what runs gets the grace
        time of a worker; what has not ended then, or is due later, waits for the next opening. Nothing is started by
        itself: no schedule, and hooks by `fire`.

        Args:
            project: its folder; None for the one of ONSERVER_PROJECT, or the nearest from the current folder upwards.
            environ: variables that win over the settings file.

        Raises:
            ProjectNotFound: ONS-1001.

        4D: a project that is opened by 4D single-user.
        """
        folder = find_project(explicit=project, environ=environ)
        projects.put_on_path(folder)
        made = cls(project=folder, settings=msgspec.structs.replace(load(folder, environ), redis=EMBEDDED))
        made._alone = True
        load_lazily("onserver.alone.opening:prepare")(made)
        return made

    def fire(self, event: str, argument: Any = None) -> list[Any]:
        """Run the hooks of an event here and now: in a single-user application, where none runs by itself.

        They run in the standalone session, in their order.

        Args:
            event: `server_startup`, `server_shutdown`, `backup_startup`, `backup_shutdown`, `system_event`,
                `server_open_connection` or `server_close_connection`: the name of the decorator without `on_`.
            argument: what its hooks are told, as in `fire("backup_startup", Backup(number=1))`.

        Returns:
            How each ended that was run: name, `outcome`, `code`, `value`, `reason`, `error`. A refusal is the last.

        Raises:
            NotStandalone: ONS-1015, this server has workers, which run its hooks.
            BadArguments: ONS-1105, there is no such event, or its hooks are told something else.
            Exception: what a start-up or shutdown hook raises.

        Example:
            >>> with Server.standalone() as server:  # doctest: +SKIP
            ...     server.fire("server_startup")

        4D: has no counterpart; in single-user only *On Startup* and *On Exit* run.
        """
        outcomes: list[Any] = load_lazily("onserver.alone.hooks:fire_alone")(self, event, argument)
        return outcomes

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
            NotConnected: ONS-1005, no server was made and there is no project here; a remote client has none either.
        """
        if _current:
            return _current[-1]
        with _finding:
            if not _current:
                try:
                    cls.load()
                except ProjectNotFound as error:
                    raise NotConnected(outside.far is not None and outside.far() is not None) from error
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

    def close(self) -> None:
        """Let go of Redis: what this program holds falls, its connections are closed."""
        super().close()
        if self in _current:
            _current.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server {self.name} at {discreet(self.settings.redis)}>"


@contextmanager
def current_stays() -> Generator[None]:
    """Make a server in the block that is not to take the place of the program's current one, if there is one."""
    before = list(_current)
    try:
        yield
    finally:
        if before:
            _current[:] = before


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
