"""Who has logged in: links and sessions, all of it in Redis, so that a restart of the page forgets nobody.

What a browser holds is random; what Redis holds is its hash, so that whoever can read Redis cannot log in with it. A
link is good for ten minutes and once; a session for twelve hours, however much it is used. What somebody may do is
looked up with each request: a role that is taken away is gone at the next click.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from onserver.redis.store import Store

LINK_SECONDS: Final = 600
SESSION_SECONDS: Final = 12 * 3600
#: Who has logged in longer ago is asked again before what cannot be undone.
FRESH_SECONDS: Final = 300
#: Refused logins that are written down within an hour; more of them, and they would push everything else out of the
#: audit.
REFUSED_OF_HOUR: Final = 100
_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Login:
    """What a link stands for, and a session begins with.

    Attributes:
        user: who it is, for people: a user of the server, or who has made the link.
        by: `link`, whose roles are the session's, or `password` or `oidc`, where the user's are looked up.
        roles: that a link gives.
        at: when the session began, in milliseconds since 1970 by the clock of Redis; 0 of a link.
        read_only: whether nothing can be changed in it.
        stale: whether its beginning was no proof of who it is, since a provider knew the browser from before.
    """

    user: str
    by: Literal["link", "password", "oidc"]
    roles: tuple[str, ...] = ()
    at: int = 0
    read_only: bool = False
    stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Flight:
    """A login at a provider that has begun here.

    Attributes:
        to: the address that the provider sends the browser back to.
        back: where the browser goes then.
        again: whether somebody who has logged in before proves it once more.
    """

    to: str
    back: str
    again: bool


class Logins:
    """The logins of the admin page of one server.

    Args:
        store: of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def make_link(self, login: Login) -> str:
        """Make a link that can be used once, within ten minutes; answer its token.

        Args:
            login: what it stands for.
        """
        token = secrets.token_urlsafe(32)
        self._store.command("SET", self._link(token), msgspec.json.encode(login), "EX", LINK_SECONDS)
        return token

    def is_link(self, token: str) -> bool:
        """Tell whether a link can be used still, without using it."""
        return bool(token) and bool(self._store.command("EXISTS", self._link(token)))

    def use_link(self, token: str) -> str:
        """Spend a link and begin its session; answer what the browser keeps, empty where the link is not good."""
        session = secrets.token_urlsafe(32)
        found = self._store.run(
            "admin_login", self._store.nonce(), _hashed(token), _hashed(session), SESSION_SECONDS * 1000
        )
        return session if found else ""

    def begin(self, user: str, by: Literal["password", "oidc"] = "password", *, stale: bool = False) -> str:
        """Begin the session of a user; answer what the browser keeps.

        Args:
            user: whose password was right, or whom a provider has named.
            by: which of them it was.
            stale: whether that was no proof of just now.
        """
        session = secrets.token_urlsafe(32)
        login = Login(user=user, by=by, at=self._store.now_ms(), stale=stale)
        self._store.command("SET", self._session(session), msgspec.json.encode(login), "EX", SESSION_SECONDS)
        return session

    def find(self, session: str) -> Login | None:
        """Return the login of a session; None where there is none, or it is over."""
        if not session:
            return None
        value: bytes | None = self._store.command("GET", self._session(session))
        return msgspec.json.decode(value, type=Login) if value else None

    def end(self, session: str) -> None:
        """End a session."""
        if session:
            self._store.command("DEL", self._session(session))

    def depart(self, flight: Flight) -> str:
        """Note that a login at a provider has begun, for ten minutes; answer what its browser keeps meanwhile."""
        ticket = secrets.token_urlsafe(32)
        self._store.command("SET", self._flight(ticket), msgspec.json.encode(flight), "EX", LINK_SECONDS)
        return ticket

    def arrive(self, ticket: str) -> Flight | None:
        """Spend a login at a provider, once; None where there is none, or it is too old.

        Where the answer of Redis is lost on its way it is spent too, and somebody begins again.
        """
        value: bytes | None = self._store.command("GETDEL", self._flight(ticket)) if ticket else None
        return msgspec.json.decode(value, type=Flight) if value else None

    @property
    def at(self) -> str:
        """Where browsers find the page that was started last; empty where none ever was."""
        return (self._store.command("GET", self._store.key("admin:at")) or b"").decode()

    @at.setter
    def at(self, url: str) -> None:
        self._store.command("SET", self._store.key("admin:at"), url)

    # -- what is written down

    def may_write_down(self) -> int:
        """Count a refused login, and tell how many lines may be written of refused ones within this hour still.

        Returns:
            How many, this one among them; 0 where it is not written down.
        """
        key = self._store.key("admin:refused")
        count, _ = self._store.pipeline([("INCR", key), ("EXPIRE", key, _HOUR, "NX")])
        return max(0, REFUSED_OF_HOUR + 1 - int(count))

    # -- keys

    def _link(self, token: str) -> str:
        return self._store.key(f"admin:link:{_hashed(token)}")

    def _session(self, session: str) -> str:
        return self._store.key(f"admin:session:{_hashed(session)}")

    def _flight(self, ticket: str) -> str:
        return self._store.key(f"admin:oidc:{_hashed(ticket)}")


def _hashed(word: str) -> str:
    return hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()
