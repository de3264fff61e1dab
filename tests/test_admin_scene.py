"""The admin page of a shop with a day behind it, in a real browser: every page, with and without scripts, by keyboard.

The shop is that of `scripts/scene.py`, which the pictures in the documentation are of: a worker and an admin page, each
a program of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from onserver import execute_on_server
from onserver.admin.pages import MODULES
from onserver.process.gates import paused
from onserver.process.record import State
from onserver.testing import wait_for
from scripts.scene import Scene, shop
from scripts.screenshots import addresses
from tests.chromium import NEEDS_CHROMIUM

pytestmark = [NEEDS_CHROMIUM, pytest.mark.long]
#: Of one page of each kind; the rest of an address is filled in from the shop.
PAGES = [page for module in MODULES for page in module.PAGES]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@contextmanager
def visiting(scene: Scene, chromium: Browser, role: str = "owner", **options: Any) -> Iterator[Page]:
    context = chromium.new_context(base_url=scene.url, reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(scene.link(role))
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    yield page
    context.close()


@pytest.fixture(scope="module")
def visit(scene: Scene, chromium: Browser) -> Iterator[Page]:
    with visiting(scene, chromium) as page:
        yield page


def every(scene: Scene, page: Page) -> dict[str, str]:
    """All pages: those of the pictures, and those that lists lead to."""
    found = dict(addresses(scene))
    for at in list(found.values()):
        page.goto(at)
        for address in page.eval_on_selector_all("main a[href]", "all => all.map(one => one.getAttribute('href'))"):
            known = next((one for one in PAGES if fits(one.path, address)), None)
            if known is not None and known.name not in found and "?" not in address and is_page(page, address):
                found[known.name] = address
    return found


def is_page(page: Page, address: str) -> bool:
    """Whether there is a page at an address, and no file."""
    return page.request.head(address).headers["content-type"].startswith("text/html")


def fits(path: str, address: str) -> bool:
    pattern = re.sub(r"{\w+:path}", ".+", re.sub(r"{\w+}", "[^/]+", path))
    return re.fullmatch(pattern, address) is not None


def live(page: Page) -> None:
    expect(page.locator("#live-sign")).to_have_attribute("data-state", re.compile("live|still"), timeout=10_000)


# -- all pages


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_page(scene: Scene, chromium: Browser, theme: Any) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    faults: list[tuple[str, str, str, list[str]]] = []
    with visiting(scene, chromium, color_scheme=theme) as page:
        for name, at in every(scene, page).items():
            page.goto(at)
            live(page)
            page.evaluate(axe)
            told: Any = page.evaluate("axe.run()")
            for fault in told["violations"]:
                nodes = [node["html"][:160] for node in fault["nodes"][:3]]
                faults.append((name, fault["impact"], fault["id"], nodes))
        assert not [fault for fault in faults if fault[1] in ("serious", "critical")], json.dumps(faults, indent=1)


def test_no_page_is_wider_than_a_narrow_screen_or_says_something_to_the_console(
    scene: Scene, chromium: Browser
) -> None:
    with visiting(scene, chromium, viewport={"width": 320, "height": 640}) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        for name, at in every(scene, page).items():
            page.goto(at)
            live(page)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 320, f"{name} is {wide} px wide"
        assert not said


def test_every_page_is_readable_without_scripts(scene: Scene, chromium: Browser) -> None:
    with visiting(scene, chromium, java_script_enabled=False) as page:
        for name, at in addresses(scene).items():
            answer = page.goto(at)
            assert answer is not None
            assert answer.status == 200, name
            expect(page.locator("h1")).to_be_visible()
            expect(page.locator("#live-sign")).to_contain_text("as of")
            expect(page.get_by_role("link", name="Reload")).to_be_visible()


def test_each_page_answers_in_each_language(scene: Scene, chromium: Browser) -> None:
    for code, title in (("fr", "Vue d’ensemble"), ("ja", "概要")):
        context = chromium.new_context(base_url=scene.url, locale=code)
        page = context.new_page()
        page.goto(scene.link())
        page.get_by_role("main").get_by_role("button").click()
        expect(page.locator("h1")).to_have_text(title)
        live(page)
        context.close()


# -- the keyboard


def test_a_letter_behind_g_leads_to_each_page(visit: Page) -> None:
    keyed = [page for page in PAGES if page.key and page.nav]
    assert {page.key for page in keyed} >= set("opstmhbcra")
    for one in keyed:
        visit.goto("/audit" if one.name != "audit" else "/")
        live(visit)
        visit.keyboard.press("g")
        visit.keyboard.press(one.key)
        visit.wait_for_url(f"**{one.path}")


def test_a_process_is_found_paused_and_aborted_by_keyboard_alone(scene: Scene, visit: Page) -> None:
    one = execute_on_server("shop.yearly_report", 2030)  # no worker listens on its queue
    visit.goto("/processes?state=queued")
    live(visit)
    visit.keyboard.press("/")
    visit.keyboard.type(f"#{one.number}")
    visit.keyboard.press("Enter")
    visit.wait_for_url("**q=%23*")
    live(visit)
    visit.keyboard.press("j")
    visit.keyboard.press("p")
    expect(visit.locator("#said")).to_contain_text("paused")
    wait_for(lambda: one.state == State.PAUSED)
    visit.goto(f"/processes?q={one.number}")
    live(visit)
    visit.keyboard.press("j")
    visit.keyboard.press("x")
    visit.keyboard.press("a")
    expect(visit.get_by_text("This is about to be done:")).to_be_visible()
    visit.keyboard.press("Enter")
    expect(visit.locator("#said")).to_contain_text(str(one.number))
    wait_for(lambda: one.state == State.ABORTED)


def test_the_palette_leads_anywhere_and_keys_can_be_switched_off(scene: Scene, visit: Page) -> None:
    visit.goto("/")
    live(visit)
    visit.keyboard.press("Control+k")
    visit.keyboard.type("backu")
    visit.keyboard.press("Enter")
    visit.wait_for_url("**/backups")
    live(visit)
    visit.keyboard.press("Control+k")
    visit.keyboard.type(str(scene.failed.number))
    visit.keyboard.press("Enter")
    visit.wait_for_url(f"**/processes/{scene.failed.number}")
    live(visit)
    visit.keyboard.press("?")
    expect(visit.get_by_role("dialog", name="Keys")).to_contain_text("next and previous row")
    visit.get_by_label("Single keys do this").uncheck()
    visit.keyboard.press("Escape")
    visit.keyboard.press("g")
    visit.keyboard.press("p")
    visit.keyboard.press("l")
    expect(visit.locator("#live-sign")).not_to_contain_text("paused")
    assert visit.url.endswith(str(scene.failed.number))
    visit.get_by_role("button", name="Keys").click()
    visit.get_by_label("Single keys do this").check()
    visit.keyboard.press("Escape")


# -- every way of doing something


class Doing:
    """Something that is done by a form: where, which, what is typed, and what is so afterwards."""

    def __init__(self, at: str, action: str, typed: dict[str, str], so: Any) -> None:
        self.at, self.action, self.typed, self.so = at, action, typed, so


def doings(scene: Scene, way: str) -> list[Doing]:
    def held() -> bool:
        return "reports" in {gate.name for gate in paused(scene.server)}

    def stored(text: str) -> bool:
        return text in repr(scene.server.store.command("HGETALL", scene.server.store.key("st:e:stock")))

    def messages() -> int:
        bea = next(one for one in scene.server.sessions.listed("web") if one.user == "Bea Smith")
        return int(scene.server.store.command("LLEN", scene.server.store.key(f"sm:{bea.id}")))

    bea = next(one for one in scene.server.sessions.listed("web") if one.user == "Bea Smith")
    before = messages()
    return [
        Doing("/members", "queue.resume", {}, lambda: not held()),
        Doing("/members", "queue.pause", {"queue": "reports"}, held),
        Doing(f"/sessions/{bea.id}", "session.message", {"text": "We close at six."}, lambda: messages() > before),
        Doing("/storage/server/entry?key=stock", "storage.set", {"value": f'{{"by": "{way}"}}'}, lambda: stored(way)),
    ]


@pytest.mark.parametrize("way", ["mouse", "keyboard", "no scripts"])
def test_it_is_done_by_mouse_by_keyboard_and_without_scripts(scene: Scene, chromium: Browser, way: str) -> None:
    with visiting(scene, chromium, java_script_enabled=way != "no scripts") as page:
        for doing in doings(scene, way):
            page.goto(doing.at)
            form = page.locator(f'form[data-action="{doing.action}"]')
            for name in doing.typed:
                form = form.filter(has=page.locator(f'[name="{name}"]:not([type=hidden])'))
            form = form.first
            for name, text in doing.typed.items():
                form.locator(f'[name="{name}"]').fill(text)
            button = form.locator("button[type=submit]").first
            if way == "keyboard":
                button.focus()
                page.keyboard.press("Enter")
            else:
                button.click()
            said, asked = page.locator("#said p"), page.get_by_text("This is about to be done:")
            expect(said.or_(asked)).to_be_visible()
            if asked.is_visible():
                page.get_by_role("main").get_by_role("button").first.click()
            expect(said).to_be_visible()
            wait_for(doing.so, what=f"{doing.action} by {way}")


# -- the program is killed


def test_the_page_is_right_within_a_second_of_its_programs_return(scene: Scene, visit: Page) -> None:
    visit.goto("/processes")
    live(visit)
    busy = [execute_on_server("shop.send_invoice", n, "x@example.org") for n in range(1, 200) if n % 7]
    os.killpg(scene.admin.pid, signal.SIGKILL)
    scene.admin.wait(10)
    expect(visit.locator("#live-sign")).to_contain_text("reconnecting", timeout=10_000)
    new = execute_on_server("shop.yearly_report", 2031)
    scene.serve()
    began = monotonic()
    with visiting(scene, visit.context.browser) as other:  # type: ignore[arg-type]
        other.goto("/processes")
        expect(other.locator(f'tr[data-key="{new.number}"]')).to_be_visible(timeout=2000)
    assert monotonic() - began < 15
    expect(visit.locator(f'tr[data-key="{new.number}"]')).to_be_visible(timeout=6000)  # the browser waits 3 s itself
    live(visit)
    for one in busy:
        wait_for(lambda one=one: one.state == State.DONE)  # type: ignore[misc]
    new.abort()
    expect(visit.locator(f'tr[data-key="{new.number}"]')).to_have_count(0, timeout=5000)
