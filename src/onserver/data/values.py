"""Values of entities, from what was sent to what the database takes, and back: attributes, and keys of entities.

What does not fit the type of its column is refused here, before any database has seen it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, cast

import msgspec
import sqlalchemy as sa

from onserver.data.classes import DataClass

_KEY: Final = ","
_LARGEST: Final = 2**63


class BadValue(ValueError):
    """A value that no attribute takes; its text says why."""


def converted(dataclass: DataClass, name: str, value: Any) -> Any:
    """Answer a value as an attribute takes it.

    Args:
        dataclass: whose attribute.
        name: of a column, or of another name of one.
        value: as JSON has it, or a text.

    Raises:
        BadValue: it does not fit.
    """
    column = dataclass.mapper.columns[str(column_name(dataclass, name))]
    if value is None:
        return None
    wanted = _wanted(column.type)
    try:
        if wanted is None:
            return value
        require_values(value)
        if wanted is str and not isinstance(value, str):
            return _text(value)
        if wanted in {date, datetime}:
            return _moment(value, wanted, column.type)
        made = msgspec.convert(value, wanted, strict=False)
        require_values(made)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise BadValue(f"`{dataclass.name}.{name}` cannot be {str(value)[:40]!r}") from error
    return made


def column_name(dataclass: DataClass, name: str) -> str:
    """Answer the attribute that a name stands for, which may be another name of it."""
    synonym = dataclass.mapper.synonyms.get(name)
    return name if synonym is None else str(synonym.name)


def key_text(values: Sequence[Any]) -> str:
    """Write the key of an entity."""
    return _KEY.join(_text(value) for value in values)


def key_of(dataclass: DataClass, text: str) -> tuple[Any, ...] | None:
    """Read the key of an entity; None where it cannot be one of this class.

    Args:
        dataclass: of the entity.
        text: as `key_text` writes it, in quotation marks or not.
    """
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    parts = bare.split(_KEY) if len(dataclass.key) > 1 else [bare]
    if len(parts) != len(dataclass.key):
        return None
    try:
        return tuple(converted(dataclass, name, part) for name, part in zip(dataclass.key, parts, strict=True))
    except BadValue:
        return None


def require_values(value: Any) -> None:
    """Refuse what no database compares: structures, numbers beyond 64 bits, texts with a zero byte.

    Raises:
        BadValue: it is one of these.
    """
    every = cast("Sequence[Any]", value) if isinstance(value, list) else [value]
    for one in every:
        if isinstance(one, dict | list):
            raise BadValue("a value is a structure")
        if isinstance(one, int | float) and not abs(one) < _LARGEST:
            raise BadValue("a number is larger than any")
        if isinstance(one, str) and "\0" in one:
            raise BadValue("a text has a zero byte")


def told(value: Any) -> Any:
    """Answer a value as JSON has it."""
    return msgspec.to_builtins(value, enc_hook=str)


def _text(value: Any) -> str:
    plain = told(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _wanted(kind: sa.types.TypeEngine[Any]) -> type[Any] | None:
    """Answer what Python has for a type of a database; None where that is its own affair."""
    if isinstance(kind, sa.JSON):
        return None
    try:
        found = kind.python_type
    except NotImplementedError:
        return None
    if isinstance(kind, sa.Enum) and issubclass(found, enum.Enum):
        return None if kind.enum_class is None else found
    return found


def _moment(value: Any, wanted: type[Any], kind: sa.types.TypeEngine[Any]) -> date | datetime:
    text = value if isinstance(value, str) else ""
    moment = datetime.fromisoformat(text)
    if wanted is date:
        return moment.date()
    aware = isinstance(kind, sa.DateTime) and kind.timezone
    if aware:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
