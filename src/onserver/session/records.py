"""The records of sessions in Redis: what can be done with one session, each in one round trip.

Whether a session is over is judged by the scripts, at the time when they are asked: whoever reads one that has ended
finds none, even before it was removed. What is sent twice is done once.

A one-time token is 32 hexadecimal digits that nobody can guess. Redis knows its hash only, so whoever reads Redis
cannot use one; the token leads to the session for as long as both last, and is spent by the first who follows it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from onserver.errors import SessionExpired
from onserver.redis.store import Store
from onserver.session.record import SEEN_MS, SessionRecord, read_session, told_with_it, written
from onserver.session.users import key_of_name

_LONGEST_TEXT: Final = 64_000
_IDENTITY: Final = re.compile("[0-9A-F]{32}")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a session.

    Attributes:
        text: what is said.
        by: who says it, for people.
        at_ms: when, milliseconds since 1970.
    """

    text: str
    by: str = ""
    at_ms: int = msgspec.field(name="at", default=0)


class SessionRecords:
    """The records of the sessions of one server.

    Args:
        store: of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def now_ms(self) -> int:
        """Return the present by the clock of Redis, milliseconds since 1970."""
        return self._store.now_ms()

    def read(self, identity: str) -> SessionRecord | None:
        """Return the record of a session; None where there is none, or it is over."""
        return self.take(identity)

    def take(self, identity: str, *, ip: str = "", renew: bool = False) -> SessionRecord | None:
        """Return the record of a session: one round trip, and one more in the minute in which its use is noted.

        It is read by plain commands (HGETALL and TIME, together): a script takes Redis five times as long.

        Args:
            identity: of the session.
            ip: address that it must have been opened from; empty for any.
            renew: note that it is used, if that was not noted within the last minute.
        """
        if not is_identity(identity):
            return None  # whatever somebody has put into a cookie
        now, (fields,) = self._store.pipeline_at([("HGETALL", self._store.key(f"s:{identity}"))])
        if not fields:
            return None
        record = read_session(identity, fields, now)
        if 0 < record.until_ms <= now or (ip and record.ip != ip):
            return None
        return self.note(identity) if renew and record.is_due else record

    def note(self, identity: str) -> SessionRecord | None:
        """Note that a session is used, if that was not noted within the last minute; None where there is none."""
        if not is_identity(identity):
            return None
        fields = self._store.run("session_note", identity, SEEN_MS)
        return read_session(identity, fields) if fields else None

    def write(self, identity: str, **facts: Any) -> SessionRecord:
        """Change facts of a session.

        Args:
            identity: of the session.
            **facts: attributes of `SessionRecord`; of `quotas` and `data` only those named, None to remove one.

        Returns:
            The record with them.

        Raises:
            SessionExpired: ONS-4102.
        """
        if facts.get("login"):
            facts["login"] = key_of_name(facts["login"])
        fields = self._store.run("session_write", self._store.nonce(), identity, *written(facts))
        if not fields:
            raise SessionExpired(identity)
        return read_session(identity, fields)

    def keep(self, identity: str, changed: Mapping[str, bytes | None]) -> Mapping[str, Any]:
        """Write what a web framework keeps in a session, and note that it is used, if it was not within a minute.

        Args:
            identity: of the session.
            changed: the keys that have changed, None for those to be removed.

        Returns:
            How long it lasts and who is signed in, as attributes of its record; see `kept_in`.

        Raises:
            SessionExpired: ONS-4102.
        """
        words = written({"data": changed})
        said = self._store.run("session_keep", self._store.nonce(), identity, SEEN_MS, *words)
        if not said:
            raise SessionExpired(identity)
        return told_with_it(said)

    # -- one-time tokens

    def new_token(self, identity: str, seconds: float) -> str:
        """Make a token that leads to a session once.

        Args:
            identity: of the session.
            seconds: how long it is good for.

        Raises:
            SessionExpired: ONS-4102.
        """
        token = secrets.token_hex(16).upper()
        if not self._store.run("session_token", identity, _hash(token), int(seconds * 1000)):
            raise SessionExpired(identity)
        return token

    def redeem(self, token: str) -> SessionRecord | None:
        """Follow a token to its session, and spend it.

        Returns:
            The record, whose session counts as used; None where the token is unknown, spent or too old, or its session
            is over.
        """
        found = self._store.run("session_redeem", self._store.nonce(), _hash(token))
        return read_session(found[0].decode(), found[1:]) if found else None

    # -- messages

    def post(self, identity: str, text: str, *, by: str = "") -> bool:
        """Leave a message for a session, of which the newest 100 are kept. False where there is no such session.

        Args:
            identity: of the session.
            text: at most 64,000 characters.
            by: who says it, for people.

        Raises:
            ValueError: the text is too long.
        """
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"a message has at most {_LONGEST_TEXT:,} characters, this one has {len(text):,}")
        message = msgspec.json.encode({"text": text, "by": by})
        return bool(self._store.run("session_post", self._store.nonce(), identity, message))

    def mail(self, identity: str) -> Sequence[Message]:
        """Take the messages that a session has, the oldest first."""
        found: list[bytes] = self._store.run("session_mail", self._store.nonce(), identity)
        return [msgspec.json.decode(one, type=Message) for one in found]


def is_identity(text: str) -> bool:
    """Return whether this has the form of an id of a session."""
    return _IDENTITY.fullmatch(text) is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
