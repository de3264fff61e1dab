"""What a REST request asks for: its path below `/rest`, read strictly.

    $catalog            what there is            $catalog/NAME        one function of the server, or one class of data
    $info               how it stands            $singleton/CLASS/F   a function of a singleton
    NAME                a class of data          NAME(KEY)/ATTRIBUTE  one entity of it, and what it has

A path is read as it came, before anybody decoded it, so that nothing can be decoded twice. What is not of one of these
forms is refused as malformed, and never looked up: an escape that is no UTF-8, a control character, `..`, an empty
part, a name that could not be that of anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

#: Words of the protocol.
CATALOG: Final = "$catalog"
INFO: Final = "$info"
SINGLETON: Final = "$singleton"

#: How long a path may be, in bytes.
LONGEST: Final = 2_000

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: `$catalog`, `$info`: words of the protocol.
_WORD: Final = re.compile(r"\$[A-Za-z]{1,40}")
#: The name of a function, of a class of data, or of an attribute.
_NAME: Final = re.compile(r"[^\W\d][\w.]{0,200}")
#: A class of data, and the key of one of its entities.
_ENTITY: Final = re.compile(r"([^\W\d]\w{0,200})\(([^()/]{1,200})\)")


class MalformedPath(ValueError):
    """A path that asks for nothing; its text says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class RestPath:
    """What is asked for.

    Attributes:
        word: the word of the protocol at its beginning, `$catalog`; empty where it begins with a class of data.
        names: the names behind it, or of the class of data and what is asked of it.
        key: of one entity, as it was written; None where none is asked for.

    Example:
        >>> read_path(b"/rest/$catalog/authentify").names
        ('authentify',)
        >>> read_path(b"/rest/Company(12)/name").key
        '12'
    """

    word: str = ""
    names: tuple[str, ...] = ()
    key: str | None = None


def read_path(raw: bytes) -> RestPath:
    """Read a path.

    Args:
        raw: as it came, from its first slash, without the query.

    Raises:
        MalformedPath: it asks for nothing.
    """
    parts = _parts(raw)
    if not parts:
        raise MalformedPath("it ends where it should say what it asks for: `/rest/$catalog` tells what there is")
    first, *rest = parts
    word, key = "", None
    if first.startswith("$"):
        if not _WORD.fullmatch(first):
            raise MalformedPath("it begins with `$` and is no word of the protocol")
        word = first
    else:
        entity = _ENTITY.fullmatch(first)
        name, key = (entity[1], entity[2]) if entity else (first, None)
        rest = [name, *rest]
    for name in rest:
        if not (_NAME.fullmatch(name) or (word and _WORD.fullmatch(name))):
            raise MalformedPath("a part of it is no name")
    return RestPath(word=word, names=tuple(rest), key=key)


def _parts(raw: bytes) -> list[str]:
    if len(raw) > LONGEST:
        raise MalformedPath(f"it is longer than {LONGEST} bytes")
    if _BAD_ESCAPE.search(raw):
        raise MalformedPath("a `%` in it is followed by no two hexadecimal digits")
    head, *parts = raw.removeprefix(b"/").removesuffix(b"/").split(b"/")
    if head != b"rest":
        raise MalformedPath("it does not begin with `/rest`")
    return [_text(part) for part in parts]


def _text(part: bytes) -> str:
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise MalformedPath("it is no UTF-8") from error
    if not text or not text.isprintable() or text in (".", ".."):
        raise MalformedPath("a part of it is empty, or has characters that nothing is named with")
    return text
