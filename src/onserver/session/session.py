"""The session: who is working (specification 2).

The stored-procedure session is the one of the server's virtual user, one for each life of a server: all procedures and
hooks share it. Sessions of the web and of remote clients are opened for each of them. Names are those of Python; the
original's spelling is kept beside them, so that code that was carried over reads the same.
"""

from __future__ import annotations

from collections.abc import Callable

from onserver.session.info import Info, info_of
from onserver.session.record import SessionRecord
from onserver.session.records import SessionRecords
from onserver.session.roles import Roles
from onserver.session.storage import Storage


class Session:
    """A session.

    Args:
        record: as it was read.
        records: through which it is changed.
        storage: its storage.
        roles: answers the privileges and roles in force.

    Example:
        >>> Server.current().session().user_name  # in a procedure: session().user_name
        'server'

    4D: the Session class (specification 2).
    """

    def __init__(
        self, record: SessionRecord, records: SessionRecords, storage: Storage, roles: Callable[[], Roles]
    ) -> None:
        self._record = record
        self._records = records
        self._storage = storage
        self._roles = roles

    @property
    def id(self) -> str:
        """Its identifier: 32 upper-case hexadecimal digits."""
        return self._record.id

    @property
    def record(self) -> SessionRecord:
        """What is kept of it, as it was read last."""
        return self._record

    @property
    def user_name(self) -> str:
        """The name of its user; empty for a guest."""
        return self._record.user

    @property
    def storage(self) -> Storage:
        """The storage that everything in the session shares; its content is changed inside `use`."""
        return self._storage

    @property
    def info(self) -> Info:
        """Facts about the session, taken anew at each read."""
        return info_of(self._record)

    @property
    def userName(self) -> str:  # noqa: N802  # the original's spelling
        """The original's spelling of `user_name`."""
        return self.user_name

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self.user_name or 'a guest'}>"
