"""What goes back to the browser: a value as a response, and an error as one that tells no more than it must.

| raised | status |
|---|---|
| arguments that do not fit, or cannot be sent | 400 |
| the session has ended meanwhile | 401 |
| a privilege is missing, who asks was revoked | 403 |
| there is no such procedure, process or session | 404 |
| a process of that name runs | 409 |
| the server is in maintenance, Redis is not reached | 503 |
| it has not ended in time | 504 |
| whatever else, and all that code of the project raises besides a missing privilege | 500, without its text |

What stands behind a 500 or a 403 is in the log `onserver.web`: a browser is not told which privilege would do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from onserver.errors import (
    AlreadyRunning,
    BadArguments,
    CallerRevoked,
    MaintenanceMode,
    NotSendable,
    OnServerError,
    PrivilegeDenied,
    ProcedureFailed,
    ProcessTimeout,
    ReachError,
    SessionExpired,
)

LOG: Final = logging.getLogger("onserver.web")
#: Answers depend on the session, and their type is what it says.
HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
JSON: Final = "application/json"

#: The first that fits decides.
_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (BadArguments, 400),
    (NotSendable, 400),
    (SessionExpired, 401),
    (PrivilegeDenied, 403),
    (CallerRevoked, 403),
    (AlreadyRunning, 409),
    (MaintenanceMode, 503),
    (ReachError, 503),
    (ProcessTimeout, 504),
    (LookupError, 404),
)
#: What code of the project may raise on purpose, and the browser is told.
_TOLD: Final = (PrivilegeDenied, CallerRevoked, SessionExpired, MaintenanceMode, ProcessTimeout)


def answer_of(value: Any, content_type: str = "", status: int = 200) -> Response:
    """Make a response of a value: text, bytes, a response as it is, None as 204, anything else as JSON.

    Args:
        value: what was returned.
        content_type: of text and bytes; `text/plain` and `application/octet-stream` by default.
        status: of the response.
    """
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status_code=204, headers=HEADERS)
    if isinstance(value, str):
        return Response(value, status, HEADERS, content_type or "text/plain")
    if isinstance(value, bytes):
        return Response(value, status, HEADERS, content_type or "application/octet-stream")
    return Response(msgspec.json.encode(value), status, HEADERS, JSON)


def refusal(error: Exception) -> Response:
    """Make a response of an error; see the table above."""
    status = status_of(error)
    if status == 500:
        LOG.error("A request has failed", exc_info=error)
    if status == 500 or not isinstance(error, OnServerError):
        return problem(status, "The server could not answer; its log has the reason.")
    if status == 403:
        LOG.warning("%s", " ".join(f"Refused: {error.message} {error.hint}".split()))
    headers = {"Retry-After": "1"} if status == 503 else {}
    text = "A privilege is missing." if isinstance(error, PrivilegeDenied) else error.message
    return problem(status, text, error.code, headers)


def status_of(error: Exception) -> int:
    """Answer the status for an error."""
    if isinstance(error.__cause__, ProcedureFailed) and not isinstance(error, _TOLD):
        return 500  # raised by code of the project, wherever its class is from
    if not isinstance(error, OnServerError):
        return 500
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(status: int, text: str, code: int = 0, headers: Mapping[str, str] | None = None) -> Response:
    """Make a response that says what was wrong, as JSON."""
    facts = {"status": status, "message": text} | ({"code": code} if code else {})
    return Response(msgspec.json.encode({"error": facts}), status, {**HEADERS, **(headers or {})}, JSON)
