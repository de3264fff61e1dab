"""The languages of the page: catalogues of plain JSON, from the English text to the other one.

One file a noun: `locale/fr/processes.json`. The English text is the key, so that what is not translated is shown in
English and nothing is ever a riddle. Values stand in braces: `"Process {number} is to stop."`. A text that counts has
two keys, one for one thing and one for several; which of the two a language uses is `Language.single`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape


@dataclass(frozen=True)
class Language:
    """A language.

    Attributes:
        code: as HTML has it.
        name: in itself.
        single: whether a number takes the text for one thing.
        texts: what is not English, by what is.
    """

    code: str
    name: str
    single: Callable[[int], bool]
    texts: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def text(self, text: str, /, **values: Any) -> str:
        """Translate a text. With markup among its values it is markup, and the other values are escaped."""
        found = self.texts.get(text, text)
        if not values:
            return found
        if any(hasattr(value, "__html__") for value in values.values()):
            return Markup(escape(found)).format(**values)  # noqa: S704  # it was escaped just now
        return found.format(**values)

    def plural(self, one: str, many: str, n: int, /, **values: Any) -> str:
        """Translate a text that counts."""
        return self.text(one if self.single(n) else many, n=values.pop("n", f"{n:,}"), **values)


ENGLISH: Final = Language("en", "English", lambda n: n == 1)
#: Those there are, in the order in which they are offered.
CODES: Final = ("en", "fr", "ja")
_NAMES: Final = {"fr": "Français", "ja": "日本語"}
_SINGLE: Final[Mapping[str, Callable[[int], bool]]] = {"fr": lambda n: n < 2, "ja": lambda _: False}


@cache
def language(code: str) -> Language:
    """Return a language by its code.

    Args:
        code: one of `CODES`.
    """
    if code == ENGLISH.code:
        return ENGLISH
    return Language(code, _NAMES[code], _SINGLE[code], catalogue(code))


def catalogue(code: str) -> dict[str, str]:
    """Read all files of a language.

    Args:
        code: of one that is not English.

    Raises:
        ValueError: two files translate a text differently.
    """
    found: dict[str, str] = {}
    folder = files("onserver.admin") / "locale" / code
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if not file.name.endswith(".json"):
            continue
        for text, translated in msgspec.json.decode(file.read_bytes(), type=dict[str, str]).items():
            if found.setdefault(text, translated) != translated:
                raise ValueError(f"{code}/{file.name} translates {text!r} in another way than a file before it")
    return found


def wanted(header: str) -> str:
    """Return the code of the first language of `Accept-Language` that there is; English where there is none.

    Args:
        header: as in `fr-CH, fr;q=0.9, en;q=0.8`.
    """
    weighed: list[tuple[float, str]] = []
    for part in header.split(",")[:20]:
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    return next((code for _, code in sorted(weighed, key=lambda one: one[0]) if code in CODES), ENGLISH.code)
