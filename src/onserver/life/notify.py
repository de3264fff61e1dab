"""What a service manager is told: `sd_notify` of systemd, one datagram a word, and nothing where there is none.

The socket is named by NOTIFY_SOCKET; a name that begins with `@` is of Linux' abstract name space. A manager that is
gone, or whose socket is full, stops nobody: what it misses now it is told again with the next beat.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

#: Names the socket.
VARIABLE = "NOTIFY_SOCKET"


class Notifier:
    """Tells a service manager. See the top of this module.

    Args:
        environ: where the socket is named.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get(VARIABLE, "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name

    @property
    def listens(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def tell(self, **words: object) -> None:
        """Tell it, as in `tell(READY=1, STATUS="takes work")`."""
        if not self._address:
            return
        text = "".join(f"{name}={str(value).replace(chr(10), ' ')}\n" for name, value in words.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:  # see above
            way.setblocking(False)
            way.connect(self._address)
            way.send(text.encode())
