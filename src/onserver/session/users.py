"""The users of a server: who may log in, with which password, and in which roles.

A password is kept as its argon2id hash, in Redis, with the users in every backup. Whoever asks for a user that does not
exist waits as long as for a wrong password, so that names cannot be guessed by time. When the parameters of the hash
grow with a release, a password is hashed anew at its next use.

Upper and lower case do not count in names, and do in passwords. What the original calls groups are roles here: they
gather privileges, contain each other's by inclusion, and `roles.json` says what they give (specification 8.8, 8.2).
A project without users asks nobody for a password, as the original does not while its Designer has none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import msgspec

from onserver.errors import PasswordRefused, UserExists, UserNotFound
from onserver.lazy import load
from onserver.redis.store import Store

#: Characters of a password: fewer are guessed, and more are an attack.
SHORTEST, LONGEST = 8, 1024
_LONGEST_NAME: Final = 100
#: How often a change is tried again that another one has overtaken.
_TRIES: Final = 5


@dataclass(frozen=True, kw_only=True)
class User:
    """One user.

    Attributes:
        name: as it was given.
        roles: names of roles and privileges of `roles.json`.
        made_ms: when it was made, by the clock of Redis.
        by: who made it, for people.
        changed_ms: when it got its password, or was made without one.
    """

    name: str
    roles: tuple[str, ...] = ()
    made_ms: int = 0
    by: str = ""
    changed_ms: int = 0
    hashed: str = field(repr=False)

    @property
    def has_password(self) -> bool:
        """Whether it has one; who has none logs in elsewhere, and never with a password."""
        return bool(self.hashed)


class Users:
    """The users of one server.

    Args:
        store: of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def listed(self) -> Sequence[User]:
        """Return all users by name; none where nobody needs a password."""
        values: Sequence[bytes] = self._store.command("HVALS", self._store.key("users"))
        return sorted((read_user(value) for value in values), key=lambda user: key_of_name(user.name))

    def get(self, name: str) -> User:
        """Return a user.

        Raises:
            UserNotFound: ONS-4110.
        """
        return self._found(name)[0]

    def add(self, name: str, password: str | None, roles: Sequence[str] = (), *, by: str = "") -> User:
        """Make a user.

        Args:
            name: upper and lower case do not count.
            password: 8 to 1,024 characters; None for a user who logs in elsewhere, and never with a password.
            roles: names of roles and privileges; whether they are declared is for the caller to see.
            by: who makes it, for people.

        Raises:
            UserExists: ONS-4111.
            PasswordRefused: ONS-4112, the password or the name cannot be taken.
            MissingExtra: ONS-1008, `pip install 'onserver[users]'`.
        """
        require_name(name)
        hashed = ""
        if password is not None:
            require_password(password)
            hashed = _hasher().hash(password)
        now = self._store.now_ms()
        made = User(name=name, roles=tuple(roles), made_ms=now, by=by, changed_ms=now, hashed=hashed)
        if not self._write("add", name, made):
            raise UserExists(name)
        return made

    def remove(self, name: str) -> None:
        """Remove a user, who cannot log in any more from now on; what was asked for in this name is refused.

        Raises:
            UserNotFound: ONS-4110.
        """
        if not self._store.run("user", self._store.nonce(), "drop", key_of_name(name), "", ""):
            raise UserNotFound(name)

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password.

        Raises:
            UserNotFound: ONS-4110.
            PasswordRefused: ONS-4112.
            MissingExtra: ONS-1008.
        """
        require_password(password)
        hashed = _hasher().hash(password)
        for _ in range(_TRIES):
            user, before = self._found(name)
            changed = replace(user, hashed=hashed, changed_ms=self._store.now_ms())
            if self._write("change", name, changed, before):
                return
        raise UserNotFound(name)

    def set_roles(self, name: str, roles: Sequence[str]) -> None:
        """Give a user other roles: what waits in their name runs only with what these still give.

        Args:
            name: upper and lower case do not count.
            roles: names of roles and privileges, all of them; whether they are declared is for the caller to see.

        Raises:
            UserNotFound: ONS-4110.
        """
        for _ in range(_TRIES):
            user, before = self._found(name)
            if self._write("change", name, replace(user, roles=tuple(roles)), before):
                return
        raise UserNotFound(name)

    def revoke(self, name: str, *, by: str = "", reason: str = "") -> None:
        """Refuse everything that was asked for in a user's name until now, however long it still waits.

        Args:
            name: upper and lower case do not count.
            by: who does it, for people.
            reason: why, for people.

        Raises:
            UserNotFound: ONS-4110.
        """
        if not self._store.run("user", self._store.nonce(), "revoke", key_of_name(name), by, reason):
            raise UserNotFound(name)

    def verify(self, name: str, password: str) -> User | None:
        """Return the user whose password this is, or None: the same for a wrong password and for an unknown name.

        Both take the same work, and so does a user without a password. A hash that was made with smaller parameters
        than those of now is replaced.

        Raises:
            MissingExtra: ONS-1008.
        """
        value = self._store.command("HGET", self._store.key("users"), key_of_name(name))
        user = read_user(value) if value else None
        fits = _fits(user.hashed if user and user.has_password else _nobody(), password)
        if user is None or not user.has_password or not fits:
            return None
        if _hasher().check_needs_rehash(user.hashed):
            user = replace(user, hashed=_hasher().hash(password))
            self._write("change", name, user, value)  # where somebody else was faster, theirs holds
        return user

    def _found(self, name: str) -> tuple[User, bytes]:
        value: bytes | None = self._store.command("HGET", self._store.key("users"), key_of_name(name))
        if value is None:
            raise UserNotFound(name)
        return read_user(value), value

    def _write(self, verb: str, name: str, user: User, before: bytes = b"") -> bool:
        value = msgspec.json.encode(user)
        return bool(self._store.run("user", self._store.nonce(), verb, key_of_name(name), value, before))


def require_name(name: str) -> None:
    """Refuse what is no name of a user.

    Raises:
        PasswordRefused: ONS-4112.
    """
    if not name or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        problem = f"has 1 to {_LONGEST_NAME} characters, no blanks around it, and nothing unprintable"
        raise PasswordRefused(problem, "The name of a user")


def require_password(password: str) -> None:
    """Refuse what is no password.

    Raises:
        PasswordRefused: ONS-4112, it is too short or too long; it is not told which it was.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"has to have {SHORTEST} to {LONGEST:,} characters")


def key_of_name(name: str) -> str:
    """Return what a name is kept under: however it is written, it is the same user."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def read_user(value: bytes) -> User:
    """Read a user as Redis keeps it."""
    return msgspec.json.decode(value, type=User)


@cache
def _hasher() -> Any:
    """The library's own parameters: it moves them up with the machines (RFC 9106)."""
    return load("argon2:PasswordHasher", "users")()


@cache
def _nobody() -> str:
    """The hash of a user that does not exist: whoever asks for one waits as for any other."""
    return str(_hasher().hash("a password that nobody has"))


def _fits(hashed: str, password: str) -> bool:
    if len(password) > LONGEST:
        password = ""  # nobody has it
    try:
        return bool(_hasher().verify(hashed, password))
    except load("argon2.exceptions:VerificationError", "users"):
        return False
