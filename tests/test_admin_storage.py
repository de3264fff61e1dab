"""Storage on the admin page: what there is, one entry with its value, what changes, and two who write at once."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import Server
from onserver.errors import LockLost
from onserver.redis.address import Address
from onserver.session.session import Session
from onserver.testing import wait_for
from onserver.values import thaw
from onserver.views.locks import lock_of
from onserver.views.masked import Mask
from tests.admin_browser import browser
from tests.admin_forms import boxes, confirmed, forms, sent, told
from tests.inline_worker import make_server

JSON = {"accept": "application/json"}
RATES = "/storage/server/entry?key=rates"


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"at{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


@pytest.fixture
def shopper(server: Server) -> Session:
    opened = server.sessions.open("web", user="Bea")
    with opened.storage.use("cart") as cart:
        cart["shoes"] = 2
    return opened


def put(server: Server, **entries: object) -> None:
    with server.storage.use() as root:
        for key, value in entries.items():
            root[key] = value


def data(ann: TestClient, address: str) -> Any:
    return ann.get(address, headers=JSON).json()["data"]


def page(ann: TestClient, address: str) -> str:
    answer = ann.get(address)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def words(ann: TestClient, address: str) -> str:
    """The words of a page, as people read them."""
    return " ".join(re.sub(r"<[^>]*>", " ", page(ann, address)).split())


# -- lists


def test_an_empty_storage_says_how_to_put_something_in_it(ann: TestClient) -> None:
    shown = page(ann, "/storage")
    assert 'with session().storage.use("rates") as rates:\n    rates["EUR"] = 1.1' in shown
    assert "No session has stored anything." in shown
    assert "The storage is empty." in page(ann, "/storage/server")


def test_entries_have_type_size_version_writer_and_lock(server: Server, ann: TestClient) -> None:
    put(server, rates={"EUR": 1.1}, names=["a"], title="x", price=Decimal("1.5"), long="x" * 100_000)
    put(server, rates={"EUR": 1.2})
    server.storage.counter("visits").add(3)
    with server.storage.use("names"):
        rows = {row["key"]: row for row in data(ann, "/storage/server")["rows"]}
        assert "a thread of" in page(ann, "/storage")
    types = {key: row["type"] or row["kind"] for key, row in rows.items()}
    assert types == {
        "rates": "object", "names": "list", "title": "text", "price": "Decimal", "long": "value", "visits": "counter",
    }  # fmt: skip
    assert (rows["rates"]["version"], rows["title"]["version"]) == (2, 1)
    assert rows["long"]["bytes"] > 100_000
    assert rows["rates"]["writer"]["kind"] == "thread"
    assert (rows["names"]["holder"]["kind"], rows["rates"]["holder"]["kind"]) == ("thread", "nobody")
    assert data(ann, "/storage")["server"]["entries"] == 6


def test_entries_are_found_by_a_part_of_their_name_and_go_on_behind_a_cursor(server: Server, ann: TestClient) -> None:
    put(server, **{f"order:{number:02}": number for number in range(25)}, **{"rate*": 1, "rates": 2})
    assert [row["key"] for row in data(ann, "/storage/server?q=rate*")["rows"]] == ["rate*"]
    found: list[str] = []
    address = "/storage/server?q=order&limit=10"
    while address:
        found += [row["key"] for row in data(ann, address)["rows"]]
        further = re.search(r'<a href="([^"]*)" rel="next"', ann.get(address).text)
        address = unescape(further[1]) if further else ""
    assert found == [f"order:{number:02}" for number in range(25)]
    assert "No entry fits." in page(ann, "/storage/server?q=nothing")
    for query in ("limit=0", "limit=201", "limit=x"):
        assert ann.get(f"/storage/server?{query}").status_code == 400
        assert ann.get(f"/storage?{query}").status_code == 400
    assert ann.get("/storage?cursor=x").status_code == 400


def test_sessions_that_have_stored_something_are_there(server: Server, ann: TestClient, shopper: Session) -> None:
    server.sessions.open("web", user="empty")
    (row,) = data(ann, "/storage")["sessions"]
    assert (row["id"], row["user"], row["entries"]) == (shopper.id, "Bea", 1)
    assert "empty" not in words(ann, "/storage").partition("Of sessions")[2].partition("Times are")[0]
    assert "cart" in page(ann, f"/storage/{shopper.id}")
    assert ann.get(f"/storage/{'0' * 32}").status_code == ann.get("/storage/x").status_code == 404
    for number in range(12):
        with server.sessions.open("web", user=f"u{number}").storage.use("cart") as cart:
            cart["n"] = number
    first = data(ann, "/storage?limit=10")
    rest = data(ann, f"/storage?limit=10&cursor={first['cursor']}")
    assert len({row["id"] for row in (*first["sessions"], *rest["sessions"])}) == 13
    assert rest["cursor"] == ""


# -- one entry


def test_a_value_is_shown_as_a_tree_and_as_text(server: Server, ann: TestClient) -> None:
    put(server, rates={"EUR": 1.1, "of": {"day": datetime(2026, 8, 1, tzinfo=UTC)}, "all": [True, None]})
    shown = words(ann, RATES)
    for text in (
        "EUR number 1.1",
        "of object one inside",
        "all list 2 inside",
        "0 boolean true",
        "1 null null",
        "datetime",
    ):
        assert text in shown, text
    assert '"EUR": 1.1' in page(ann, f"{RATES}&as=text")
    assert data(ann, RATES)["value"]["all"] == [True, None]
    assert "objet" in ann.get(RATES, headers={"accept-language": "fr"}).text
    assert ann.get(f"{RATES}&as=x").status_code == 400
    for gone in ("/storage/server/entry?key=none", "/storage/server/entry", f"/storage/{'0' * 32}/entry?key=rates"):
        assert ann.get(gone).status_code == 404


def test_a_large_value_is_cut(server: Server, ann: TestClient) -> None:
    put(server, rates=list(range(100_000)))
    shown = page(ann, RATES)
    assert "Only the beginning is shown." in shown
    assert shown.count('<tr data-key="[') == 499
    assert "It is large, or holds what JSON has no word for" in shown
    assert len(page(ann, f"{RATES}&as=text")) < 150_000


def test_values_are_for_those_who_may_see_them_and_secrets_for_nobody(server: Server) -> None:
    put(server, rates={"EUR": 1.1, "in": [{"apiToken": "tok-4711"}]}, db_password="pw-4711")
    ann, eve = browser(server), browser(server, ["viewer"])
    for address in (RATES, f"{RATES}&as=text", "/storage/server/entry?key=db_password", "/storage/server", "/storage"):
        assert "4711" not in ann.get(address).text
        assert "4711" not in ann.get(address, headers=JSON).text
        assert "1.1" not in eve.get(address).text
    assert "apiToken text •••" in words(ann, RATES)
    assert "Something in it is masked" in page(ann, RATES)
    (form,) = forms(page(ann, RATES), "storage.set")
    assert form.given["value"] == ""
    assert "Values are shown to those who have the privilege admin.data." in page(eve, RATES)
    assert "value" not in data(eve, RATES)


def test_what_is_masked_is_a_setting() -> None:
    mask = Mask(["*iban*", "Pin"])
    assert mask.over({"IBAN": "DE1", "pin": 1, "pinned": 2, "rows": [{"my_iban_2": 3}]}) == {
        "IBAN": "•••", "pin": "•••", "pinned": 2, "rows": [{"my_iban_2": "•••"}],
    }  # fmt: skip
    assert not mask.touches({"password": 1})
    assert mask.touches([{"a": {"pin": 1}}])
    assert mask.over("x", "iban") == "•••"


def test_what_changes_from_a_version_on_is_marked(server: Server, ann: TestClient) -> None:
    put(server, rates={"EUR": 1.1, "USD": 1, "old": 0, "token": "t"})
    link = re.search(r'<a href="([^"]*was=[^"]*)">Mark what changes', ann.get(RATES).text)
    assert link
    address = unescape(link[1])
    assert "Nothing has changed since version 1." in page(ann, address)
    put(server, rates={"EUR": 1.2, "USD": 1, "YEN": 160, "token": "another"})
    shown = words(ann, address)
    assert "It was version 1, and is version 2." in shown
    assert "One value is gone." in shown
    assert "EUR number 1.2 • changed" in shown
    assert "YEN number 160 • new" in shown
    assert "USD number 1 YEN" in shown  # unmarked, and nothing is told of a secret
    assert "token text •••" in shown
    assert "token text ••• •" not in shown
    assert "It was version 1, and is version 2." in words(ann, f"{RATES}&since=1")
    for query in ("was=abc", "was=" + "A" * 2001, "since=x"):
        assert ann.get(f"{RATES}&{query}").status_code == 400
    put(server, rates=list(range(300)))
    assert "It was version 1, and is version 3." in words(ann, address)


def test_an_entry_of_any_name_has_a_page(server: Server, ann: TestClient) -> None:
    names = ["a/b?c#d&e", "..", "50%", " ", "é\n", "x" * 255]
    put(server, **dict.fromkeys(names, 1))
    links = {
        unescape(one) for one in re.findall(r'href="(/storage/server/entry[^"]*)"', ann.get("/storage/server").text)
    }
    assert len(links) == len(names)
    assert {data(ann, link)["key"] for link in links} == set(names)


def test_an_entry_that_cannot_be_read_is_told_of(server: Server, ann: TestClient) -> None:
    put(server, good=1)
    server.store.command("HSET", server.store.key("st:e:bad"), "v", b"\xc7\x01\x63x", "n", 1, "k", "v")
    server.store.command("SADD", server.store.key("st:index"), "bad")
    server.storage.cache.close()
    bad = "/storage/server/entry?key=bad"
    assert "bad unreadable" in words(ann, "/storage/server")
    assert "It cannot be read: extension type 99 is not one of onserver's" in words(ann, bad)
    file = json.loads(ann.get("/storage/server/export").text)
    assert ([row["key"] for row in file["entries"]], file["masked"]) == (["good"], ["bad"])
    assert forms(ann.get(bad).text, "storage.delete") == []  # no program reads it, to write or to remove it


# -- what can be done


def test_who_may_not_sees_no_button(server: Server, shopper: Session) -> None:
    put(server, rates={})
    with server.storage.use(), server.storage.use("rates"):
        for eve in (browser(server, ["viewer"]), browser(server, read_only=True)):
            for address in ("/storage", "/storage/server", f"/storage/{shopper.id}", RATES):
                shown = page(eve, address)
                assert "/act/" not in shown, address
                assert boxes(shown) == []


@pytest.mark.parametrize("whose", ["server", "session"])
def test_entries_are_added_counted_edited_and_removed(
    server: Server, ann: TestClient, shopper: Session, whose: str
) -> None:
    word, storage = ("server", server.storage) if whose == "server" else (shopper.id, shopper.storage)
    listed, one = f"/storage/{word}", f"/storage/{word}/entry?key=rates"
    assert told(ann, sent(ann, listed, "storage.set", key="rates", value='{"EUR": 1}')) == "✓ Entry rates is set."
    assert told(ann, sent(ann, listed, "storage.increment", key="visits", amount="5")) == "✓ Counter visits is 5 now."
    (form,) = forms(ann.get(one).text, "storage.set")
    assert json.loads(form.given["value"]) == {"EUR": 1}
    told(ann, sent(ann, one, "storage.set", value='{"EUR": 2}'))
    assert storage["rates"] == {"EUR": 2}
    assert storage.version("rates") == 2
    counter = f"/storage/{word}/entry?key=visits"
    for at, amount in ((0, {}), (0, {}), (1, {}), (2, {"amount": "-10"})):
        assert told(ann, sent(ann, counter, "storage.increment", at=at, **amount)).startswith("✓")
    assert storage.counter("visits").value == -4
    assert told(ann, sent(ann, one, "storage.delete")) == "✓ Entry rates is removed."
    assert "rates" not in storage
    again = sent(ann, listed, "storage.set", key="visits", value="1")
    assert again.status_code == 409  # it is there already: both are shown


def test_chosen_entries_are_removed(server: Server, ann: TestClient) -> None:
    put(server, a=1, b=2, c=3)
    shown = ann.get("/storage/server").text
    assert boxes(shown) == [("key", "a"), ("key", "b"), ("key", "c")]
    (form,) = [one for one in forms(shown) if any("formaction" in button for button in one.buttons)]
    answer = ann.post(form.buttons[0]["formaction"], data={**form.given, "key": ["a", "b"]})
    assert told(ann, confirmed(ann, answer)).startswith("✓ 2 done.")
    assert list(server.storage) == ["c"]


def test_two_who_write_at_once_see_both_values(server: Server, ann: TestClient) -> None:
    put(server, rates={"EUR": 1.1})
    (form,) = forms(ann.get(RATES).text, "storage.set")
    put(server, rates={"EUR": 1.2})
    answer = ann.post(form.action, data=form.given | {"value": '{"EUR": 1.3}'})
    assert answer.status_code == 409
    shown = unescape(answer.text)
    for text in ("was version 1 when you opened it, and is version 2", '"EUR": 1.2', '{"EUR": 1.3}'):
        assert text in shown
    assert server.storage["rates"] == {"EUR": 1.2}
    (over,) = forms(answer.text, "storage.set")
    assert (over.given["value"], over.given["version"]) == ('{"EUR": 1.3}', "2")
    assert told(ann, ann.post(over.action, data=over.given)) == "✓ Entry rates is set."
    assert server.storage["rates"] == {"EUR": 1.3}
    with server.storage.use() as root:
        del root["rates"]
    gone = ann.post(form.action, data=form.given)
    assert gone.status_code == 409
    assert "and is gone. Nothing was written." in gone.text
    told_api = ann.post(form.action, json=dict(form.given), headers=JSON)
    assert (told_api.status_code, told_api.json()["error"]["code"]) == (409, 3108)


def test_the_other_value_is_hidden_from_who_may_see_none(server: Server) -> None:
    put(server, rates={"EUR": 1.1, "token": "tok-1"})
    eve, ann = browser(server, ["admin.view", "admin.storage"]), browser(server)
    put(server, rates={"EUR": 1.2, "token": "tok-2"})
    given = {"key": "rates", "value": "1", "version": "1"}
    assert "1.2" not in eve.post("/act/storage.set", data=given).text
    shown = ann.post("/act/storage.set", data=given).text
    assert "1.2" in shown
    assert "tok-" not in shown


def test_a_lock_is_taken_away_by_its_name(server: Server, ann: TestClient) -> None:
    put(server, rates={"EUR": 1})
    order: list[str] = []

    def waits() -> None:
        with server.storage.use("rates", timeout=20) as rates:
            order.append("second")
            rates["EUR"] = 2

    waiting = threading.Thread(target=waits)
    with pytest.raises(LockLost), server.storage.use("rates") as rates:
        rates["EUR"] = 3
        waiting.start()
        wait_for(lambda: (lock := lock_of(server.store, "st:", "rates")) is not None and lock.waiting == 1, 20)
        shown = words(ann, RATES)
        assert "would be next" in shown
        assert re.search(r"1 a thread of \S+ ([\d.]+ s ago|now) would be next", shown)
        assert told(ann, sent(ann, RATES, "storage.unlock")).startswith("✓ The lock of rates is taken from")
        waiting.join()
    assert server.storage["rates"] == {"EUR": 2}
    assert server.store.command("HLEN", server.store.key("since")) == 0


def test_the_lock_of_an_entry_that_is_to_be_and_of_the_root_are_shown(server: Server, ann: TestClient) -> None:
    with pytest.raises(LockLost), server.storage.use("new") as new:
        new["a"] = 1
        assert "There is no such entry yet; somebody has its lock" in page(ann, "/storage/server/entry?key=new")
        assert data(ann, "/storage/server/entry?key=new")["lock"]["key"] == "new"
        assert told(ann, sent(ann, "/storage/server/entry?key=new", "storage.unlock")).startswith("✓")
    with pytest.raises(LockLost), server.storage.use() as root:
        root["a"] = 1
        assert "The lock of the root" in page(ann, "/storage/server")
        assert told(ann, sent(ann, "/storage/server", "storage.unlock")).startswith("✓ The lock of the root is taken")
    assert list(server.storage) == []


# -- as a file


def test_a_file_has_all_but_what_is_masked_and_goes_back(server: Server, ann: TestClient, shopper: Session) -> None:
    put(server, rates={"EUR": Decimal("1.1")}, plain=[1, "a"], config={"token": "tok-1"}, secret_key="tok-2")
    server.storage.counter("visits").add(7)
    answer = ann.get("/storage/server/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="storage-server.json"'
    assert answer.headers["content-type"] == "application/json"
    assert "tok-" not in answer.text
    file = json.loads(answer.text)
    assert [row["key"] for row in file["entries"]] == ["plain", "rates", "visits"]
    assert file["masked"] == ["config", "secret_key"]
    said = told(ann, sent(ann, f"/storage/{shopper.id}", "storage.import", data=answer.text, replace="true"))
    assert said == "✓ 3 entries are put, 1 are removed."
    found = {key: thaw(value) for key, value in shopper.storage.items()}
    assert found == {"plain": [1, "a"], "rates": {"EUR": Decimal("1.1")}, "visits": 7}
    asked = ann.post("/act/storage.import", data={"data": answer.text + " " * 600}).text
    assert unescape(asked).count('"v": 1') == 2  # in the form, and in short above it
    assert "act(&#39;storage.import&#39;, data=...)" in asked
    refused = told(ann, sent(ann, "/storage/server", "storage.import", data='{"file": "x", "v": 1, "entries": []}'))
    assert "is no export of a storage" in refused
    assert browser(server, ["viewer"]).get("/storage/server/export").status_code == 403
    assert "/export" not in browser(server, ["viewer"]).get("/storage/server").text


def test_a_storage_too_large_for_a_file_names_the_command(
    server: Server, ann: TestClient, shopper: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onserver.admin.pages.storage.MOST_BYTES", 2)
    answer = ann.get(f"/storage/{shopper.id}/export")
    assert answer.status_code == 413
    assert f"onserver storage export FILE --session {shopper.id}" in answer.text


def test_every_link_leads_to_a_page(server: Server, ann: TestClient, shopper: Session) -> None:
    put(server, rates={"EUR": 1}, **{"a/b?": 2})
    with server.storage.use(), server.storage.use("rates"):
        for address in ("/storage", "/storage/server", f"/storage/{shopper.id}", RATES):
            for link in set(re.findall(r'href="(/[^"]*)"', ann.get(address).text)):
                assert ann.get(unescape(link)).status_code == 200, link
