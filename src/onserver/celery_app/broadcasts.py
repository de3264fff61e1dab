"""Tasks that are broadcast: to a fanout exchange, for every worker that listens there. They have no record.

So their signature travels in the message, under our own header, and is good for 30 seconds and once for each worker. A
task that comes without one, or in a list of messages that are no tasks, was sent by nobody who has the key: it is
refused, and the log says so.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from celery.utils.log import get_logger

from onserver.celery_app.message import MARK, Stored, shorten
from onserver.celery_app.permitting import permit, require_send, run_by
from onserver.errors import BadSignature, SessionError
from onserver.process.signing import FRESH_SECONDS, Envelope, Signer, sign_now
from onserver.server import Server

logger = get_logger(__name__)

#: For how long a worker remembers which it has taken, in seconds: longer than a signature is good for.
_REMEMBERED_SECONDS: Final = 2 * FRESH_SECONDS


def is_task(message: Mapping[str, Any]) -> bool:
    """Whether a message is to run something."""
    headers: Mapping[str, Any] = message.get("headers") or {}
    return "task" in headers or "id" in headers


def sign_broadcast(server: Server, message: Mapping[str, Any]) -> dict[str, Any]:
    """Sign a task that is broadcast, in the name of whoever sends it.

    Raises:
        PrivilegeDenied: ONS-4103, they may not.
    """
    headers = {name: value for name, value in message["headers"].items() if name != MARK}
    stored = shorten({**message, "headers": headers})
    require_send(server, stored)
    signed = sign_now(server, stored.procedure, stored.body, server.store.nonce(), server.store.now_ms())
    return {**message, "headers": headers | {MARK: b64encode(signed).decode()}}


def refuse(message: Mapping[str, Any], problem: object) -> None:
    """Say that a message is not run."""
    logger.error("onserver: a message for `%s` is refused: %s", (message.get("headers") or {}).get("task"), problem)


class Broadcasts:
    """The broadcast tasks that one worker hears."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._taken: dict[str, float] = {}

    def takes(self, message: dict[str, Any]) -> bool:
        """Whether a task is to be run here: it is signed, fresh, has not come before, and its caller may."""
        headers = message["headers"]
        signed = headers.pop(MARK, "")  # nobody else is to say for whom it runs
        try:
            stored = shorten(message)
            self._verify(stored, b64decode(signed, validate=True) if isinstance(signed, str) else b"")
        except SessionError as error:
            refuse(message, error)
            return False
        except (ValueError, TypeError, KeyError) as error:  # a message of no form that there is
            refuse(message, repr(error))
            return False
        return True

    def _verify(self, stored: Stored, signed: bytes) -> None:
        caller = self._server.part(Signer).verify(signed, stored.procedure, stored.body, self._server.store.now_ms())
        nonce, now = Envelope(signed).nonce, monotonic()
        self._taken = {known: at for known, at in self._taken.items() if now - at < _REMEMBERED_SECONDS}
        if nonce in self._taken:
            raise BadSignature(stored.procedure, "it has come before")
        self._taken[nonce] = now
        permit(self._server, caller, run_by(stored.procedure, stored.body, stored.headers))
