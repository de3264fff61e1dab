"""Nonces for writes that may be sent twice: SENDER:SEQUENCE, one sender a thread.

A thread has one write under way at a time, so Redis needs to keep only the last number and answer of each sender (see
the fragment `sender`), where a nonce of the whole program would need a key for every write of the last minute.
"""

import itertools
import os
import secrets
import threading


class _Sender(threading.local):
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.name = secrets.token_hex(8)
        self.sequence = itertools.count(1)


_sender = _Sender()


def next_nonce() -> str:
    """A nonce of this thread's sender; to be used up (answered, or given up) before the thread asks for the next."""
    if _sender.pid != os.getpid():  # forked: the child's main thread has the parent's sender
        _sender.__init__()  # type: ignore[misc]
    return f"{_sender.name}:{next(_sender.sequence)}"
