"""How an error travels between a record and Celery: stored as the runner stores it, given back as Celery expects it."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from celery.exceptions import TaskRevokedError

from onserver.errors import ProcedureFailed
from onserver.process.failure import error_of, error_value, value_of
from onserver.process.inbox import End
from onserver.server import Server
from onserver.values import decode, encode

#: Celery's own exceptions are given back as what they are (`ChordError`, `TimeLimitExceeded`, `WorkerLostError`, …).
_ENGINE = ("celery", "billiard", "kombu")


def stored_error(error: BaseException, traceback: Any = None) -> bytes:
    """The error of a record, from what a task raised and Celery's text of its traceback."""
    made = error_of(error)
    if not traceback:
        return made
    facts = decode(made)
    facts["traceback"] = str(traceback)
    return encode(facts)


def stored_text(kind: str, message: str) -> bytes:
    """The error of a record, from a class name and a text."""
    return error_value(kind, message)


def exception_of(server: Server, number: int, procedure: str, end: End, modules: Iterable[str] = ()) -> Exception:
    """The exception with which a task has ended.

    Args:
        server: its server.
        number: of the process, 0 for an id that has none.
        procedure: name of the task, as far as it is known.
        end: how it ended.
        modules: of the application's tasks, whose exceptions are given back as what they are.
    """
    facts: Mapping[str, Any] = decode(end.payload) if end.payload else {}
    if end.state == "aborted":
        return TaskRevokedError(str(facts.get("message") or facts.get("reason") or "revoked"))
    module = str(facts.get("module") or "")
    if end.state == "failed" and (module.partition(".")[0] in _ENGINE or module in set(modules)):
        known = _known(module, str(facts.get("type")), facts.get("args"))
        if known is not None:
            known.__cause__ = ProcedureFailed(
                number, procedure, f"{module}.{facts.get('type')}", str(facts.get("message")), traceback_of(end)
            )
            return known
    try:
        value_of(server, number, procedure, end)
    except Exception as error:  # noqa: BLE001  # this is the exception that was asked for
        return error
    return ProcedureFailed(number, procedure, "Exception", "nothing is known of it", "")


def traceback_of(end: End) -> str:
    """The traceback of an error as text, or nothing."""
    facts: Mapping[str, Any] = decode(end.payload) if end.payload else {}
    return str(facts.get("traceback") or "")


def _known(module: str, kind: str, arguments: Any) -> Exception | None:
    found: Any = sys.modules.get(module)
    for name in kind.split("."):
        found = getattr(found, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception) and isinstance(arguments, list)):
        return None
    try:
        return found(*arguments)
    except Exception:  # noqa: BLE001  # a class that is made in its own way: the caller falls back on what is known
        return None
