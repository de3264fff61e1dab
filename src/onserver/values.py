"""What may be sent or stored, to bytes and back.

The values are None, bool, int of any size, float, str, bytes, Decimal, date, time, aware datetime, timedelta, UUID, and
dict (with keys of text) or list of these. Bytes are MessagePack; what it does not know travels as an extension type:

    ext 1  Decimal    its text               ext 5  timedelta  days, seconds, microseconds as three int32
    ext 2  date       ISO 8601               ext 6  UUID       16 bytes
    ext 3  time       ISO 8601               ext 7  int        outside of 64 bits, two's complement, big-endian
    ext 4  datetime   ISO 8601 with its offset from UTC (the name of its zone is not kept)
    ext 8  Reference  kind and name of something in Redis, as "signal #3f0c…": found again by its name

A tuple comes back as a list, a subclass of dict, list, str, int or float as the plain type. An object with a method
``__onserver_value__`` is sent as what that returns: a process as its number, a signal as a `Reference`, which whoever
receives it finds as a signal. Everything else is refused by name, with the path to it: msgspec alone would send a set
as a list and a date as text, and nobody would know until it came back.

Encoding is on the way of each call, so it is tried in two steps: a look at the types that runs at the speed of C
(`_ordinary`), then msgspec. Only what fails one of the two is walked in Python, where it is converted or named.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast
from uuid import UUID

import msgspec

from onserver.errors import NotInUse, NotSendable, NotShareable
from onserver.lazy import load

#: What may be nested in what, at most; a value that contains itself ends here too.
MAX_DEPTH: Final = 200

Refusal: TypeAlias = type[NotSendable] | type[NotShareable]
_Path: TypeAlias = "tuple[_Path, str | int] | str"


class HasValue(Protocol):
    """An object that is sent as another value."""

    def __onserver_value__(self) -> object: ...


class Reference(msgspec.Struct, frozen=True):
    """What an object is sent as that is found again by its name."""

    kind: str
    name: str


def encode(value: object, where: str = "value", refuse: Refusal = NotSendable) -> bytes:
    """Turn a value into bytes.

    Args:
        value: What is to be sent or stored.
        where: How an error names the value, as in ``Argument rates``; the path inside of it is added.
        refuse: The error for what cannot be encoded; storage passes `NotShareable`.

    Raises:
        NotSendable: ONS-1106, something in the value cannot be sent (ONS-3106 for storage).

    Example:
        >>> decode(encode({"EUR": [1, 2.5, None]}))
        {'EUR': [1, 2.5, None]}
    """
    if not _ordinary(value, MAX_DEPTH):
        return _encoder.encode(_Walk(refuse).convert(value, where, MAX_DEPTH))
    try:
        return _encoder.encode(value)
    except (OverflowError, UnicodeEncodeError):  # an int outside of 64 bits, or text that is no Unicode
        return _encoder.encode(_Walk(refuse).convert(value, where, MAX_DEPTH))


def encode_call(args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
    """Turn the arguments of a call into bytes: what `encode` makes of ``[args, kwargs]``.

    Most calls have a few plain values and nothing by name, for which nothing needs to be looked into.

    Raises:
        NotSendable: ONS-1106, as of `encode`.
    """
    if kwargs or not _NATIVE.issuperset(map(type, args)):
        return encode([args, kwargs])
    try:
        return _encoder.encode((args, kwargs))
    except (OverflowError, UnicodeEncodeError):
        return encode([args, kwargs])


def decode(data: bytes | bytearray | memoryview) -> Any:
    """Turn bytes made by `encode` back into a value of plain dicts and lists.

    Raises:
        msgspec.DecodeError: The bytes were not made by `encode`.
    """
    return _decoder.decode(data)


def freeze(value: object, entry: str = "") -> Any:
    """Copy a value so that its dicts and lists can be read like any other, and a write raises `NotInUse`.

    Args:
        value: A value as `decode` returns it.
        entry: The top-level entry of the storage, for the text of the error.
    """
    if isinstance(value, dict):
        return _frozen_dict(cast("dict[str, object]", value), entry)
    if isinstance(value, (list, tuple)):
        return _frozen_list(cast("list[object]", value), entry)
    return value


def thaw(value: object) -> Any:
    """Copy a value deeply into plain dicts and lists that can be changed."""
    if isinstance(value, dict):
        mapping = cast("dict[str, object]", value)
        if _SCALARS.issuperset(map(type, mapping.values())):
            return dict(mapping)
        return {key: thaw(item) for key, item in mapping.items()}
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return list(items) if _SCALARS.issuperset(map(type, items)) else [thaw(item) for item in items]
    return value


# ---- read-only views: real dicts and lists, so that reading costs nothing


def _refuse_write(self: "FrozenDict | FrozenList", *_args: object, **_kwargs: object) -> NoReturn:
    raise NotInUse(self.entry)


_refuses: Any = _refuse_write  # it stands in for methods of many signatures


class FrozenDict(dict[str, Any]):
    """A dict of the storage, to be read; `copy` and `|` give a plain dict."""

    __slots__ = ("entry",)
    entry: str

    __setitem__ = __delitem__ = __ior__ = _refuses
    clear = pop = popitem = setdefault = update = _refuses

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return cast("dict[str, Any]", thaw(self))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return freeze, (dict(self), self.entry)


class FrozenList(list[Any]):
    """A list of the storage, to be read; `copy`, `+` and slices give a plain list."""

    __slots__ = ("entry",)
    entry: str

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuses
    append = clear = extend = insert = pop = remove = reverse = sort = _refuses

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: object) -> list[Any]:
        return cast("list[Any]", thaw(self))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return freeze, (list(self), self.entry)


def _frozen_dict(value: dict[str, object], entry: str) -> FrozenDict:
    if _SCALARS.issuperset(map(type, value.values())):
        frozen = FrozenDict(value)
    else:
        frozen = FrozenDict({key: freeze(item, entry) for key, item in value.items()})
    frozen.entry = entry
    return frozen


def _frozen_list(value: "list[object] | tuple[object, ...]", entry: str) -> FrozenList:
    frozen = FrozenList(
        value if _SCALARS.issuperset(map(type, value)) else [freeze(item, entry) for item in value],
    )
    frozen.entry = entry
    return frozen


# ---- the fast step: is msgspec's encoding of this value also ours?

_NATIVE: Final = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS: Final = frozenset({dict, list, tuple, FrozenDict, FrozenList})
_ORDINARY: Final = _NATIVE | _CONTAINERS
_SCALARS: Final = _NATIVE | {Decimal, date, time, datetime, timedelta, UUID}
_TEXT: Final = frozenset({str})


def _ordinary(value: Any, depth: int) -> bool:
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _NATIVE:
        return True
    if kind is dict or kind is FrozenDict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        children = value.values()
    elif kind in _CONTAINERS:
        children = value
    else:
        return False
    if _NATIVE.issuperset(map(type, children)):
        return depth > 0
    if depth == 0 or not _ORDINARY.issuperset(map(type, children)):
        return False
    for child in children:
        if type(child) not in _NATIVE and not _ordinary(child, depth - 1):
            return False
    return True


# ---- the slow step: convert what msgspec would change, name what cannot be sent


class _Walk:
    """Copies a value into what msgspec encodes as we mean it; keeps the path for the error."""

    def __init__(self, refuse: Refusal) -> None:
        self.refuse = refuse

    def convert(self, value: Any, path: _Path, depth: int) -> object:
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind in _NATIVE and kind is not int and kind is not str:
            return value
        for accepted, converter in _CONVERTERS:
            if isinstance(value, accepted):
                return converter(self, value, path, depth)
        if hasattr(kind, "__onserver_value__"):
            return self.convert(cast("HasValue", value).__onserver_value__(), path, depth)
        return self.refused(value, path)

    def mapping(self, value: "Mapping[object, object]", path: _Path, depth: int) -> object:
        self.deeper(path, depth)
        return {
            self.key(key, path): self.convert(item, (path, cast("str", key)), depth - 1) for key, item in value.items()
        }

    def sequence(self, value: "list[object]", path: _Path, depth: int) -> object:
        self.deeper(path, depth)
        return [self.convert(item, (path, index), depth - 1) for index, item in enumerate(value)]

    def deeper(self, path: _Path, depth: int) -> None:
        if depth == 0:
            while not isinstance(path, str):
                path = path[0]
            problem = f"is nested deeper than {MAX_DEPTH} levels"
            raise self.refuse(path, problem=problem, advice="Does it contain itself?")

    def key(self, key: object, path: _Path) -> str:
        if isinstance(key, str) and not isinstance(key, Enum):
            return self.text(key, (path, key), 0)
        problem = f"has the key {key!r}, a `{_name(type(key))}`, and keys have to be text"
        raise self.refuse(_written(path), problem=problem, advice=f"Use `{str(key)!r}`.")

    def text(self, value: str, path: _Path, _depth: int) -> str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            problem = f"holds a lone surrogate ({value[error.start]!r} at {error.start}), which is no Unicode text"
            advice = "Send `bytes` for what is not text."
            raise self.refuse(_written(path), problem=problem, advice=advice) from None
        return str(value)

    def integer(self, value: int, _path: _Path, _depth: int) -> object:
        if -(2**63) <= value < 2**64:
            return int(value)
        return msgspec.msgpack.Ext(7, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))

    def moment(self, value: datetime, path: _Path, _depth: int) -> object:
        if datetime.utcoffset(value) is None:
            advice = "Give it one: `datetime.now(UTC)`, or `.replace(tzinfo=…)`."
            raise self.refuse(_written(path), problem="is a `datetime` without a time zone", advice=advice)
        return msgspec.msgpack.Ext(4, datetime.isoformat(value).encode())

    def clock(self, value: time, path: _Path, _depth: int) -> object:
        if value.tzinfo is not None and value.utcoffset() is None:
            problem = "is a `time` whose zone has no offset without a date"
            raise self.refuse(_written(path), problem=problem, advice="Send a `datetime`.")
        return msgspec.msgpack.Ext(3, time.isoformat(value).encode())

    def refused(self, value: Any, path: _Path, _depth: int = 0) -> NoReturn:
        advice = next((text for kinds, text in _ADVICE if isinstance(value, kinds)), _CHOICE)
        kind = cast("type[object]", type(value))
        if self.refuse is NotShareable and kind in (set, frozenset):
            advice = NotShareable.advice
        raise self.refuse(_written(path), _name(kind), advice=advice)


#: First match wins: an Enum may also be an int, a bool is one, and a datetime is a date.
_CONVERTERS: Final[tuple[tuple[type | tuple[type, ...], Callable[[_Walk, Any, _Path, int], object]], ...]] = (
    (Enum, _Walk.refused),
    (str, _Walk.text),
    (int, _Walk.integer),
    (dict, _Walk.mapping),
    ((list, tuple), _Walk.sequence),
    (float, lambda _walk, value, _path, _depth: float(value)),
    (bytes, lambda _walk, value, _path, _depth: bytes(value)),
    (Decimal, lambda _walk, value, _path, _depth: msgspec.msgpack.Ext(1, str(value).encode())),
    (datetime, _Walk.moment),
    (date, lambda _walk, value, _path, _depth: msgspec.msgpack.Ext(2, date.isoformat(value).encode())),
    (time, _Walk.clock),
    (
        timedelta,
        lambda _walk, value, _path, _depth: msgspec.msgpack.Ext(
            5, struct.pack(">iii", value.days, value.seconds, value.microseconds)
        ),
    ),
    (UUID, lambda _walk, value, _path, _depth: msgspec.msgpack.Ext(6, value.bytes)),
    (Reference, lambda _walk, value, _path, _depth: msgspec.msgpack.Ext(8, f"{value.kind} {value.name}".encode())),
)

_CHOICE: Final = (
    "What can be: None, bool, int, float, str, bytes, Decimal, date, time, datetime, timedelta, UUID, "
    "and dict or list of these."
)
_ADVICE: Final[tuple[tuple[Any, str], ...]] = (
    ((set, frozenset), "Send it as a list."),
    (Enum, "Send its `.value`."),
    ((bytearray, memoryview), "Send it as `bytes`."),
    (type(datetime.now().astimezone().tzinfo), "Send its name as text."),
)


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _written(path: _Path) -> str:
    """Write a path as people would: ``Argument rates["EUR"][3]``."""
    steps: list[str] = []
    while not isinstance(path, str):
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f'["{step.encode(errors="replace").decode()}"]')
    return path + "".join(reversed(steps))


# ---- and back


def _extension(code: int, data: memoryview) -> object:
    raw = bytes(data)
    reader = _READERS.get(code)
    if reader is None:
        raise ValueError(f"extension type {code} is not one of onserver's: was this written by a newer version?")
    return reader(raw)


def _found(raw: bytes) -> object:
    kind, _, name = raw.decode().partition(" ")
    return load(_FINDERS[kind])(name)


#: What finds something of a kind by its name; loaded when the first one comes.
_FINDERS: Final = {"signal": "onserver.process.signals:find_signal"}

_READERS: Final[dict[int, Callable[[bytes], object]]] = {
    1: lambda raw: Decimal(raw.decode()),
    2: lambda raw: date.fromisoformat(raw.decode()),
    3: lambda raw: time.fromisoformat(raw.decode()),
    4: lambda raw: datetime.fromisoformat(raw.decode()),
    5: lambda raw: timedelta(*struct.unpack(">iii", raw)),
    6: lambda raw: UUID(bytes=raw),
    7: lambda raw: int.from_bytes(raw, "big", signed=True),
    8: _found,
}

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(ext_hook=_extension)
