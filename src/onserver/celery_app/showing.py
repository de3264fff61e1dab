"""How the arguments of a process are shown to whoever looks at it with Celery's means: as text, and not if `redact`."""

from collections.abc import Mapping
from typing import Any, Final

from celery.utils.saferepr import saferepr
from kombu.utils.json import loads

from onserver.celery_app import content
from onserver.values import decode

#: What stands for the arguments of a procedure with `redact=True`.
REDACTED: Final = "<redacted>"
#: What stands for arguments in an encoding that only the task itself can read.
UNREADABLE: Final = "<…>"
#: Characters of one text at most, as in Celery.
MOST: Final = 1024


def shown(body: bytes, headers: bytes, flags: str, most: int = MOST) -> tuple[str, str]:
    """Positional and keyword arguments of a record, as text.

    Args:
        body: field `b` of the record.
        headers: field `h`: JSON, or empty.
        flags: field `v`; D hides the arguments.
        most: characters at most, of each.
    """
    if "D" in flags:
        return REDACTED, REDACTED
    kept: Mapping[str, Any] = loads(headers) if headers else {}
    if kept.get("argsrepr") or kept.get("kwargsrepr"):
        return str(kept.get("argsrepr") or "()"), str(kept.get("kwargsrepr") or "{}")
    args, kwargs = _arguments(body, kept)
    if args is None:
        return UNREADABLE, UNREADABLE
    return saferepr(tuple(args), maxlen=most), saferepr(kwargs, maxlen=most)


def _arguments(body: bytes, kept: Mapping[str, Any]) -> tuple[Any, Any]:
    kind = kept.get("as")
    if kind == "":  # JSON, which is not named
        args, kwargs, *_ = loads(body)
    elif kind is None or kind[0] == content.CONTENT_TYPE:
        args, kwargs, *_ = decode(body)
    else:
        return None, None
    return args, kwargs
