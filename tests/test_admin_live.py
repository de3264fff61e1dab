"""What changes while somebody looks: the stream as programs read it, and what browsers make of it."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from onserver import Server, execute_on_server, procedure, process
from onserver.admin import Admin
from onserver.admin.logins import Login, Logins
from onserver.admin.regions import regions_of
from onserver.admin.rendering import environment
from onserver.errors import NoWorker
from onserver.life.events import tell_own
from onserver.redis.address import Address
from onserver.testing import wait_for
from onserver.views.pulse import pulse
from tests.admin_browser import SAME
from tests.chromium import NEEDS_CHROMIUM, serving
from tests.inline_worker import make_server, working

gates: dict[str, threading.Event] = {}


@procedure(name="live.waits")
def waits(gate: str) -> str:
    run = process()
    run.report(1, 4, "first step")
    gates[gate].wait(30)
    run.report(4, 4, "last step")
    return gate


@procedure(name="live.adds")
def adds(n: int) -> int:
    return n


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with (
        make_server(f"al{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made,
        made.as_current(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NoWorker)
        yield made


@pytest.fixture(autouse=True)
def heard_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat often, so that who has gone is noticed soon, and a look at what nothing has said of."""
    monkeypatch.setattr("onserver.admin.live._BEAT_SECONDS", 0.2)
    monkeypatch.setattr("onserver.admin.live.QUIET_SECONDS", 1.0)


class Watcher:
    """A program that reads a stream, in a thread."""

    def __init__(self, url: str, cookies: httpx.Cookies, at: list[str], known: str = "") -> None:
        self.frames: list[tuple[str, Any, str]] = []
        self.status = 0
        self._client = httpx.Client(base_url=url, cookies=cookies, timeout=30)
        headers = {"last-event-id": known} if known else {}
        self._request = self._client.build_request("GET", "/live", params=[("at", one) for one in at], headers=headers)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.ended = threading.Event()

    def _read(self) -> None:
        try:
            answer = self._client.send(self._request, stream=True)
            self.status = answer.status_code
            block: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    block[name] = value
                    continue
                if "event" in block:
                    self.frames.append((block["event"], msgspec.json.decode(block["data"]), block.get("id", "")))
                block = {}
        except httpx.HTTPError:
            pass  # the server has gone, or this watcher was closed
        self.ended.set()

    def of(self, kind: str) -> list[Any]:
        return [data for event, data, _ in list(self.frames) if event == kind]

    def regions(self) -> dict[str, str]:
        """What is shown now, of the pages one above the other."""
        found: dict[str, str] = {}
        for page in self.of("page"):
            found |= page["regions"]
        return found

    def close(self) -> None:
        self._client.close()
        self._thread.join(10)


@contextmanager
def served(server: Server, **options: Any) -> Iterator[tuple[Admin, str, httpx.Cookies]]:
    app = Admin(server, **options)
    with serving(app) as url:
        yield app, url, logged_in(server, url)


def logged_in(server: Server, url: str, roles: tuple[str, ...] = ("owner",)) -> httpx.Cookies:
    token = Logins(server.store).make_link(Login(user="ann", by="link", roles=roles))
    with httpx.Client(base_url=url, headers=SAME) as client:
        assert client.post("/login", data={"t": token}).status_code == 303
        return client.cookies


@contextmanager
def watching(url: str, cookies: httpx.Cookies, *at: str, known: str = "") -> Iterator[Watcher]:
    watcher = Watcher(url, cookies, list(at), known)
    try:
        yield watcher
    finally:
        watcher.close()


# -- the stream


def test_a_page_is_sent_whole_and_then_what_changes(server: Server) -> None:
    with served(server) as (_, url, cookies), watching(url, cookies, "/processes", "/") as watcher:
        wait_for(lambda: {page["at"] for page in watcher.of("page")} == {"/processes", "/"})
        assert "Nothing is running." in watcher.regions()["list"]
        one = execute_on_server(adds, 1)
        wait_for(lambda: f'data-key="{one.number}"' in watcher.regions()["list"])
        last = watcher.of("page")[-1]
        assert last["now"] > 0
        assert "over-time" not in last["regions"]


def test_what_runs_is_seen_as_it_goes_on(server: Server) -> None:
    gates["a"] = threading.Event()
    with served(server) as (_, url, cookies), working(server):
        one = execute_on_server(waits, "a")
        with watching(url, cookies, f"/processes/{one.number}") as watcher:
            wait_for(lambda: "first step" in watcher.regions().get("standing", ""))
            gates["a"].set()
            wait_for(
                lambda: "last step" in watcher.regions()["standing"] and 'data-state="done"' in str(watcher.regions())
            )
            assert "&#39;a&#39;" in watcher.regions()["result"]


def test_nobody_watches_and_nobody_reads(server: Server) -> None:
    def looks() -> int:
        told = server.store.command("INFO", "commandstats").decode()
        return int(re.search(r"cmdstat_fcall:calls=(\d+)", told)[1]) if "cmdstat_fcall:" in told else 0  # type: ignore[index]

    with served(server) as (app, url, cookies):
        hub = None
        with watching(url, cookies, "/processes") as watcher:
            wait_for(lambda: watcher.of("page"))
            (hub,) = app.live.hubs()
            assert hub.reads
        wait_for(lambda: not hub.reads)
        before = looks()
        server.store.command("PING")
        assert hub.looks > 0
        assert looks() == before


def test_who_watches_the_same_costs_one_drawing(server: Server) -> None:
    with served(server) as (app, url, cookies):
        watchers = [Watcher(url, cookies, ["/processes"]) for _ in range(5)]
        try:
            wait_for(lambda: all(one.of("page") for one in watchers))
            (hub,) = app.live.hubs()
            draws = hub.draws
            execute_on_server(adds, 1)
            wait_for(lambda: all(len(one.of("page")) == 2 for one in watchers))
            assert hub.draws - draws <= 2
        finally:
            for one in watchers:
                one.close()


def test_events_are_told_once_with_their_ids_and_after_a_break_all_that_were_missed(server: Server) -> None:
    with served(server) as (_, url, cookies):
        with watching(url, cookies, "/") as watcher:
            wait_for(lambda: watcher.of("page"))
            tell_user(server, "first")
            wait_for(lambda: watcher.of("events"))
        (kind, data, known) = next(frame for frame in watcher.frames if frame[0] == "events")
        assert (kind, [one["name"] for one in data], known) == ("events", ["first"], data[-1]["id"])
        for n in range(5):
            tell_user(server, f"missed-{n}")
        with watching(url, cookies, "/", known=known) as again, watching(url, cookies, "/") as fresh:
            wait_for(lambda: again.of("page") and fresh.of("page"))
            tell_user(server, "after")
            wait_for(lambda: "after" in str(again.of("events")) and fresh.of("events"))
            names = [one["name"] for told in again.of("events") for one in told]
            assert names == [*(f"missed-{n}" for n in range(5)), "after"]
            assert fresh.of("events")[-1][-1]["name"] == "after"
            assert not again.of("resync")


def test_who_has_missed_more_than_is_kept_is_told_to_read_anew(server: Server) -> None:
    tell_user(server, "first")
    known = pulse(server.store).last
    server.store.command("XTRIM", server.store.key("events"), "MAXLEN", "=", 0)
    tell_user(server, "second")
    with served(server) as (_, url, cookies), watching(url, cookies, "/", known=known) as watcher:
        wait_for(lambda: watcher.of("resync"))
    with served(server) as (_, url, cookies), watching(url, cookies, "/", known="1-1; DROP") as watcher:
        wait_for(lambda: watcher.of("page"))
        assert not watcher.of("resync")


def test_a_page_that_is_gone_says_so(server: Server) -> None:
    one = execute_on_server(adds, 1)
    at = f"/processes/{one.number}"
    with served(server) as (_, url, cookies), watching(url, cookies, at) as watcher:
        wait_for(lambda: watcher.of("page"))
        server.store.command("DEL", server.store.key(f"p:{one.number}"))
        wait_for(lambda: watcher.of("gone") == [{"at": at}], timeout=20)


def test_who_logs_out_watches_no_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onserver.admin.live._IDENTITY_SECONDS", 0.2)
    with served(server) as (_, url, cookies), watching(url, cookies, "/") as watcher:
        wait_for(lambda: watcher.of("beat"))
        with httpx.Client(base_url=url, headers=SAME, cookies=cookies) as client:
            assert client.post("/logout").status_code == 303
        assert watcher.ended.wait(10)
        assert watcher.frames[-1][:2] == ("reload", None)


def test_whose_page_it_is_not(server: Server) -> None:
    with served(server) as (_, url, cookies):
        viewer = logged_in(server, url, ("admin.data",))
        for jar, query, status in (
            (httpx.Cookies(), "at=/", 401), (viewer, "at=/", 403), (cookies, "at=/nowhere", 404),
            (cookies, "&".join(f"at=/processes?q={n}" for n in range(20)), 400),
            (cookies, "at=/processes?a=%25ff", 400),
        ):  # fmt: skip
            with httpx.Client(base_url=url, cookies=jar, headers={"accept": "application/json"}) as client:
                assert client.get(f"/live?{query}").status_code == status, query


def test_more_than_there_may_be_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onserver.admin.live.MOST_STREAMS", 1)
    with served(server) as (_, url, cookies), watching(url, cookies, "/") as watcher:
        wait_for(lambda: watcher.of("page"))
        with httpx.Client(base_url=url, cookies=cookies) as client:
            answer = client.get("/live?at=/")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_regions_of_a_page() -> None:
    page = (
        '<main><div data-live="a" class="x"><div>one</div><table data-live="b"><tr><td>two</td></tr></table></div>'
        '<ul data-live="c"></ul><p data-live="d">three &lt;p data-live=&#34;e&#34;&gt;</p></main>'
    )
    table = "<tr><td>two</td></tr>"
    assert regions_of(page) == {
        "a": f'<div>one</div><table data-live="b">{table}</table>', "b": table, "c": "",
        "d": "three &lt;p data-live=&#34;e&#34;&gt;",
    }  # fmt: skip


def test_every_region_of_every_page_has_a_name_of_its_own() -> None:
    made = environment()
    for name in made.list_templates():
        assert made.loader
        found = re.findall(r'data-live="([^"{}]+)"|live="([^"{}]+)"', made.loader.get_source(made, name)[0])
        names = [a or b for a, b in found]
        assert len(set(names)) == len(names), name


# -- marks


def test_a_mark_changes_with_its_topic_alone(server: Server) -> None:
    before = pulse(server.store).marks
    assert pulse(server.store).marks == before
    execute_on_server(adds, 1)
    after = pulse(server.store).marks
    assert {topic for topic in after if after[topic] != before[topic]} == {"process", "queue"}


def tell_user(server: Server, name: str) -> None:
    tell_own(server.store, name, {})


# -- browsers


@pytest.fixture
def ann(server: Server, chromium: Browser) -> Iterator[Page]:
    with served(server) as (_, url, _cookies):
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        come_in(server, page)
        yield page
        context.close()


def come_in(server: Server, page: Page, at: str = "/login") -> None:
    token = Logins(server.store).make_link(Login(user="ann", by="link", roles=("owner",)))
    page.goto(f"{at}?t={token}")
    page.get_by_role("main").get_by_role("button").click()


@NEEDS_CHROMIUM
def test_a_second_viewer_sees_a_change_within_a_second(server: Server, ann: Page) -> None:
    other = ann.context.new_page()
    for page in (ann, other):
        page.goto("/processes")
        expect(page.locator("#live-sign")).to_contain_text("live", timeout=10_000)
    one = execute_on_server(adds, 1)
    began = monotonic()
    for page in (ann, other):
        expect(page.locator(f'tr[data-key="{one.number}"]')).to_be_visible(timeout=5000)
    assert monotonic() - began < 3
    ann.get_by_label(f"Choose process {one.number}").check()
    ann.get_by_role("button", name="Pause", exact=True).click()
    expect(ann.get_by_role("status").filter(has_text="paused")).to_be_visible()
    expect(other.locator(f'tr[data-key="{one.number}"] .state')).to_contain_text("paused", timeout=3000)


@NEEDS_CHROMIUM
def test_paused_is_paused_and_tells_how_much_is_new(server: Server, ann: Page) -> None:
    ann.goto("/processes")
    expect(ann.locator("#live-sign")).to_contain_text("live", timeout=10_000)
    ann.keyboard.press("l")
    sign = ann.locator("#live-sign")
    expect(sign).to_have_text(re.compile(r"^‖ paused, \d+ new\s*$"))

    def new() -> int:  # what the server did before may be told late
        return int(re.sub(r"\D", "", sign.inner_text()))

    before = new()
    many = [execute_on_server(adds, n) for n in range(3)]
    wait_for(lambda: new() >= before + 3, what="three to be told as new")
    assert ann.locator("tr[data-key]").count() == 0
    ann.reload()
    expect(ann.locator("#live-sign")).to_contain_text("paused")
    assert ann.locator("tr[data-key]").count() == 3
    ann.get_by_role("button", name="Go on", exact=True).click()
    many[0].abort()
    expect(ann.locator(f'tr[data-key="{many[0].number}"]')).to_have_count(0, timeout=5000)


@NEEDS_CHROMIUM
def test_the_order_stays_while_somebody_points_and_what_is_chosen_stays_chosen(server: Server, ann: Page) -> None:
    many = [execute_on_server(adds, n) for n in range(3)]
    ann.goto("/processes")
    box = ann.get_by_label(f"Choose process {many[1].number}")
    box.check()
    box.hover()
    expect(ann.locator("#live-sign")).to_contain_text("live", timeout=10_000)
    many[0].abort()
    many[2].pause()
    expect(ann.locator(f'tr[data-key="{many[2].number}"] .state')).to_contain_text("paused", timeout=5000)
    expect(ann.locator(f'tr[data-key="{many[0].number}"]')).to_have_count(1)
    ann.mouse.move(0, 0)
    ann.locator("h1").click()
    expect(ann.locator(f'tr[data-key="{many[0].number}"]')).to_have_count(0, timeout=5000)
    assert box.is_checked()


@NEEDS_CHROMIUM
def test_a_page_finds_its_server_again(server: Server, chromium: Browser) -> None:
    with served(server) as (_, url, _cookies):
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        come_in(server, page)
        page.goto("/processes")
        expect(page.locator("#live-sign")).to_contain_text("live", timeout=10_000)
    expect(page.locator("#live-sign")).to_contain_text("reconnecting", timeout=10_000)
    one = execute_on_server(adds, 1)
    with serving(Admin(server), int(url.rpartition(":")[2])):
        expect(page.locator(f'tr[data-key="{one.number}"]')).to_be_visible(timeout=15_000)
        expect(page.locator("#live-sign")).to_contain_text("live")
        context.close()


@NEEDS_CHROMIUM
def test_two_tabs_have_one_stream(server: Server, chromium: Browser) -> None:
    with served(server) as (app, url, _cookies):
        context = chromium.new_context(base_url=url)
        first, second = context.new_page(), context.new_page()
        come_in(server, first)
        first.goto("/processes")
        second.goto("/")
        for page in (first, second):
            expect(page.locator("#live-sign")).to_contain_text("live", timeout=10_000)
        (hub,) = app.live.hubs()
        wait_for(lambda: hub.streams == 1 and hub.watched == 2)
        execute_on_server(adds, 1)
        expect(second.locator(".cards")).to_contain_text("In queues", timeout=5000)
        first.close()
        execute_on_server(adds, 2)
        expect(second.get_by_role("link", name="2", exact=True)).to_be_visible(timeout=10_000)
        context.close()


@NEEDS_CHROMIUM
def test_where_no_stream_can_be_the_page_is_read_again(
    server: Server, ann: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onserver.admin.live.MOST_STREAMS", 0)
    ann.goto("/processes")
    expect(ann.locator("#live-sign")).to_contain_text("read again every 5 s", timeout=10_000)
    one = execute_on_server(adds, 1)
    expect(ann.locator(f'tr[data-key="{one.number}"]')).to_be_visible(timeout=15_000)


#: Two states of a region: what its actions are, and the name that a hidden field has in each.
REGIONS = """
async ([module, before, after]) => {
  const { morph } = await import(module);
  const made = (names) => {
    const place = document.createElement("div");
    place.innerHTML = names.map(([action, value]) =>
      `\n<form data-action="${action}"><input type="hidden" name="n" value="${value}"><button>${action}</button></form>`
    ).join("");
    return place;
  };
  const place = made(before);
  document.body.append(place);
  place.querySelector('form[data-action="stays"] button').focus();
  const first = place.querySelector("button");
  morph(place, made(after));
  const told = [...place.querySelectorAll("form")].map((one) => [one.dataset.action, new FormData(one).get("n")]);
  const focused = document.activeElement.textContent;
  place.remove();
  return [told, focused, first.isConnected];
}
"""


@NEEDS_CHROMIUM
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([["goes", "1"], ["stays", "1"]], [["comes", "1"], ["stays", "2"]]),
        ([["goes", "1"], ["too", "1"], ["stays", "1"]], [["stays", "2"]]),
        ([["goes", "1"], ["stays", "1"]], [["one", "1"], ["two", "1"], ["stays", "2"], ["last", "3"]]),
        ([["goes", "1"], ["stays", "1"]], [["stays", "1"], ["twice", "1"], ["twice", "2"]]),
    ],
)
def test_a_button_never_becomes_that_of_another_action_and_one_that_stays_keeps_the_focus(
    ann: Page, before: list[list[str]], after: list[list[str]]
) -> None:
    module = ann.locator('script[type="module"]').evaluate("one => one.src").replace("/admin.js", "/morph.js")
    told, focused, connected = ann.evaluate(REGIONS, [module, before, after])
    assert told == after
    assert focused == "stays"
    assert not connected  # the button of an action that is there no more
