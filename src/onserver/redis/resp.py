"""Redis' protocol to bytes and back, by hiredis: the one place that knows its loose types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import hiredis

#: What a command is made of.
Word = str | bytes | int | float

#: A command as bytes. This is hiredis' own function: a wrapper would cost a tenth of a round trip's Python.
pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)

#: What `Replies.gets` says when no whole reply has arrived.
PENDING: Any = object()

ErrorReply = hiredis.ReplyError


class Replies(hiredis.Reader):
    """Bytes to replies: None, int, bytes, lists of these, and `ErrorReply` objects, which are returned, not raised."""

    def __init__(self) -> None:
        super().__init__(notEnoughData=PENDING)


#: Hand the part of a buffer from an offset on, of some length, to a reader.
feed = cast("Callable[[Replies, bytearray, int, int], None]", hiredis.Reader.feed)
