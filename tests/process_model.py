"""What a process may do, as a pure model: no Redis in it, and no clock but its own.

It says what every script must answer and how every record must stand afterwards. Where the server may choose (which of
several idle holders gets a process) the model is told what was chosen, and only checks that it was allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

DELIVERIES = 3
ENDED = frozenset({"done", "failed", "aborted", "lost", "dead"})
KEYS = ("stock", "rates")


@dataclass
class Proc:
    """One process."""

    number: int
    state: str = "queued"
    holder: str = ""
    deliveries: int = 0
    #: Attempts that have failed and were followed by another.
    attempts: int = 0
    rerun: bool = True
    due: int = 0
    aborting: bool = False
    pausing: bool = False
    #: The name of which it is the only live one, or empty.
    name: str = ""


@dataclass
class Lock:
    """The lock of one entry, and its line."""

    owner: int = 0
    line: list[int] = field(default_factory=list)


#: Says which holder a process was handed to, when there was a choice.
Handed = Callable[[int], str]


class Model:
    """All processes, holders and locks of one server."""

    def __init__(self, handed: Handed) -> None:
        self._handed = handed
        self.now = 0
        self.processes: dict[int, Proc] = {}
        self.holders: dict[str, int] = {}
        self.idle: set[str] = set()
        self.locks = {key: Lock() for key in KEYS}
        self.signaled = False
        #: Who waits for the one signal.
        self.listening: set[int] = set()

    # -- what is where

    def at(self, *states: str) -> list[Proc]:
        return [process for process in self.processes.values() if process.state in states]

    def held_by(self, number: int) -> Iterator[str]:
        return (key for key, lock in self.locks.items() if lock.owner == number)

    def waits_for(self, number: int) -> str | None:
        return next((key for key, lock in self.locks.items() if number in lock.line), None)

    # -- beginning and ending

    def submit(self, number: int, *, rerun: bool, due: int, name: str) -> None:
        process = self.processes[number] = Proc(number, rerun=rerun, due=due, name=name)
        if due:
            process.state = "delayed"
        else:
            self._offer(process)

    def named(self, name: str) -> Proc | None:
        return next((p for p in self.processes.values() if name and p.name == name and p.state not in ENDED), None)

    def claim(self, holder: str) -> Proc | None:
        queued = self.at("queued")
        if not queued:
            self.idle.add(holder)
            return None
        process = min(queued, key=lambda one: one.number)
        self._take(process, holder)
        return process

    def end(self, holder: str, state: str) -> Proc:
        process = self.processes[self.holders[holder]]
        self.holders[holder] = 0
        if state == "failed":
            self._drop(process)
            if process.aborting:
                state = "aborted"
        self._finish(process, state)
        return process

    def give_back(self, holder: str) -> Proc:
        """What had begun is handed back without being counted."""
        process = self.processes[self.holders[holder]]
        self._requeue(process, begun=True, counted=False)
        return process

    def retry(self, holder: str, due: int) -> None:
        """It has raised, and is to be run again at its time."""
        process = self.processes[self.holders[holder]]
        self._drop(process)
        self.holders[holder] = 0
        process.holder = ""
        if not process.aborting:
            process.attempts += 1
            process.due = due
        self._again(process)

    def crash(self, holder: str, fresh: str) -> None:
        number = self.holders.pop(holder)
        self.idle.discard(holder)
        self.holders[fresh] = 0
        if number:
            self._requeue(self.processes[number], begun=True, counted=True)

    # -- orders

    def abort(self, process: Proc) -> str:
        if process.state in ENDED:
            return "ended"
        if process.holder:
            process.aborting = True
            return "asked"
        self._finish(process, "aborted")
        return "removed"

    def pause(self, process: Proc) -> str:
        if process.state in ENDED:
            return "ended"
        if process.aborting:
            return "aborting"
        process.pausing = True
        if process.holder:
            return "asked"
        process.state = "paused"
        return "paused"

    def resume(self, process: Proc) -> str:
        if process.state in ENDED:
            return "ended"
        if not process.pausing:
            return "running"
        process.pausing = False
        if process.holder:
            return "asked"
        self._again(process)
        return "queued"

    def replay(self, process: Proc) -> str:
        if process.state not in ENDED:
            return "running"
        if process.state in ("done", "aborted"):
            return "ended"
        if self.named(process.name):
            return "live"
        process.deliveries = process.attempts = 0
        process.aborting = process.pausing = False
        self._offer(process)
        return "queued"

    def tick(self, ms: int) -> None:
        self.now += ms
        for process in sorted(self.at("delayed"), key=lambda one: (one.due, str(one.number))):
            if process.due <= self.now:
                process.due = 0
                self._offer(process)

    # -- locks

    def lock(self, process: Proc, key: str) -> str:
        lock = self.locks[key]
        if lock.owner in (0, process.number):
            lock.owner = process.number
            return "yours"
        if self._would_wait_for_ever(process.number, key):
            return "deadlock"
        lock.line.append(process.number)
        process.state = "waiting"
        return "wait"

    def listen(self, process: Proc) -> bool:
        """Wait for the signal. False when it is signaled already."""
        if not self.signaled:
            self.listening.add(process.number)
            process.state = "waiting"
        return not self.signaled

    def trigger(self) -> int:
        first, self.signaled = not self.signaled, True
        for number in self.listening:
            self._goes_on(self.processes[number])
        self.listening.clear()
        return int(first)

    def unlock(self, process: Proc, key: str) -> None:
        lock = self.locks[key]
        if process.number in lock.line:
            lock.line.remove(process.number)
            self._goes_on(process)
        elif lock.owner == process.number:
            self._pass_on(lock)

    def _would_wait_for_ever(self, me: int, key: str) -> bool:
        owner = self.locks[key].owner
        while owner != me:
            wanted = self.waits_for(owner)
            if wanted is None:
                return False
            owner = self.locks[wanted].owner
        return True

    def _pass_on(self, lock: Lock) -> None:
        lock.owner = lock.line.pop(0) if lock.line else 0
        if lock.owner:
            self._goes_on(self.processes[lock.owner])

    def _goes_on(self, process: Proc) -> None:
        if process.state == "waiting":
            process.state = "running"

    def _drop(self, process: Proc) -> None:
        self.listening.discard(process.number)
        for lock in self.locks.values():
            if process.number in lock.line:
                lock.line.remove(process.number)
        for lock in self.locks.values():
            if lock.owner == process.number:
                self._pass_on(lock)

    # -- the one way back

    def _requeue(self, process: Proc, *, begun: bool, counted: bool) -> None:
        self._drop(process)
        if process.holder in self.holders:
            self.holders[process.holder] = 0
        process.holder = ""
        process.deliveries += counted
        if process.aborting:
            self._finish(process, "aborted")
        elif begun and not process.rerun:
            self._finish(process, "lost")
        elif counted and process.deliveries >= DELIVERIES:
            self._finish(process, "dead")
        else:
            self._again(process)

    def _again(self, process: Proc) -> None:
        if process.aborting:
            self._finish(process, "aborted")
        elif process.pausing:
            process.state = "paused"
        elif process.due > self.now:
            process.state = "delayed"
        else:
            process.due = 0
            self._offer(process)

    def _finish(self, process: Proc, state: str) -> None:
        process.state, process.holder, process.due = state, "", 0
        process.pausing = False

    def _offer(self, process: Proc) -> None:
        process.state = "queued"
        if self.idle:
            holder = self._handed(process.number)
            assert holder in self.idle, f"#{process.number} went to {holder or 'nobody'}, and idle are {self.idle}"
            self._take(process, holder)

    def _take(self, process: Proc, holder: str) -> None:
        self.idle.discard(holder)
        self.holders[holder] = process.number
        process.state, process.holder = "running", holder
