"""The fields of an action: whether what was given is what they have to be, and what that is in one spelling."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from onserver.errors import BadField
from onserver.steer.action import Action, Field

#: The longest text where a field says nothing.
_LONGEST: Final = 10_000
_LONGEST_AREA: Final = 2**24
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SECONDS: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|)", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?", re.ASCII)
_WHOLE: Final = re.compile(r"-?\d{1,15}")
_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"", "false", "no", "off", "0"})
_SHOWN: Final = 60


def checked(action: Action, given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an action, each in the spelling that its kind has: numbers, `true` or `false`, seconds.

    Args:
        action: whose they are.
        given: by name; an empty text is none.

    Raises:
        BadField: ONS-6005, one is missing, is not what it has to be, or is none of the action's.
    """
    known = {field.name: field for field in action.fields}
    further = action.further(given)
    for name, text in given.items():
        if name not in known and name not in further:
            raise BadField(action.name, name[:_SHOWN], "is none of its fields")
        if name in further and len(text) > _LONGEST_AREA:
            raise BadField(action.name, name[:_SHOWN], f"may have {_LONGEST_AREA:,} characters")
    values: dict[str, str] = {name: text for name, text in further.items() if text}
    for field in action.fields:
        text = given.get(field.name, "")
        text = text if field.kind in ("text_area", "json") else text.strip()
        if text or field.kind == "bool":
            values[field.name] = _value(action, field, text)
        elif field.required:
            raise BadField(action.name, field.name, "is missing")
    return values


def _value(action: Action, field: Field, text: str) -> str:
    def wrong(problem: str) -> BadField:
        return BadField(action.name, field.name, f"is `{text[:_SHOWN]}`, {problem}")

    if field.kind in ("number", "whole"):
        if not (_NUMBER if field.kind == "number" else _WHOLE).fullmatch(text):
            raise wrong("which is no number" if field.kind == "number" else "which is no whole number")
        return _bounded(action, field, float(text), text)
    if field.kind == "seconds":
        found = _SECONDS.fullmatch(text)
        if not found:
            raise wrong("which is no length of time: write 90, 250ms, 30s, 10m, 2h or 1d")
        seconds = float(found[1]) * _UNITS[found[2]]
        return _bounded(action, field, seconds, f"{seconds:g}")
    if field.kind == "bool":
        if text.lower() not in _YES | _NO:
            raise wrong("which is neither true nor false")
        return "true" if text.lower() in _YES else "false"
    if field.kind == "choice" and text not in field.choices:
        raise wrong(f"and has to be one of {', '.join(field.choices)}")
    most = int(field.maximum) or (_LONGEST_AREA if field.kind in ("text_area", "json") else _LONGEST)
    if len(text) > most:
        raise BadField(action.name, field.name, f"has {len(text):,} characters, and may have {most:,}")
    if field.kind == "json":
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadField(action.name, field.name, f"is no JSON: {error}") from error
    return text


def _bounded(action: Action, field: Field, value: float, text: str) -> str:
    most = field.maximum or math.inf
    least = -most if field.minimum is None else field.minimum
    if value > most:
        raise BadField(action.name, field.name, f"is {text}, and may be {most:g} at most")
    if value < least:
        raise BadField(action.name, field.name, f"is {text}, and has to be {least:g} at least")
    return text
