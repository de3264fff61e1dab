"""What `$info` tells: how the session of the request stands, and nothing of anybody else's."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from onserver.server import Server
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
    return {
        "cacheSize": 0,
        "usedCache": 0,
        "entitySetCount": mine.quotas.current_values.nb_entity_sets if mine is not None else 0,
        "entitySet": [],
        "ProgressInfo": [],
        "sessionInfo": [_session_info(server, mine)] if mine is not None else [],
    }


def _session_info(server: Server, mine: Session) -> dict[str, Any]:
    record = mine.record
    named = hashlib.sha256(f"{server.name} {record.space or record.id}".encode()).hexdigest()[:32].upper()
    until = datetime.fromtimestamp(record.until_ms / 1000, UTC)
    return {
        "sessionID": named,
        "userID": record.login,
        "userName": record.user or GUEST,
        "lifeTime": record.idle_ms // 1000,
        "expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ") if record.until_ms else "",
    }
