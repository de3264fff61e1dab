"""What `$info` tells: how the session of the request stands, and nothing of anybody else's."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from onserver.server import Server
from onserver.session.entity_sets import EntitySet
from onserver.session.session import Session

#: The original's name of a user who has not logged in.
GUEST: Final = "default guest"


def info_of_session(server: Server, mine: Session | None) -> dict[str, Any]:
    """Answer what `$info` tells.

    Args:
        server: that is asked.
        mine: the session of the request; None where the web server keeps none.

    4D: `$info`. The original tells the id of the session, which is its cookie; here `sessionID` names it and opens
    nothing.
    """
    sets = mine.entity_sets().listed() if mine is not None else []
    return {
        "cacheSize": 0,
        "usedCache": 0,
        "entitySetCount": len(sets),
        "entitySet": [_set_info(one) for one in sets],
        "ProgressInfo": [],
        "sessionInfo": [_session_info(server, mine)] if mine is not None else [],
    }


def _session_info(server: Server, mine: Session) -> dict[str, Any]:
    record = mine.record
    named = hashlib.sha256(f"{server.name} {record.space or record.id}".encode()).hexdigest()[:32].upper()
    return {
        "sessionID": named,
        "userID": record.login,
        "userName": record.user or GUEST,
        "lifeTime": record.idle_ms // 1000,
        "expiration": _time(record.until_ms) if record.until_ms else "",
    }


def _set_info(one: EntitySet) -> dict[str, Any]:
    return {
        "id": one.id,
        "tableName": one.dataclass,
        "selectionSize": one.size,
        "sorted": one.ordered,
        "refreshed": _time(one.used_ms),
        "expires": _time(one.until_ms),
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
