"""Programs that write as fast as they can while a server's keys are copied, each write all or nothing.

A *transfer* moves an amount from entry `a` to entry `b` in one block. A *pair* is two processes that are put in one
script, claimed together and settled together. So whoever sees half of a transfer or of a pair has seen no instant.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from onserver import procedure
from onserver.server import Server
from onserver.settings import MemberSettings, ProcessSettings, Settings, SigningSettings
from tests.floor import Floor

SUM = 1_000


@procedure(batch=True)
def paired(number: int) -> int:
    return number


@dataclass
class Written:
    """What the writers did, added up."""

    transfers: int = 0
    pairs: int = 0
    longest_wait: float = 0.0


def settings_of(address: str, name: str) -> Settings:
    return Settings(
        name=name,
        redis=f"unix://{address}",
        signing=SigningSettings(key="a key that only the tests have"),
        member=MemberSettings(lease_seconds=3600.0),
        process=ProcessSettings(keep_seconds=3600.0, keep_count=400),
    )


def write(address: str, name: str, number: int, stopping: Any, answers: Any) -> None:
    """One writer: a transfer, and a pair put, claimed and settled, again and again."""
    done = Written()
    with Server(settings=settings_of(address, name)) as server, server.as_current():
        floor = Floor(server)
        executor = floor.executor()
        answers.put("ready")
        settlement: list[Any] = []
        while not stopping.is_set():
            began = monotonic()
            with server.storage.use() as root:
                root["a"], root["b"] = root["a"] - number, root["b"] + number
            waited = monotonic() - began
            for act in (lambda: floor.many(paired, [(1,), (2,)]), lambda: claim(executor, settlement)):
                began = monotonic()
                act()
                waited = max(waited, monotonic() - began)
            done.longest_wait = max(done.longest_wait, waited)
            done.transfers, done.pairs = done.transfers + 1, done.pairs + 1
    answers.put(done)


def claim(executor: Any, settlement: list[Any]) -> None:
    """Settle the pair that was claimed before, and claim the next, in one script."""
    claims = executor.step(2, *settlement)
    settlement[:] = [word for one in claims for word in (one.number, "end", "done", b"\xc0", "")]


@contextmanager
def writers(address: str, name: str, count: int) -> Iterator[Written]:
    """That many programs write while the block runs; what they did is told when it has ended."""
    spawn = multiprocessing.get_context("spawn")
    stopping, answers = spawn.Event(), spawn.Queue()
    programs = [spawn.Process(target=write, args=(address, name, n + 1, stopping, answers)) for n in range(count)]
    for program in programs:
        program.start()
    total = Written()
    try:
        for _ in programs:
            assert answers.get(timeout=60) == "ready"
        yield total
    finally:
        stopping.set()
        for _ in programs:
            one = answers.get(timeout=60)
            total.transfers, total.pairs = total.transfers + one.transfers, total.pairs + one.pairs
            total.longest_wait = max(total.longest_wait, one.longest_wait)
        for program in programs:
            program.join(60)
