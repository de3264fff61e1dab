"""Tokens: how programs use the HTTP API. Each has privileges of its own, a day on which it ends, and a name.

A token is shown once, when it is made; Redis holds its hash. What a token may do is what it was given: it is no user,
and no role makes it grow. Tokens are in no backup: one that was revoked does not come back with a restore.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from onserver.redis.store import Store

#: What a token begins with, so that it is found where it was written by mistake.
PREFIX: Final = "ons_"
LONGEST_SECONDS: Final = 366 * 86_400


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token, without what is secret about it.

    Attributes:
        name: for people, and in the audit.
        privileges: `admin.…` that it gives.
        by: who has made it.
        made_ms: when, by the clock of Redis.
        ends_ms: from when on it is good for nothing.
        id: the first characters of its hash, to revoke it by.
    """

    name: str
    privileges: tuple[str, ...]
    by: str
    made_ms: int
    ends_ms: int
    id: str = ""


class Tokens:
    """The tokens of one server.

    Args:
        store: of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.key("admin:tokens")

    def make(self, name: str, privileges: Sequence[str], seconds: float, *, by: str) -> tuple[str, Token]:
        """Make a token.

        Args:
            name: for people.
            privileges: that it gives.
            seconds: how long it is good for; a year at most.
            by: who makes it, for people.

        Returns:
            What is secret, and the token.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        hashed, now = _hashed(secret), self._store.now_ms()
        lasts = round(min(seconds, LONGEST_SECONDS) * 1000)
        made = Token(
            name=name, privileges=tuple(privileges), by=by, made_ms=now, ends_ms=now + lasts, id=hashed[:12]
        )  # fmt: skip
        over = [one for one, token in self._all() if token.ends_ms <= now]
        if over:
            self._store.command("HDEL", self._key, *over)
        self._store.command("HSET", self._key, hashed, msgspec.json.encode(made))
        return secret, made

    def find(self, secret: str) -> Token | None:
        """Return the token of a secret; None where there is none, or its time is over."""
        if not secret.startswith(PREFIX):
            return None
        value: bytes | None = self._store.command("HGET", self._key, _hashed(secret))
        token = msgspec.json.decode(value, type=Token) if value else None
        return token if token and token.ends_ms > self._store.now_ms() else None

    def listed(self) -> Sequence[Token]:
        """Return all tokens that are good for something, the newest first."""
        now = self._store.now_ms()
        good = [token for _, token in self._all() if token.ends_ms > now]
        return sorted(good, key=lambda token: -token.made_ms)

    def revoke(self, word: str) -> Sequence[Token]:
        """Revoke the tokens of a name, or the one of an id; answer them."""
        found = [(hashed, token) for hashed, token in self._all() if word in (token.id, token.name)]
        if found:
            self._store.command("HDEL", self._key, *(hashed for hashed, _ in found))
        return [token for _, token in found]

    def _all(self) -> Sequence[tuple[str, Token]]:
        pairs: list[bytes] = self._store.command("HGETALL", self._key)
        return [
            (hashed.decode(), msgspec.json.decode(value, type=Token))
            for hashed, value in zip(pairs[::2], pairs[1::2], strict=True)
        ]


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
