"""What `info` tells of a session, made of its record: the original's names as keys, Python's as attributes."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from onserver.session.record import SessionRecord

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
    "persistent_id": "persistentID",
    "unreachable_since": "unreachableSince",
}


class Info(Mapping[str, Any]):
    """Facts about a session, computed when `info` is read: the original's names as keys, Python's as attributes.

    `type userName machineName systemUserName IPAddress hostType creationDateTime state ID`, and of a remote session
    `persistentID`, and while its client does not answer `unreachableSince`, in seconds (specification 2.6).
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
            raise AttributeError(f"the info of this session has no {name!r}, only {', '.join(self._facts)}") from None

    def __repr__(self) -> str:
        return f"Info({self._facts!r})"


def info_of(record: SessionRecord) -> Info:
    """Return what `info` tells of a session, as of when its record was read."""
    created = datetime.fromtimestamp(record.created_ms / 1000, UTC)
    facts: dict[str, Any] = {
        "type": record.type or record.kind,
        "userName": record.user,
        "machineName": record.machine,
        "systemUserName": record.system_user,
        "IPAddress": record.ip,
        "hostType": record.host_type,
        "creationDateTime": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "state": record.state,
        "ID": record.id,
    }
    if record.kind == "remote":
        facts["persistentID"] = record.persistent
    if record.unreachable_ms:
        facts["unreachableSince"] = max(0, record.read_ms - record.unreachable_ms) // 1000
    return Info(facts)


def own_facts(machine: str) -> Mapping[str, str]:
    """Return facts for the record of a session that is this program's own.

    Args:
        machine: name of this machine.
    """
    return {
        "machine": machine,
        "system_user": _system_user(),
        "ip": "localhost",
        "host_type": {"darwin": "mac", "win32": "windows"}.get(sys.platform, sys.platform),
    }


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
