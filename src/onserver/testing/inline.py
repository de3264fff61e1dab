"""What the fixtures `onserver` and `onserver_live` give: a server of the test's own, whose processes run in the test.

Redis, the scripts, the signatures and the short runner are the real ones; the supervisor is left out. With `onserver` a
process has ended when `execute_on_server` returns: it is claimed and run in the same thread, by who started it.
With `onserver_live` a thread claims and runs, as an executor does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, Literal

from onserver.cluster.member import Member
from onserver.cluster.sweep import release_due
from onserver.life.code import Code
from onserver.life.epoch import open_epoch, run_epoch
from onserver.life.hooks import SHUTDOWN, SHUTDOWN_DRAINED, STARTUP
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.handle import Process
from onserver.process.procedure import Procedure
from onserver.process.put import Order, Sender
from onserver.process.runner import run
from onserver.redis.answers import Silent
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.context import Run, entered
from onserver.session.storage import Storage
from onserver.values import decode

_HOOKS = {"server_startup": (STARTUP,), "server_shutdown": (SHUTDOWN, SHUTDOWN_DRAINED)}


class OnServer:
    """A server for one test.

    Attributes:
        server: it is the current server of this program while the test runs.
    """

    def __init__(self, server: Server, queues: Sequence[str] = ("default",), *, live: bool = False) -> None:
        self.server = server
        self._queues = tuple(queues)
        self._live = live
        self._running: set[int] = set()
        self._calls: list[tuple[str, Sequence[Any], Mapping[str, Any]]] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- for tests

    @property
    def storage(self) -> Storage:
        """The server's storage."""
        return self.server.storage

    @property
    def dead(self) -> list[Process[Any]]:
        """The processes that were dead-lettered."""
        numbers = self.server.store.command("ZRANGE", self.server.store.key("dead"), 0, -1)
        return [Process.get(int(number)) for number in numbers]

    def calls(self, procedure: Procedure[..., Any] | str) -> list[tuple[Sequence[Any], Mapping[str, Any]]]:
        """The arguments with which a procedure was run in this test, in order: (positional, by name)."""
        name = procedure if isinstance(procedure, str) else procedure.name
        return [(args, kwargs) for called, args, kwargs in self._calls if called == name]

    def advance(self, seconds: float) -> None:
        """Move the clock of Redis' scripts, and let what has become due by then run."""
        store = self.server.store
        store.command("INCRBY", store.key("clock"), int(seconds * 1000))
        release_due(self._member)
        if not self._live:
            self.run_waiting()

    def fire(self, event: Literal["server_startup", "server_shutdown"]) -> None:
        """Run the hooks of an event here, in the stored-procedure session; what one raises is raised."""
        for kind in _HOOKS[event]:
            for hook in self.server.registry.all(kind):
                with entered(self._hook_run(hook.name)):
                    hook.function()

    def _hook_run(self, name: str) -> Run:
        return Run(
            number=0,
            delivery=1,
            holder=self.holder,
            procedure=name,
            name=name,
            root=0,
            session=self.server.session(),
            caller=None,
            started=time(),
        )

    # -- life

    def open(self) -> None:
        """Join, and be a running server."""
        server = self.server
        self._member = Member.join(server.store, server.settings, "worker", "test")
        code = Code.of(server)
        self._member.register(code.digest, code.described)
        run_epoch(server.store, open_epoch(self._member, keep_storage=False).epoch.number)
        self.holder = self._member.enlist(code.digest, self._queues)
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code.digest, len(self._queues), *self._queues)
        if self._live:
            self._thread = threading.Thread(target=self._work, name="onserver-live", daemon=True)
            self._thread.start()
        else:
            server.replace_part(Sender, _InlineSender(server, self.run_waiting))

    def close(self) -> None:
        """Leave; the thread of a live one is given two seconds."""
        self._stopping.set()
        if self._thread is not None:
            self.server.store.command("RPUSH", self.server.store.key(f"x:{self.holder}"), *["wake"] * (WIDTH + 1))
            self._thread.join(2.0)
            if self._thread.is_alive():
                raise AssertionError("a process that the test started has not ended within two seconds of its end")
        self._member.bury(self.holder)
        self._member.leave(hooks_run=True)

    # -- running

    def run_waiting(self) -> None:
        """Claim and run, here and now, until nothing can be claimed."""
        settlements: list[Settlement] = []
        while True:
            claims = [claim for claim in self._step(settlements, resume=True) if claim.number not in self._running]
            if not claims:
                return
            settlements = [self._run(claim) for claim in claims]

    def _run(self, claim: Claim) -> Settlement:
        self._running.add(claim.number)
        try:
            if claim.lean:
                args, kwargs = decode(claim.body)
                self._calls.append((claim.procedure, args, kwargs))
            return run(claim, self.server, self.holder)
        finally:
            self._running.discard(claim.number)

    def _step(self, settlements: Sequence[Settlement], *, resume: bool, claim: int = 1) -> list[Claim]:
        words: list[Word] = [word for settlement in settlements for word in settlement]
        count = claim + len(self._running) if claim else 0
        _, change, _, *messages = self.server.store.run("step", self.holder, count, int(resume), *self._words, *words)
        self.storage.cache.require(int(change))
        return [Claim.read(message) for message in messages]

    def _work(self) -> None:
        settlements: list[Settlement] = []
        with self.server.store.link() as link:
            while not self._stopping.is_set():
                claims = self._step(settlements, resume=False) or self._handed_over(link)
                settlements = [self._run(claim) for claim in claims]
            self._step(settlements, resume=False, claim=0)

    def _handed_over(self, link: Link) -> list[Claim]:
        link.send("BLMPOP", 5, 1, self.server.store.key(f"x:{self.holder}"), "LEFT", "COUNT", WIDTH + 1)
        try:
            answer = link.receive(10.0)
        except Silent:
            return []
        if answer is None or answer[1][0] == b"wake":
            return []
        self.storage.cache.require(int(answer[1][WIDTH]))
        return [Claim.read(answer[1][:WIDTH])]


class _InlineSender(Sender):
    """Puts, and then lets what was put run before it answers."""

    def __init__(self, server: Server, run_waiting: Callable[[], None]) -> None:
        super().__init__(server)
        self._run_waiting = run_waiting

    def put(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        process = super().put(order, args, kwargs)
        self._run_waiting()
        return process

    def put_many(self, order: Order, calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Process[Any]]:
        processes = super().put_many(order, calls)
        self._run_waiting()
        return processes
