"""The blocks of `signal.use()` that are open in this program: a lock, a copy that is edited, one script at the end."""

import threading
from contextlib import suppress
from typing import Any

from onserver.checkpoint import count_unstoppable
from onserver.errors import BrokerUnavailable, LockLost, MemberFenced, SignalGone
from onserver.process.owner import Owner, own, own_part
from onserver.process.signal_wait import lives_ms
from onserver.server import Server
from onserver.session.facts import who
from onserver.session.lock import Locks, Ticket, new_ticket
from onserver.session.sender import next_nonce
from onserver.session.steps import Step, Steps
from onserver.values import decode, encode

#: Prefix of the keys of signals, which are a space of locks of their own.
SPACE = "sg:"


class _Use:
    """One owner's use of one signal."""

    def __init__(self, owner: Owner, ticket: Ticket, original: bytes) -> None:
        self.owner = owner
        self.ticket = ticket
        self.original = original
        self.draft: dict[str, Any] = decode(original) if original else {}
        self.depth = 1


class Uses:
    """Made by `server.part(Uses)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.store
        self._locks = Locks(server.store, SPACE, server.settings.member.beat_seconds)
        self._guard = threading.Lock()
        #: By the last part of the owner's name, and the name of the signal.
        self._open: dict[tuple[str, str], _Use] = {}

    def draft(self, part: str, name: str) -> dict[str, Any] | None:
        """The properties that this owner edits just now; None outside of `use`."""
        use = self._open.get((part, name))
        return None if use is None else use.draft

    def enter(self, name: str, timeout: float | None) -> Steps[None]:
        """Lock a signal; inside a block that is open, count."""
        use = self._open.get((own_part(), name))
        if use is not None:
            use.depth += 1
            return
        owner = yield from own(self._server)
        limit = 0.0 if owner.holding is None else self._server.settings.storage.client_hold_seconds
        ticket = new_ticket(owner.name, limit)
        count_unstoppable(1)
        try:
            granted = yield from self._locks.acquire(name, ticket, timeout)
            if name.startswith("#") and not granted.kind:
                raise SignalGone(name)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._unlock(name, ticket)
            self._close(owner)
            raise
        with self._guard:
            self._open[owner.part, name] = _Use(owner, ticket, bytes(granted.value))

    def leave(self, name: str, *, failed: bool) -> Steps[None]:
        """Leave the block; the outermost exit writes what was edited, unless it failed."""
        use = self._open[own_part(), name]
        use.depth -= 1
        if use.depth:
            return
        with self._guard:
            del self._open[use.owner.part, name]
        try:
            written = b"" if failed else encode(use.draft, "Signal")
            if written in (b"", use.original):
                yield from self._unlock(name, use.ticket)
                return
            yield from self._write(name, use, written)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._unlock(name, use.ticket)
            raise
        finally:
            self._close(use.owner)

    def _write(self, name: str, use: _Use, written: bytes) -> Steps[None]:
        ticket, lives = str(use.ticket), lives_ms(self._server)
        # the nonce is that of the thread which sends it
        answer = yield Step(lambda: self._store.run("write_signal", name, ticket, next_nonce(), written, lives))
        if answer[0] == b"gone":
            raise SignalGone(name)
        if answer[0] == b"lost":
            now = answer[1].decode()
            holder = (yield Step(lambda: who(self._store, now))) if now else ""
            raise LockLost(f"signal {name}", f"it is now held by {holder}" if holder else "it was taken away")

    def _unlock(self, name: str, ticket: Ticket) -> Steps[None]:
        with suppress(BrokerUnavailable, MemberFenced):  # it falls with its holder, or after the time of a client
            yield from self._locks.unlock([(name, ticket)])

    def _close(self, owner: Owner) -> None:
        count_unstoppable(-1)
        owner.leave()
