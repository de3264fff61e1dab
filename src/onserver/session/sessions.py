"""The sessions of a server: opened, found, listed, ended.

A session is a record in Redis (`record`), and a storage that goes with it. It ends when it has not been used for as
long as it lasts, at the latest time that it was given, when it is closed, or when it is dropped. A session that was
*closed* leaves nothing: what it has asked for runs on. One that was *dropped* leaves a tombstone for a year, by which
what it has asked for, and has not begun, is refused.

What is over is removed by whoever opens a session, a few at a time, and by the leader, with its storage.

A session may be given another id, as when its user logs in, so that whoever knew the old one has nothing. Its storage
stays where it is.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from onserver.errors import SessionExpired
from onserver.redis.store import Store
from onserver.session.record import KINDS, SPACES, Kind, SessionRecord, read_session, written
from onserver.session.records import Message, SessionRecords
from onserver.session.roles import Roles
from onserver.session.running import Running, tell_when_left
from onserver.session.session import Session
from onserver.session.shared_cache import PartOfCache, SharedCache
from onserver.session.storage import Storage
from onserver.session.users import key_of_name
from onserver.settings import Settings

#: How long a session of the web lasts unused, where nothing else is said: the original's 60 minutes.
_WEB_IDLE_SECONDS: Final = 3600.0


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session that was dropped.

    Attributes:
        at_ms: when, milliseconds since 1970.
        by: who did it, for people.
        reason: why, for people.
    """

    at_ms: int = msgspec.field(name="at")
    by: str = ""
    reason: str = ""


class Sessions:
    """The sessions of one server: `server.sessions`.

    Args:
        store: of the server.
        settings: of the project.
        roles: answers the privileges and roles in force.
        hold: gives the holder of a program outside of runs.
        holding: entered while something is held outside of runs.
        common: the storage of the stored-procedure session.

    Example:
        >>> sessions = Server.current().sessions
        >>> ann = sessions.open("web", user="ann")
        >>> sessions.take(ann.id).user_name
        'ann'
        >>> sessions.close(ann.id)
        True
        >>> sessions.take(ann.id) is None
        True
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        roles: Callable[[], Roles],
        hold: Callable[[], str],
        holding: Callable[[], AbstractContextManager[object]],
        common: Storage,
    ) -> None:
        self.records = SessionRecords(store)
        self.beat_seconds = settings.member.beat_seconds
        self._store = store
        self._settings = settings
        self._roles = roles
        self._held = (hold, holding)
        self._common = common
        self.cache = SharedCache(store, SPACES, settings.member.beat_seconds)
        self._making = threading.Lock()
        self._storages: WeakValueDictionary[str, Storage] = WeakValueDictionary()
        tell_when_left(self)

    # -- opened and found

    def open(
        self,
        kind: Kind,
        *,
        type: str = "",  # noqa: A002  # the original's name of it
        user: str = "",
        login: str = "",
        machine: str = "",
        system_user: str = "",
        ip: str = "",
        host_type: str = "",
        agent: str = "",
        idle_seconds: float | None = None,
        limit_seconds: float = 0,
        web: str = "",
        identity: str = "",
        data: Mapping[str, bytes] | None = None,
    ) -> Session:
        """Open a session. One round trip.

        Args:
            kind: `web`, `remote` or `standalone`.
            type: what `info` says that it is; its kind where it is empty.
            user: name of its user; empty for a guest.
            login: name of the user of `onserver users` who has logged in.
            machine: name of the machine it is from.
            system_user: name of the operating-system user there.
            ip: address that it is from.
            host_type: `browser`, `mac`, `windows` or the like.
            agent: what the browser says that it is.
            idle_seconds: how long it lasts unused, 0 without end; None: one hour for one of the web, else without end.
            limit_seconds: how long it lasts at most, however much it is used; 0 without end.
            web: name of the web server that opens it.
            identity: its id; empty for a new one. Where there is such a session already, that one is answered.
            data: what a web framework keeps in it; see `SessionRecord`.
        """
        if idle_seconds is None:
            idle_seconds = _WEB_IDLE_SECONDS if kind == "web" else 0.0
        facts = {
            "type": type,
            "user": user,
            "machine": machine,
            "system_user": system_user,
            "ip": ip,
            "host_type": host_type,
            "agent": agent,
            "web": web,
        }
        identity = identity or new_identity()
        times = (int(idle_seconds * 1000), int(limit_seconds * 1000))
        words = written({**{name: fact for name, fact in facts.items() if fact}, "data": data or {}})
        fields = self._store.run("session_open", identity, kind, key_of_name(login), *times, *words)
        return self.of(read_session(identity, fields))

    def take(self, identity: str, *, ip: str | None = None, renew: bool = False) -> Session | None:
        """Return a session: one round trip, and one more in the minute in which its use is noted.

        Args:
            identity: of the session.
            ip: address that it must have been opened from; None for any.
            renew: note that it is used, which moves its end; done once a minute, whoever asks how often.

        Returns:
            The session; None where there is none, it is over or was dropped, or it is of another address.
        """
        return self._of(self.records.take(identity, ip=ip or "", renew=renew))

    def touch(self, identity: str) -> None:
        """Note that a session is used."""
        self.records.note(identity)

    def find(self, identity: str) -> Session | None:
        """Return a session of any kind; None where there is none, or it is over. It does not count as used."""
        return self._of(self.records.read(identity))

    def listed(
        self, kind: Kind | str = "", login: str = "", limit: int = 100, before: SessionRecord | None = None
    ) -> Sequence[SessionRecord]:
        """Return records of sessions, those opened last first.

        Args:
            kind: only those of this kind.
            login: only those of this user of `onserver users`.
            limit: how many at most.
            before: the last one that was returned before, to go on behind it.
        """
        after = (before.created_ms, before.id) if before else ("", "")
        found = self._store.run("session_list", limit, kind, key_of_name(login), *after)
        return [read_session(one[0].decode(), one[1:]) for one in found]

    def counts(self) -> Mapping[str, int]:
        """Return how many sessions there are of each kind, those among them that are over and not yet removed."""
        numbers = self._store.pipeline([("ZCARD", self._store.key(f"sk:{kind}")) for kind in KINDS])
        return dict(zip(KINDS, map(int, numbers), strict=True))

    # -- ended

    def close(self, identity: str) -> bool:
        """End a session whose user has left. What it has asked for runs on. False where there is none."""
        return bool(self._end("", "", identity)[1])

    def drop(self, identity: str, *, by: str, reason: str = "") -> bool:
        """End a session against its will: what it has asked for, and has not begun, is refused.

        Args:
            identity: of the session.
            by: who does it, for people.
            reason: why, for people.

        Returns:
            Whether there was such a session.
        """
        return bool(self._end(_tombstone(by, reason), "", identity)[1])

    def drop_user(self, login: str, *, by: str, reason: str = "") -> Sequence[str]:
        """Drop all sessions of a user of `onserver users`. Returns their ids."""
        ended: list[str] = []
        left = 1
        while left:
            left, found = self._end(_tombstone(by, reason), key_of_name(login))
            ended += found
        return ended

    def dropped(self, identity: str) -> Drop | None:
        """Return what is known of a session that was dropped; None where it was not, or longer than a year ago."""
        found: bytes | None = self._store.command("HGET", self._store.key("dropped"), identity)
        return msgspec.json.decode(found, type=Drop) if found else None

    def rotate(self, identity: str) -> Session:
        """Give a session another id: the old one leads nowhere from now on. Record and storage stay.

        One of a remote client keeps its id, which is that client's, and is told to nobody else.

        Raises:
            SessionExpired: ONS-4102.
        """
        new = new_identity()
        fields = self._store.run("session_rotate", identity, new)
        if not fields:
            raise SessionExpired(identity)
        record = read_session(new, fields)
        return self.of(msgspec.structs.replace(record, id=identity) if record.kind == "remote" else record)

    # -- messages

    def message(self, identity: str, text: str, *, by: str = "") -> bool:
        """Leave a message for a session; see `SessionRecords.post`.

        4D: `SEND MESSAGE TO REMOTE USER`.
        """
        return self.records.post(identity, text, by=by)

    def messages(self, identity: str) -> Sequence[Message]:
        """Take the messages that a session has, the oldest first."""
        return self.records.mail(identity)

    # -- for the server

    def of(self, record: SessionRecord) -> Session:
        """Return the session that a record is of. Its storage is read as it was then, or newer."""
        self.cache.require(record.change)
        return Session(record, self.records, self.storage_of(record), self._roles, self)

    def storage_of(self, record: SessionRecord) -> Storage:
        """Return the storage of a session: one object for all in this program who have it."""
        space = record.storage_space
        if record.kind == "storedProcedure":
            return self._common
        found = self._storages.get(space)
        if found is None:
            with self._making:
                found = self._storages.get(space)
                if found is None:
                    part = PartOfCache(self.cache, space.removeprefix(SPACES))
                    found = Storage(self._store, space, self._settings, *self._held, cache=part)
                    self._storages[space] = found
        return found

    def let_go(self) -> None:
        """Drop the connection by which storages are read."""
        self.cache.close()

    def left(self, run: Running) -> None:
        """Give up the locks that a run which has ended still holds."""
        if self._storages:
            for storage in list(self._storages.values()):
                storage.left(run)

    def _of(self, record: SessionRecord | None) -> Session | None:
        return None if record is None else self.of(record)

    def _end(self, tombstone: str, login: str, *identities: str) -> tuple[int, list[str]]:
        left, *ended = self._store.run("session_end", self._store.nonce(), tombstone, login, *identities)
        return int(left), [identity.decode() for identity in ended]


def new_identity() -> str:
    """Return an id of a session: 128 random bits as 32 upper-case hexadecimal digits."""
    return secrets.token_hex(16).upper()


def _tombstone(by: str, reason: str) -> str:
    return msgspec.json.encode({"by": by, "reason": reason}).decode()
