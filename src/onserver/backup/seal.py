"""Encryption of archives, in the format of age: what is sealed here is opened by `age -d`, and the other way round.

A recipient is a public key: who writes backups can seal them, and cannot open them. An identity is the key file of one
of the recipients, made by `age-keygen`, or an SSH key; it is needed to verify and to restore, and belongs on no machine
that only writes. Each 64 KiB are authenticated, so that a changed byte is found at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from onserver.backup.pipe import Pulled, Pushed
from onserver.backup.place import Inlet, Outlet
from onserver.backup.tape import Broken
from onserver.errors import ArchiveSealed, OnServerError
from onserver.lazy import load

#: How a sealed archive begins.
AGE_MAGIC: Final = b"age-encryption.org/v1"
_SECRET: Final = "AGE-SECRET-KEY-"  # noqa: S105


def pyrage() -> Any:
    """Load the library.

    Raises:
        MissingExtra: ONS-1008, the extra `backup` is not installed.
    """
    return load("pyrage", "backup")


def recipients(texts: Sequence[str], archive: str) -> list[Any]:
    """Read recipients: `age1…`, `ssh-…`, or files of them as for `age -R`.

    Args:
        texts: One or several; who holds the identity of one of them can open the archive.
        archive: Its path, for errors.

    Raises:
        ArchiveSealed: ONS-5206, one of them is none.
    """
    found: list[Any] = []
    for text in texts:
        lines = [text] if text.startswith(("age1", "ssh-")) else _lines(text, "a recipient", archive)
        found += [_recipient(line, archive) for line in lines]
    return found


def identities(texts: Sequence[str], archive: str) -> list[Any]:
    """Read identities: files as for `age -i`, SSH keys without a passphrase, or `AGE-SECRET-KEY-…` itself.

    Raises:
        ArchiveSealed: ONS-5206, one of them is none.
    """
    return [key for text in texts for key in _identities(text, archive)]


def in_project(texts: Sequence[str], project: Path) -> tuple[str, ...]:
    """Read file names as the settings mean them, from the project's folder on; keys stay as they are."""
    direct = ("age1", "ssh-", _SECRET)
    return tuple(text if text.startswith(direct) else str(project / Path(text).expanduser()) for text in texts)


def _recipient(text: str, archive: str) -> Any:
    age = pyrage()
    try:
        return (age.ssh if text.startswith("ssh-") else age.x25519).Recipient.from_str(text)
    except (age.RecipientError, ValueError) as error:
        shown = "an identity, which nobody else may see," if text.startswith(_SECRET) else f"`{text}`"
        raise ArchiveSealed(archive, f"{shown} is no recipient: {error}") from None


def _identities(text: str, archive: str) -> list[Any]:
    age = pyrage()
    if text.startswith(_SECRET):
        lines, where = [text], "what was given"
    else:
        lines, where = _lines(text, "an identity", archive), f"`{text}`"
    try:
        if lines and lines[0].startswith("-----BEGIN"):
            return [age.ssh.Identity.from_buffer("\n".join([*lines, ""]).encode())]
        return [age.x25519.Identity.from_str(line) for line in lines]
    except (age.IdentityError, ValueError):  # the error's text may hold the key
        raise ArchiveSealed(archive, f"{where} holds no identity") from None


def _lines(path: str, what: str, archive: str) -> list[str]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveSealed(archive, f"`{path}` is not {what} and no file of such: {error}") from error
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


class SealedOutlet:
    """Encrypts what is written to it into another outlet."""

    def __init__(self, outlet: Outlet, keys: Sequence[Any]) -> None:
        self._outlet = outlet
        self._failure: OnServerError | None = None
        self._pushed = Pushed(lambda source: pyrage().encrypt_io(source, self._sink(), keys), "seal")

    def write(self, data: bytes) -> None:
        """Encrypt it, and pass it on."""
        with self._own_errors():
            self._pushed.write(data)

    def commit(self) -> None:
        """Write the end, and commit the outlet."""
        with self._own_errors():
            self._pushed.close()
        self._outlet.commit()

    def abort(self) -> None:
        """Leave nothing behind."""
        self._pushed.abandon()
        self._outlet.abort()

    def _sink(self) -> BinaryIO:
        return cast("BinaryIO", _Sink(self))

    def pass_on(self, data: bytes) -> None:
        """Give to the outlet what was encrypted; called in the thread of the library."""
        try:
            self._outlet.write(data)
        except OnServerError as error:
            self._failure = error  # the library would make a text of it
            raise

    @contextlib.contextmanager
    def _own_errors(self) -> Any:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # ours, if it was ours
            raise self._failure or error from None


class _Sink:
    """What the library takes for a file."""

    def __init__(self, sealed: SealedOutlet) -> None:
        self._sealed = sealed

    def write(self, data: bytes) -> int:
        self._sealed.pass_on(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing to flush."""


class UnsealedInlet:
    """Decrypts another inlet.

    Raises:
        ArchiveSealed: ONS-5206, from `read`: none of the identities fits.
        Broken: likewise: the bytes are not those that were written.
    """

    size = -1

    def __init__(self, inlet: Inlet, keys: Sequence[Any], archive: str) -> None:
        self._inlet, self._archive = inlet, archive
        self._failure: Exception | None = None
        source = cast("BinaryIO", _Source(self))
        self._pulled = Pulled(lambda sink: pyrage().decrypt_io(source, sink, keys), "unseal")

    def read(self, size: int) -> bytes:
        """Read up to so many bytes."""
        age = pyrage()
        try:
            return self._pulled.read(size)
        except age.DecryptError as error:
            self._raise_own()
            if "atching" in str(error):
                raise ArchiveSealed(self._archive, "none of the identities that were given opens it") from error
            raise Broken(f"it cannot be decrypted ({error})") from error
        except OSError as error:
            self._raise_own()
            raise Broken(f"it cannot be decrypted: it was changed or cut off ({error})") from error

    def seek(self, offset: int) -> None:
        """Not possible: each byte depends on its place, and the library reads from the front."""
        raise NotImplementedError

    def close(self) -> None:
        """Read no more."""
        self._pulled.close()
        self._inlet.close()

    def fetch(self, size: int) -> bytes:
        """Read what is encrypted; called in the thread of the library."""
        try:
            return self._inlet.read(size)
        except (OSError, OnServerError) as error:
            self._failure = error  # as above: that it cannot be read is no damage
            raise

    def _raise_own(self) -> None:
        if self._failure:
            raise self._failure from None


class _Source:
    """What the library takes for a file."""

    def __init__(self, unsealed: UnsealedInlet) -> None:
        self._unsealed = unsealed

    def read(self, size: int) -> bytes:
        return self._unsealed.fetch(size)
