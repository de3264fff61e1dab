"""The gateway as people see it: a real browser, headless, and a web server on a real port.

The original's example (a published method that tells whether the session may create invoices) before and after the
privilege is set, a login, a promotion, a refusal, a session that is handed over by a token, two browsers at once, and
what becomes of a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from onserver import caller, procedure, process, server_method, session
from onserver.registry import keep
from onserver.session.session import Session
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.chromium import NEEDS_CHROMIUM, serving
from tests.web_project import declaring, make_project

pytestmark = NEEDS_CHROMIUM

ROLES = """{
  "privileges": [{"privilege": "CreateInvoices"}, {"privilege": "DropInvoices"}],
  "roles": [{"role": "clerk", "privileges": ["CreateInvoices"]}],
  "permissions": {"allowed": [
    {"applyTo": "shop.promoted", "type": "method", "promote": ["CreateInvoices"]}
  ]},
  "restrictedByDefault": false, "forceLogin": false
}"""
PAGES = {
    "login.html": """<!doctype html><title>Log in</title>
<form method="post" action="/action/shop.login">
  <label>Name <input name="user"></label><label>Password <input name="password" type="password"></label>
  <button>Log in</button>
</form>""",
    "index.html": "<!doctype html><title>Shop</title><p id=who><!--#4DTEXT session.user_name or 'guest'--></p>",
}
SAYS = "4DACTION --> Session is"


def declare() -> None:
    @server_method(published=True, name="action_Session")
    def action_session() -> str:
        here = cast("Session | None", session())
        if here is None:
            return f"{SAYS} null"
        return f"{SAYS} {'' if here.has_privilege('CreateInvoices') else 'not '}CreateInvoices"

    @server_method(published=True, name="shop.login")
    def login(user: str, password: str) -> str:
        if password != "open sesame":
            return "wrong"
        session().set_privileges({"userName": user, "roles": ["clerk"]})
        return f"welcome {user}"

    @server_method(published=True, name="shop.promoted")
    def promoted() -> str:
        return action_session()

    @server_method(published=True, name="shop.promotes")
    def promotes() -> list[object]:
        number = session().promote("CreateInvoices")
        during = session().has_privilege("CreateInvoices")
        session().demote(number)
        return [number, during, session().has_privilege("CreateInvoices"), session().get_privileges()]

    @server_method(published=True, requires="CreateInvoices", name="shop.invoice")
    def invoice() -> str:
        return f"an invoice by {caller().user}"

    @server_method(published=True, name="shop.token")
    def token() -> str:
        return session().create_otp()

    @server_method(published=True, name="shop.count")
    def count() -> int:
        return session().storage.counter("seen").add(1)

    @procedure(published=True, name="shop.report")
    def report() -> str:
        for step in range(1, 3):
            process().report(step, 2, f"step {step}")
        return "ready"


class Shop:
    """A project with a web server on a port of its own."""

    def __init__(self, opened: OnServer, url: str) -> None:
        self.opened, self.url = opened, url


@pytest.fixture
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    """A project that keeps sessions."""
    yield from opened(request, monkeypatch, tmp_path, "")


@pytest.fixture
def sessionless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    """One that keeps none."""
    yield from opened(request, monkeypatch, tmp_path, "web.scalable_sessions = false")


def opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path, settings: str
) -> Iterator[Shop]:
    with declaring():
        keep({})
        declare()
        monkeypatch.setenv("ONSERVER_PROJECT", str(make_project(folder / "shop", PAGES, settings, ROLES)))
        live: OnServer = request.getfixturevalue("onserver_live")
        with serving(Gateway(live.server)) as url:
            yield Shop(live, url)


@contextmanager
def somebody(chromium: Browser, shop: Shop) -> Iterator[Page]:
    """A page of somebody's browser."""
    context = chromium.new_context(base_url=shop.url)
    try:
        yield context.new_page()
    finally:
        context.close()


def text(page: Page, path: str) -> str:
    """Open a URL, and read what it says."""
    page.goto(path)
    return page.inner_text("body")


def log_in(page: Page, user: str, password: str = "open sesame") -> str:  # it guards nothing
    """Fill in the form; what is answered."""
    page.goto("/login.html")
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button").click()
    return page.inner_text("body")


def cookie_of(context: BrowserContext) -> dict[str, Any]:
    """The cookie of the session."""
    [cookie] = context.cookies()
    return dict(cookie)


def fetched(page: Page, path: str, times: int) -> list[str]:
    """Fetch a URL so many times at once, from a page."""
    script = "([path, times]) => Promise.all(Array.from({length: times}, () => fetch(path).then(r => r.text())))"
    answers: list[str] = page.evaluate(script, [path, times])
    return answers


# ---- the original's example


def test_the_example_before_and_after_the_privilege_is_set(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as page:
        assert text(page, "/4DACTION/action_Session") == f"{SAYS} not CreateInvoices"
        text(page, "/action/shop.count")
        [record] = shop.opened.server.sessions.listed("web")
        shop.opened.server.sessions.records.write(record.id, privileges=("CreateInvoices",), is_set=True)
        assert text(page, "/4DACTION/action_Session") == f"{SAYS} CreateInvoices"
        assert text(page, "/action/action_Session") == f"{SAYS} CreateInvoices"
    with somebody(chromium, shop) as other:
        assert text(other, "/4DACTION/action_Session") == f"{SAYS} not CreateInvoices"


def test_the_example_without_sessions(sessionless: Shop, chromium: Browser) -> None:
    with somebody(chromium, sessionless) as page:
        assert text(page, "/4DACTION/action_Session") == f"{SAYS} null"
        assert page.context.cookies() == []


# ---- login, refusal, promotion


def test_a_login_lets_in_and_changes_the_id(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as page:
        assert text(page, "/action/shop.count") == "1"
        before = cookie_of(page.context)
        assert (before["httpOnly"], before["sameSite"], before["name"][:6]) == (True, "Strict", "4DSID_")
        assert page.evaluate("document.cookie") == ""
        assert log_in(page, "ann", "close sesame") == "wrong"
        assert text(page, "/") == "guest"
        assert log_in(page, "ann") == "welcome ann"
        assert cookie_of(page.context)["value"] != before["value"]
        assert text(page, "/") == "ann"
        assert text(page, "/action/shop.count") == "2"  # the storage goes with it
        assert text(page, "/4DACTION/action_Session") == f"{SAYS} CreateInvoices"
    with somebody(chromium, shop) as thief:
        thief.context.add_cookies([{"name": before["name"], "value": before["value"], "url": shop.url}])
        assert text(thief, "/") == "guest"


def test_who_has_not_the_privilege_is_refused(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as page:
        refused = page.goto("/action/shop.invoice")
        assert refused is not None
        assert refused.status == 403
        assert "invoice" not in page.inner_text("body")
        log_in(page, "ann")
        assert text(page, "/action/shop.invoice") == "an invoice by ann"
        [record] = shop.opened.server.sessions.listed("web")
        shop.opened.server.sessions.drop(record.id, by="test")
        again = page.goto("/action/shop.invoice")
        assert again is not None
        assert again.status == 403


def test_a_promotion_lasts_as_long_as_its_function(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as page:
        assert text(page, "/action/shop.promoted") == f"{SAYS} CreateInvoices"
        number, during, after, listed = page.evaluate("fetch('/action/shop.promotes').then(r => r.json())")
        assert (number > 0, during, after, listed) == (True, True, False, [])
        assert text(page, "/action/action_Session") == f"{SAYS} not CreateInvoices"


# ---- handed over, two at once


def test_a_session_is_handed_over_by_a_token_once(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as ann, somebody(chromium, shop) as phone, somebody(chromium, shop) as thief:
        log_in(ann, "ann")
        token = text(ann, "/action/shop.token")
        assert text(phone, "/4DACTION/action_Session") == f"{SAYS} not CreateInvoices"
        assert text(phone, f"/4DACTION/action_Session?$4DSID={token}") == f"{SAYS} CreateInvoices"
        assert text(phone, "/") == "ann"
        assert cookie_of(phone.context)["value"] == cookie_of(ann.context)["value"]
        for late in (token, token.lower(), "0" * 32, ""):
            assert text(thief, f"/4DACTION/action_Session?$4DSID={late}") == f"{SAYS} not CreateInvoices"
        assert text(thief, "/") == "guest"


def test_two_browsers_at_once_have_each_their_own(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as ann, somebody(chromium, shop) as bob:
        log_in(ann, "ann")
        log_in(bob, "bob")
        assert sorted(map(int, fetched(ann, "/action/shop.count", 8))) == list(range(1, 9))
        assert sorted(map(int, fetched(bob, "/action/shop.count", 5))) == list(range(1, 6))
        assert set(fetched(ann, "/action/shop.invoice", 4)) == {"an invoice by ann"}
        assert set(fetched(bob, "/action/shop.invoice", 4)) == {"an invoice by bob"}
        users = [record.user for record in shop.opened.server.sessions.listed("web")]
        assert sorted(users) == ["ann", "bob"]


# ---- what becomes of a process


def test_a_browser_hears_what_becomes_of_its_process(shop: Shop, chromium: Browser) -> None:
    script = """
    async () => {
      const started = await fetch('/action/shop.report', {method: 'POST'}).then(r => r.json());
      const events = new EventSource(started.location + '/events');
      const seen = [];
      const result = await new Promise((resolve, reject) => {
        events.addEventListener('progress', e => seen.push(JSON.parse(e.data).note));
        events.addEventListener('result', e => resolve(JSON.parse(e.data)));
      });
      events.close();
      const shown = await fetch(started.location).then(r => r.json());
      return {seen, result, shown, location: started.location};
    }"""
    with somebody(chromium, shop) as ann, somebody(chromium, shop) as bob:
        ann.goto("/")
        told = ann.evaluate(script)
        assert told["seen"][-1] == "step 2"
        assert told["result"]["result"] == told["shown"]["result"] == "ready"
        bob.goto("/")
        look = "async (path) => [(await fetch(path)).status, (await fetch(path + '/events')).status]"
        assert bob.evaluate(look, told["location"]) == [404, 404]
        assert ann.evaluate(look, told["location"]) == [200, 200]


def test_every_server_has_sessions_of_its_own(shop: Shop, chromium: Browser) -> None:
    with somebody(chromium, shop) as page:
        log_in(page, "ann")
        name = cookie_of(page.context)["name"]
        assert name == f"4DSID_{shop.opened.server.name}"
        page.context.add_cookies([{"name": f"4DSID_{uuid4().hex}", "value": "0" * 32, "url": shop.url}])
        assert text(page, "/") == "ann"
