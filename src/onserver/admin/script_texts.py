"""What the scripts of the page say, in the language of whoever looks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from onserver.admin.language import ENGLISH
from onserver.admin.page import Look


def script_texts(look: Look) -> str:
    """Return their texts as JSON: each in English, and as it is said; nothing in English itself.

    Args:
        look: of whom.
    """
    if look.language is ENGLISH:
        return "{}"
    return msgspec.json.encode(dict(zip(_texts(None), _texts(look), strict=True))).decode()


def _texts(look: Look | None) -> Sequence[str]:
    def _(text: str) -> str:
        return look.language.texts.get(text, text) if look else text

    return [
        _("Close"),
        _("Copied"),
        _("Copy"),
        _("Go anywhere"),
        _("Go on"),
        _("Keys"),
        _("Page, action, or number of a process"),
        _("Pause the page"),
        _("Process {number}"),
        _("Search processes for “{text}”"),
        _("Single keys do this"),
        _("abort"),
        _("choose a row"),
        _("go anywhere"),
        _("in {span}"),
        _("live again"),
        _("next and previous row"),
        _("now"),
        _("open a row"),
        _("pause"),
        _("pause the page, or let it go on; the space bar does too"),
        _("search"),
        _("this help"),
        _("to the actions"),
        _("{n} d {m} h"),
        _("{n} h {m} min"),
        _("{n} min {m} s"),
        _("{n} s"),
        _("{span} ago"),
        _("× this is not there any more"),
        _("‖ paused, {n} new"),
        _("◌ Redis is not reached"),
        _("◌ read again every 5 s"),
        _("◌ reconnecting"),
        _("● live {age} s"),
    ]
