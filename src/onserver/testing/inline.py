"""What the fixtures `onserver` and `onserver_live` give: a server of the test's own, whose processes run in the test.

What runs them is the engine of a single-user application (`onserver.alone`), on the real Redis of the run of the tests.
With `onserver` a process has ended when `execute_on_server` returns: it is claimed and run there and then, in the same
thread or, where an event loop runs in that one, in a thread beside it, so that a body may wait as it does on a worker.
With `onserver_live` one thread claims and runs, as an executor does.

A test may declare procedures as it goes. What comes by Celery's own `.delay` or `.apply_async` is run by the thread of
`onserver_live` or in `run_waiting`: only `execute_on_server` and its kin know that they run inline.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from onserver.alone import hooks
from onserver.alone.engine import ENDS, Engine
from onserver.alone.here import MadeHere, SenderHere
from onserver.alone.hooks import Occasion
from onserver.backup.asking import Made
from onserver.backup.run import backup_here
from onserver.backup.state import Ask
from onserver.cluster.sweep import release_due
from onserver.life.hook_arguments import BackupResult, HookArgument
from onserver.life.hook_call import HookOutcome
from onserver.process.handle import Process
from onserver.process.procedure import Procedure
from onserver.process.put import Sender
from onserver.server import Server
from onserver.session.context import serving
from onserver.session.session import Session
from onserver.session.storage import Storage
from onserver.testing.clock import advance


class OnServer:
    """A server for one test.

    Args:
        server: becomes the current server of this program while the test runs.
        queues: the queues whose processes run here.
        live: whether a thread runs them; else who starts them does.
    """

    def __init__(self, server: Server, queues: Sequence[str] = ("default",), *, live: bool = False) -> None:
        self.server = server
        self._live = live
        self._calls: list[tuple[str, Sequence[Any], Mapping[str, Any]]] = []
        #: What runs the processes.
        self.engine = Engine(server, "test", queues, seats=int(live), seen=self._saw)

    # -- for tests

    @property
    def storage(self) -> Storage:
        """The server's storage."""
        return self.server.storage

    @property
    def dead(self) -> list[Process[Any]]:
        """The processes that were dead-lettered, the first one first."""
        numbers = self.server.store.command("ZRANGE", self.server.store.key("dead"), 0, -1)
        return [Process.get(int(number)) for number in numbers]

    def calls(self, procedure: Procedure[..., Any] | str) -> list[tuple[Sequence[Any], Mapping[str, Any]]]:
        """The arguments with which a procedure was run in this test, in order: (positional, by name)."""
        name = procedure if isinstance(procedure, str) else procedure.name
        return [(args, kwargs) for called, args, kwargs in self._calls if called == name]

    @contextmanager
    def as_user(
        self, user: str, *, roles: Sequence[str] = (), privileges: Sequence[str] = (), login: str = ""
    ) -> Generator[Session]:
        """Be a request of the web in a session of this user, until the block ends: what is started there, they ask for.

        Args:
            user: name of the user; empty for a guest.
            roles: of `config/roles.json`.
            privileges: of it, besides those of the roles.
            login: the user of `onserver users` behind it, who has to exist.
        """
        sessions = self.server.sessions
        opened = sessions.open("web", user=user, login=login)
        if roles or privileges:
            opened.set_privileges({"userName": user, "roles": list(roles), "privileges": list(privileges)})
        try:
            with serving(opened):
                yield opened
        finally:
            sessions.close(opened.id)

    def advance(self, seconds: float) -> None:
        """Move the clock of Redis' scripts, and let what has become due by then run."""
        advance(self.server.store, seconds)
        release_due(self.engine.member)
        if not self._live:
            self.run_waiting()

    def fire(self, event: Occasion, argument: HookArgument | None = None) -> list[HookOutcome]:
        """Run the hooks of an event here, in the stored-procedure session.

        Args:
            event: its name: that of the decorator without `on_`.
            argument: what they are told, as in `fire("backup_startup", Backup(number=1))`.

        Returns:
            How each ended that was run; a refusal is the last. What a start-up or shutdown hook raises is raised.
        """
        return hooks.fire(self.server, event, argument)

    def backup(self, *, label: str = "", force: bool = False) -> BackupResult:
        """Make a backup here, hooks included; what a worker does for `onserver backup now`.

        Archives go into a folder of the test's own, and are not verified, unless `ONSERVER_BACKUP_VERIFY` says so.
        """
        return backup_here(self.server, Ask(label=label, asked_by="test", forced_by="test" if force else ""))

    def run_waiting(self) -> None:
        """Claim and run, here and now, until nothing can be claimed: after a start by Celery's own `.delay`, say."""
        self.engine.run_waiting()

    # -- life

    def open(self) -> None:
        """Join, and be a running server."""
        self.engine.open()
        after = None if self._live else self.run_waiting
        self.server.replace_part(Sender, SenderHere(self.server, self.engine.take_place, after))
        self.server.replace_part(Made, MadeHere(self.server))

    def close(self) -> None:
        """Leave; the thread of a live one gets `ENDS` seconds.

        Raises:
            AssertionError: It did not end by then; the text says where it is.
        """
        stuck = self.engine.close()
        self.server.replace_part(Sender, Sender(self.server))
        self.server.replace_part(Made, Made(self.server))
        if stuck:
            raise AssertionError(f"a process that the test started has not ended within {ENDS:.0f} s:\n{stuck}")

    def _saw(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._calls.append((name, args, kwargs))
