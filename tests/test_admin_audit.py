"""The audit page: what was done and by whom, who has logged in; its filters, its files, what it keeps to itself."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver.admin import Admin
from onserver.admin.logins import REFUSED_OF_HOUR, Login, Logins
from onserver.redis.address import Address
from onserver.server import Server
from onserver.session.attempts import MOST_OF_NAME, Attempts
from onserver.session.users import Users
from onserver.steer.actor import Actor
from onserver.steer.audit import Line, lines, record
from onserver.steer.granted import PRIVILEGES
from tests.admin_browser import browser, stranger
from tests.inline_worker import make_server


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"au{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    client = browser(server)
    forget(server)
    return client


def forget(server: Server) -> None:
    server.store.command("DEL", server.store.key("audit"))


def write(server: Server, user: str = "bob", action: str = "process.abort", **facts: Any) -> str:
    where, origin = facts.pop("where", "page"), facts.pop("origin", "::1")
    actor = Actor(user=user, origin=origin, where=where, privileges=frozenset(PRIVILEGES))
    known: dict[str, Any] = {"result": "done", "target": "7", **facts}
    return record(server.store, actor, action, **known)


def data(ann: TestClient, query: str = "") -> Any:
    answer = ann.get(f"/audit{query}", headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def targets(ann: TestClient, query: str) -> list[str]:
    return [line["target"] for line in data(ann, query)["lines"]]


# -- the page


def test_where_nothing_was_done_it_says_so(ann: TestClient) -> None:
    page = ann.get("/audit").text
    assert "No change has been made yet." in page
    assert data(ann) == {"lines": [], "cursor": None}
    assert "Nothing fits." in ann.get("/audit?user=bob").text
    assert "まだ変更は行われていません。" in ann.get("/audit", headers={"accept-language": "ja"}).text


def test_a_line_says_who_from_where_what_before_after_and_why(server: Server, ann: TestClient) -> None:
    write(server, before="running", after="aborted", origin="192.0.2.7")
    write(server, "eve", "backup.restore", result="refused", target="shop[0004].onsb", why="it takes admin.restore")
    page = ann.get("/audit").text
    for text in ("bob", "192.0.2.7", "process.abort", "running → aborted", "Refused", "it takes admin.restore"):
        assert text.lower() in page.lower(), text
    refused, done = data(ann)["lines"]
    assert (refused["user"], refused["result"], refused["why"]) == ("eve", "refused", "it takes admin.restore")
    assert (done["before"], done["after"], done["where"], done["origin"]) == ("running", "aborted", "page", "192.0.2.7")
    assert f'<tr data-key="{done["id"]}">' in page


def test_what_is_in_a_line_is_no_markup(server: Server, ann: TestClient) -> None:
    write(server, "<b>bob", target="<script>alert(1)</script>", why='"><img src=x>')
    page = ann.get("/audit").text
    assert "<script>alert" not in page
    assert "<b>bob" not in page
    assert "<img" not in page


def test_the_page_of_an_action_leads_to_its_line(server: Server, ann: TestClient) -> None:
    assert ann.post("/act/queue.pause", data={"queue": "mail"}).status_code == 303
    assert ann.post("/act/process.abort", data={"process": "999", "confirm": "yes"}).status_code == 303
    failed, paused = data(ann)["lines"]
    assert (paused["user"], paused["action"], paused["target"], paused["result"]) == (
        "ann", "queue.pause", "mail", "done",
    )  # fmt: skip
    assert (failed["action"], failed["target"], failed["result"]) == ("process.abort", "999", "failed")
    viewer = browser(server, ["viewer"], user="eve")
    assert viewer.post("/act/queue.resume", data={"queue": "mail"}).status_code == 403
    assert data(viewer, "?user=eve&result=refused")["lines"][0]["action"] == "queue.resume"


# -- filters


def test_it_is_filtered_in_the_address(server: Server, ann: TestClient) -> None:
    write(server, target="1")
    write(server, "eve", "process.pause", target="2", result="refused")
    write(server, "eve", "queue.pause", target="Mail", where="cli")
    assert targets(ann, "?user=eve") == ["Mail", "2"]
    assert targets(ann, "?action=process") == ["2", "1"]
    assert targets(ann, "?action=process.pause") == ["2"]
    assert targets(ann, "?action=proc") == []
    assert targets(ann, "?target=mai") == ["Mail"]
    assert targets(ann, "?result=refused") == ["2"]
    assert targets(ann, "?where=cli") == ["Mail"]
    assert targets(ann, "?user=eve&action=queue") == ["Mail"]
    page = ann.get("/audit?user=eve&action=process").text
    assert 'name="user" value="eve"' in page
    assert "onserver audit --user eve --action process" in page


def test_a_time_has_a_beginning_and_an_end(server: Server, ann: TestClient) -> None:
    for target, ms in (("1", 1_785_585_600_000), ("2", 1_785_585_660_500), ("3", 1_785_585_720_000)):
        server.store.command("XADD", server.store.key("audit"), f"{ms}-0", "target", target, "result", "done")
    assert targets(ann, "?from=2026-08-01T12:01") == ["3", "2"]
    assert targets(ann, "?to=2026-08-01T12:01:00") == ["2", "1"]  # to the end of that second
    assert targets(ann, "?from=2026-08-01T12:01&to=2026-08-01T12:01:59") == ["2"]
    assert targets(ann, "?to=2026-08-01T12:02&cursor=1785585660500-0") == ["1"]
    assert targets(ann, "?to=2026-08-01T12:00:30&cursor=1785585660500-0") == ["1"]
    assert targets(ann, "?from=2030-01-01") == targets(ann, "?to=1960-01-01") == []
    assert 'name="from" value="2026-08-01T12:01:00"' in ann.get("/audit?from=2026-08-01T12:01").text


@pytest.mark.parametrize(
    "query", ["result=good", "where=moon", "from=yesterday", "to=x", "cursor=last", "cursor=1-", "limit=201", "limit=0"]
)
def test_what_cannot_be_asked_is_refused(ann: TestClient, query: str) -> None:
    assert ann.get(f"/audit?{query}").status_code == 400
    assert ann.get(f"/audit/download?{query}").status_code == (200 if query[0] in "cl" else 400)


def test_one_page_leads_to_the_next(server: Server, ann: TestClient) -> None:
    for number in range(5):
        write(server, target=str(number))
    seen, path, pages = list[str](), "/audit?limit=2&user=bob", 0
    while path:
        seen += re.findall(r'<td class="wide">(?:<a [^>]*>)?(\d)<', ann.get(path).text)
        found = re.search(r'href="([^"]+)" rel="next"', ann.get(path).text)
        path, pages = found[1].replace("&amp;", "&") if found else "", pages + 1
    assert (seen, pages) == (["4", "3", "2", "1", "0"], 3)


def test_every_link_leads_to_a_page(server: Server, ann: TestClient) -> None:
    write(server, "<eve> & co", target="999", before="a", after="b")
    found = set(re.findall(r'href="(/audit[^"]*)"', ann.get("/audit?limit=1").text))
    assert len(found) > 4
    for address in found:
        assert ann.get(address.replace("&amp;", "&")).status_code == 200, address


# -- as a file


def test_what_fits_is_a_file(server: Server, ann: TestClient) -> None:
    for number in range(3):
        write(server, target=str(number), why='=cmd|" /c"!A1')
    write(server, "eve")
    got = ann.get("/audit/download?user=bob")
    assert re.fullmatch(r'attachment; filename="audit-\d+\.csv"', got.headers["content-disposition"])
    assert got.headers["content-type"] == "text/csv; charset=utf-8"
    assert got.headers["x-content-type-options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(got.text)))
    assert [row["target"] for row in rows] == ["2", "1", "0"]
    assert rows[0]["why"] == '\'=cmd|" /c"!A1'  # no formula to a table program
    got = ann.get("/audit/download?format=json")
    assert got.headers["content-type"] == "application/json"
    assert [line["user"] for line in got.json()] == ["eve", "bob", "bob", "bob"]
    assert ann.get("/audit/download?format=xml").status_code == 400
    hrefs = re.findall(r'href="([^"]*download[^"]*)"', ann.get("/audit?user=bob&result=done").text)
    assert [href.replace("&amp;", "&") for href in hrefs] == [
        f"/audit/download?format={kind}&user=bob&result=done" for kind in ("csv", "json")
    ]


def test_a_file_is_for_whom_the_page_is(server: Server) -> None:
    assert stranger(Admin(server)).get("/audit/download").headers["location"].startswith("/login")
    assert browser(server, ["admin.process"]).get("/audit/download").status_code == 403
    assert browser(server, ["viewer"]).get("/audit/download").status_code == 200


# -- logins


def logins(server: Server) -> list[Line]:
    return [line for line in lines(server.store) if line.action in ("login", "logout")]


def test_who_comes_in_by_a_link_and_goes_out_is_written_down(server: Server) -> None:
    client = browser(server)
    client.post("/logout")
    out, come = logins(server)
    assert [(one.user, one.action, one.target, one.result, one.origin) for one in (out, come)] == [
        ("ann", "logout", "link", "done", "127.0.0.1"), ("ann", "login", "link", "done", "127.0.0.1"),
    ]  # fmt: skip
    client.post("/logout")  # who is out goes out no more
    assert len(logins(server)) == 2


def test_a_spent_link_is_written_down_without_its_token(server: Server) -> None:
    token = Logins(server.store).make_link(Login(user="ann", by="link", roles=("owner",)))
    for _ in range(2):
        stranger(Admin(server)).post("/login", data={"t": token})
    refused, _ = logins(server)
    assert (refused.user, refused.target, refused.result) == ("", "link", "refused")
    assert "used already" in refused.why
    assert token not in str(server.store.command("XRANGE", server.store.key("audit"), "-", "+"))


def test_a_password_is_in_no_line_even_where_it_was_typed_as_a_name(server: Server) -> None:
    Users(server.store).add("Ann", "correct horse", ["owner"])
    app = Admin(server)
    for name, password in (("ann", "wrong horse"), ("correct horse", "ann"), ("ANN", "correct horse")):
        stranger(app).post("/login", data={"user": name, "password": password})
    assert [(one.user, one.target, one.result, one.why) for one in logins(server)] == [
        ("Ann", "password", "done", ""),
        ("", "password", "refused", "there is no such user"),
        ("Ann", "password", "refused", "the password is wrong"),
    ]
    assert "horse" not in str(server.store.command("XRANGE", server.store.key("audit"), "-", "+"))
    page = browser(server).get("/audit?action=login").text
    assert "there is no such user" in page
    assert "Log in" in page


def test_too_many_attempts_are_written_down_too(server: Server) -> None:
    Users(server.store).add("ann", "correct horse", ["owner"])
    for _ in range(MOST_OF_NAME):
        Attempts(server.store).begin("ann", "127.0.0.1")
    assert stranger(Admin(server)).post("/login", data={"user": "ann", "password": "x"}).status_code == 429
    (line,) = logins(server)
    assert (line.user, line.result, line.why) == ("ann", "refused", "too many attempts")


def test_refused_logins_do_not_push_everything_else_out(server: Server) -> None:
    client, write_down = stranger(Admin(server)), Logins(server.store).may_write_down
    for _ in range(REFUSED_OF_HOUR - 1):
        assert write_down()
    for _ in range(3):
        assert client.post("/login", data={"t": "guessed"}).status_code == 403
    (line,) = logins(server)
    assert line.why.endswith("no more of this hour are written down")
    key = server.store.key("admin:refused")
    assert 3590 < server.store.command("TTL", key) <= 3600
