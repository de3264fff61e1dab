"""The session: who is working. The kind here is the stored-procedure session, one for each life of a server.

All procedures and hooks share it: a virtual user's identity, and a storage (specification 2, 3.3). Names are those of
Python; the original's spelling is kept beside them, so that code that was carried over reads the same.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from onserver.session.storage import Storage

_NAMES = {
    "type": "type",
    "user_name": "userName",
    "machine_name": "machineName",
    "system_user_name": "systemUserName",
    "ip_address": "IPAddress",
    "host_type": "hostType",
    "creation_date_time": "creationDateTime",
    "state": "state",
    "id": "ID",
}


class Info(Mapping[str, Any]):
    """Facts about a session, computed when `info` is read: the original's names as keys, Python's as attributes.

    `type userName machineName systemUserName IPAddress hostType creationDateTime state ID` (specification 2.6).
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def __getitem__(self, key: str) -> Any:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._facts[_NAMES[name]]
        except KeyError:
            raise AttributeError(f"the info of a session has no {name!r}, only {', '.join(_NAMES)}") from None

    def __repr__(self) -> str:
        return f"Info({self._facts!r})"


class Session:
    """The session of the server's virtual user.

    Args:
        identity: 32 upper-case hexadecimal digits, new in each epoch.
        user_name: the virtual user (setting `session.user_name`).
        storage: the server's storage.
        machine: name of the machine.
        created_ms: when the epoch was opened, milliseconds since 1970 by Redis' clock.

    Example:
        >>> Server.current().session().user_name  # in a procedure: session().user_name
        'server'

    4D: the Session class (specification 2), for stored procedures and server hooks.
    """

    def __init__(self, identity: str, user_name: str, storage: Storage, *, machine: str, created_ms: int) -> None:
        self._identity = identity
        self._user_name = user_name
        self._storage = storage
        self._machine = machine
        self._created_ms = created_ms

    @property
    def id(self) -> str:
        """Its identifier: 32 upper-case hexadecimal digits."""
        return self._identity

    @property
    def user_name(self) -> str:
        """The name of the virtual user."""
        return self._user_name

    @property
    def storage(self) -> Storage:
        """The storage that every process of the session shares; its content is changed inside `use`."""
        return self._storage

    @property
    def info(self) -> Info:
        """Facts about the session, taken anew at each read."""
        created = datetime.fromtimestamp(self._created_ms / 1000, UTC)
        return Info(
            {
                "type": "storedProcedure",
                "userName": self._user_name,
                "machineName": self._machine,
                "systemUserName": _system_user(),
                "IPAddress": "localhost",
                "hostType": {"darwin": "mac", "win32": "windows"}.get(sys.platform, sys.platform),
                "creationDateTime": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "state": "active",
                "ID": self._identity,
            }
        )

    @property
    def userName(self) -> str:  # noqa: N802  # the original's spelling
        """The original's spelling of `user_name`."""
        return self._user_name

    def __repr__(self) -> str:
        return f"<Session {self._identity} of {self._user_name}>"


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
