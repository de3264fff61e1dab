"""Our values as a serializer of Kombu's: `serializer="onserver"`, content type `application/x-onserver`."""

from typing import Any, Final

from kombu.serialization import registry

from onserver.values import decode, encode

NAME: Final = "onserver"
CONTENT_TYPE: Final = "application/x-onserver"
ENCODING: Final = "binary"


def dumps(value: Any) -> bytes:
    """Encode; raises `NotSendable` for what cannot be sent."""
    return encode(value, "message")


def loads(data: bytes | str | memoryview) -> Any:
    """Decode what `dumps` made."""
    return decode(data.encode() if isinstance(data, str) else bytes(data))


def register() -> None:
    """Make the serializer known to Kombu; safe to call again."""
    registry.register(NAME, dumps, loads, content_type=CONTENT_TYPE, content_encoding=ENCODING)
    registry.enable(NAME)


register()
