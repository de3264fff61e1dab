"""Messages are signed: nobody without the project's key can start a process, or change one that waits.

An envelope is what the record carries beside procedure and body:

    values.encode([nonce, key id, made_ms, expires_ms, caller])  +  32 bytes of HMAC-SHA256

The HMAC is over server and procedure, these facts and the body, each of which ends by itself, so that nothing can be
moved from one to the other. The nonce comes first: it is where `put` can compare it with its own.

*put* takes a message within 30 s of its making and each nonce once. *verify* runs before the process does: the key
must be known, the HMAC right, and the message made when the record says that it was accepted; so an envelope that was
copied into another record proves nothing. A record may then wait, be delayed, retried or replayed as long as it likes:
it keeps its envelope.

Keys are in one JSON file, mode 0600: `{"active": ID, "keys": {ID: hex}}`. The active one signs, all of them verify; an
unknown id makes the file be read again, so a new key may be brought to all machines first and made active then.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from msgspec import DecodeError, Raw, msgpack

from onserver.errors import BadSetting, BadSignature, NoSigningKey, ProcessTimeout
from onserver.process.caller import Caller, snapshot_to_send
from onserver.server import Server
from onserver.session.context import current_run
from onserver.values import decode, encode

#: How far making and accepting of a message may lie apart, in seconds; `put` has the same number.
FRESH_SECONDS: Final = 30.0
_MAC_BYTES: Final = 32
_KEY_BYTES: Final = 32
_SHORTEST: Final = 16
#: Texts, a number and what is encoded already: nothing here needs the care that `values.encode` takes.
_encoder: Final = msgpack.Encoder()


@dataclass(frozen=True)
class Keys:
    """The keys of a project by their ids; one of them signs."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def macs(self) -> Mapping[str, Callable[[bytes], bytes]]:
        """HMAC-SHA256 under each of them."""
        return {name: _mac(key) for name, key in self.keys.items()}


def _mac(key: bytes) -> Callable[[bytes], bytes]:
    """Make HMAC-SHA256 under one key, which is hashed once: a quarter faster than `hmac.digest`."""
    keyed = hmac.new(key, digestmod="sha256")

    def mac(message: bytes) -> bytes:
        made = keyed.copy()
        made.update(message)
        return made.digest()

    return mac


def make_key(path: Path) -> str:
    """Make a new key and let it sign from now on; those that are there go on verifying.

    Args:
        path: the key file; made, with mode 0600, where there is none.

    Returns:
        The id of the new key.
    """
    kept = read_keys(path) if path.exists() else Keys("", {})
    secret = secrets.token_bytes(_KEY_BYTES)
    identity = _id_of(secret)
    keys = {name: key.hex() for name, key in {**kept.keys, identity: secret}.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"active": identity, "keys": keys}, file, indent=1)
    written.replace(path)
    return identity


def read_keys(path: Path) -> Keys:
    """Read a key file.

    Raises:
        BadSetting: ONS-1007, it is not what `make_key` writes.
    """
    try:
        content = json.loads(path.read_text())
        keys = {str(name): bytes.fromhex(key) for name, key in content["keys"].items()}
        active = str(content["active"])
        if active not in keys or any(len(key) < _SHORTEST for key in keys.values()):
            raise ValueError(active)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = 'it has to hold {"active": ID, "keys": {ID: hex}}, as `onserver new` writes it'
        raise BadSetting("signing.key_file", str(path), problem) from error
    return Keys(active, keys)


class Signer:
    """The keys of one server's project. Made by `server.part(Signer)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = server.name
        self._keys = self._load()
        self._contexts: dict[str, bytes] = {}

    def sign(self, nonce: str, made_ms: int, procedure: str, body: bytes, caller: Raw, expires_ms: int = 0) -> bytes:
        """Make the envelope of a message; see the top of this module.

        Args:
            nonce: the one that `put` gets, or for one of many that one, "/" and its index.
            made_ms: now, by the clock of Redis.
            procedure: full name.
            body: as it is sent.
            caller: snapshot of who asks, encoded.
            expires_ms: when its process must have begun, by the clock of Redis; 0 for no limit.
        """
        active = self._keys.active
        facts = _encoder.encode((nonce, active, made_ms, expires_ms, caller))
        return facts + self._keys.macs[active](self._context(procedure) + facts + body)

    def verify(
        self, envelope: bytes, procedure: str, body: bytes, accepted_ms: int, *, number: int = 0
    ) -> dict[str, Any]:
        """Check an envelope.

        Args:
            envelope: what `sign` made.
            procedure: full name.
            body: as it has come.
            accepted_ms: when it was accepted, by the clock of Redis.
            number: of a process that begins for the first time: whether it may still; 0 for any other.

        Returns:
            The snapshot of the caller.

        Raises:
            BadSignature: ONS-4106, with what is wrong.
            ProcessTimeout: ONS-2202, it ought to have begun before now.
        """
        facts, mac = envelope[:-_MAC_BYTES], envelope[-_MAC_BYTES:]
        try:
            _, identity, made_ms, expires_ms, caller = decode(facts)
        except (DecodeError, ValueError, TypeError) as error:
            raise BadSignature(procedure, "it is not signed" if not envelope else "its signature is damaged") from error
        mac_of = self._mac(str(identity))
        if mac_of is None:
            raise BadSignature(procedure, f"it was signed with key `{identity}`, which this project does not have")
        if not hmac.compare_digest(mac, mac_of(self._context(procedure) + facts + body)):
            raise BadSignature(procedure, "its signature does not fit")
        if abs(accepted_ms - made_ms) > FRESH_SECONDS * 1000:
            raise BadSignature(procedure, "it was signed for another process")
        if expires_ms and number and expires_ms < self._server.store.now_ms():
            raise ProcessTimeout(number, (expires_ms - made_ms) / 1000, limit="expires")
        return dict(caller)

    @staticmethod
    def shown(envelope: bytes) -> Caller | None:
        """Answer who an envelope says has asked, unchecked: for people to see, and for nothing else."""
        try:
            return Caller.read(decode(envelope[:-_MAC_BYTES])[4])
        except (DecodeError, ValueError, TypeError, LookupError, AttributeError):
            return None

    def _context(self, procedure: str) -> bytes:
        found = self._contexts.get(procedure)
        if found is None:
            found = self._contexts[procedure] = encode([self._name, procedure])
        return found

    def _mac(self, identity: str) -> Callable[[bytes], bytes] | None:
        if identity not in self._keys.keys:
            self._keys = self._load()
        return self._keys.macs.get(identity)

    def _load(self) -> Keys:
        secret = self._server.settings.signing.key
        if secret:
            return _from_text(secret)
        path = (self._server.project or Path()) / self._server.settings.signing.key_file
        if not path.exists():
            if not self._server.embedded:
                raise NoSigningKey(str(path))
            make_first_key(path)
        return read_keys(path)


def make_first_key(path: Path) -> None:
    """Make a key where there is none; of programs that do so at once, one wins and all use its key."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    make_key(made)
    try:
        os.link(made, path)
    except FileExistsError:
        return  # another program was faster
    finally:
        made.unlink()


def sign_now(server: Server, procedure: str, body: bytes, nonce: str, made_ms: int, expires_ms: int = 0) -> bytes:
    """Sign a message in the name of whoever asks here and now."""
    caller = snapshot_to_send(server, current_run())
    return server.part(Signer).sign(nonce, made_ms, procedure, body, caller, expires_ms)


def _from_text(secret: str) -> Keys:
    if len(secret) < _SHORTEST:
        problem = f"a key has at least {_SHORTEST} characters; `python -c 'import secrets; print(secrets.token_hex())'`"
        raise BadSetting("signing.key", "…", problem, "the environment")
    key = secret.encode()
    return Keys(_id_of(key), {_id_of(key): key})


def _id_of(secret: bytes) -> str:
    return hashlib.sha256(b"onserver key " + secret).hexdigest()[:8]
