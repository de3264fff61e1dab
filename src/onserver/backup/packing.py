"""Compression, and the check of all bytes of an archive: zstd frames, and a last frame that decoders pass over.

    one frame: the members │ one frame: manifest, sums, end │ a skippable frame: offset of the second, SHA-256 of both

So the manifest can be read from the end, and no byte can change without being noticed: also those that belong to no
member's content. The zstd frames have no checksums of their own: theirs would be found wrong long after the member.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from typing import Any, Final

from onserver.backup.place import Inlet, Outlet
from onserver.backup.tape import PIECE, Broken
from onserver.lazy import load

#: How hard zstd tries. "none" is as good as stored; "compact" takes about twenty times as long as "fast".
LEVELS: Final = {"none": -50, "fast": 3, "compact": 19}
_TRAILER: Final = struct.Struct("<IIQ")
_MAGIC: Final = 0x184D2A50  # a skippable frame
_DIGEST_SIZE: Final = 32
_TRAILER_SIZE: Final = _TRAILER.size + _DIGEST_SIZE
#: No archive needs a window above 128 MiB, and none may ask for one.
_WINDOW_LOG: Final = 27
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def zstd() -> Any:
    """Load the module that compresses.

    Raises:
        MissingExtra: ONS-1008, the extra `backup` is not installed.
    """
    return load("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "backup")


class Packed:
    """Compresses what is written to it into an outlet."""

    def __init__(self, outlet: Outlet, compression: str) -> None:
        self._zstd = zstd()
        self._outlet = outlet
        self._packer = self._zstd.ZstdCompressor(level=LEVELS[compression])
        self._digest = hashlib.sha256()
        self._written = 0
        self._frame = 0
        """Where the current frame begins."""

    def write(self, data: bytes) -> None:
        """Compress it."""
        self._pass_on(self._packer.compress(data))

    def begin_frame(self) -> None:
        """End the frame: what follows can be read without what was before."""
        self._pass_on(self._packer.flush(self._packer.FLUSH_FRAME))
        self._frame = self._written

    def close(self) -> None:
        """Write the end; nothing may follow."""
        self._pass_on(self._packer.flush(self._packer.FLUSH_FRAME))
        self._pass_on(_TRAILER.pack(_MAGIC, _TRAILER_SIZE - 8, self._frame))
        self._outlet.write(self._digest.digest())

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._digest.update(data)
            self._written += len(data)
            self._outlet.write(data)


class Unpacked:
    """Decompresses an inlet, and compares its bytes to the checksum at its end, if it is read from its beginning."""

    def __init__(self, inlet: Inlet, *, whole: bool = True) -> None:
        self._inlet, self._whole = inlet, whole
        self._zstd = zstd()
        self._digest = hashlib.sha256()
        self._tail = b""
        """The last bytes that came, which may be the trailer."""
        self._frame: Any = self._new_frame()

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; none are left when it answers none.

        Raises:
            Broken: the bytes are no archive's, end too early, or are not those that were written.
        """
        while True:
            if self._frame.eof:
                rest = self._frame.unused_data or self._raw()
                if not rest:
                    self._check_end()
                    return b""
                self._frame = self._new_frame()
            elif self._frame.needs_input:
                rest = self._raw()
                if not rest:
                    raise Broken("it ends there: it was cut off")
            else:
                rest = b""
            if data := self._decompress(rest, min(size, PIECE)):
                return data

    def _decompress(self, data: bytes, size: int) -> bytes:
        try:
            unpacked: bytes = self._frame.decompress(data, size)
        except self._zstd.ZstdError as error:
            raise Broken(f"it cannot be decompressed ({error})") from error
        return unpacked

    def _raw(self) -> bytes:
        data = self._inlet.read(PIECE)
        known = self._tail + data
        self._digest.update(memoryview(known)[:-_TRAILER_SIZE])
        self._tail = known[-_TRAILER_SIZE:]
        return data

    def _check_end(self) -> None:
        if read_trailer(self._tail) is None:
            raise Broken("its last bytes are missing: it was cut off")
        self._digest.update(self._tail[:-_DIGEST_SIZE])
        if self._whole and self._digest.digest() != self._tail[-_DIGEST_SIZE:]:
            raise Broken("its bytes are not those that were written: its SHA-256 is another")

    def _new_frame(self) -> Any:
        limit = {self._zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        return self._zstd.ZstdDecompressor(options=limit)


def read_trailer(data: bytes) -> int | None:
    """Answer where the manifest's frame begins; None if this is no trailer."""
    if len(data) != _TRAILER_SIZE:
        return None
    magic, size, offset = _TRAILER.unpack_from(data)
    return int(offset) if magic == _MAGIC and size == _TRAILER_SIZE - 8 else None


def seek_manifest(inlet: Inlet) -> bool:
    """Go to the frame of the manifest, if the end of the inlet tells where it is."""
    if inlet.size < _TRAILER_SIZE:
        return False
    inlet.seek(inlet.size - _TRAILER_SIZE)
    offset = read_trailer(inlet.read(_TRAILER_SIZE))
    if offset is None or offset >= inlet.size:
        return False
    inlet.seek(offset)
    return True
