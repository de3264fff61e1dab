"""What a REST request asks for: its path below `/rest`, read strictly.

    $catalog            what there is            $catalog/NAME        one function of the server, or one class of data
    $info               how it stands            $singleton/CLASS/F   a function of a singleton
    NAME                a class of data          NAME(KEY)            one entity of it
    NAME/$entityset/ID  a set of its entities    …/ATTRIBUTE,…        what it has, or a function of it

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
ENTITY_SET: Final = "$entityset"

#: How long a path may be, in bytes.
LONGEST: Final = 2_000

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: `$catalog`, `$info`: words of the protocol.
_WORD: Final = re.compile(r"\$[A-Za-z]{1,40}")
#: The name of a function, of a class of data, or of an attribute.
_NAME: Final = re.compile(r"[^\W\d][\w.]{0,200}")
#: A class of data, and the key of one of its entities.
_ENTITY: Final = re.compile(r"([^\W\d]\w{0,200})\(([^()/]{1,200})\)")
#: Several attributes.
_ATTRIBUTES: Final = re.compile(r"[^\W\d]\w{0,200}(,[^\W\d]\w{0,200}){1,99}")
#: The name of a set of entities.
_SET: Final = re.compile(r"[0-9A-Fa-f]{32}")


class MalformedPath(ValueError):
    """A path that asks for nothing; its text says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class RestPath:
    """What is asked for.

    Attributes:
        word: the word of the protocol at its beginning, `$catalog`; empty where it begins with a class of data.
        names: the names behind it, or of the class of data and what is asked of it.
        key: of one entity, as it was written; None where none is asked for.
        entity_set: the name of a set of entities; None where none is asked for.
        attributes: several that are asked for, as they were written: `name,address`.

    Example:
        >>> read_path(b"/rest/$catalog/authentify").names
        ('authentify',)
        >>> read_path(b"/rest/Company(12)/name").key
        '12'
    """

    word: str = ""
    names: tuple[str, ...] = ()
    key: str | None = None
    entity_set: str | None = None
    attributes: str = ""


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
    if first.startswith("$"):
        if not _WORD.fullmatch(first):
            raise MalformedPath("it begins with `$` and is no word of the protocol")
        return RestPath(word=first, names=_names(rest, first))
    entity = _ENTITY.fullmatch(first)
    name, key = (entity[1], entity[2]) if entity else (first, None)
    rest, entity_set = _without_set([name, *rest])
    if entity_set and key:
        raise MalformedPath("it asks for one entity and for a set of them")
    attributes = rest.pop() if len(rest) > 1 and _ATTRIBUTES.fullmatch(rest[-1]) else ""
    return RestPath(names=_names(rest), key=key, entity_set=entity_set, attributes=attributes)


def _without_set(parts: list[str]) -> tuple[list[str], str | None]:
    """Answer the parts without the set of entities that they name, and that."""
    if ENTITY_SET not in parts:
        return parts, None
    place = parts.index(ENTITY_SET)
    if place == 0 or place + 1 >= len(parts) or not _SET.fullmatch(parts[place + 1]):
        raise MalformedPath("behind `$entityset` stands no name of a set")
    return parts[:place] + parts[place + 2 :], parts[place + 1].upper()


def _names(parts: list[str], word: str = "") -> tuple[str, ...]:
    for name in parts:
        if not (_NAME.fullmatch(name) or (word and _WORD.fullmatch(name))):
            raise MalformedPath("a part of it is no name")
    return tuple(parts)


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
