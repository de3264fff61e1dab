"""Members and queues on the admin page: who takes part, where processes wait, and what can be done to either."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import execute_on_server, procedure, registry
from onserver.process.gates import pause_all, pause_queue, resume_all
from onserver.process.procedure import Procedure
from onserver.redis.address import Address
from onserver.server import Server
from onserver.testing import OnServer
from onserver.views.queues import queues
from onserver.views.taking_part import TakingPart
from tests.admin_browser import browser
from tests.inline_worker import make_server, working

JSON = {"accept": "application/json"}

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"am{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def waits() -> Iterator[Procedure[[], None]]:
    known = registry.kept()

    @procedure(name="members.waits", queue="mail")
    def waits() -> None:
        """It waits in its queue, on which nobody listens."""

    yield waits
    registry.keep(known)


@pytest.fixture
def worker(server: Server, waits: Procedure[[], None]) -> Iterator[OnServer]:  # declared before the worker looks
    with working(server) as opened:
        yield opened


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def data(ann: TestClient, path: str = "/members") -> Any:
    answer = ann.get(path, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def join(server: Server, kind: str, node: str, **facts: str) -> int:
    """A member that somebody else is, without executors."""
    store = server.store
    words = [word for pair in {"node": node, "host": "web-1", "pid": "7", **facts}.items() for word in pair]
    number = int(store.run("join", store.nonce(), kind, *words))
    if kind == "worker":
        store.command("SADD", store.key("workers"), number)
    return number


def forms(page: str, name: str) -> list[dict[str, str]]:
    """The fields of each form of an action, as a browser would send them."""
    found = re.findall(rf'<form[^>]*action="/act/{re.escape(name)}".*?</form>', page, re.DOTALL)
    return [
        {
            unescape(key): unescape(value)
            for key, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
        }
        for form in found
    ]


# -- what there is


def test_a_server_that_never_ran_says_how_to_start_one(server: Server, ann: TestClient) -> None:
    page = ann.get("/members").text
    assert "No worker has ever connected." in page
    assert "<code data-copy>onserver worker</code>" in page
    assert "Redis answers" in page
    seen = data(ann)
    assert (seen["members"], seen["queues"]) == ([], [])


def test_a_server_whose_workers_have_gone_says_so(server: Server, ann: TestClient) -> None:
    with working(server):
        pass
    assert "No worker is up, and no client." in ann.get("/members").text


@pytest.mark.usefixtures("worker")
def test_who_takes_part_is_shown(server: Server, ann: TestClient) -> None:
    client = join(server, "client", "shell@web-1")
    own, other = data(ann)["members"]
    assert (own["kind"], own["node"], own["state"], own["leads"], own["queues"]) == (
        "worker", "test", "ready", False, ["default"],
    )  # fmt: skip
    assert own["slots"] == 1
    assert own["version"]
    assert (other["number"], other["kind"], other["state"]) == (client, "client", "ready")
    page = ann.get("/members").text
    assert "One worker is up. Nothing waits in the queues." in page
    assert "0 of 1 busy" in page
    assert "Un worker est là." in ann.get("/members", headers={"accept-language": "fr"}).text


@pytest.mark.usefixtures("worker")
def test_filters_order_and_pages(server: Server, ann: TestClient) -> None:
    numbers = [join(server, "client", f"shell{index}") for index in range(5)]
    store = server.store
    for ago, number in enumerate(numbers):
        store.command("ZADD", store.key("members"), store.now_ms() - ago * 1000, number)

    def shown(query: str) -> list[str]:
        return [row["node"] for row in data(ann, f"/members?{query}")["members"]]

    assert shown("kind=worker") == ["test"]
    assert shown("q=SHELL3") == ["shell3"]
    assert shown("q=default") == ["test"]
    assert shown("state=silent") == []
    assert shown("kind=client&sort=-number")[:2] == ["shell4", "shell3"]
    assert shown("kind=client&sort=beat") == [f"shell{index}" for index in range(5)]
    assert shown("kind=client&sort=-beat") == [f"shell{index}" for index in range(4, -1, -1)]
    for sort in ("number", "-number", "beat", "-beat"):
        seen, cursor = list[str](), ""
        while True:
            part = data(ann, f"/members?limit=2&sort={sort}&cursor={cursor}")
            seen += [row["node"] for row in part["members"]]
            if not part["cursor"]:
                break
            cursor = part["cursor"]
        assert sorted(seen) == ["shell0", "shell1", "shell2", "shell3", "shell4", "test"], sort
    for query in ("kind=x", "state=x", "sort=x", "cursor=x", "limit=0", "limit=201", "queue=" + "x" * 201):
        assert ann.get(f"/members?{query}").status_code == 400, query
    assert "No member fits." in ann.get("/members?q=nobody").text


@pytest.mark.usefixtures("worker")
def test_how_a_member_is(server: Server, ann: TestClient) -> None:
    store = server.store
    silent, draining, waiting = join(server, "worker", "w1"), join(server, "worker", "w2"), join(server, "worker", "w3")
    store.command("ZADD", store.key("members"), store.now_ms() - 90_000, silent)
    store.command("SADD", store.key("leaving"), draining)
    store.command("SREM", store.key("workers"), waiting)
    store.command("HSET", store.key("server"), "leader", draining)
    there = TakingPart(server)
    states = {number: part.state for number in (silent, draining, waiting) if (part := there.of(number))}
    assert states == {silent: "silent", draining: "draining", waiting: "waiting"}
    page = ann.get("/members").text
    assert f"Worker w1 (member {silent}) has been silent for 1 min 30 s." in page
    assert page.count("leader") == 1
    for number, why in (
        (silent, "declared dead"), (draining, "It was told to leave"), (waiting, "begins with the next epoch"),
    ):  # fmt: skip
        assert why in ann.get(f"/members/{number}").text
    assert "It has the duties of the cluster" in ann.get(f"/members/{draining}").text
    store.command("HSET", store.key("server"), "state", "stopping")
    assert "The server stops" in ann.get(f"/members/{draining}").text
    store.command("HSET", store.key("server"), "state", "starting")
    (own,) = TakingPart(server).page(word="test", kind="worker")
    assert "Start-up hooks run" in ann.get(f"/members/{own.number}").text
    store.command("HSET", store.key("server"), "state", "running")


@pytest.mark.usefixtures("worker")
def test_a_worker_of_celerys_has_the_slots_of_its_pool(server: Server, ann: TestClient) -> None:
    number = join(server, "worker", "celery@web-1", pool="prefork", executors="8", code="abc")
    server.store.run("enlist", server.store.nonce(), number, "abc", 1, "default")
    shown = data(ann, f"/members/{number}")
    assert (shown["slots"], shown["busy"], shown["pool"], shown["code"]) == (8, 0, "prefork", "abc")
    page = ann.get(f"/members/{number}").text
    assert "Celery, pool prefork" in page
    assert "member.executors" not in page  # Celery scales it itself
    assert "member.stop" not in page  # and lets finish what runs there
    refused = ann.post("/act/member.stop", data={"member": str(number), "confirm": "yes"}, headers=JSON)
    assert (refused.status_code, "drain it" in refused.json()["error"]["message"]) == (422, True)


@pytest.mark.usefixtures("worker")
def test_one_member(server: Server, ann: TestClient) -> None:
    (own,) = data(ann)["members"]
    shown = data(ann, f"/members/{own['number']}")
    assert [executor["queues"] for executor in shown["executors"]] == [["default"]]
    assert shown["executors"][0]["holder"] in ann.get(f"/members/{own['number']}").text
    for number in ("999999", "x", "9" * 30):
        assert ann.get(f"/members/{number}").status_code == 404, number
    assert "it has left, or was declared dead" in ann.get("/members/999999").text


# -- queues


@pytest.mark.usefixtures("worker")
def test_where_processes_wait(server: Server, ann: TestClient, waits: Procedure[[], None]) -> None:
    for priority in (5, 5, 9):
        execute_on_server(waits.options(priority=priority))
    mail, default = sorted(queues(server, ["default"]), key=lambda queue: queue.name, reverse=True)
    assert (mail.name, mail.waiting, mail.executors, mail.unserved) == ("mail", 3, 0, True)
    assert server.store.now_ms() - 60_000 < mail.since_ms <= server.store.now_ms()
    assert (default.waiting, default.since_ms, default.executors, default.unserved) == (0, 0, 1, False)
    page = ann.get("/members").text
    assert "3 processes wait in the queues." in page
    assert "No worker listens on it: start one that does." in page
    assert [queue["name"] for queue in data(ann)["queues"]] == ["default", "mail"]
    assert [queue["name"] for queue in data(ann, "/members?queue=MA")["queues"]] == ["mail"]
    first = data(ann, "/members?limit=1&kind=client")
    assert [queue["name"] for queue in first["queues"]] == ["default"]
    assert [queue["name"] for queue in data(ann, f"/members?limit=1&after={first['after']}")["queues"]] == ["mail"]


@pytest.mark.usefixtures("worker")
def test_what_waits_longest_is_found_behind_what_goes_first(server: Server, waits: Procedure[[], None]) -> None:
    old = execute_on_server(waits.options(priority=1)).number
    new = execute_on_server(waits.options(priority=9)).number
    store = server.store
    for number, ago in ((old, 50_000), (new, 10_000)):
        store.command("HSET", store.key(f"p:{number}"), "a", store.now_ms() - ago)
    (mail,) = queues(server)
    assert store.now_ms() - mail.since_ms > 49_000


@pytest.mark.usefixtures("worker")
def test_who_paused_a_queue_and_until_when(server: Server, ann: TestClient) -> None:
    pause_queue(server, "mail", by="bob")
    assert "It is paused by bob." in ann.get("/members").text
    pause_all(server, by="eve", for_seconds=600)
    page = ann.get("/members").text
    assert re.search(r"Everything is paused by eve, until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", page)
    assert [gate["kind"] for gate in data(ann)["queues"][1]["gates"]] == ["all", "queue"]
    resume_all(server)


# -- what can be done


@pytest.mark.usefixtures("worker")
def test_who_may_not_change_anything_sees_no_button(server: Server) -> None:
    pause_queue(server, "mail", by="bob")
    (own,) = TakingPart(server).page()
    for eve in (browser(server, ["viewer"]), browser(server, read_only=True)):
        for path in ("/members", f"/members/{own.number}"):
            page = eve.get(path).text
            assert "/act/" not in page
            assert "checkbox" not in page


@pytest.mark.usefixtures("worker")
def test_a_queue_is_paused_resumed_and_purged_by_its_buttons(
    server: Server, ann: TestClient, waits: Procedure[[], None]
) -> None:
    execute_on_server(waits.options(priority=5))
    page = ann.get("/members").text
    assert {"queue": "mail"} in forms(page, "queue.pause")
    assert ann.post("/act/queue.pause", data={"queue": "mail"}).status_code == 303
    assert [gate.by for gate in queues(server)[0].gates] == ["ann"]
    page = ann.get("/members").text
    assert forms(page, "queue.resume") == [{"queue": "mail"}]
    ann.post("/act/queue.resume", data=forms(page, "queue.resume")[0])
    (purge,) = forms(ann.get("/members").text, "queue.purge")
    asked = ann.post("/act/queue.purge", data=purge)
    assert "To confirm it, type this:" in asked.text
    done = ann.post("/act/queue.purge", data={**purge, "confirm": "mail"})
    assert done.status_code == 303
    assert sum(queue.waiting for queue in queues(server)) == 0


@pytest.mark.usefixtures("worker")
def test_everything_is_paused_and_goes_on(server: Server, ann: TestClient) -> None:
    assert forms(ann.get("/members").text, "server.pause") == [{}]
    ann.post("/act/server.pause", data={"confirm": "yes", "seconds": "10m"})
    assert queues(server, ["default"])[0].gates[0].kind == "all"
    ann.post("/act/server.resume", data={})
    assert queues(server, ["default"])[0].gates == ()


def orders(server: Server, number: int) -> list[str]:
    return [order.decode() for order in server.store.command("LRANGE", server.store.key(f"orders:{number}"), 0, -1)]


@pytest.mark.usefixtures("worker")
def test_workers_are_ordered_by_their_forms(server: Server, ann: TestClient) -> None:
    (own,) = TakingPart(server).page()
    other = join(server, "worker", "w2")
    page = ann.get(f"/members/{other}").text
    mine = {"member": str(other)}
    for name in ("member.executors", "member.reload", "member.drain", "member.stop"):
        assert forms(page, name) == [mine], name
    ann.post("/act/member.executors", data={**mine, "executors": "6"})
    assert server.store.command("HGET", server.store.key(f"member:{other}"), "executors") == b"6"
    ann.post("/act/member.reload", data=mine)
    assert "about to be done" in ann.post("/act/member.drain", data={**mine, "grace": "5s"}).text
    gone = ann.post("/act/member.drain", data={**mine, "grace": "5s", "confirm": "yes", "back": f"/members/{other}"})
    assert gone.headers["location"] == "/members"
    assert server.store.command("HGET", server.store.key(f"member:{other}"), "drain_ms") == b"5000"
    assert orders(server, other) == ["executors", "reload", "drain"]
    ann.post("/act/member.stop", data={**mine, "confirm": "yes"})
    assert server.store.command("HGET", server.store.key(f"member:{other}"), "drain_ms") == b"0"
    said = ann.post("/act/member.stop", data={"member": str(own.number), "confirm": "yes"}, follow_redirects=True)
    assert "is the only worker that stays" in said.text


@pytest.mark.usefixtures("worker")
def test_chosen_workers_are_ordered_at_once(server: Server, ann: TestClient) -> None:
    numbers = [join(server, "worker", f"w{index}") for index in range(2)]
    page = ann.get("/members").text
    assert {f'name="member" value="{number}" form="chosen"' in page for number in numbers} == {True}
    assert 'formaction="/act/member.reload"' in page
    assert "2 done." in ann.post("/act/member.reload", data={"member": numbers}, follow_redirects=True).text
    assert [orders(server, number) for number in numbers] == [["reload"], ["reload"]]


@pytest.mark.usefixtures("worker")
def test_the_server_is_stopped_by_its_name(server: Server, ann: TestClient) -> None:
    (form,) = forms(ann.get("/members").text, "server.stop")
    assert form == {"server": server.name}
    assert ann.post("/act/server.stop", data={**form, "confirm": server.name}).status_code == 303
    assert server.store.command("HGET", server.store.key("server"), "state") == b"stopping"


@pytest.mark.usefixtures("worker")
def test_every_link_leads_to_a_page(server: Server, ann: TestClient, waits: Procedure[[], None]) -> None:
    execute_on_server(waits.options(priority=5))
    (own,) = TakingPart(server).page()
    found = {
        address
        for path in ("/members?limit=1", f"/members/{own.number}")
        for address in re.findall(r'href="(/[^"]*)"', ann.get(path).text)
    }
    assert len(found) > 10
    for address in found:
        assert ann.get(unescape(address)).status_code == 200, address
