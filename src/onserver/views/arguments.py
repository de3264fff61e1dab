"""The arguments of processes, as far as they are shown: those of a procedure with `redact=True` are nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from onserver.redis.store import Store
from onserver.values import decode

#: What stands for the arguments of a procedure with `redact=True`, and for those in an encoding of Celery's.
REDACTED, UNREADABLE = "<redacted>", "<in an encoding that its task reads>"
#: Characters of the arguments at most, where they are shown as in a call.
_LONGEST: Final = 1000


@dataclass(frozen=True)
class Arguments:
    """What a process was given.

    Attributes:
        hidden: what stands in their place, or empty.
        args: by position.
        kwargs: by name.
    """

    hidden: str = ""
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def in_a_call(self, longest: int = _LONGEST) -> str:
        """Write them as in a call; of very long ones the beginning."""
        if self.hidden:
            return self.hidden
        text = ", ".join([*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())])
        return text if len(text) <= longest else f"{text[:longest]} …"

    @property
    def searched(self) -> str:
        """The text in which something is looked for."""
        return "" if self.hidden else self.in_a_call(100_000)


def arguments_of(store: Store, numbers: Sequence[int]) -> dict[int, Arguments]:
    """Read the arguments of some processes, in one trip; of those that are not there, they are empty."""
    if not numbers:
        return {}
    answers = store.pipeline([("HMGET", store.key(f"p:{number}"), "b", "h", "v") for number in numbers])
    return {number: _read(*answer) for number, answer in zip(numbers, answers, strict=True)}


def _read(body: bytes | None, headers: bytes | None, flags: bytes | None) -> Arguments:
    if body is None:
        return Arguments()
    if b"D" in (flags or b""):
        return Arguments(REDACTED)
    encoding = json.loads(headers).get("as") if headers else None
    if encoding:
        return Arguments(UNREADABLE)
    args, kwargs, *_ = decode(body) if encoding is None else json.loads(body)
    return Arguments("", args, kwargs)
