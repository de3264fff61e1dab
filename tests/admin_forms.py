"""The forms of a page of the administration, filled in and sent as a browser does, without JavaScript."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

from httpx2 import Response
from starlette.testclient import TestClient


@dataclass
class Form:
    """One form as a page has it.

    Attributes:
        action: where it is sent; of each of its buttons, where that says another one.
        fields: what is sent when nobody types anything.
        free: names of fields that people fill in.
    """

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    free: list[str] = field(default_factory=list[str])
    buttons: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def given(self) -> dict[str, str]:
        """What is sent when nobody types anything, the last value of each name."""
        return dict(self.fields)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.named: dict[str, Form] = {}
        self.boxes: list[tuple[str, str, str]] = []
        self._open: Form | None = None
        self._area = self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(action=known.get("action", ""))
            self.found.append(self._open)
            if "id" in known:
                self.named[known["id"]] = self._open
        elif tag == "input" and "form" in known:
            self.boxes.append((known["form"], known["name"], known.get("value", "on")))
        elif self._open is not None:
            self._field(self._open, tag, known)

    def _field(self, form: Form, tag: str, known: dict[str, str]) -> None:
        if tag == "button":
            form.buttons.append(known)
        elif tag == "input" and known.get("type") in ("checkbox", "radio"):
            form.free.append(known["name"])
            if "checked" in known:
                form.fields.append((known["name"], known.get("value", "on")))
        elif tag == "input":
            form.fields.append((known["name"], known.get("value", "")))
            if known.get("type") != "hidden":
                form.free.append(known["name"])
        elif tag in ("textarea", "select"):
            form.free.append(known["name"])
            self._area = known["name"] if tag == "textarea" else ""
            self._select = known["name"] if tag == "select" else ""
            if self._area:
                form.fields.append((self._area, ""))
        elif tag == "option" and self._select:
            values = [name for name, _ in form.fields]
            if self._select not in values or "selected" in known:
                form.fields.append((self._select, known.get("value", "")))

    def handle_data(self, data: str) -> None:
        if self._area and self._open is not None:
            name, so_far = self._open.fields[-1]
            self._open.fields[-1] = (name, so_far + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "textarea":
            if self._open is not None and self._area:  # HTML drops the first line break
                name, text = self._open.fields[-1]
                self._open.fields[-1] = (name, text.removeprefix("\n"))
            self._area = ""
        elif tag == "select":
            self._select = ""


def forms(page: str, name: str = "") -> list[Form]:
    """Read the forms of a page; with a name only those of this action."""
    read = _Forms()
    read.feed(page)
    return [one for one in read.found if not name or one.action.endswith(f"/act/{name}")]


def boxes(page: str, form: str = "chosen") -> list[tuple[str, str]]:
    """Read name and value of the boxes in a page's rows."""
    read = _Forms()
    read.feed(page)
    return [(name, value) for of, name, value in read.boxes if of == form]


def sent(browser: TestClient, address: str, name: str, /, *, at: int = 0, **typed: str) -> Response:
    """Open a page, fill in a form of it, send it, and confirm it if that is asked.

    Args:
        browser: that has logged in.
        address: of the page.
        name: of the action.
        at: which of the page's forms of that action.
        **typed: what people type, by the name of the field; only fields that are there to be filled in.

    Returns:
        The last answer: 303 to where the browser goes.
    """
    form = forms(browser.get(address).text, name)[at]
    assert set(typed) <= set(form.free), f"{sorted(typed)} in {form.free}"
    answer = browser.post(form.action, data=form.given | typed, headers={"referer": f"{browser.base_url}{address}"})
    return confirmed(browser, answer)


def confirmed(browser: TestClient, answer: Response) -> Response:
    """Confirm what a page asks about; any other answer is returned as it is."""
    if answer.status_code != 200 or "data-confirm" not in answer.text:
        return answer
    (form,) = [one for one in forms(answer.text) if "/act/" in one.action]
    typed = re.search(r'<strong class="mono">(.*?)</strong>', answer.text)
    confirm = {"confirm": unescape(typed[1]) if typed else form.buttons[0]["value"]}
    data: dict[str, str | list[str]] = {}
    for field_, value in form.fields:
        values = [*data[field_], value] if isinstance(data.get(field_), list) else [value]
        data[field_] = values
    return browser.post(form.action, data=data | confirm)


def told(browser: TestClient, answer: Response) -> str:
    """Follow a redirection, and return what the page says of what was done."""
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["location"])
    assert page.status_code == 200, page.text
    said = re.search(r'<div id="said" role="status">(.*?)</div>', page.text, re.DOTALL)
    assert said
    return unescape(re.sub(r"<[^>]*>", "", said[1])).strip()
