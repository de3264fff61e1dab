"""Sessions, storage and locks in a real browser: what changes is there at once, and what was typed or chosen stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from onserver import Server
from onserver.admin import Admin
from onserver.admin.logins import Login, Logins
from onserver.redis.address import Address
from tests.chromium import NEEDS_CHROMIUM, serving
from tests.inline_worker import make_server

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"av{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def page(server: Server, chromium: Browser) -> Iterator[Page]:
    """A page of somebody who has logged in."""
    with serving(Admin(server)) as url:
        context = chromium.new_context(base_url=url)
        opened = context.new_page()
        opened.goto(f"/login?t={Logins(server.store).make_link(Login(user='ann', by='link', roles=('owner',)))}")
        opened.get_by_role("main").get_by_role("button").click()
        opened.wait_for_url("**/")
        yield opened
        context.close()


def watch(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#live-sign")).to_have_attribute("data-state", "live", timeout=20_000)


def elsewhere(does: Callable[[], Any]) -> None:
    """Do it in another thread: this one has the browser's loop."""
    thread = threading.Thread(target=does)
    thread.start()
    thread.join()


def put(server: Server, **entries: object) -> None:
    def write() -> None:
        with server.storage.use() as root:
            root.update(entries)

    elsewhere(write)


def test_entries_come_and_what_was_typed_and_chosen_stays(server: Server, page: Page) -> None:
    put(server, a=1, b=2)
    watch(page, "/storage/server")
    page.get_by_label("Choose entry a").check()
    value = page.locator("form[data-action='storage.set'] textarea")
    value.fill("half a sent")
    put(server, c=3)
    expect(page.locator("tr[data-key=c]")).to_be_visible(timeout=20_000)
    expect(page.get_by_label("Choose entry a")).to_be_checked()
    expect(value).to_have_value("half a sent")


def test_what_changes_in_a_value_is_marked_while_one_looks(server: Server, page: Page) -> None:
    put(server, rates={"EUR": 1.1, "USD": 1})
    watch(page, "/storage/server/entry?key=rates")
    page.get_by_role("link", name="Mark what changes from now on").click()
    expect(page.get_by_text("Nothing has changed since version 1.")).to_be_visible()
    expect(page.locator("#live-sign")).to_have_attribute("data-state", "live", timeout=20_000)
    put(server, rates={"EUR": 1.2, "USD": 1})
    expect(page.locator("tr.marked")).to_have_count(1, timeout=20_000)
    expect(page.locator("tr.marked")).to_contain_text("changed")
    expect(page.get_by_text("It was version 1, and is version 2.")).to_be_visible()
    expect(page.locator("form[data-action='storage.set'] textarea")).to_have_value('{\n  "EUR": 1.1,\n  "USD": 1\n}')
    page.get_by_role("button", name="Write it, if it is version 1 still").click()
    expect(page.get_by_role("heading", name="What is there now")).to_be_visible()
    assert server.storage["rates"] == {"EUR": 1.2, "USD": 1}


def test_locks_come_are_waited_for_and_go(server: Server, page: Page) -> None:
    gate = threading.Event()

    def takes(until: threading.Event | None) -> None:
        with server.storage.use("rates"):
            if until is not None:
                until.wait(60)

    watch(page, "/locks")
    holds, waits = threading.Thread(target=takes, args=(gate,)), threading.Thread(target=takes, args=(None,))
    try:
        holds.start()
        expect(page.locator("tr[data-key='st:l:rates']")).to_be_visible(timeout=20_000)
        waits.start()
        expect(page.get_by_text("would be next")).to_be_visible(timeout=20_000)
    finally:
        gate.set()
        holds.join()
        waits.join()
    expect(page.get_by_text("No lock is held.")).to_be_visible(timeout=20_000)


def test_sessions_come_and_go(server: Server, page: Page) -> None:
    watch(page, "/sessions")
    opened = server.sessions.open("web", user="Bea")
    row = page.locator(f"tr[data-key='{opened.id}']")
    expect(row).to_contain_text("Bea", timeout=20_000)
    server.sessions.close(opened.id)
    expect(row).to_have_count(0, timeout=20_000)
