"""The signing keys of a project: one JSON file, mode 0600, that is replaced as a whole.

    {"keys": {ID: {"secret": HEX, "from": "2026-11-26T08:00:00+00:00", "by": "ann@host"}, …}}

All of them verify. The one whose time `from` came last signs; a key can be made some time ahead, so that the file is on
all machines when that key begins to sign. In a file that was written by hand a key may be its HEX alone, and
`"active": ID` then names the one that signs.

Whoever changes the file holds a lock on its folder meanwhile, and the file keeps its owner, so that a rotation as
another user shuts nobody out.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any, Final, TypeAlias

from onserver.errors import BadSetting, KeyNotFound

_KEY_BYTES: Final = 32
_SHORTEST: Final = 16

#: HMAC-SHA256 under one key.
Mac: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key.

    Attributes:
        secret: what a message is signed with.
        starts: when it begins to sign, seconds since 1970; 0 for a key that says nothing of it.
        by: who made it, for people; empty where that is not known.
    """

    secret: bytes = field(repr=False)
    starts: float = 0.0
    by: str = ""


@dataclass(frozen=True)
class Keys:
    """The keys of a project by their ids."""

    keys: Mapping[str, Key]
    #: Names the one that signs among those without a time.
    preferred: str = ""

    def active(self, now: float | None = None) -> str:
        """Return the id of the key that signs: the one whose time came last.

        Args:
            now: seconds since 1970; the present when None.
        """
        moment = time() if now is None else now
        begun = [name for name, key in self.keys.items() if key.starts <= moment]
        # where none has begun yet, the first to come signs: a project is never without
        return max(begun, key=self._rank) if begun else min(self.keys, key=self._rank)

    def _rank(self, name: str) -> tuple[float, bool, int]:
        return self.keys[name].starts, name == self.preferred, list(self.keys).index(name)

    def active_until(self, now: float) -> float:
        """Return when another key begins to sign, seconds since 1970; infinity where none is to."""
        return min((key.starts for key in self.keys.values() if key.starts > now), default=float("inf"))

    @cached_property
    def macs(self) -> Mapping[str, Mac]:
        """HMAC-SHA256 under each of them."""
        return {name: _mac(key.secret) for name, key in self.keys.items()}


def _mac(key: bytes) -> Mac:
    """Make HMAC-SHA256 under one key, which is hashed once: a quarter faster than `hmac.digest`."""
    keyed = hmac.new(key, digestmod="sha256")

    def mac(message: bytes) -> bytes:
        made = keyed.copy()
        made.update(message)
        return made.digest()

    return mac


def make_key(path: Path, *, after: float = 0.0, by: str = "") -> str:
    """Make a new key, which signs from now on or a time later; those that are there go on verifying.

    Args:
        path: the key file; made, with mode 0600, where there is none.
        after: seconds until it begins to sign, in which the file can be brought to other machines.
        by: who makes it, for people.

    Returns:
        The id of the new key.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_bytes(_KEY_BYTES)
    with changing(path):
        kept = read_keys(path) if path.exists() else Keys({})
        identity = id_of(secret)
        _write(path, Keys({**kept.keys, identity: Key(secret=secret, starts=time() + after, by=by)}, kept.preferred))
    return identity


def make_first_key(path: Path, *, by: str = "") -> None:
    """Make a key where there is none; of programs that do so at once, one wins and all use its key."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    make_key(made, by=by)
    try:
        os.link(made, path)
    except FileExistsError:
        return  # another program was faster
    finally:
        made.unlink()


def remove_key(path: Path, identity: str) -> None:
    """Remove a key from its file, within `changing`: what was signed with it is refused from now on.

    Raises:
        KeyNotFound: ONS-1013, the file has no such key.
    """
    kept = read_keys(path)
    if identity not in kept.keys:
        raise KeyNotFound(identity, list(kept.keys))
    _write(path, Keys({name: key for name, key in kept.keys.items() if name != identity}, kept.preferred))


def read_keys(path: Path) -> Keys:
    """Read a key file.

    Raises:
        BadSetting: ONS-1007, it is not what `make_key` writes, or may not be read.
    """
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadSetting("signing.key_file", str(path), f"it cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = 'it has to hold {"keys": {ID: {"secret": HEX, …}}}, as `onserver keys new` writes it'
        raise BadSetting("signing.key_file", str(path), problem) from error


def keys_of_text(secret: str) -> Keys:
    """Return the one key that a program was given with its environment.

    Raises:
        BadSetting: ONS-1007, it is too short to be a secret.
    """
    if len(secret) < _SHORTEST:
        problem = f"a key has at least {_SHORTEST} characters; `python -c 'import secrets; print(secrets.token_hex())'`"
        raise BadSetting("signing.key", "…", problem, "the environment")
    return Keys({id_of(secret.encode()): Key(secret=secret.encode())})


def id_of(secret: bytes) -> str:
    """Return the id by which messages name a key; it tells nothing of the key itself."""
    return hashlib.sha256(b"onserver key " + secret).hexdigest()[:8]


@contextmanager
def changing(path: Path) -> Generator[None]:
    """Keep all others from changing a key file for the block."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # which lets go of the lock


def _parsed(content: Any) -> Keys:
    keys = {str(name): _key(found) for name, found in content["keys"].items()}
    preferred = str(content.get("active", ""))
    if not keys or (preferred and preferred not in keys) or any(len(key.secret) < _SHORTEST for key in keys.values()):
        raise ValueError(preferred)
    return Keys(keys, preferred)


def _key(found: Any) -> Key:
    if isinstance(found, str):
        return Key(secret=bytes.fromhex(found))
    starts = datetime.fromisoformat(found["from"]).timestamp() if found.get("from") else 0.0
    return Key(secret=bytes.fromhex(found["secret"]), starts=starts, by=str(found.get("by", "")))


def _write(path: Path, keys: Keys) -> None:
    listed = {name: _facts(key) for name, key in keys.keys.items()}
    content = {"active": keys.preferred, "keys": listed} if keys.preferred in keys.keys else {"keys": listed}
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            if path.exists() and os.geteuid() == 0:
                os.fchown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _facts(key: Key) -> dict[str, str]:
    facts = {"secret": key.secret.hex()}
    if key.starts:
        facts["from"] = datetime.fromtimestamp(key.starts, UTC).isoformat()
    return {**facts, "by": key.by} if key.by else facts
