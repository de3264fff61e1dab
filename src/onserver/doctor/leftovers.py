"""What is left behind, locks of the dead and keys of nobody; and what is held back, which is easily forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from onserver.doctor.findings import Finding, note, well, wrong
from onserver.process.gates import paused_on
from onserver.process.maintenance import maintenance_on
from onserver.redis.keys import Orphan, find_orphans, key_of
from onserver.redis.store import Store
from onserver.server import Server

_LOCK: Final = re.compile(r"(st:|sg:)l:(.*)", re.DOTALL)
_REPORT: Final = "It is a defect of ours or of a program that writes here: please report it. Nothing was changed."


def look_at_leftovers(server: Server) -> Iterator[Finding]:
    """Look for what nobody owns. It reads every key."""
    store = server.store
    found = {orphan.key: orphan for orphan in find_orphans(store)}
    # what changed while the keys were read is not there a second time
    orphans = [orphan for orphan in find_orphans(store) if orphan.key in found] if found else []
    for orphan in orphans:
        what = "locks" if _LOCK.fullmatch(orphan.key) else "keys"
        mend = _mender(store, orphan)
        yield wrong(what, f"key {orphan}", "onserver doctor --fix" if mend else _REPORT, mend)
    if not orphans:
        yield well("keys", "every key has an owner that is alive, or a lifetime; no lock of a dead holder")


def look_at_what_is_held(server: Server) -> Iterator[Finding]:
    """Look for what somebody has closed, paused or left to others, and forgotten perhaps."""
    store = server.store
    closed = maintenance_on(store)
    if closed is not None:
        yield note("held", f"the server is {closed.text}", "onserver maintenance off")
    for gate in paused_on(store):
        yield note("held", gate.text, "onserver resume")
    restoring = store.command("HGET", store.key("server"), "restoring")
    if restoring is not None:
        yield wrong("restore", "a restore was begun and is not finished", "onserver backup restore --finish, or --undo")
    dead = int(store.command("ZCARD", store.key("dead")))
    if dead:
        yield note("dead", f"{dead} {'process is' if dead == 1 else 'processes are'} dead", "onserver dead ls")
    for queue in sorted(name.decode() for name in store.command("SMEMBERS", store.key("queues"))):
        served = queue.startswith("!") or store.command("EXISTS", store.key(f"serve:{queue}"))
        waiting = 0 if served else int(store.run("depth", queue))
        if waiting:
            text = f"{waiting} wait in queue `{queue}`, on which no worker listens"
            yield note("queues", text, f"onserver worker -Q {queue}")


def _mender(store: Store, orphan: Orphan) -> Callable[[], str] | None:
    """What puts it right; None where that is not certain to be safe."""
    known = key_of(orphan.key)
    if known is None:
        return None
    key, name = known[0], store.key(orphan.key)
    locked = _LOCK.fullmatch(orphan.key)

    def unlock() -> str:
        store.run("unlock_by_force", locked[1] if locked else "", locked[2] if locked else "")
        return f"lock {orphan.key} was given to the next in line"

    def take_out() -> str:
        holders = [owner.decode() for owner in store.command(reads, name)]
        dead = [owner for owner in holders if not _alive(store, owner)]
        if dead:
            store.command(removes, name, *dead)
        if dead and key.pattern == "serve:QUEUE":  # where `server` says nothing of a queue, its set is asked
            store.command("HDEL", store.key("server"), f"q:{orphan.key.removeprefix('serve:')}")
        return f"{len(dead)} of the dead taken out of {orphan.key}"

    def drop() -> str:
        store.command("UNLINK", name)
        return f"{orphan.key} is dropped"

    if locked:
        return unlock
    if key.saved != "live" or orphan.reason.startswith("it is a "):
        return None
    if key.pattern in {"waits", "since", "clients"}:
        reads, removes = "HKEYS", "HDEL"
        return take_out
    if key.type == "set" and "holder " in orphan.reason:
        reads, removes = "SMEMBERS", "SREM"
        return take_out
    whole = re.search(r"HOLDER|\bM\b", key.pattern)
    return drop if whole else None


def _alive(store: Store, owner: str) -> bool:
    holder = owner.partition("/")[0]
    living = store.command("SISMEMBER", store.key("live"), holder)
    return bool(living or store.command("HEXISTS", store.key("burying"), holder))
