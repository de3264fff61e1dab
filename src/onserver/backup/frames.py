"""Frames: pieces of bytes with their length and checksum in front, one behind the other.

The copy of a server's keys and the log between two backups are streams of frames. Whoever reads one knows at each frame
whether it is whole: a log that ends in the middle of a write is good up to its last whole frame.

    length, 4 bytes, big-endian │ CRC-32 of the payload, 4 bytes │ payload
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

_HEAD: Final = struct.Struct(">II")
#: No frame is longer: a length that is damaged is not waited for.
LONGEST: Final = 1 << 30


class BrokenFrame(Exception):
    """A frame is damaged or cut off; `offset` is where it begins, which is where the whole ones end."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(offset, problem)
        self.offset = offset
        self.problem = problem


def frame(payload: bytes) -> bytes:
    """Put length and checksum in front."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The payloads of a stream that comes in pieces of any size.

    Raises:
        BrokenFrame: the next one is damaged, or not all there.
    """
    buffer, at = bytearray(), 0
    for piece in pieces:
        buffer += piece
        used = 0
        while len(buffer) - used >= _HEAD.size:
            length, checksum = _HEAD.unpack_from(buffer, used)
            if length > LONGEST:
                raise BrokenFrame(at + used, f"its length would be {length:,}")
            end = used + _HEAD.size + length
            if len(buffer) < end:
                break
            payload = bytes(buffer[used + _HEAD.size : end])
            if zlib.crc32(payload) != checksum:
                raise BrokenFrame(at + used, "its checksum is another")
            used = end
            yield payload
        del buffer[:used]
        at += used
    if buffer:
        raise BrokenFrame(at, f"it was cut off: {len(buffer):,} bytes of it are there")
