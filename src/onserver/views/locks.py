"""The locks that somebody has or waits for: who, since when, who is next, and what the holder waits for itself.

They are found by their holders, who are few: neither all keys nor all entries are looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.session.record import SPACE, SPACES
from onserver.views.owners import NOBODY, Owner, owners

#: So many locks at most are looked at, and so many of each line.
MOST: Final = 2000
MOST_WAITERS: Final = 200
#: A chain of those who wait for one another is followed so far.
_FARTHEST: Final = 50
_MIDDLE: Final = ":l:"


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """Somebody in the line of a lock.

    Attributes:
        owner: who.
        since_ms: since when, milliseconds since 1970; 0 where nobody knows.
        next: whether the lock comes here when it falls: the first in line who lives.
    """

    owner: Owner
    since_ms: int
    next: bool


@dataclass(frozen=True, kw_only=True)
class Link:
    """One step of why a holder goes on holding: what it waits for, and who could end that.

    Attributes:
        owner: who waits.
        kind: for what: a `lock`, the `end` of processes, a `semaphore`, a `signal`.
        what: the entry, empty for the root; the processes; the name of the semaphore or signal.
        session: of the storage of a lock; empty for the server's.
        since_ms: since when; 0 where nobody knows.
        holders: who has it.
    """

    owner: Owner
    kind: str
    what: str
    session: str
    since_ms: int
    holders: Sequence[Owner]


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock that somebody has, or waits for.

    Attributes:
        name: in Redis, without the prefix of the server: `st:l:rates`.
        session: whose storage it is in; empty for the server's.
        key: the entry; empty for the root.
        holder: who has it.
        since_ms: since when, milliseconds since 1970.
        until_ms: when the next in line may take it away; 0 for never.
        waiting: how many wait.
        waiters: the first of them, in their order.
        chain: what the holder waits for itself, and what those wait for who have that; empty for a holder who works.
    """

    name: str
    session: str
    key: str
    holder: Owner
    since_ms: int
    until_ms: int
    waiting: int
    waiters: Sequence[Waiter] = ()
    chain: Sequence[Link] = field(default_factory=tuple[Link, ...])

    @property
    def id(self) -> str:
        """What tells it from all others, for addresses."""
        return f"{self.session or 'server'}/{self.key}"

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return asdict(self)


def locks(store: Store, *, space: str = "", most: int = MOST) -> list[Lock]:
    """Read the locks that there are, those held longest first.

    Args:
        store: the Redis of the server.
        space: only those of this storage, as in `st:`; all storages by default.
        most: how many at most.
    """
    names = sorted({name for name in _names(store) if name.startswith(space)})[:most]
    return sorted(_read(store, names), key=lambda lock: (lock.since_ms or 2**53, lock.name))


def lock_of(store: Store, space: str, key: str) -> Lock | None:
    """Read one lock; None where nobody has it and nobody waits.

    Args:
        store: the Redis of the server.
        space: prefix of the storage's keys, as in `st:`.
        key: the entry; empty for the root.
    """
    return next(iter(_read(store, [f"{space}l:{key}"])), None)


def counted(store: Store) -> list[tuple[str, str, int]]:
    """Return name, owner and time in ms of each lock that is held, without looking at who waits."""
    names = sorted(set(_names(store)))[:MOST]
    held = store.pipeline([("HMGET", store.key(name), "o", "at") for name in names]) if names else []
    return [
        (name, owner.decode(), int(at)) for name, (owner, at) in zip(names, held, strict=True) if owner and at
    ]  # fmt: skip


def spaces_of(store: Store, spaces: Iterable[str]) -> Mapping[str, str]:
    """Return the id of the session to which each storage belongs; empty for the server's.

    Args:
        store: the Redis of the server.
        spaces: prefixes of keys, as in `st:` and `ss:ID:`.
    """
    of_sessions = sorted({space for space in spaces if space.startswith(SPACES)})
    opened = [space.removeprefix(SPACES).removesuffix(":") for space in of_sessions]
    now = store.pipeline([("HGET", store.key("rotated"), one) for one in opened]) if opened else []
    known = {
        space: new.decode() if new else one for space, one, new in zip(of_sessions, opened, now, strict=True)
    }  # fmt: skip
    return {SPACE: "", **known}


# -- reading


def _names(store: Store) -> Iterator[str]:
    """Yield the names of locks that somebody has or waits for; some more than once."""
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    sets = [store.key(f"locks:{holder}") for holder in holders]
    first = store.pipeline([("SSCAN", name, 0, "COUNT", MOST) for name in sets]) if sets else []
    left = 4 * MOST
    for name, (cursor, entries) in zip(sets, first, strict=True):
        yield from (found := _locks_in(entries))
        left, more = left - len(found), cursor
        while int(more) and left > 0:
            more, further = store.command("SSCAN", name, more, "COUNT", MOST)
            yield from (found := _locks_in(further))
            left -= len(found)


def _locks_in(entries: Sequence[bytes]) -> list[str]:
    """Return the locks among entries `TOKEN OWNER LIMIT NAME`, which may be of semaphores and signals as well."""
    found = [entry.decode().split(" ", 3)[3] for entry in entries]
    return [name for name in found if _MIDDLE in name and name.startswith((SPACE, SPACES))]


def _read(store: Store, names: Sequence[str]) -> Iterator[Lock]:
    if not names:
        return
    commands: list[Sequence[Word]] = []
    for name in names:
        line = store.key(name.replace(_MIDDLE, ":w:", 1))
        commands += [
            ("HMGET", store.key(name), "o", "at", "until"),
            ("ZCARD", line),
            ("ZRANGE", line, 0, MOST_WAITERS - 1),
        ]
    answers = store.pipeline(commands)
    facts = {name: answers[3 * at : 3 * at + 3] for at, name in enumerate(names)}
    lines = {name: [one.decode().split(" ")[1] for one in found[2]] for name, found in facts.items()}
    holders = {name: found[0][0].decode() for name, found in facts.items() if found[0][0]}
    waiting = list(dict.fromkeys(one for line in lines.values() for one in line))
    since = _since(store, waiting)
    chains = _Chains(store, holders.values())
    known = dict(owners(store, [*holders.values(), *waiting]))
    sessions = spaces_of(store, {_split(name)[0] for name in names})
    for name, ((_, at, until), count, _) in facts.items():
        if name not in holders and not lines[name]:
            continue
        holder = known.get(holders.get(name, ""), NOBODY)
        space, key = _split(name)
        yield Lock(
            name=name, session=sessions.get(space, ""), key=key, holder=holder, since_ms=int(at or 0),
            until_ms=int(until or 0), waiting=count, waiters=_waiters(lines[name], known, since),
            chain=chains.of(holder) if holder.id else (),
        )  # fmt: skip


def _split(name: str) -> tuple[str, str]:
    """Return storage and entry of the name of a lock: `st:` and `rates`."""
    space, _, key = name.partition(_MIDDLE)
    return f"{space}:", key


def _waiters(line: Sequence[str], known: Mapping[str, Owner], since: Mapping[str, int]) -> Sequence[Waiter]:
    first = next((one for one in line if known[one].alive), "")
    return tuple(Waiter(owner=known[one], since_ms=since.get(one, 0), next=one == first) for one in line)


def _since(store: Store, names: Sequence[str]) -> Mapping[str, int]:
    if not names:
        return {}
    found = store.command("HMGET", store.key("since"), *names)
    return {name: int(at) for name, at in zip(names, found, strict=True) if at}


# -- why


class _Chains:
    """Follows who waits for whom; each owner is asked for once, those that are known first in one trip."""

    def __init__(self, store: Store, first: Iterable[str]) -> None:
        self._store = store
        asked = list(dict.fromkeys(first))
        self._waits: dict[str, str] = {}
        if asked:
            found = store.command("HMGET", store.key("waits"), *asked)
            self._waits = {owner: one.decode() if one else "" for owner, one in zip(asked, found, strict=True)}

    def of(self, holder: Owner) -> Sequence[Link]:
        """Return what a holder waits for, then what those wait for who have that, the nearest first."""
        found: list[Link] = []
        line, seen = deque([holder]), {holder.id}
        while line and len(found) < _FARTHEST:
            owner = line.popleft()
            wanted = self._wanted(owner.id)
            if not wanted:
                continue
            link = self._link(owner, wanted)
            found.append(link)
            for one in link.holders:
                if one.id not in seen:
                    seen.add(one.id)
                    line.append(one)
        return tuple(found)

    def _wanted(self, owner: str) -> str:
        if owner not in self._waits:
            found = self._store.command("HGET", self._store.key("waits"), owner)
            self._waits[owner] = found.decode() if found else ""
        return self._waits[owner]

    def _link(self, owner: Owner, wanted: str) -> Link:
        store = self._store
        since = _since(store, [owner.id]).get(owner.id, 0)
        kind, what, session, who = "end", wanted, "", list[str]()
        if wanted.startswith("sem:"):
            kind, what = "semaphore", wanted.removeprefix("sem:")
            who = [one.decode() for one in store.command("HKEYS", store.key(f"sem:h:{what}"))]
        elif wanted.startswith("sig:"):
            kind, what = "signal", wanted.removeprefix("sig:")
        elif _MIDDLE in wanted:
            space, what = _split(wanted)
            kind, session = "lock", spaces_of(store, [space]).get(space, "")
            has = store.command("HGET", store.key(wanted), "o")
            who = [has.decode()] if has else []
        else:
            numbers = [int(one) for one in wanted.partition(":")[2].split() if one.isdecimal()]
            what = " ".join(f"#{number}" for number in numbers) or wanted
            who = self._runs(numbers[:_FARTHEST])
        known = owners(store, who)
        return Link(
            owner=owner, kind=kind, what=what, session=session, since_ms=since, holders=[known[one] for one in who]
        )

    def _runs(self, numbers: Sequence[int]) -> list[str]:
        """Return the owners that these processes are now, as far as somebody runs them."""
        store = self._store
        facts = store.pipeline([("HMGET", store.key(f"p:{number}"), "o", "d") for number in numbers]) if numbers else []
        return [
            f"{holder.decode()}/{number}.{int(deliveries or 0) + 1}"
            for number, (holder, deliveries) in zip(numbers, facts, strict=True)
            if holder
        ]
