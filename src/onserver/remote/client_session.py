"""The session on the client's side, where there is one: from 21 R3 on in the original (specification 1.7).

It is the same session as on the server, by its id, its user and what it may. Its storage is another: it is in this
program, and nothing of it goes to the server or comes from there. What would change the session is for code of the
server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, NoReturn

from onserver.connections.facts import Opened
from onserver.connections.wire import Facts, Known, Token
from onserver.errors import LockTimeout, NotShareable, ServerSideOnly
from onserver.remote.trips import Trips
from onserver.session.info import Info
from onserver.session.steps import drive
from onserver.values import decode, encode, freeze

#: How old an answer about what the session may is at most, in seconds: a beat of the server's sessions.
_BELIEVED_SECONDS: Final = 5.0
_LEAST_TOKEN_SECONDS: Final = 10.0


class ClientStorage(Mapping[str, Any]):
    """The storage of the session on the client's side: of this program, and in its memory.

    It is read like a dict and changed inside `use`, as the one on the server is. Values are copied, and are the same
    that could be shared there.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = threading.RLock()

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    @contextmanager
    def use(self, key: str | None = None, /, *, timeout: float | None = None) -> Iterator[Any]:
        """Change one entry, or all: what is changed in the block is there when it ends, or nothing where it raises.

        Args:
            key: name of an entry, a dict that is made where there is none; None for the whole storage.
            timeout: seconds to wait for another thread; None waits as long as it takes.

        Raises:
            LockTimeout: ONS-3101, another thread has it for longer.
            NotShareable: ONS-3106, at the end of the block: a value that cannot be shared.

        Example:
            >>> with session().storage.use("basket") as basket:  # doctest: +SKIP
            ...     basket["items"] = [12]
        """
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise LockTimeout(key or "", timeout or 0.0)
        try:
            whole = {name: decode(encode(value)) for name, value in self._values.items()}
            yield whole if key is None else whole.setdefault(key, {})
            changed = {name: _shared(name, value) for name, value in whole.items()}
            self._values = changed
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        return f"<ClientStorage of {', '.join(self._values) or 'nothing'}>"


class ClientSession:
    """The session of a remote client, as code of the client sees it.

    Args:
        trips: of the client.
        opened: what the server said of it.

    Example:
        >>> session().user_name  # doctest: +SKIP
        'ann'
        >>> session().set_privileges("CreateInvoices")  # doctest: +SKIP
        Traceback (most recent call last):
        onserver.errors.ServerSideOnly: `set_privileges` does not work in a client: it is for code on the server.

    4D: the Session object of a remote 4D (specification 1.7).
    """

    def __init__(self, trips: Trips, opened: Opened) -> None:
        self._trips = trips
        self._opened = opened
        self._storage = ClientStorage()
        self._known: tuple[float, Known] | None = None

    @property
    def id(self) -> str:
        """Its id, the same as on the server; whoever has it is the client."""
        return self._trips.session

    @property
    def user_name(self) -> str:
        """The name of its user."""
        return self._opened.user

    @property
    def storage(self) -> ClientStorage:
        """The storage on this side, which the server's has nothing to do with."""
        return self._storage

    @property
    def info(self) -> Info:
        """Facts about the session, asked of the server at each read."""
        return Info(self._asked(0.0).info)

    def get_privileges(self) -> list[str]:
        """Return the names of its privileges, as the session on the server does."""
        return list(self._asked().privileges)

    def has_privilege(self, name: str) -> bool:
        """Whether it has a privilege."""
        return name in self._asked().privileges

    def is_guest(self) -> bool:
        """False: only a session of the web may be a guest's."""
        return False

    def create_otp(self, seconds: float | None = None) -> str:
        """Make a token by which a request of the web joins the session on the server, with its storage there, once.

        Args:
            seconds: how long it is good for, 10 at least and by default.
        """
        token: str = drive(self._trips.ask(Token(seconds=max(seconds or 0.0, _LEAST_TOKEN_SECONDS))))
        return token

    # -- for the server's side alone

    def set_privileges(self, *_: Any) -> NoReturn:
        """Refused: ServerSideOnly, ONS-4115."""
        raise ServerSideOnly("set_privileges")

    def clear_privileges(self) -> NoReturn:
        """Refused: ServerSideOnly, ONS-4115."""
        raise ServerSideOnly("clear_privileges")

    def promote(self, *_: Any) -> NoReturn:
        """Refused: ServerSideOnly, ONS-4115."""
        raise ServerSideOnly("promote")

    def demote(self, *_: Any) -> NoReturn:
        """Refused: ServerSideOnly, ONS-4115."""
        raise ServerSideOnly("demote")

    def restore(self, *_: Any) -> NoReturn:
        """Refused: ServerSideOnly, ONS-4115."""
        raise ServerSideOnly("restore")

    def _asked(self, seconds: float = _BELIEVED_SECONDS) -> Known:
        known = self._known
        if known is None or monotonic() - known[0] > seconds:
            known = self._known = monotonic(), drive(self._trips.ask(Facts()))
        return known[1]

    def __repr__(self) -> str:
        return f"<ClientSession of {self.user_name or 'a client'}>"

    # the original's spelling
    userName = user_name  # noqa: N815
    setPrivileges = set_privileges  # noqa: N815
    clearPrivileges = clear_privileges  # noqa: N815
    getPrivileges = get_privileges  # noqa: N815
    hasPrivilege = has_privilege  # noqa: N815
    isGuest = is_guest  # noqa: N815
    createOTP = create_otp  # noqa: N815


def _shared(name: str, value: Any) -> Any:
    return freeze(decode(encode(value, f"Entry `{name}`", NotShareable)), name)
