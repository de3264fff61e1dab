"""Semaphores: at most so many owners at once, first come, first served, in the whole cluster.

The semaphore is in Redis and exists while somebody has it or waits for it. Its owner is that of a lock: a run of a
process, or a thread or task outside of runs. An owner has it once, however often it takes it, so one release is enough;
it falls when the run ends or its holder is declared dead, and goes to the next in line in the same script.

Whoever waits is told through the inbox of its program. It is seen in the wait-for graph: a wait that would never end,
because all who have the semaphore wait for the one who asks, raises `DeadlockDetected` instead.

| failure | outcome |
|---|---|
| owner killed | its holder is buried, the next in line has it |
| waiter killed | out of the line with its holder, or skipped when its turn comes |
| the word "yours" lost | the wait asks again after at most two seconds, and is told |
| reply of a script lost | the same ticket: "yours", or the same place in line |
| Redis away meanwhile | `BrokerUnavailable`; what may have been taken falls with the run, or is had at the next try |
"""

import asyncio
import socket
import threading
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from onserver.checkpoint import checkpoint, count_unstoppable
from onserver.errors import BadArguments, BrokerUnavailable, DeadlockDetected, MemberFenced
from onserver.process.hearing import Told, hear
from onserver.process.inbox import Inbox
from onserver.process.owner import Owner, own, own_part
from onserver.server import Server
from onserver.session.facts import entry_of, who
from onserver.session.running import Running, strand, tell_when_left
from onserver.session.sender import next_nonce
from onserver.session.steps import HEED, Step, Steps, adrive, drive, refuse_in_loop

#: Longest name, in characters; what is longer is cut, as in the original.
LONGEST_NAME: Final = 255


def semaphore(name: str, *, slots: int = 1) -> "Semaphore":
    """Answer the semaphore of this name; it is made by whoever takes it first.

    Args:
        name: case-sensitive, at most 255 characters, the rest is cut. One that begins with `$` is local to the machine.
        slots: how many may have it at once; each caller says it.

    Raises:
        BadArguments: ONS-1105, no name, or no slot.

    Example:
        >>> with semaphore("printer"):
        ...     semaphore("printer").locked()
        True
        >>> semaphore("printer").locked()
        False

    4D: `Semaphore`, `CLEAR SEMAPHORE` and `Test semaphore` (specification 5.9). The original's function answers True
    when *somebody else* has it; `acquire` answers True when *you* have it. `slots` and the fair line are ours.
    """
    if not name:
        raise BadArguments("semaphore", "has no name", "semaphore(name, *, slots=1)")
    if slots < 1:
        raise BadArguments("semaphore", f"cannot have {slots} slots", "semaphore(name, *, slots=1)")
    return Semaphore(Server.current(), name[:LONGEST_NAME], slots)


class Semaphore:
    """A semaphore by its name. Made by `semaphore(name)`; for `with`, and for `async with` in a running loop."""

    def __init__(self, server: Server, name: str, slots: int) -> None:
        self._server = server
        self.name = name
        self.slots = slots
        #: Whose name it has in Redis: a local one is that of this machine.
        self._key = f"{name}@{socket.gethostname()}" if name.startswith("$") else name
        #: For each thread or task and each `with` that it is in: did it take the semaphore, or did its owner have it?
        self._taken: dict[str, list[bool]] = {}

    def acquire(self, timeout: float | None = None) -> bool:
        """Take it, waiting in line if need be. True when it is yours, also when it was already.

        Args:
            timeout: seconds; None waits as long as it takes, 0 only tries.

        Raises:
            DeadlockDetected: ONS-2301, the wait would never end.
            MemberFenced: ONS-2401, this member was declared dead.
            SyncInAsyncError: ONS-2302, in a running event loop, unless the timeout is 0.
        """
        if timeout is None or timeout > 0:
            refuse_in_loop("semaphore.acquire()", "await semaphore.aacquire()")
        return drive(self._acquire(timeout)) != "busy"

    async def aacquire(self) -> bool:
        """`acquire` without blocking the loop; `asyncio.timeout` limits it."""
        return await adrive(self._acquire(None)) != "busy"

    def release(self) -> bool:
        """Give it up; the first in line has it then. False when it was not yours: then nothing happens."""
        return drive(self._release())

    async def arelease(self) -> bool:
        """`release` without blocking the loop."""
        return await adrive(self._release())

    def locked(self) -> bool:
        """Whether anybody has it; it is not taken."""
        return bool(self._server.store.command("EXISTS", self._server.store.key(f"sem:h:{self._key}")))

    async def alocked(self) -> bool:
        """`locked` without blocking the loop."""
        return await asyncio.to_thread(self.locked)

    def __enter__(self) -> Self:
        refuse_in_loop("with semaphore(…)", "async with semaphore(…)")
        self._entered(drive(self._acquire(None)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._left():
            self.release()

    async def __aenter__(self) -> Self:
        self._entered(await adrive(self._acquire(None)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._left():
            await self.arelease()

    def __repr__(self) -> str:
        return f"<Semaphore {self.name!r}>"

    def _entered(self, taken: str) -> None:
        self._taken.setdefault(strand(), []).append(taken == "yours")

    def _left(self) -> bool:
        here = self._taken[strand()]
        took = here.pop()
        if not here:
            del self._taken[strand()]
        return took

    # -- the steps

    def _acquire(self, timeout: float | None) -> Steps[str]:
        taken: str = yield from self._server.part(Semaphores).acquire(self._key, self.slots, timeout)
        return taken

    def _release(self) -> Steps[bool]:
        return self._server.part(Semaphores).release(self._key)


class Semaphores:
    """What this program has of semaphores. Made by `server.part(Semaphores)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.store
        self._guard = threading.Lock()
        #: (last part of the owner, name) of all that is had.
        self._had: dict[tuple[str, str], Owner] = {}
        #: The same of what may be had: nobody could be asked any more.
        self._unsure: dict[tuple[str, str], Owner] = {}
        tell_when_left(self)

    def acquire(self, name: str, slots: int, timeout: float | None) -> Steps[str]:
        """Take a semaphore; answers `yours`, `had` (it was its owner's before) or `busy`."""
        checkpoint()
        owner = yield from own(self._server)
        until = None if timeout is None else monotonic() + timeout
        try:
            ticket = f"{next_nonce()} {owner.name} {slots}"
            answer = yield Step(lambda: self._store.run("semaphore", name, ticket, 0))
            taken = str(answer[0].decode())
            if taken == "busy" and (until is None or monotonic() < until):
                taken = yield from self._stand_in_line(name, slots, owner, until)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._undo(name, owner)
            raise
        return self._noted(name, owner, taken)

    def release(self, name: str) -> Steps[bool]:
        """Give it up; False when it was not its owner's."""
        mine = (own_part(), name)
        had = self._had.get(mine) or self._unsure.get(mine)
        if had is None:
            return False
        count = yield Step(lambda: self._store.run("clear_semaphores", next_nonce(), had.name, name))
        with self._guard:
            self._unsure.pop(mine, None)
            if self._had.pop(mine, None) is not None:
                had.leave()
        return bool(count)

    def left(self, run: Running) -> None:
        """Give up what a run that has ended still has."""
        if not self._had and not self._unsure:
            return  # mostly
        part = run.owner.partition("/")[2]
        with self._guard:
            found = [mine for mine in {**self._had, **self._unsure} if mine[0] == part]
            for mine in found:
                self._had.pop(mine, None)
                self._unsure.pop(mine, None)
        if found:
            with suppress(BrokerUnavailable, MemberFenced):  # its holder is dead, or will be: burying clears them
                self._store.run("clear_semaphores", next_nonce(), run.owner, *(name for _, name in found))

    def _noted(self, name: str, owner: Owner, taken: str) -> str:
        mine = (owner.part, name)
        with self._guard:
            if self._unsure.pop(mine, None) is not None and taken == "had":
                taken = "yours"
            if taken == "yours":
                self._had[mine] = owner
        if taken != "yours":
            owner.leave()
        return taken

    def _undo(self, name: str, owner: Owner) -> Steps[None]:
        """It was to be taken, and something went wrong: it may be had, unless it was before."""
        mine = (owner.part, name)
        try:
            if mine not in self._had:
                yield Step(lambda: self._store.run("clear_semaphores", next_nonce(), owner.name, name))
        except BrokerUnavailable:
            with self._guard:
                self._unsure[mine] = owner
        finally:
            owner.leave()

    def _stand_in_line(self, name: str, slots: int, owner: Owner, until: float | None) -> Steps[str]:
        while True:
            place = _Place(self._server, name, slots, owner.name)
            count_unstoppable(1)
            try:
                end = yield hear(self._server, place, None if until is None else until - monotonic())
            except GeneratorExit:
                raise
            except BaseException:
                with suppress(BrokerUnavailable, MemberFenced):  # the place falls with its holder, or is undone
                    yield Step(place.leave)
                raise
            finally:
                count_unstoppable(-1)
            if end is not None:
                if end.state == "deadlock":
                    raise (yield from self._deadlock(place))
                return str(end.state)
            if (yield Step(place.leave)):
                return "yours"
            if until is not None and monotonic() >= until:
                return "busy"
            yield HEED  # something was asked: whoever is to pause does not stand in the way meanwhile

    def _deadlock(self, place: "_Place") -> Steps[DeadlockDetected]:
        chain = [part.decode() for part in place.answer[1:]]
        holder = yield Step(lambda: who(self._store, chain[0]))
        me = yield Step(lambda: who(self._store, place.owner))
        error = DeadlockDetected(f"semaphore {place.name}", holder, entry_of(chain[1]), me)
        for waiter, wanted in zip(chain[2::2], chain[3::2], strict=True):
            described = yield Step(lambda: who(self._store, waiter))  # noqa: B023  # called at once
            error.add_note(f"{described} waits for {entry_of(wanted)}")
        return error


class _Place(Told):
    """One place in the line of a semaphore."""

    __slots__ = ("_server", "answer", "name", "owner", "slots")

    def __init__(self, server: Server, name: str, slots: int, owner: str) -> None:
        super().__init__(self._look)
        self._server = server
        self.name, self.slots, self.owner = name, slots, owner
        self.answer: Any = None

    def leave(self) -> bool:
        """Stand in line no longer; True when the semaphore has come meanwhile."""
        address = self._server.part(Inbox).address(self)
        return bool(self._server.store.run("leave_semaphore", self.name, self._ticket(address)))

    def _ticket(self, address: str) -> str:
        return f"{address.replace(' ', '/')} {self.owner} {self.slots}"

    def _look(self, address: str) -> Any:
        self.answer = self._server.store.run("semaphore", self.name, self._ticket(address), 1)
        return self.answer
