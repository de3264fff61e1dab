"""Process numbers, and the task ids that Celery wants for them.

A process is its number. Celery asks for a UUID, so one is made from the number and from 60 random bits that a server
draws at its birth: ids of two servers, or of one server before and after its Redis was emptied, never meet, in a table
of results or in an error tracker. The version and variant digits are those of a random UUID.

    RRRRRRRR-RRRR-4RRR-8NNN-NNNNNNNNNNNN      R: the server's birth, 15 hex digits; N: the number, 15 hex digits
"""

import re
import secrets
from typing import Final

#: The largest number that fits into a task id.
LARGEST: Final = (1 << 60) - 1

_SHAPE = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-4([0-9a-f]{3})-8([0-9a-f]{3})-([0-9a-f]{12})", re.IGNORECASE)


def new_birth() -> str:
    """Draw what tells one server's ids from those of every other: 60 random bits as 15 hex digits."""
    return f"{secrets.randbits(60):015x}"


def task_id(birth: str, number: int) -> str:
    """Answer Celery's id of a process.

    Args:
        birth: 15 hex digits, drawn when the server was born.
        number: 1 or greater, at most `LARGEST`.

    Example:
        >>> task_id("0123456789abcde", 1042)
        '01234567-89ab-4cde-8000-000000000412'
    """
    tail = f"{number:015x}"
    return f"{birth[:8]}-{birth[8:12]}-4{birth[12:]}-8{tail[:3]}-{tail[3:]}"


def number_of(birth: str, identifier: str) -> int | None:
    """Answer the number in a task id of this server, or None: the id was made elsewhere.

    Example:
        >>> number_of("0123456789abcde", "01234567-89ab-4cde-8000-000000000412")
        1042
    """
    found = _SHAPE.fullmatch(identifier)
    if found is None:
        return None
    high, middle, low, first, rest = found.groups()
    if (high + middle + low).lower() != birth:
        return None
    return int(first + rest, 16) or None
