"""The page of the roles: what gives what, what is wrong with the file, who may do what and why, what has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import Server, procedure, registry
from onserver.cli import exits
from onserver.redis.address import Address
from onserver.session.roles import Roles
from onserver.session.roles_noted import noted
from onserver.session.users import Users
from onserver.settings import load
from onserver.steer.audit import lines
from onserver.steer.granted import PRIVILEGES, verdict
from tests.admin_browser import browser
from tests.commands import Ran, ran, settle_on
from tests.inline_worker import working

FILE: dict[str, Any] = {
    "privileges": [
        {"privilege": "read"}, {"privilege": "write", "includes": ["read"]},
        {"privilege": "drop", "includes": ["write"]},
    ],
    "roles": [{"role": "clerk", "privileges": ["write"]}, {"role": "boss", "privileges": ["drop", "read"]}],
    "permissions": {"allowed": [{"applyTo": "shop.sell", "type": "method", "execute": ["write"]}]},
    "restrictedByDefault": True,
    "forceLogin": True,
}  # fmt: skip


@pytest.fixture
def server(redis_address: Address, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text("")
    settings = load(tmp_path, {"ONSERVER_NAME": f"ro{uuid4().hex[:8]}", "ONSERVER_REDIS": f"unix://{redis_address.path}",
                               "ONSERVER_SIGNING_KEY": "k" * 32, "ONSERVER_MEMBER_LEASE_SECONDS": "60"})  # fmt: skip
    with Server(project=tmp_path, settings=settings) as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def write(server: Server, file: Any = FILE) -> None:
    assert server.project
    text = file if isinstance(file, str) else json.dumps(file)
    (server.project / "config" / "roles.json").write_text(text)


def data(ann: TestClient, query: str = "") -> Any:
    answer = ann.get(f"/roles{query}", headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def cells(page: str, privilege: str) -> list[str]:
    """What stands in the row of a privilege."""
    found = re.search(rf'<tr data-key="{privilege}">(.*?)</tr>', page, re.DOTALL)
    assert found, f"no row of {privilege}"
    return [
        " ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in re.findall(r"<td>(.*?)</td>", found[1], re.DOTALL)
    ]


# -- what gives what


def test_without_a_file_there_is_one_to_begin_with(server: Server, ann: TestClient) -> None:
    page = ann.get("/roles").text
    assert "There is no config/roles.json" in page
    sample = re.search(r"<code data-copy>(\{.*?\})</code>", page, re.DOTALL)
    assert sample
    write(server, sample[1].replace("&#34;", '"'))
    assert data(ann)["right"] is True  # it is one that a server takes
    assert data(ann)["findings"] == []


def test_each_privilege_says_which_role_gives_it_and_how(server: Server, ann: TestClient) -> None:
    write(server)
    page = ann.get("/roles").text
    assert "2 roles, 3 privileges: config/roles.json is right, and in force." in page
    assert cells(page, "drop") == ["drop → write → read", "– no", "● gives it"]
    assert cells(page, "write") == ["write → read", "● gives it", "○ by drop"]
    assert cells(page, "read") == ["–", "○ by write", "● gives it"]
    assert "execute method shop.sell" in page
    assert "What nothing is said about is closed." in page
    told = data(ann)
    assert told["roles"][0] == {"role": "clerk", "privileges": ["write"], "gives": ["read", "write"]}


def test_it_is_filtered_and_comes_in_pages(server: Server, ann: TestClient) -> None:
    many = [{"privilege": f"p{number:03}"} for number in range(130)]
    roles = [{"role": f"r{number:02}", "privileges": ["p000"]} for number in range(25)]
    write(server, {**FILE, "privileges": [*FILE["privileges"], *many], "roles": roles})
    page = ann.get("/roles").text
    assert page.count('<th scope="row" class="mono">p') == 97
    assert "5 more roles are not shown" in page
    assert 'rel="next"' in page
    assert ann.get("/roles?cursor=100").text.count('<th scope="row" class="mono">p') == 33
    page = ann.get("/roles?q=P00&role=r24").text
    assert page.count('<th scope="row" class="mono">p') == 10
    assert '<th scope="col">r24</th>' in page
    assert '<th scope="col">r00</th>' not in page
    assert "The file declares no privilege that fits." in ann.get("/roles?q=nothing").text


@pytest.mark.parametrize("query", ["limit=0", "limit=999", "cursor=-1", "cursor=x", "who=" + "x" * 300 + "&what=y"])
def test_what_cannot_be_asked_is_refused(ann: TestClient, query: str) -> None:
    assert ann.get(f"/roles?{query}").status_code == 400


def test_what_is_wrong_stands_there_with_its_line_and_what_held_before_stays(server: Server, ann: TestClient) -> None:
    write(server)
    assert data(ann)["right"] is True
    write(server, '{\n"privileges": [],\n"roles": [{"role": "<b>", "privileges": ["nothing"]}],\n"permissions": {}}')
    page = ann.get("/roles").text
    assert "One thing is wrong with config/roles.json: what held before stays in force" in page
    assert "names the privilege `nothing`, which is not declared" in page
    assert "<b>" not in page
    told = data(ann)
    assert (told["right"], told["findings"][0]["line"], told["changed"]) == (False, 3, None)
    assert [one["role"] for one in told["roles"]] == ["clerk", "boss"]


def test_ready_roles_are_there_as_long_as_the_file_has_none_of_their_name(server: Server, ann: TestClient) -> None:
    assert '<tr data-key="operator">' in ann.get("/roles").text
    write(server, FILE | {"roles": [{"role": "Operator", "privileges": ["read"]}]})
    page = ann.get("/roles").text
    assert '<tr data-key="operator">' not in page
    assert '<tr data-key="owner">' in page


# -- may somebody do something


def can(ann: TestClient, who: str, what: str) -> tuple[bool, str]:
    page = ann.get("/roles", params={"who": who, "what": what})
    assert page.status_code == 200
    told = ann.get("/roles", params={"who": who, "what": what}, headers={"accept": "application/json"}).json()
    found = told["data"]["can"]
    assert found["why"].replace("`", "") in re.sub(r"&#3[49];", '"', page.text).replace("`", "")
    return found["allowed"], found["why"]


def test_it_says_whether_somebody_may_and_why(server: Server, ann: TestClient) -> None:
    write(server)
    Users(server.store).add("Ann", "correct horse", ["clerk"])
    assert can(ann, "ann", "READ") == (True, "`clerk` gives `write`, which includes `read`")
    assert can(ann, "boss", "read") == (True, "`boss` gives `read`")
    assert can(ann, "ann", "drop") == (False, "`clerk` does not give it; granted by: boss")
    assert can(ann, "guest", "read")[0] is False
    page = ann.get("/roles?who=ann&what=read").text
    assert "Ann may: read" in page
    assert "Granted: clerk" in page
    assert "Ann may not: drop" in ann.get("/roles?who=ann&what=drop").text
    session = server.sessions.open("web", ip="127.0.0.1")
    assert can(ann, session.id, "read")[0] is False


def test_it_knows_actions_of_this_page(server: Server, ann: TestClient) -> None:
    privileges: Any = [{"privilege": "admin.process"}, {"privilege": "chief", "includes": ["admin.process"]}]
    own: Any = [{"role": "chief of staff", "privileges": ["chief"]}]
    write(server, {**FILE, "privileges": privileges, "roles": own, "permissions": {"allowed": []}})
    users = Users(server.store)
    users.add("bob", "correct horse", ["operator"])
    users.add("eve", "correct horse", ["chief of staff"])
    users.add("kim", "correct horse", ["admin.view"])
    users.add("lee", "correct horse")
    assert can(ann, "bob", "process.abort") == (True, "`operator` is there without a file, and gives `admin.process`")
    assert "The action takes the privilege admin.process." in ann.get("/roles?who=bob&what=process.abort").text
    assert can(ann, "bob", "backup.restore") == (False, "none of `operator` gives `admin.restore`")
    assert can(ann, "eve", "admin.process") == (True, "`chief of staff` gives `chief`, which includes `admin.process`")
    assert can(ann, "kim", "admin.view") == (True, "`admin.view` was granted")
    assert can(ann, "lee", "admin.view") == (False, "nothing that would give `admin.view` was granted")
    assert can(ann, "owner", "roles.reload")[0] is True


def test_it_knows_what_procedures_take(server: Server, ann: TestClient) -> None:
    kept = registry.kept()

    @procedure(name="shop.sell")
    def sell() -> None: ...

    @procedure(name="shop.empty", requires="drop")
    def empty() -> None: ...

    try:
        write(server)
        with working(server):
            allowed, why = can(ann, "clerk", "shop.sell")
            assert allowed
            assert "`write` is asked for" in why
            allowed, why = can(ann, "clerk", "shop.empty")
            assert not allowed
            assert "`drop`, which `shop.empty` takes, refused" in why
            assert can(ann, "boss", "shop.empty") == (True, "`boss` gives `drop`")
            assert "The server knows no procedure" not in ann.get("/roles?who=boss&what=shop.empty").text
    finally:
        registry.keep(kept)
    allowed, why = can(ann, "boss", "shop.unheard_of")
    assert not allowed
    assert "nothing is said" in why
    assert "The server knows no procedure of this name" in ann.get("/roles?who=boss&what=shop.unheard_of").text


def test_nobody_of_that_name(ann: TestClient) -> None:
    page = ann.get("/roles", params={"who": "<script>", "what": "read"}).text
    assert "There is no user, session, role or privilege `&lt;script&gt;`." in page


def test_what_is_said_of_the_administration_is_what_holds() -> None:
    known = Roles(privileges={"admin.view": (), "all": ("admin.view",)}, roles={"owner": ("all",)})
    for names in (["owner"], ["operator"], ["viewer", "Admin.Data"], [], ["nothing"]):
        for privilege in PRIVILEGES:
            assert verdict(known, names, privilege).why


# -- reading it anew


def test_reading_it_anew_tells_what_has_changed_and_is_written_down(server: Server, ann: TestClient) -> None:
    write(server)
    page = ann.get("/roles").text
    assert "Nobody has taken note of the file yet." in page
    assert "role `clerk`: `write`" in page
    assert 'action="/act/roles.reload"' in page
    done = ann.post("/act/roles.reload", data={"back": "/roles"})
    assert done.headers["location"] == "/roles"
    page = ann.get("/roles").text
    assert "config/roles.json is right, and in force: 2 roles," in page
    assert "Since ann has taken note of the file" in page
    assert data(ann)["changed"] == {"granted": [], "withdrawn": []}
    write(server, FILE | {"roles": [{"role": "clerk", "privileges": ["read"]}]})
    changed = data(ann)["changed"]
    assert "role `clerk`: `write`" in changed["withdrawn"]
    assert "role `boss`: `drop`" in changed["withdrawn"]
    assert changed["granted"] == []
    assert can(ann, "clerk", "write")[0] is False  # in force at once, whoever has taken note
    ann.post("/act/roles.reload")
    last = next(iter(lines(server.store, action="roles")))
    assert (last.user, last.target, last.result) == ("ann", "config/roles.json", "done")
    assert "withdrawn role `boss`: `drop`" in last.after


def test_a_file_that_is_wrong_is_not_taken_note_of(server: Server, ann: TestClient) -> None:
    ann.post("/act/roles.reload")
    write(server, "{")
    ann.post("/act/roles.reload", data={"back": "/roles"})
    page = ann.get("/roles").text
    assert 'class="said refused"' in page
    assert noted(server.store) is None
    assert [line.result for line in lines(server.store, action="roles.reload")] == ["failed", "failed"]


def test_the_command_does_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle_on(server, monkeypatch)
    assert server.project
    monkeypatch.chdir(server.project)

    def run(*words: str) -> Ran:
        found = ran(capsys, *words)
        server.make_current()
        return found

    write(server)
    assert run("roles", "reload", "--json").data["roles"] == 2
    assert run("roles", "reload").out.strip() == "nothing changed"
    write(server, {**FILE, "roles": []})
    assert "- role `boss`: `drop`" in run("roles", "reload").out
    write(server, "{")
    assert run("roles", "reload").status == exits.USAGE
    assert [(line.action, line.where) for line in lines(server.store)][:2] == [("roles.reload", "cli")] * 2


# -- who may


@pytest.mark.parametrize("roles", [["viewer"], ["operator"]])
def test_only_who_may_configure_reads_it_anew(server: Server, roles: list[str]) -> None:
    write(server)
    client = browser(server, roles)
    assert "/act/" not in client.get("/roles").text
    assert client.post("/act/roles.reload").status_code == 403
    assert "/act/" not in browser(server, read_only=True).get("/roles").text


@pytest.mark.parametrize("language", ["en", "fr", "ja"])
def test_every_link_leads_to_a_page(server: Server, ann: TestClient, language: str) -> None:
    write(server)
    page = ann.get("/roles?limit=1&who=boss&what=read", headers={"accept-language": language}).text
    found = set(re.findall(r'href="(/[^"#]*)"', page))
    assert any("cursor=1" in one for one in found)
    for address in found:
        assert ann.get(address.replace("&amp;", "&")).status_code == 200, address
