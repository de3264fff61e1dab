"""Messages are signed: nobody without the project's key can start a process, or change one that waits.

An envelope is what the record carries beside procedure and body:

    values.encode([nonce, key id, made_ms, expires_ms, caller])  +  32 bytes of HMAC-SHA256

The HMAC is over server and procedure, these facts and the body, each of which ends by itself, so that nothing can be
moved from one to the other. The nonce comes first: it is where `put` can compare it with its own.

*put* takes a message within 30 s of its making and each nonce once. *verify* runs before the process does: the key
must be known, the HMAC right, and the message made when the record says that it was accepted; so an envelope that was
copied into another record proves nothing. A record may then wait, be delayed, retried or replayed as long as it likes:
it keeps its envelope.

Keys are in one file (`key_file`): the newest signs, all of them verify. A program looks once a second whether the file
was replaced, and at once when a message names a key that it does not know: so a new key is used, and one that was
retired is refused, without a restart.
"""

import hmac
import logging
from pathlib import Path
from time import monotonic
from typing import Any, Final

from msgspec import DecodeError, Raw, msgpack

from onserver.errors import BadSetting, BadSignature, NoSigningKey, ProcessTimeout
from onserver.process.caller import Caller, snapshot_to_send
from onserver.process.key_file import Keys, Mac, keys_of_text, make_first_key, read_keys
from onserver.server import Server
from onserver.session.context import current_run
from onserver.values import decode, encode

#: How far making and accepting of a message may lie apart, in seconds; `put` has the same number.
FRESH_SECONDS: Final = 30.0
#: How often a program looks whether the keys were changed, in seconds.
LOOK_SECONDS: Final = 1.0
#: What a script puts in front of a signature that was made for another message than the one that carries it.
COPIED: Final = b"copied:"
_MAC_BYTES: Final = 32
#: What it raises to read bytes that are anything.
_UNREADABLE: Final = (DecodeError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError)
#: Texts, a number and what is encoded already: nothing here needs the care that `values.encode` takes.
_encoder: Final = msgpack.Encoder()

logger = logging.getLogger("onserver")


class Envelope:
    """What an envelope says, as long as nobody has checked it.

    Raises:
        ValueError: it is none.
    """

    __slots__ = ("caller", "expires_ms", "facts", "key", "mac", "made_ms", "nonce")

    def __init__(self, envelope: bytes) -> None:
        self.facts, self.mac = envelope[:-_MAC_BYTES], envelope[-_MAC_BYTES:]
        try:
            nonce, key, made_ms, expires_ms, caller = decode(self.facts)
            self.nonce, self.key, self.caller = str(nonce), str(key), dict[str, Any](caller)
            self.made_ms, self.expires_ms = int(made_ms), int(expires_ms)
        except _UNREADABLE as error:
            raise ValueError(_unreadable(envelope)) from error


class Signer:
    """Signs and verifies with the keys of one server's project. Made by `server.part(Signer)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = server.name
        self._contexts: dict[str, bytes] = {}
        self._file = None if server.settings.signing.key else key_file_of(server)
        self._stamp: tuple[int, ...] = ()
        self._use(keys_of_text(server.settings.signing.key) if self._file is None else self._first(self._file))

    @property
    def file(self) -> Path | None:
        """The file with the keys; None for a program that was given its key with its environment."""
        return self._file

    @property
    def keys(self) -> Keys:
        """The keys as they are now."""
        self._look()
        return self._keys

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
        if monotonic() > self._look_at:
            self._look()
        active, mac_of = self._signing  # both at once: another thread may have just found a new key
        facts = _encoder.encode((nonce, active, made_ms, expires_ms, caller))
        return facts + mac_of(self._context(procedure) + facts + body)

    def verify(
        self, envelope: bytes, procedure: str, body: bytes, accepted_ms: int, *, number: int = 0, nonce: str = ""
    ) -> dict[str, Any]:
        """Check an envelope.

        Args:
            envelope: what `sign` made.
            procedure: full name.
            body: as it has come.
            accepted_ms: when it was accepted, by the clock of Redis.
            number: of a process that begins for the first time: whether it may still; 0 for any other.
            nonce: with which it has come; empty where a script has compared that.

        Returns:
            The snapshot of the caller.

        Raises:
            BadSignature: ONS-4106, with what is wrong.
            ProcessTimeout: ONS-2202, it ought to have begun before now.
        """
        if monotonic() > self._look_at:
            self._look()
        facts, mac = envelope[:-_MAC_BYTES], envelope[-_MAC_BYTES:]
        try:
            own, identity, made_ms, expires_ms, caller = decode(facts)
            mac_of = self._macs.get(identity) or self._found(identity)
        except _UNREADABLE as error:
            raise BadSignature(procedure, _unreadable(envelope)) from error
        if mac_of is None:
            problem = f"it was signed with key `{identity}`, which this project does not have"
            raise BadSignature(procedure, problem, key=identity)
        if not hmac.compare_digest(mac, mac_of(self._context(procedure) + facts + body)):
            raise BadSignature(procedure, "its signature does not fit")
        if abs(accepted_ms - made_ms) > FRESH_SECONDS * 1000:
            raise BadSignature(procedure, "it was signed for another process")
        if nonce and nonce != own:
            raise BadSignature(procedure, "it was signed for another message")
        if expires_ms and number and expires_ms < self._server.store.now_ms():
            raise ProcessTimeout(number, (expires_ms - made_ms) / 1000, limit="expires")
        return dict(caller)

    def sign_again(self, envelope: Envelope, procedure: str, body: bytes) -> bytes:
        """Make the envelope of a message that waits again, with the key that signs now; all else that it says stays."""
        self._look()
        active, mac_of = self._signing
        facts = (envelope.nonce, active, envelope.made_ms, envelope.expires_ms, Raw(encode(envelope.caller)))
        again = _encoder.encode(facts)
        return again + mac_of(self._context(procedure) + again + body)

    @staticmethod
    def shown(envelope: bytes) -> Caller | None:
        """Answer who an envelope says has asked, unchecked: for people to see, and for nothing else."""
        try:
            return Caller.read(Envelope(envelope).caller)
        except ValueError:
            return None

    def _context(self, procedure: str) -> bytes:
        found = self._contexts.get(procedure)
        if found is None:
            found = self._contexts[procedure] = encode([self._name, procedure])
        return found

    def _found(self, identity: object) -> Mac | None:
        """HMAC under a key that was not known: it may have been made a moment ago."""
        if not isinstance(identity, str):
            raise TypeError(identity)
        self._look()
        return self._macs.get(identity)

    def _use(self, keys: Keys) -> None:
        self._keys, self._macs = keys, keys.macs
        self._choose()

    def _choose(self) -> None:
        active = self._keys.active()
        self._signing = active, self._keys.macs[active]
        self._look_at = monotonic() + LOOK_SECONDS

    def _look(self) -> None:
        """Look whether the file was replaced, and which key signs by now; one that cannot be read changes nothing."""
        if self._file is not None:
            try:
                stamp = _stamp(self._file)
                if stamp != self._stamp:
                    self._use(read_keys(self._file))
                    self._stamp = stamp
            except (OSError, BadSetting) as error:
                if self._stamp:  # said once
                    logger.error("the signing keys that were read before stay in force: %s", error)
                self._stamp = ()
        self._choose()

    def _first(self, path: Path) -> Keys:
        if not path.exists():
            if not self._server.embedded:
                raise NoSigningKey(str(path))
            make_first_key(path)
        self._stamp = _stamp(path)
        return read_keys(path)


def _unreadable(envelope: bytes) -> str:
    if envelope.startswith(COPIED):
        inner = envelope.removeprefix(COPIED)
        return "it was signed for another message" if Signer.shown(inner) else _unreadable(inner)
    return "its signature is damaged" if envelope else "it is not signed"


def key_file_of(server: Server) -> Path:
    """Answer where the signing keys of a server's project are."""
    return (server.project or Path()) / server.settings.signing.key_file


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def sign_now(server: Server, procedure: str, body: bytes, nonce: str, made_ms: int, expires_ms: int = 0) -> bytes:
    """Sign a message in the name of whoever asks here and now."""
    caller = snapshot_to_send(server, current_run())
    return server.part(Signer).sign(nonce, made_ms, procedure, body, caller, expires_ms)
