"""The lock explorer of the admin page: who has what and since when, who waits in which order, and why."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import Process, Server, execute_on_server, procedure, semaphore, session, signal
from onserver.errors import LockLost, NoWorker
from onserver.redis.address import Address
from onserver.testing import wait_for
from onserver.views.locks import counted, lock_of, locks
from tests.admin_browser import browser
from tests.admin_forms import confirmed, forms, told
from tests.inline_worker import make_server, working

JSON = {"accept": "application/json"}


@procedure(name="explored.holds")
def holds(kind: str, number: int = 0) -> None:
    own = session()
    assert own is not None
    with own.storage.use("a"):
        if kind == "lock":
            with own.storage.use("b"):
                pass
        elif kind == "semaphore":
            with semaphore("printer", slots=1):
                pass
        elif kind == "signal":
            signal("go").wait(20)
        else:
            Process[None](Server.current(), number).wait(timeout=20)


@procedure(name="explored.never", queue="nobody")
def never() -> None: ...


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"al{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


@contextmanager
def waiting(server: Server, key: str, count: int = 1) -> Iterator[list[str]]:
    """So many who wait for a lock, in a line; their names as they get it."""
    got: list[str] = []

    def waits(name: str) -> None:
        with server.storage.use(key, timeout=30):
            got.append(name)

    found: list[threading.Thread] = []
    for number in range(count):
        found.append(threading.Thread(target=waits, args=(f"w{number}",)))
        found[-1].start()
        wait_for(lambda: waiters(server, key) == len(found), 20)
    try:
        yield got
    finally:
        for one in found:
            one.join()


def waiters(server: Server, key: str) -> int:
    lock = lock_of(server.store, "st:", key)
    return lock.waiting if lock else 0


def data(ann: TestClient, query: str = "") -> Any:
    return ann.get(f"/locks{query}", headers=JSON).json()["data"]


def keys(ann: TestClient, query: str = "") -> list[str]:
    return [row["key"] for row in data(ann, query)["rows"]]


def words(ann: TestClient, query: str = "") -> str:
    answer = ann.get(f"/locks{query}")
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]*>", " ", unescape(answer.text)).split())


def test_without_locks_it_says_how_one_is_taken(ann: TestClient) -> None:
    shown = words(ann)
    assert "No lock is held." in shown
    assert 'with session().storage.use("rates") as rates:' in shown


def test_a_lock_has_holder_time_and_line_in_order(server: Server, ann: TestClient) -> None:
    with ExitStack() as stack:
        got = stack.enter_context(waiting_after(server, "a", 3))
        (row,) = data(ann)["rows"]
        assert (row["key"], row["session"], row["waiting"], row["holder"]["kind"]) == ("a", "", 3, "thread")
        assert 0 <= server.store.now_ms() - row["since_ms"] < 20_000
        assert row["until_ms"] > row["since_ms"]
        assert [one["next"] for one in row["waiters"]] == [True, False, False]
        moments = [one["since_ms"] for one in row["waiters"]]
        assert moments == sorted(moments)
        assert moments[0] >= row["since_ms"]
        shown = words(ann)
        assert "One lock is held. 3 wait." in shown
        assert re.search(r"1 a thread of \S+ ([\d.]+ s ago|now) would be next 2 a thread", shown)
        assert "Its holder is a program outside of processes and waits for nothing; who waits may take it in" in shown
    assert got == ["w0", "w1", "w2"]
    assert locks(server.store) == []
    assert server.store.command("EXISTS", server.store.key("since"), server.store.key("waits")) == 0


@contextmanager
def waiting_after(server: Server, key: str, count: int) -> Iterator[list[str]]:
    """A lock that this thread has, and a line behind it, which gets it at the end."""
    got: list[str] = []
    with ExitStack() as stack, server.storage.use(key):
        got = stack.enter_context(waiting(server, key, count))
        yield got


def test_who_is_gone_is_passed_over(server: Server, ann: TestClient) -> None:
    with waiting_after(server, "a", 2):
        (row,) = data(ann)["rows"]
        holder = row["waiters"][0]["owner"]["id"]
        line = server.store.key("st:w:a")
        server.store.command("ZADD", line, 0.5, "TOKEN 999.1/7.1 0")
        first, second, _ = data(ann)["rows"][0]["waiters"]
        assert (first["owner"]["alive"], first["next"], second["owner"]["id"], second["next"]) == (
            False, False, holder, True,
        )  # fmt: skip
        assert "gone: passed over" in words(ann)
        server.store.command("ZREM", line, "TOKEN 999.1/7.1 0")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "lock",
            r"#{n} explored.holds on \S+ waits for the lock of b, which a thread of \S+ has\. \( ([\d.]+ s ago|now) \)",
        ),
        (
            "semaphore",
            r"#{n} explored.holds on \S+ waits for a slot of the semaphore printer; its slots have: a thread",
        ),
        (
            "signal",
            r"#{n} explored.holds on \S+ waits for the signal go, which anybody may trigger\. \( ([\d.]+ s ago|now) \)",
        ),
        ("end", r"#{n} explored.holds on \S+ waits for the end of #\d+, which has not begun\."),
    ],
)
def test_it_says_what_a_holder_waits_for_itself(server: Server, ann: TestClient, kind: str, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)  # said once for a while, whichever test was first
        other = execute_on_server("explored.never")
    printer = semaphore("printer", slots=1)
    with working(server):
        taken: Callable[[], Any] = {"lock": lambda: server.storage.use("b"), "semaphore": lambda: printer}.get(
            kind, ExitStack
        )
        with taken():
            run = execute_on_server("explored.holds", kind, other.number)
            wait_for(lambda: bool(data(ann, "?only=stuck")["rows"]), 20)
            shown = words(ann)
            assert re.search(text.replace("{n}", str(run.number)), shown), shown
            assert keys(ann, "?only=stuck") == ["a"]
            both = ["b", "a"] if kind == "lock" else ["a"]  # it has the one, and waits for the other
            assert keys(ann, f"?q=%23{run.number}") == keys(ann, "?q=EXPLORED.holds") == both
            if kind == "lock":
                assert re.search(r"b Of the server a thread", shown)
                lock = lock_of(server.store, "st:", "b")
                assert lock is not None
                assert [one.owner.process for one in lock.waiters] == [run.number]
                assert ann.get("/storage/server/entry?key=b").text.count("would be next") == 1
        if kind == "signal":
            signal("go").trigger()
        if kind == "end":
            other.abort()
        run.wait(timeout=20)
        assert locks(server.store) == []


def test_a_process_that_works_is_said_to(server: Server, ann: TestClient) -> None:
    gate, ready = threading.Event(), threading.Event()

    @procedure(name="explored.works")
    def works() -> None:
        own = session()
        assert own is not None
        with own.storage.use("a"):
            ready.set()
            gate.wait(20)

    with working(server):
        run = execute_on_server(works)
        try:
            assert ready.wait(20)
            with waiting_released(server, gate):
                assert "Its holder runs and waits for nothing: the lock falls when its block ends." in words(ann)
        finally:
            gate.set()
        run.wait(timeout=20)


@contextmanager
def waiting_released(server: Server, gate: threading.Event) -> Iterator[None]:
    with waiting(server, "a"):
        try:
            yield
        finally:
            gate.set()


def test_locks_are_found_sorted_and_counted(server: Server, ann: TestClient) -> None:
    shopper = server.sessions.open("web", user="Bea")
    with ExitStack() as stack:
        stack.enter_context(server.storage.use("old"))
        for number in range(3):
            stack.enter_context(shopper.storage.use(f"k{number}"))
        server.store.command("HSET", server.store.key("st:l:old"), "at", server.store.now_ms() - 90_000)
        assert keys(ann) == ["old", "k0", "k1", "k2"]
        assert keys(ann, "?sort=-entry") == ["old", "k2", "k1", "k0"]
        assert keys(ann, "?sort=entry&limit=2&cursor=2") == ["k2", "old"]
        assert keys(ann, "?only=long") == ["old"]
        assert keys(ann, "?only=waited") == keys(ann, "?q=nothing") == []
        assert keys(ann, f"?q={shopper.id[:8]}") == ["k0", "k1", "k2"]
        assert keys(ann, "?q=k1;old") == ["old", "k1"]
        assert data(ann)["numbers"] == {"waited": 0, "long": 1, "stuck": 0}
        assert {name for name, _, _ in counted(server.store)} >= {"st:l:old"}
        assert [lock.key for lock in locks(server.store, space=shopper.record.storage_space)] == ["k0", "k1", "k2"]
        assert "No lock fits." in words(ann, "?q=nothing")
        again = server.sessions.rotate(shopper.id)
        assert {row["session"] for row in data(ann)["rows"]} == {"", again.id}
    for query in ("only=x", "sort=x", "cursor=x", "cursor=-1", "limit=0", "limit=201"):
        assert ann.get(f"/locks?{query}").status_code == 400


def test_a_lock_is_taken_away_by_its_name(server: Server, ann: TestClient) -> None:
    shopper = server.sessions.open("web", user="Bea")
    with pytest.raises(LockLost), shopper.storage.use("cart") as cart:
        cart["shoes"] = 1
        (form,) = forms(ann.get("/locks").text, "storage.unlock")
        assert form.given == {"key": "cart", "session": shopper.id}
        assert told(ann, confirmed(ann, ann.post(form.action, data=form.given))).startswith(
            "✓ The lock of cart is taken"
        )
    with pytest.raises(LockLost), server.storage.use() as root:
        root["a"] = 1
        (form,) = forms(ann.get("/locks").text, "storage.unlock")
        assert told(ann, confirmed(ann, ann.post(form.action, data=form.given))).startswith("✓ The lock of the root")
    assert list(server.storage) == list(shopper.storage) == []


def test_who_may_not_sees_no_button(server: Server) -> None:
    with server.storage.use("a"):
        for eve in (browser(server, ["viewer"]), browser(server, read_only=True)):
            assert "/act/" not in eve.get("/locks").text


def test_every_link_leads_to_a_page(server: Server, ann: TestClient) -> None:
    shopper = server.sessions.open("web", user="Bea")
    with server.storage.use(), shopper.storage.use("cart"), waiting_after(server, "a/b", 1):
        for link in set(re.findall(r'href="(/[^"]*)"', ann.get("/locks").text)):
            assert ann.get(unescape(link)).status_code == 200, link


def test_the_overview_names_who_has_a_lock_for_long(server: Server, ann: TestClient) -> None:
    with server.storage.use("rates"):
        server.store.command("HSET", server.store.key("st:l:rates"), "at", server.store.now_ms() - 90_000)
        shown = unescape(ann.get("/").text)
        assert re.search(
            r'<a href="/locks">The lock of rates has been held for 1 min 30 s, by a thread of \S+\.</a>', shown
        )
