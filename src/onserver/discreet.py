"""Texts as they may be shown: an address without its password."""

import re
from typing import Final, TypeVar, cast

#: User and password in an address; a password may have an @ in it.
_LOGIN: Final = re.compile(r"(?<=://)[^\s\"]*@")
_OPTION: Final = re.compile(r"(?<=[?&])(\w*(?:password|passwd|secret|token)\w*|\w*key)=[^&\s\"]*", re.IGNORECASE)

T = TypeVar("T")


def discreet(value: T) -> T:
    """Leave out of texts, of those in lists and dicts as well, the logins of addresses.

    Example:
        >>> discreet("rediss://ann:secret@redis.example:6380/1?ssl_ca_certs=ca.pem&sentinel_password=x")
        'rediss://…@redis.example:6380/1?ssl_ca_certs=ca.pem&sentinel_password=…'
        >>> discreet(("postgresql://ann:secret@db/shop", "ann@example.com"))
        ('postgresql://…@db/shop', 'ann@example.com')
    """
    return cast("T", _discreet(value))


def _discreet(value: object) -> object:
    if isinstance(value, str):
        return _OPTION.sub(r"\1=…", _LOGIN.sub("…@", value)) if "://" in value else value
    if isinstance(value, tuple):
        return tuple(map(_discreet, cast("tuple[object, ...]", value)))
    if isinstance(value, list):
        return list(map(_discreet, cast("list[object]", value)))
    if isinstance(value, dict):
        return {key: _discreet(item) for key, item in cast("dict[object, object]", value).items()}
    return value
