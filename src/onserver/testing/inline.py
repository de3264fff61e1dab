"""What the fixtures `onserver` and `onserver_live` give: a server of the test's own, whose processes run in the test.

Redis, the scripts, the signatures and the short runner are the real ones; the supervisor is left out. With `onserver` a
process has ended when `execute_on_server` returns: it is claimed and run there and then, in the same thread or, where
an event loop runs in that one, in a thread beside it, so that a body may wait as it does on a worker. With
`onserver_live` one thread claims and runs, as an executor does.

A test may declare procedures as it goes. Whoever starts one lets the worker take a new *place* first, that of a holder
whose code has it: what `onserver reload` does. What an older place still holds is run from there.

What comes by Celery's own `.delay` or `.apply_async` is run by Celery's tracer, by the thread of `onserver_live` or in
`run_waiting`: only `execute_on_server` and its kin know that they run inline.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import time
from typing import Any, Literal

from onserver.backup.asking import Made
from onserver.backup.run import backup_here
from onserver.backup.state import Ask
from onserver.cli.celery_side import LateTracer, task_names
from onserver.cluster.member import Member
from onserver.cluster.sweep import release_due
from onserver.life.code import Code
from onserver.life.epoch import open_epoch, run_epoch
from onserver.life.hook import (
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    CLOSE_CONNECTION,
    OPEN_CONNECTION,
    SHUTDOWN,
    SHUTDOWN_DRAINED,
    STARTUP,
    SYSTEM_EVENT,
    hooks_of,
)
from onserver.life.hook_arguments import BackupResult, HookArgument
from onserver.life.hook_call import HookOutcome, call_hook
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.handle import Process
from onserver.process.procedure import Procedure
from onserver.process.put import Order, Sender
from onserver.process.runner import Call, perform, prepare, settlement
from onserver.redis.answers import LinkError
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.context import Run, entered, serving
from onserver.session.session import Session
from onserver.session.storage import Storage
from onserver.values import decode

#: Seconds that the thread of a live one gets to end; it takes a moment, unless a process does not end.
ENDS = 10.0

Occasion = Literal[
    "server_startup",
    "server_shutdown",
    "backup_startup",
    "backup_shutdown",
    "system_event",
    "server_open_connection",
    "server_close_connection",
]
_HOOKS: Mapping[Occasion, Sequence[str]] = {
    "server_startup": (STARTUP,),
    "server_shutdown": (SHUTDOWN, SHUTDOWN_DRAINED),
    "backup_startup": (BACKUP_STARTUP,),
    "backup_shutdown": (BACKUP_SHUTDOWN,),
    "system_event": (SYSTEM_EVENT,),
    "server_open_connection": (OPEN_CONNECTION,),
    "server_close_connection": (CLOSE_CONNECTION,),
}


class OnServer:
    """A server for one test.

    Args:
        server: becomes the current server of this program while the test runs.
        queues: the queues whose processes run here.
        live: whether a thread runs them; else who starts them does.
    """

    def __init__(self, server: Server, queues: Sequence[str] = ("default",), *, live: bool = False) -> None:
        self.server = server
        self._queues = tuple(queues)
        self._live = live
        self._lock = threading.RLock()
        self._running: set[int] = set()
        self._calls: list[tuple[str, Sequence[Any], Mapping[str, Any]]] = []
        self._names: Sequence[str] | None = None
        self._places: list[_Place] = []
        self._tracer = LateTracer(server)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

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
        store = self.server.store
        store.command("INCRBY", store.key("clock"), int(seconds * 1000))
        release_due(self._member)
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
        outcomes: list[HookOutcome] = []
        for kind in _HOOKS[event]:
            for hook in hooks_of(self.server, kind):
                with entered(self._hook_run(hook.name)):
                    outcomes.append(call_hook(self.server, hook, argument))
                error = outcomes[-1].error
                if error is not None and argument is None:
                    raise error
                if outcomes[-1].refuses:
                    break
        return outcomes

    def backup(self, *, label: str = "", force: bool = False) -> BackupResult:
        """Make a backup here, hooks included; what a worker does for `onserver backup now`.

        Archives go into a folder of the test's own, and are not verified, unless `ONSERVER_BACKUP_VERIFY` says so.
        """
        return backup_here(self.server, Ask(label=label, asked_by="test", forced_by="test" if force else ""))

    def run_waiting(self) -> None:
        """Claim and run, here and now, until nothing can be claimed: after a start by Celery's own `.delay`, say."""
        for place in tuple(self._places):
            settlements: list[Settlement] = []
            while claims := self._step(place, settlements, resume=True):
                settlements = [said for claim in claims for said in self._run(place, claim)]

    # -- life

    def open(self) -> None:
        """Join, and be a running server."""
        server = self.server
        self._member = Member.join(server.store, server.settings, "worker", "test")
        self.take_place()
        run_epoch(server.store, open_epoch(self._member, keep_storage=False).epoch.number)
        server.replace_part(Sender, _SenderHere(server, self.take_place, None if self._live else self.run_waiting))
        server.replace_part(Made, _MadeHere(server))
        if self._live:
            self._thread = threading.Thread(target=self._work, name="onserver-live", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Leave; the thread of a live one gets `ENDS` seconds.

        Raises:
            AssertionError: It did not end by then; the text says where it is.
        """
        stuck = self._end_thread()
        self.server.replace_part(Sender, Sender(self.server))
        self.server.replace_part(Made, Made(self.server))
        for place in self._places:
            self._member.bury(place.holder)
        self._member.leave(hooks_run=True)
        if stuck:
            raise AssertionError(f"a process that the test started has not ended within {ENDS:.0f} s:\n{stuck}")

    def take_place(self) -> None:
        """Be a worker that has all procedures of this program, also those that were declared since the last call."""
        names = self.server.registry.names()
        if names == self._names:
            return
        with self._lock:
            code = Code.of(self.server, task_names(self.server))
            self._member.register(code.digest, code.described)
            self._member.set_limits(code.limits)
            holder = self._member.enlist(code.digest, self._queues)
            self._places.append(_Place(self, holder, (code.digest, len(self._queues), *self._queues)))
            for place in self._places[:-1]:
                self._member.retire(place.holder)  # wakes its thread, which must find the new place by then
            self._names = names

    def _end_thread(self) -> str:
        """Answer where the thread is, if it does not end."""
        self._stopping.set()
        if self._thread is None:
            return ""
        store = self.server.store
        store.command("RPUSH", store.key(f"x:{self._places[-1].holder}"), *["wake"] * (WIDTH + 1))
        self._thread.join(ENDS)
        frame = sys._current_frames().get(self._thread.ident or 0) if self._thread.is_alive() else None
        return "".join(traceback.format_stack(frame)) if frame else ""

    def _hook_run(self, name: str) -> Run:
        return Run(
            number=0,
            delivery=1,
            holder=self._places[-1].holder,
            procedure=name,
            name=name,
            root=0,
            session=self.server.session(),
            caller=None,
            started=time(),
        )

    # -- running

    def _run(self, place: _Place, claim: Claim) -> list[Settlement]:
        if not claim.lean:
            self._tracer.run(claim, place)
            with self._lock:
                self._running.discard(claim.number)
            return []
        prepared = prepare(claim, self.server)
        if not isinstance(prepared, Call):
            return [settlement(claim, self.server, prepared)]
        args, kwargs = decode(claim.body)  # once more: the body may change its own
        self._calls.append((prepared.name, args, kwargs))
        return [settlement(claim, self.server, perform(prepared, claim, self.server, place.holder))]

    def _step(
        self, place: _Place, settlements: Sequence[Settlement], *, resume: bool = False, claim: int = 1
    ) -> list[Claim]:
        """Settle and claim. With `resume`, what is handed over to this place is answered as well; never what runs."""
        words: list[Word] = [word for settlement in settlements for word in settlement]
        process = self.server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        with self._lock:
            self._running.difference_update(number for number, kind, *_ in settlements if kind != "store")
            count = claim + len(self._running) * resume if place is self._places[-1] else 0
            answer = self.server.store.run("step", place.holder, count, int(resume), *keep, *place.words, *words)
            self.storage.cache.require(int(answer[1]))
            claims = [Claim.read(message) for message in answer[3:]]
            fresh = [found for found in claims if found.number not in self._running]
            self._running.update(found.number for found in fresh)
        return fresh

    def _work(self) -> None:
        """Be the thread of a live one."""
        place, settlements = self._places[-1], list[Settlement]()
        with self.server.store.link() as link:
            while not self._stopping.is_set():
                left = place is not self._places[-1]
                # a step whose reply was lost has claimed something all the same: what is held here is answered again
                claims = self._step(place, settlements, resume=True)
                if not claims and left:
                    place, settlements = self._places[-1], []
                    continue
                claims = claims or self._handed_over(link, place)
                settlements = [said for claim in claims for said in self._run(place, claim)]
            self._step(place, settlements, claim=0)

    def _handed_over(self, link: Link, place: _Place) -> list[Claim]:
        try:
            link.send("BLMPOP", 5, 1, self.server.store.key(f"x:{place.holder}"), "LEFT", "COUNT", WIDTH + 1)
            answer = link.receive(10.0)
        except LinkError:  # silent, or the connection was lost: what was handed over is held, and answered by a step
            link.close()
            return []
        if answer is None or answer[1][0] == b"wake":
            return []
        self.storage.cache.require(int(answer[1][WIDTH]))
        return [Claim.read(answer[1][:WIDTH])]


class _Place:
    """One holder, and what `step` wants to know of it."""

    def __init__(self, opened: OnServer, holder: str, words: tuple[Word, ...]) -> None:
        self.holder = holder
        self.words = words
        self._opened = opened

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Settle at once: for Celery's tracer."""
        self._opened._step(self, [(number, kind, state, payload, extra)], claim=0)


class _MadeHere(Made):
    """Makes the backups that are asked for here: there is no worker that could."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._here = server

    def make(self, ask: Ask, timeout: float | None) -> BackupResult:  # noqa: ARG002  # it has ended when this returns
        """Make one."""
        return backup_here(self._here, ask)


class _SenderHere(Sender):
    """Puts, with a worker that knows what is put; `after`, if there is one, lets it run before the put answers."""

    def __init__(self, server: Server, before: Callable[[], None], after: Callable[[], None] | None) -> None:
        super().__init__(server)
        self._before, self._after = before, after

    def put(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        self._before()
        process = super().put(order, args, kwargs)
        self._let_run()
        return process

    def send(self, script: str, words: Callable[[str, int], Sequence[Word]]) -> Any:
        self._before()
        answer = super().send(script, words)
        self._let_run()
        return answer

    def put_many(self, order: Order, calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Process[Any]]:
        self._before()
        processes = super().put_many(order, calls)
        self._let_run()
        return processes

    def _let_run(self) -> None:
        if self._after is None:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._after()
            return
        with ThreadPoolExecutor(1, "onserver-inline") as beside:
            beside.submit(self._after).result()
