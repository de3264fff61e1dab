"""A worker in a thread of the test's program: the scripts and the short runner are real, the supervisor is left out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onserver.cluster.member import Member
from onserver.life.code import Code
from onserver.life.epoch import open_epoch, run_epoch
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.runner import run
from onserver.redis.answers import Silent
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.settings import MemberSettings, ProcessSettings, Settings, SigningSettings

KEY = "a key that only the tests have"


def make_server(name: str, redis: str, **process: Any) -> Server:
    """A server of the test's own, with a key and a lease that no test waits for."""
    settings = Settings(
        name=name,
        redis=redis,
        signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=60.0),
        process=ProcessSettings(**process),
    )
    return Server(settings=settings)


class InlineWorker:
    """Claims and runs, one process at a time, until it is stopped."""

    def __init__(self, server: Server, queues: tuple[str, ...] = ("default",)) -> None:
        self.server = server
        self.queues = queues
        self.member = Member.join(server.store, server.settings, "worker", "inline@test")
        code = Code.of(server)
        self.member.register(code.digest, code.described)
        run_epoch(server.store, open_epoch(self.member, keep_storage=False).epoch.number)
        self.holder = self.member.enlist(code.digest, queues)
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code.digest, len(queues), *queues)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inline-worker")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self.server.store.command("RPUSH", self.server.store.key(f"x:{self.holder}"), *["wake"] * (WIDTH + 1))
        self._thread.join(10.0)
        assert not self._thread.is_alive()
        self.member.bury(self.holder)
        self.member.leave(hooks_run=True)

    def _run(self) -> None:
        settlements: list[Settlement] = []
        with self.server.store.link() as link:
            while True:
                claims = self._step(settlements) or self._handed_over(link)
                settlements = [run(claim, self.server, self.holder) for claim in claims]
                if self._stopping.is_set():
                    self._step(settlements, claim=0)
                    return

    def _step(self, settlements: list[Settlement], claim: int = 1) -> list[Claim]:
        words: list[Word] = [word for settlement in settlements for word in settlement]
        answer = self.server.store.run("step", self.holder, claim, 0, *self._words, *words)
        return [Claim.read(message) for message in answer[3:]]

    def _handed_over(self, link: Any) -> list[Claim]:
        link.send("BLMPOP", 5, 1, self.server.store.key(f"x:{self.holder}"), "LEFT", "COUNT", WIDTH + 1)
        try:
            answer = link.receive(10.0)
        except Silent:
            return []
        if answer is None or answer[1][0] == b"wake":
            return []
        return [Claim.read(answer[1][:WIDTH])]


@contextmanager
def working(server: Server, *queues: str) -> Iterator[InlineWorker]:
    """A worker for the block."""
    worker = InlineWorker(server, queues or ("default",))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
