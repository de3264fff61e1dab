"""The epochs of a server: one life each, from start to stop. See the chapter at the top of this package."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal, cast

from onserver.cluster.member import Member
from onserver.redis.libraries import drop_old
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.info import own_facts
from onserver.session.record import written
from onserver.session.sessions import new_identity

State = Literal["none", "starting", "running", "stopping", "stopped", "failed"]
Previous = Literal["none", "clean", "crashed", "restored"]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One life of a server.

    Attributes:
        number: 1 or greater; grows by one at each start. 0 when the server was never started.
        state: `starting` while its start-up hooks run, then `running`, `stopping`, `stopped`; or `failed`.
        previous: how the life before this one ended: `none clean crashed restored`. A start that failed was no life.
    """

    number: int
    state: State
    previous: Previous


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a worker came into an epoch: it `opened` it, `joined` it, or must `wait` until another has stopped."""

    how: Literal["opened", "joined", "wait"]
    epoch: Epoch
    emptying: bool


def server_epoch() -> Epoch:
    """The present life of the current server.

    Returns:
        Its number and state, and how the life before it ended; in a start-up hook `previous` tells whether the storage
        was carried over from a crash.

    Raises:
        NotConnected: this program has no server.
        BrokerUnavailable: Redis gave no answer in time.

    Example:
        >>> server_epoch().previous  # the first life of this server
        'none'
    """
    return read(Server.current().store)


def read(store: Store) -> Epoch:
    """The epoch as Redis has it."""
    number, state, previous = store.command("HMGET", store.key("server"), "epoch", "state", "previous")
    return Epoch(
        number=int(number or 0),
        state=cast("State", (state or b"none").decode()),
        previous=cast("Previous", (previous or b"none").decode()),
    )


def open_epoch(member: Member, *, keep_storage: bool) -> Opening:
    """Open a new epoch, or join the one that lives."""
    facts = {"user": member.settings.session.user_name, **own_facts(socket.gethostname())}
    how, number, previous, _, emptying, state = member.store.run(
        "open_epoch", member.number, new_identity(), int(keep_storage), *written(facts)
    )
    epoch = Epoch(
        number=int(number),
        state=cast("State", state.decode()),
        previous=cast("Previous", (previous or b"none").decode()),
    )
    return Opening(how=how.decode(), epoch=epoch, emptying=bool(emptying))


def run_epoch(store: Store, number: int) -> None:
    """All start-up hooks ended well: work may begin."""
    store.run("run_epoch", number)
    drop_old(store)


def fail_epoch(store: Store, number: int, failure: bytes) -> None:
    """A start-up hook failed: every worker of this start shall leave."""
    store.run("fail_epoch", number, failure)


def failure(store: Store, number: int) -> bytes:
    """The error value for which a start failed, b"" if it did not."""
    found: bytes | None = store.command("GET", store.key(f"failure:{number}"))
    return found or b""


def stop_epoch(store: Store, grace_seconds: float | None = None) -> tuple[State, int]:
    """Ask for the end of the server. Returns its state and how many workers it has.

    Args:
        store: the Redis of the server.
        grace_seconds: how long workers wait for what runs; None: as each worker has it.
    """
    grace = "" if grace_seconds is None else int(grace_seconds * 1000)
    state, workers = store.run("stop_epoch", grace)
    return cast("State", state.decode()), int(workers)


def asked_grace(store: Store) -> float | None:
    """The grace time that was asked for with the stop, in seconds."""
    found: bytes | None = store.command("HGET", store.key("server"), "grace_ms")
    return None if found is None else int(found) / 1000


def leaving(member: Member) -> State:
    """Say that this worker is about to go. Returns `stopping` when it was the last one, or the server stops anyway."""
    return cast("State", member.store.run("leaving", member.number).decode())


def drained(member: Member) -> bool:
    """Say that nothing runs here any more. Returns whether the server stops, and no other worker works any more."""
    return bool(member.store.run("drained", member.number))
