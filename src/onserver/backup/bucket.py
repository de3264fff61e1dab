"""A bucket of an object store as the place of archives: S3 and what speaks like it, Google's, Azure's.

An object appears when its upload is complete, so it needs no temporary name. Credentials and end points are the
environment's, under the names that everybody uses (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_
CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` …), or those of the machine; they are in no setting.

An upload in parts cannot be made to fail where there is an object of its name by then. We look before the first and
after the last byte; numbers are given out once, so that only a stranger could come in between. What a killed writer
leaves is an upload without an end, which no list shows: let a lifecycle rule of the bucket remove such after a day.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from onserver.backup.pipe import Pushed
from onserver.backup.place import Found, not_written, require_plain
from onserver.crash import crash_point
from onserver.errors import ArchiveNotFound, ArchiveNotWritten, SourceFailed
from onserver.lazy import load

#: Bytes of one part of an upload; stores take 10,000 parts.
_PART_BYTES: Final = 2**24
#: Bytes that are fetched at once.
_FETCH_BYTES: Final = 2**22


def obstore() -> Any:
    """Load the library.

    Raises:
        MissingExtra: ONS-1008, the extra `backup` is not installed.
    """
    return load("obstore", "backup")


class Abandoned(Exception):
    """Raised into the library, so that it gives an upload up."""


class BucketOutlet:
    """One archive on its way into a bucket.

    Raises:
        ArchiveNotWritten: ONS-5205, from every method but `abort`.
    """

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket, self._name = bucket, name
        self._path = bucket.path_of(name)
        self._require_free()
        self._abandoned = self._done = False
        self._pushed = Pushed(self._upload, "upload")

    def write(self, data: bytes) -> None:
        """Write all of it."""
        try:
            self._pushed.write(data)
        except (OSError, obstore().exceptions.BaseError) as error:
            raise self._bucket.not_written(self._name, error) from error

    def commit(self) -> None:
        """Complete the upload."""
        try:
            self._require_free()  # the library can be asked nothing while it asks us for more
            crash_point("before_rename")
            self._pushed.close()
        except SourceFailed as error:
            raise self._bucket.not_written(self._name, error.__cause__ or error) from error
        except (OSError, Abandoned, obstore().exceptions.BaseError) as error:
            raise self._bucket.not_written(self._name, error) from error
        self._done = True

    def abort(self) -> None:
        """Give the upload up."""
        if not self._done:
            self._abandoned = True
            self._pushed.abandon()

    def _upload(self, source: BinaryIO) -> None:
        obstore().put(self._bucket.store, self._name, self._parts(source), use_multipart=True, chunk_size=_PART_BYTES)

    def _parts(self, source: BinaryIO) -> Iterator[bytes]:
        while data := source.read(_PART_BYTES):
            yield data
        if self._abandoned:
            raise Abandoned

    def _require_free(self) -> None:
        if self._bucket.has(self._name):
            raise not_written(self._path, FileExistsError(errno.EEXIST, ""))


class BucketInlet:
    """A finished object.

    Raises:
        SourceFailed: ONS-5207, from `read`: the store does not answer.
    """

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path = file, path
        self.size: int = file.size

    def read(self, size: int) -> bytes:
        """Read up to so many bytes."""
        with _asking(self._path):
            return bytes(self._file.read(size))

    def seek(self, offset: int) -> None:
        """Go on from there."""
        self._file.seek(offset)

    def close(self) -> None:
        """Read no more."""
        self._file.close()


class Bucket:
    """A bucket, or what is below a path in one.

    Args:
        url: As in `s3://bucket/path`.

    Raises:
        SourceFailed: ONS-5207, from what reads: the store does not answer, or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url if url.endswith("/") else f"{url}/"
        try:
            self.store = load("obstore.store", "backup").from_url(url)
        except (ValueError, obstore().exceptions.BaseError) as error:
            raise ArchiveNotWritten(url, f"it names no bucket ({_first_line(error)})", "missing") from error

    def describe(self) -> str:
        """Name the bucket."""
        return self._url

    def path_of(self, name: str) -> str:
        """Answer the URL of an object."""
        return f"{self._url}{name}"

    def writing(self, name: str) -> BucketOutlet:
        """Begin an object."""
        require_plain(name)
        try:
            return BucketOutlet(self, name)
        except SourceFailed as error:
            raise self.not_written(name, error.__cause__ or error) from error

    def reading(self, name: str) -> BucketInlet:
        """Open a finished object."""
        try:
            with _asking(self.path_of(name)):
                file = obstore().open_reader(self.store, name, buffer_size=_FETCH_BYTES)
            return BucketInlet(file, self.path_of(name))
        except FileNotFoundError as error:
            raise ArchiveNotFound(self.path_of(name)) from error

    def found(self) -> list[Found]:
        """List the objects."""
        with _asking(self._url):
            listed = obstore().list_with_delimiter(self.store)["objects"]
        found = [Found(each["path"], each["size"], each["last_modified"].timestamp()) for each in listed]
        return sorted(each for each in found if not each.name.startswith("."))

    def remove(self, name: str) -> None:
        """Delete an object."""
        require_plain(name)
        if not self.has(name):
            raise ArchiveNotFound(self.path_of(name))
        with _asking(self.path_of(name)):
            obstore().delete(self.store, name)

    def read_small(self, name: str) -> bytes | None:
        """Read the whole of a small object."""
        try:
            with _asking(self.path_of(name)):
                return bytes(obstore().get(self.store, name).bytes())
        except FileNotFoundError:
            return None

    def replace(self, name: str, data: bytes) -> None:
        """Write a small object over the one that may be there."""
        require_plain(name)
        try:
            obstore().put(self.store, name, data)
        except (OSError, obstore().exceptions.BaseError) as error:
            raise self.not_written(name, error) from error

    def clear(self) -> list[str]:
        """Nothing unfinished can be seen here."""
        return []

    def has(self, name: str) -> bool:
        """Tell whether there is such an object."""
        try:
            with _asking(self.path_of(name)):
                obstore().head(self.store, name)
        except FileNotFoundError:
            return False
        return True

    def not_written(self, name: str, error: BaseException) -> ArchiveNotWritten:
        """Say what an error of the store means for a backup."""
        if isinstance(error, ArchiveNotWritten):
            return error
        kinds = obstore().exceptions
        kind = "denied" if isinstance(error, (kinds.PermissionDeniedError, kinds.UnauthenticatedError)) else "failed"
        if isinstance(error, FileNotFoundError):
            kind = "missing"
        return ArchiveNotWritten(self.path_of(name), _first_line(error), kind)


@contextlib.contextmanager
def _asking(what: str) -> Iterator[None]:
    """Make one of our errors of what the store answers; that something is not there remains FileNotFoundError."""
    try:
        yield
    except obstore().exceptions.BaseError as error:
        raise SourceFailed(what, _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    """Take the sentence of an error of the library, without what it prints for its authors."""
    text = str(error).partition("\n")[0].rstrip(".")
    return text[:1].lower() + text[1:]
