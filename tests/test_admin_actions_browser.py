"""Every action of the admin page, carried out in a browser three ways: by mouse, by keyboard alone, without scripts.

What is walked stands in the table of `tests/admin_rows.py`, which has all actions (`tests/test_admin_routes.py`). One
was done when it is so on the server and the audit says so; what the page says of it is looked at besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.resources import files
from time import monotonic
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from onserver.admin import Admin
from onserver.admin.logins import FRESH_SECONDS, Login, Logins
from onserver.redis.embedded import Embedded
from onserver.steer.actions import ACTIONS
from onserver.steer.audit import Line, lines
from onserver.testing import wait_for
from tests.admin_rows import ROWS
from tests.admin_walk import CAL, PASSWORD, Doing, Scene, scene_of
from tests.chromium import NEEDS_CHROMIUM, serving

pytestmark = [NEEDS_CHROMIUM, pytest.mark.long, pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")]
#: So many stops of the tab key a page has at most.
MOST_TABS = 400
#: The names of what people fill in, in the order in which it stands there, and what they are.
FIELDS = "form => [...form.elements].map(one => [one.name, one.type])"
#: Where the focus is, for whoever wants to have it somewhere, and has to see it there.
FOCUS = """wanted => {
  if (!wanted.isConnected) return "gone";
  const now = document.activeElement;
  return now === wanted ? (now.matches(":focus-visible") ? "there" : "unseen") : now.matches("a.skip") ? "skip" : "";
}"""


@pytest.fixture(scope="module")
def scene(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_of(f"unix://{embedded.home.socket}", tmp_path_factory.mktemp("walked")) as opened:
        yield opened


class Hand:
    """Somebody at a page, who points and clicks.

    Attributes:
        page: in the browser.
        scripts: whether that runs scripts.
        faults: what the browser has complained about.
    """

    scripts = True

    def __init__(self, page: Page, scene: Scene) -> None:
        self.page = page
        self.faults: list[str] = []
        self._scene = scene
        self._since = 0.0
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None)

    def log_in(self, *, fresh: bool) -> None:
        """Log in, unless that was done; where it has to be fresh, lately."""
        if self._since and not (fresh and monotonic() - self._since > FRESH_SECONDS / 2):
            return
        token = Logins(self._scene.server.store).make_link(Login(user="ann", by="link", roles=("owner",)))
        self.page.goto(f"/login?t={token}")
        self.press(self.page.get_by_role("main").get_by_role("button"))
        expect(self.page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
        self._since = monotonic()

    def open(self, at: str) -> None:
        """Go to a page, and wait until it is live."""
        self.page.goto(at)
        if self.scripts:
            expect(self.page.locator("#live-sign")).to_have_attribute("data-state", re.compile("live|still"))

    def press(self, button: Locator) -> None:
        """Press a button, or open what is behind a summary."""
        button.click()

    def tick(self, box: Locator) -> None:
        """Tick a box that is not."""
        box.click()

    def write(self, field: Locator, text: str) -> None:
        """Write into a field, in place of what is there."""
        field.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, field: Locator, text: str) -> None:
        """Choose one of several."""
        field.select_option(text)

    def confirm(self, text: str) -> None:
        """Confirm what a page asks; by a text where there is one."""
        if text:
            self.write(self.page.locator('[name="confirm"]'), text)
        self.press(self.page.get_by_role("main").get_by_role("button"))


class Keyboard(Hand):
    """Somebody who has no mouse: the focus moves by the tab key, from the beginning of the page on."""

    def press(self, button: Locator) -> None:
        self._reach(button)
        self.page.keyboard.press("Enter")

    def tick(self, box: Locator) -> None:
        self._reach(box)
        self.page.keyboard.press("Space")

    def write(self, field: Locator, text: str) -> None:
        self._reach(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, field: Locator, text: str) -> None:
        self._reach(field)
        self.page.keyboard.type(text)  # a list goes to what begins so
        expect(field).to_have_value(text)

    def confirm(self, text: str) -> None:
        """The focus is where it is needed."""
        if text:
            expect(self.page.locator('[name="confirm"]')).to_be_focused()
            self.page.keyboard.type(text)
        else:
            expect(self.page.get_by_role("main").get_by_role("button")).to_be_focused()
        self.page.keyboard.press("Enter")

    def _reach(self, target: Locator) -> None:
        """Move the focus there; the first stop of a page leads past what all pages have."""
        wanted = target.element_handle()
        for _ in range(MOST_TABS):
            now = wanted.evaluate(FOCUS)
            if now == "there":
                return
            if now == "gone":  # the page is live
                wanted = target.element_handle()
            if now == "skip":
                self.page.keyboard.press("Enter")
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the tab key does not lead to {target}")


class Plain(Hand):
    """Somebody whose browser runs no scripts."""

    scripts = False


HANDS: dict[str, type[Hand]] = {"mouse": Hand, "keyboard": Keyboard, "no scripts": Plain}


@contextmanager
def somebody(way: str, scene: Scene, chromium: Browser) -> Iterator[Hand]:
    """Somebody who has not logged in."""
    made = HANDS[way]
    with serving(Admin(scene.server)) as url:
        context = chromium.new_context(base_url=url, reduced_motion="reduce", java_script_enabled=made.scripts)
        yield made(context.new_page(), scene)
        context.close()


@pytest.fixture(scope="module", params=list(HANDS))
def hand(request: pytest.FixtureRequest, scene: Scene, chromium: Browser) -> Iterator[Hand]:
    with somebody(request.param, scene, chromium) as made:
        yield made


@pytest.mark.parametrize(("action", "what"), list(ROWS), ids=[" ".join(key).strip() for key in ROWS])
def test_it_is_done(scene: Scene, hand: Hand, action: str, what: str) -> None:
    hand.log_in(fresh=ACTIONS[action].confirm == "typed")
    hand.faults.clear()
    with prepared(ROWS[action, what](scene)) as (doing, wait):
        known = {one.id for one in written(scene, action)}
        hand.open(doing.at)
        go_on(hand, doing)
        asked_at = where(hand)
        fill_in(hand, action, doing)
        confirm(hand, action)
        said = what_is_said(hand, doing)
        if not doing.secret:
            assert re.fullmatch(doing.lands or re.escape(asked_at), where(hand))
        assert doing.secret or hand.page.locator("body[data-page]").count() == 1  # and no page that tells of a fault
        wait(lambda: doing.so(said))
        done = wait(lambda: [one for one in written(scene, action) if one.id not in known and one.result != "begun"])
        assert {(one.user, one.where, one.result) for one in done} == {("ann", "page", "done")}, done
        assert len(done) == max(1, len(doing.boxes))
    assert not hand.faults


@pytest.mark.parametrize("way", list(HANDS))
def test_whose_login_is_old_logs_in_on_the_way(scene: Scene, chromium: Browser, way: str) -> None:
    action = "queue.purge"
    with somebody(way, scene, chromium) as cal, prepared(ROWS[action, ""](scene)) as (doing, wait):
        page, password = cal.page, cal.page.locator('[name="password"]')
        page.goto("/login")
        cal.write(page.locator('[name="user"]'), CAL)
        cal.write(password, PASSWORD)
        cal.press(page.get_by_role("main").get_by_role("button"))
        expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
        cal.open(doing.at)
        with patch("onserver.admin.identity.FRESH_SECONDS", 0):  # as if that were long ago
            fill_in(cal, action, doing)
            expect(page.get_by_text("This cannot be undone, so log in once more")).to_be_visible()
        expect(page.locator('[name="user"]')).to_have_value(CAL)
        expect(password).to_be_focused()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator('body[data-page="members"]')).to_be_visible()
        assert where(cal) == doing.at
        fill_in(cal, action, doing)
        confirm(cal, action)
        said = what_is_said(cal, doing)
        wait(lambda: doing.so(said))
        wait(lambda: written(scene, action)[0].user == CAL and written(scene, action)[0].result == "done")


def test_what_a_page_can_do_is_found_by_the_palette(scene: Scene, chromium: Browser) -> None:
    with somebody("keyboard", scene, chromium) as ann, prepared(ROWS["maintenance.off", ""](scene)) as (doing, wait):
        ann.log_in(fresh=False)
        ann.open(doing.at)
        ann.page.keyboard.press("Control+k")
        ann.page.keyboard.type("new work again")
        ann.page.keyboard.press("Enter")
        said = what_is_said(ann, doing)
        wait(lambda: doing.so(said))


@contextmanager
def prepared(row: AbstractContextManager[Doing]) -> Iterator[tuple[Doing, Callable[[Callable[[], Any]], Any]]]:
    """Bring the server into the state of a row; and what waits for a fact. Both in a thread: this one has a loop."""
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        doing = thread.submit(stack.enter_context, row).result()
        try:
            yield doing, lambda fact: thread.submit(wait_for, fact).result()
        finally:
            thread.submit(stack.close).result()


def test_axe_finds_no_serious_fault_on_pages_between(scene: Scene, chromium: Browser) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    with somebody("mouse", scene, chromium) as ann, prepared(ROWS["session.link", ""](scene)) as (link, _wait):
        page = ann.page

        def looks_well(what: str) -> None:
            expect(page.locator("h1")).to_have_text(what)
            page.evaluate(axe)
            told: Any = page.evaluate("axe.run()")
            bad = [one for one in told["violations"] if one["impact"] in ("serious", "critical")]
            assert not bad, (what, json.dumps(bad, indent=1))

        ann.log_in(fresh=True)
        page.goto("/members")
        page.locator('form[data-action="server.pause"] button[type=submit]').click()
        looks_well("Pause everything")
        page.goto("/members")
        page.locator('form[data-action="server.stop"] button[type=submit]').click()
        looks_well("Stop the server")
        ann.write(page.locator('[name="confirm"]'), "another")
        page.get_by_role("main").get_by_role("button").click()
        expect(page.get_by_role("alert")).to_be_visible()
        looks_well("Stop the server")
        page.goto(link.at)
        fill_in(ann, "session.link", link)
        confirm(ann, "session.link")
        looks_well("Shown once")
        with prepared(ROWS["storage.set", ""](scene)) as (entry, _wait):
            page.goto(entry.at)
            key = entry.at.partition("=")[2]
            with ThreadPoolExecutor(1) as thread:
                thread.submit(write_over, scene, key).result()
            fill_in(ann, "storage.set", entry)
            looks_well("Changed meanwhile")
            page.get_by_role("button", name="Write this over it").click()
            what_is_said(ann, entry)
        page.goto("/processes/999999999")
        looks_well("Not there")
        page.goto("/login?again=1&back=/members")
        looks_well("Log in")


def write_over(scene: Scene, key: str) -> None:
    with scene.server.storage.use() as root:
        root[key] = {"atlas": 39}


def where(hand: Hand) -> str:
    """The path of the page that is shown, with its query."""
    here = urlsplit(hand.page.url)
    return f"{here.path}{'?' + here.query if here.query else ''}"


def written(scene: Scene, action: str) -> list[Line]:
    return list(lines(scene.server.store, action=action))


def go_on(hand: Hand, doing: Doing) -> None:
    """Go to the page that has the form: by links, and by what is searched for."""
    for lead in doing.leads:
        before = hand.page.url
        if isinstance(lead, str):
            hand.press(hand.page.get_by_role("link", name=lead, exact=True).first)
        else:
            name, text = lead
            form = hand.page.locator('main form[method="get"]', has=hand.page.locator(f'[name="{name}"]'))
            hand.write(form.locator(f'[name="{name}"]'), text)
            hand.press(form.locator("button[type=submit]"))
        expect(hand.page).not_to_have_url(before)


def fill_in(hand: Hand, action: str, doing: Doing) -> None:
    """Fill in the form of an action, and send it."""
    page = hand.page
    if doing.opens:
        hand.press(page.locator("summary", has_text=doing.opens))
    if doing.boxes:
        for one in doing.boxes:
            hand.tick(page.locator(f'input[type=checkbox][value="{one}"]'))
        hand.press(page.locator(f'button[formaction$="/act/{action}"]'))
        return
    form = page.locator(f'{doing.within} form[data-action="{action}"]')
    for name in doing.typed:
        form = form.filter(has=page.locator(f'[name="{name}"]:not([type=hidden])'))
    form = form.first
    for name, kind in form.evaluate(FIELDS) if doing.typed else ():
        if name not in doing.typed:
            continue
        field, text = form.locator(f'[name="{name}"]'), doing.typed[name]
        if kind == "checkbox":
            hand.tick(field)
        elif kind == "select-one":
            hand.choose(field, text)
        else:
            hand.write(field, text)
    hand.press(form.locator("button[type=submit]"))


def confirm(hand: Hand, action: str) -> None:
    """Confirm an action that is asked about, and no other."""
    how = ACTIONS[action].confirm
    if not how:
        return
    expect(hand.page.get_by_text("This is about to be done:")).to_be_visible()
    typed = hand.page.locator("form[data-confirm] strong.mono")
    hand.confirm(typed.inner_text() if how == "typed" else "")


def what_is_said(hand: Hand, doing: Doing) -> str:
    """What the page says of what was done; or what it shows this once."""
    if doing.secret:
        expect(hand.page.get_by_role("heading", name="Shown once")).to_be_visible()
        return hand.page.locator("main code").inner_text()
    said: Any = hand.page.locator("#said p")
    expect(said).to_be_visible()
    expect(said).to_have_class("said done")
    return str(said.inner_text())
