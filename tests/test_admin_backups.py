"""The pages of backups: how they stand, archives, what was refused and why, and restores, through the gate."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from starlette.testclient import TestClient

from onserver import Backup, BackupResult, Server
from onserver.admin.logins import Login, Logins
from onserver.admin.pages import backups as pages
from onserver.admin.tokens import Tokens
from onserver.backup import restore as restoring
from onserver.backup.catalog import find, listed
from onserver.backup.load import standing
from onserver.backup.run import backup_here
from onserver.backup.state import Ask
from onserver.cluster.sweep import bury_member
from onserver.errors import NotDone
from onserver.life.hook import BACKUP_STARTUP, Hook
from onserver.process.maintenance import maintenance_on
from onserver.redis.address import Address
from onserver.registry import declare, keep, kept
from onserver.settings import Settings, load
from onserver.steer import acts_backup, background
from onserver.steer.actions import ACTIONS
from onserver.steer.actor import Actor
from onserver.steer.audit import lines
from onserver.steer.background import Background, Job, jobs
from onserver.steer.gate import perform
from onserver.steer.granted import PRIVILEGES
from onserver.testing import wait_for
from tests.admin_browser import browser, program
from tests.inline_worker import working


@pytest.fixture
def server(redis_address: Address, tmp_path: Path) -> Iterator[Server]:
    known = kept()
    project = tmp_path / "shop"
    (project / "config").mkdir(parents=True)
    (project / "config" / "onserver.toml").write_text("")
    variables = {"ONSERVER_NAME": f"ab{uuid4().hex[:8]}", "ONSERVER_REDIS": f"unix://{redis_address.path}",
                 "ONSERVER_SIGNING_KEY": "k" * 32, "ONSERVER_BACKUP_VERIFY": "false",
                 "ONSERVER_MEMBER_LEASE_SECONDS": "60"}  # fmt: skip
    settings: Settings = load(project, variables)
    with Server(project=project, settings=settings) as made, made.as_current():
        yield made
    keep(known)


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def put(server: Server, **values: Any) -> None:
    with server.storage.use() as root:
        for name, value in values.items():
            if value is None:
                del root[name]
            else:
                root[name] = value


def make(server: Server, label: str = "", **ask: Any) -> BackupResult:
    return backup_here(server, Ask(asked_by="ann", label=label, **ask))


def name_of(server: Server, number: int = 1) -> str:
    return next(one.name for one in listed(server) if one.number == number)


def data(ann: TestClient, path: str = "/backups") -> Any:
    answer = ann.get(path, headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def form(page: str, action: str, **more: str) -> dict[str, str]:
    """The fields of the form of an action, as the page has it."""
    begins = rf'<form class="act[^"]*" method="post" action="/act/{re.escape(action)}"'
    found = re.search(rf"{begins}.*?</form>", page, re.DOTALL)
    assert found, f"no form of {action}"
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', found[0])
    named = set(re.findall(r'name="(\w+)"', found[0]))
    assert set(more) <= named, f"{set(more) - named} are no fields of {action}"
    return dict(hidden) | more


def send(ann: TestClient, path: str, action: str, **more: str) -> str:
    """Send the form of an action of a page, and answer what is said of it."""
    given = form(ann.get(path).text, action, **more) | {"back": path}
    answer = ann.post(f"/act/{action}", data=given)
    if answer.status_code == 200:  # it is asked once more
        answer = ann.post(f"/act/{action}", data=given | {"confirm": "yes"})
    assert (answer.status_code, answer.headers["location"]) == (303, path), answer.text
    said = re.search(r'<p class="said (\w+)">.*?</span> (.*?)</p>', ann.get(path).text, re.DOTALL)
    assert said
    return said[2]


def ended(server: Server, action: str) -> Job:
    """The last of its kind, once it has ended."""
    wait_for(lambda: next(job for job in jobs(server.store) if job.action == action).state != "running")
    return next(job for job in jobs(server.store) if job.action == action)


def written(server: Server, action: str) -> list[tuple[str, str, str, str]]:
    return [(one.user, one.target, one.result, one.why) for one in lines(server.store, action=action)]


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Let a function wait in its middle: tells that it has begun, and is let go."""
    begun, go, real = threading.Event(), threading.Event(), getattr(where, name)

    def waits(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(where, name, waits)
    try:
        yield begun, go
    finally:
        go.set()


# -- the list


def test_where_there_is_none_it_says_so(server: Server, ann: TestClient) -> None:
    page = ann.get("/backups").text
    assert "No backup yet. Folder: `backups`; nothing is scheduled." in page
    assert "<code data-copy>onserver backup now</code>" in page
    assert "Nothing is scheduled." in page
    seen = data(ann)
    assert (seen["archives"], seen["operations"], seen["now"]["last"], seen["doing"]) == ([], [], None, [])
    assert seen["now"]["free"] > 0


def test_where_one_is_scheduled_it_says_when(server: Server, ann: TestClient) -> None:
    own = msgspec.structs.replace(server.settings.backup, schedule="every day at 02:00")
    server.settings = msgspec.structs.replace(server.settings, backup=own)
    assert "by the settings it is made every day at 02:00, once a worker is up" in ann.get("/backups").text


def test_a_server_without_a_project_says_why_it_has_none(redis_address: Address) -> None:
    settings = Settings(name=f"ab{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}")
    with Server(settings=settings) as made, made.as_current():
        client = browser(made)
        page = client.get("/backups").text
        assert "this program has no project" in page
        assert client.get("/backups/x").status_code == 404


def test_archives_have_their_facts(server: Server, ann: TestClient) -> None:
    put(server, rates={"usd": 1})
    result = make(server, "before <the> move")
    make(server, trigger="schedule", date_ms=1)
    last, first = data(ann)["archives"]
    assert (first["number"], first["label"], first["trigger"]) == (1, "before <the> move", "hand")
    assert first["verified_ms"] == 0
    assert (last["number"], last["trigger"]) == (2, "schedule")
    assert first["keys"] > 0
    assert re.fullmatch(r"[0-9a-f]{64}", first["checksum"])
    page = ann.get("/backups").text
    assert "before &lt;the&gt; move" in page
    assert first["checksum"][:12] in page
    assert f'<tr data-key="{first["name"]}">' in page
    assert "The last good backup is number 2" in page
    assert result.path
    assert Path(result.path).stat().st_size == first["size"]
    assert data(ann, "/backups?limit=1")["cursor"] == "2"
    assert [one["number"] for one in data(ann, "/backups?limit=1&cursor=2")["archives"]] == [1]


def test_what_a_hook_has_refused_stands_there_with_code_and_reason(server: Server, ann: TestClient) -> None:
    def refuses(asked: Backup) -> object:
        return asked.veto(201, "stock is being counted")

    declare(BACKUP_STARTUP, Hook(BACKUP_STARTUP, refuses, "shop.before", None))
    make(server)
    page = ann.get("/backups").text
    assert "refused by the hook shop.before, with 201: stock is being counted" in page
    assert "Hook shop.before: stock is being counted" in page
    (one,) = data(ann)["operations"]
    assert (one["code"], one["hook"], one["reason"]) == (201, "shop.before", "stock is being counted")
    make(server, forced_by="bob")
    forced = ann.get("/backups").text
    assert "against the hook shop.before" in forced
    assert "bob" in forced


@pytest.mark.parametrize("query", ["keep=0", "keep=x", "limit=500", "cursor=-1", "limit=1.5"])
def test_what_cannot_be_asked_is_refused(ann: TestClient, query: str) -> None:
    assert ann.get(f"/backups?{query}").status_code == 400


def test_a_backup_is_begun_by_its_form(server: Server, ann: TestClient) -> None:
    assert "no worker is up" in send(ann, "/backups", "backup.now", label="now")
    with working(server) as worker:
        assert "The backup is process" in send(ann, "/backups", "backup.now", label="now")
        worker.run_waiting()
    assert written(server, "backup.now")[0][:3] == ("ann", "now", "done")


def test_old_archives_are_removed_by_a_form_that_says_which(server: Server, ann: TestClient) -> None:
    for _ in range(3):
        make(server)
    first, last = name_of(server), name_of(server, 3)
    assert "None would be removed." in ann.get("/backups?keep=3").text
    page = ann.get("/backups?keep=1").text
    assert "2 archives would be removed:" in page
    assert f'<li class="mono">{first}</li>' in page
    asked = ann.post("/act/backup.prune", data=form(page, "backup.prune"))
    assert asked.status_code == 200  # it is asked once more
    done = ann.post("/act/backup.prune", data={**form(page, "backup.prune"), "confirm": "yes", "back": "/backups"})
    assert done.status_code == 303
    assert [one.name for one in listed(server)] == [last]
    assert first in next(iter(lines(server.store, action="backup.prune"))).before


# -- one archive


def test_an_archive_says_what_is_in_it(server: Server, ann: TestClient) -> None:
    put(server, rates={"usd": 1})
    make(server, "first")
    name = name_of(server)
    page = ann.get(f"/backups/{name}").text
    for text in (name, "first", "storage", "SHA-256 of its manifest", "project", "unverified"):
        assert text in page, text
    told = data(ann, f"/backups/{name}")
    assert told["manifest"]["about"]["counts"]["storage"] > 0
    assert told["archive"]["name"] == name


@pytest.mark.parametrize("name", ["none[0009].onsb", "..", "onserver.toml", "backupHistory.json", "%2e%2e%2fconfig"])
def test_what_is_no_archive_of_the_folder_is_not_there(server: Server, ann: TestClient, name: str) -> None:
    make(server)
    for path in (f"/backups/{name}/file", f"/backups/{name}/restore"):
        assert ann.get(path).status_code in (404, 307), path


def test_a_damaged_archive_is_said_to_be(server: Server, ann: TestClient) -> None:
    result = make(server)
    assert result.path
    Path(result.path).write_bytes(b"nothing of ours")
    page = ann.get("/backups").text
    assert 'data-state="corrupt"' in page
    assert "it does not begin as an archive" in page
    assert ann.get(f"/backups/{name_of(server)}").status_code == 200


def test_an_archive_is_downloaded_in_pieces_that_fit_into_memory(
    server: Server, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make(server)
    assert result.path
    name, whole = name_of(server), Path(result.path).read_bytes()
    (href,) = re.findall(r'href="([^"]+/file[^"]*)"', ann.get(f"/backups/{name}").text)
    got = ann.get(href)
    assert got.content == whole
    assert got.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert got.headers["x-content-type-options"] == "nosniff"
    monkeypatch.setattr(pages, "PIECE", 1000)
    hrefs = re.findall(r'href="([^"]+/file[^"]*)"', ann.get(f"/backups/{name}").text)
    assert len(hrefs) == -(-len(whole) // 1000)
    pieces = [ann.get(one) for one in hrefs]
    assert b"".join(one.content for one in pieces) == whole
    assert max(len(one.content) for one in pieces) == 1000
    assert pieces[0].headers["content-disposition"].endswith('.001"')
    assert ann.get(f"/backups/{name}/file?piece={len(hrefs) + 1}").status_code == 400
    assert {one[:3] for one in written(server, "backup.download")} == {("ann", name, "done")}


def test_only_who_may_see_values_downloads_and_only_who_may_restore_is_led_there(server: Server) -> None:
    make(server)
    name = name_of(server)
    viewer, operator, reader = (
        browser(server, ["viewer"]),
        browser(server, ["operator"]),
        browser(server, read_only=True),
    )
    steps = [f"/backups/{name}/restore?step={one}" for one in pages.STEPS]
    for client in (viewer, reader):
        for path in ("/backups?keep=1", f"/backups/{name}", *steps):
            assert "/act/" not in client.get(path).text, path
        for path in ("/backups", f"/backups/{name}"):
            assert "/restore" not in client.get(path).text, path
    assert "/file" not in viewer.get(f"/backups/{name}").text
    assert viewer.get(f"/backups/{name}/file").status_code == 403
    assert reader.get(f"/backups/{name}/file").status_code == 200  # which only reads
    assert operator.get(f"/backups/{name}/file").status_code == 200
    assert "/restore" not in operator.get(f"/backups/{name}").text
    assert "/act/backup.restore" not in operator.get(steps[-1]).text


@pytest.mark.parametrize("language", ["en", "fr", "ja"])
def test_every_link_leads_to_a_page(server: Server, ann: TestClient, language: str) -> None:
    make(server)
    name = name_of(server)
    steps = [f"/backups/{name}/restore?step={one}" for one in pages.STEPS]
    spoken, found = {"accept-language": language}, set[str]()
    for way in ("/backups", "/backups?keep=1", f"/backups/{name}", *steps):
        found |= set(re.findall(r'href="(/[^"#]*)"', ann.get(way, headers=spoken).text))
    assert any("step=maintenance" in href for href in found)
    for address in found:
        assert ann.get(address.replace("&amp;", "&")).status_code == 200, address


# -- what takes minutes


def test_an_archive_is_verified_while_nobody_waits(
    server: Server, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(server)
    name = name_of(server)
    with held(monkeypatch, acts_backup, "verify_here") as (begun, go):
        assert "is being verified" in send(ann, f"/backups/{name}", "backup.verify")
        assert begun.wait(10)
        page = ann.get(f"/backups/{name}").text
        assert 'data-state="running"' in page
        assert written(server, "backup.verify") == [("ann", name, "begun", "")]
        assert "is doing just that" in send(ann, f"/backups/{name}", "backup.verify")  # once at a time
        go.set()
        job = ended(server, "backup.verify")
    assert (job.state, job.user, job.target) == ("done", "ann", name)
    assert [one[2] for one in written(server, "backup.verify")] in (["done", "failed"], ["failed", "done"])
    page = ann.get(f"/backups/{name}").text
    assert f"{name} is whole:" in page
    assert 'data-state="verified"' in page
    assert data(ann)["archives"][0]["verified_ms"] > 0


def test_what_has_failed_meanwhile_says_why(server: Server, ann: TestClient) -> None:
    result = make(server)
    assert result.path
    whole = Path(result.path).read_bytes()
    Path(result.path).write_bytes(whole[:-1000] + bytes(100) + whole[-900:])
    name = name_of(server)
    ann.post("/act/backup.verify", data={"archive": name})
    job = ended(server, "backup.verify")
    assert job.state == "failed"
    assert job.why in ann.get("/backups").text.replace("&#39;", "'").replace("&#34;", '"')
    ((user, target, how, why),) = written(server, "backup.verify")
    assert (user, target, how, why) == ("ann", name, "failed", job.why)


def test_what_is_not_there_is_said_at_once(server: Server, ann: TestClient) -> None:
    answer = ann.post("/act/backup.verify", data={"archive": "99"})
    assert answer.status_code == 303
    assert 'class="said refused"' in ann.get("/backups").text
    assert [one[2] for one in written(server, "backup.verify")] == ["failed"]
    assert jobs(server.store) == []


def test_a_program_is_told_what_to_look_for(server: Server) -> None:
    make(server)
    secret, _ = Tokens(server.store).make("cron", ["admin.view", "admin.backup"], 60, by="x")
    client = program(server, secret)
    told = client.post("/act/backup.verify", json={"archive": "latest"}).json()["data"]
    assert "is being verified" in told["said"]
    ended(server, "backup.verify")
    (job,) = data(client)["doing"]
    assert (job["id"], job["state"], job["user"]) == (told["data"]["begun"], "done", "token:cron")


def test_a_program_that_was_killed_leaves_a_line_that_says_begun(server: Server, ann: TestClient) -> None:
    dead = Job(id="1-0", action="backup.verify", target="x", user="bob", at_ms=server.store.now_ms(), holder="9.9")
    background._write(server.store, dead)
    (job,) = jobs(server.store, "backup")
    assert job.state == "lost"
    assert "The program that did it was killed." in ann.get("/backups").text
    mine = msgspec.structs.replace(dead, id="2-0", at_ms=dead.at_ms + 1)
    server.part(Background).start(mine, lambda: ACTIONS["maintenance.off"].run(server, {}))
    assert ended(server, "backup.verify").state == "done"  # another may do it


def test_no_more_go_on_at_a_time_than_there_may(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    go, doing = threading.Event(), server.part(Background)
    everything = Actor(user="ann", origin="", where="page", privileges=frozenset(PRIVILEGES))
    try:
        with held(monkeypatch, acts_backup, "verify_here"):
            for _ in range(background.MOST + 1):
                make(server)
            for number in range(1, background.MOST + 1):
                perform(server, everything, "backup.verify", {"archive": str(number)})
            with pytest.raises(NotDone, match="going on here"):
                perform(server, everything, "backup.verify", {"archive": "latest"})
    finally:
        go.set()
    doing.join()
    assert {job.state for job in jobs(server.store)} == {"done"}


def test_what_is_told_of_is_bounded(server: Server) -> None:
    store = server.store
    for number in range(background._TOLD + 5):
        at_ms = store.now_ms() + number
        job = Job(id=f"{number}-0", action="backup.verify", target="x", user="a", at_ms=at_ms, state="done")
        background._write(store, job)
    assert len(jobs(store)) <= background._TOLD
    assert 0 < store.command("TTL", store.key("admin:doing")) <= 86_400


def test_on_the_command_line_and_in_programs_it_is_waited_for(server: Server) -> None:
    make(server)
    actor = Actor(user="ann", origin="", where="python", privileges=frozenset(PRIVILEGES))
    outcome = perform(server, actor, "backup.verify", {"archive": "latest"})
    assert "is whole" in outcome.text
    assert jobs(server.store) == []
    assert [one[2] for one in written(server, "backup.verify")] == ["done"]


# -- restore


def test_an_archive_is_restored_step_by_step(server: Server, ann: TestClient) -> None:
    put(server, rates={"usd": 1})
    put(server, old=1)
    make(server)
    put(server, rates={"usd": 2})
    put(server, old=None)
    name = name_of(server)
    way = f"/backups/{name}/restore"

    # 1 the archive is whole
    assert "Is it whole?" in ann.get(way).text
    send(ann, f"{way}?step=check", "backup.verify")
    ended(server, "backup.verify")
    page = ann.get(way).text
    assert 'data-state="verified"' in page

    # 2 what would change
    onward = re.search(r'<a class="button main" href="([^"]+)">', page)
    assert onward
    page = ann.get(onward[1].replace("&amp;", "&")).text
    assert "What would change" in page
    told = data(ann, f"{way}?step=compare")
    assert told["counts"]["storage"] > told["there"]["storage"]
    difference = told["counts"]["storage"] - told["there"]["storage"]
    assert f'<td class="right">{difference:+d}</td>' in page

    # 3 nobody is in the way
    page = ann.get(f"{way}?step=maintenance").text
    assert "No worker is up: nobody is in the way." in page
    send(ann, f"{way}?step=maintenance", "maintenance.on", message="back soon")
    assert "back soon" in ann.get(f"{way}?step=maintenance").text

    # 4 the name is typed
    last = f"{way}?step=restore"
    given = form(ann.get(last).text, "backup.restore")
    asked = ann.post("/act/backup.restore", data=given | {"back": last})
    assert asked.status_code == 200
    assert f'<strong class="mono">{name}</strong>' in asked.text
    assert ann.post("/act/backup.restore", data=given | {"back": last, "confirm": "another"}).status_code == 200
    assert server.storage["rates"] == {"usd": 2}
    done = ann.post("/act/backup.restore", data=given | {"back": last, "confirm": name})
    assert (done.status_code, done.headers["location"]) == (303, last)
    assert "is being restored" in ann.get(last).text
    job = ended(server, "backup.restore")
    assert (job.state, job.user, job.why) == ("done", "ann", "")
    assert server.storage["rates"] == {"usd": 1}
    assert server.storage["old"] == 1
    ((user, target, how, _),) = written(server, "backup.restore")
    assert (user, target, how) == ("ann", name, "done")
    assert len(listed(server)) == 2  # what was there was saved before
    page = ann.get(last).text
    assert f"{name} is restored:" in page
    assert "The last restore was" in page
    send(ann, last, "maintenance.off")
    assert maintenance_on(server.store) is None
    assert [one["what"] for one in data(ann)["operations"]] == ["restore", "backup", "backup"]


def test_a_restore_that_would_be_refused_is_refused_at_once(server: Server, ann: TestClient) -> None:
    make(server)
    name = name_of(server)
    way = f"/backups/{name}/restore"
    with working(server):
        page = ann.get(f"{way}?step=maintenance").text
        assert "One worker is up and the server is open: a restore is refused." in page
        page = ann.get(f"{way}?step=restore").text
        assert "It would be refused now:" in page
        ann.post("/act/backup.restore", data={"archive": name, "confirm": name, "back": way})
        assert "onserver maintenance on" in ann.get(way).text
    assert [one[2] for one in written(server, "backup.restore")] == ["failed"]
    assert jobs(server.store) == []


def test_before_a_restore_somebody_logs_in_once_more(server: Server) -> None:
    make(server)
    name, old = name_of(server), browser(server)
    session = old.cookies[f"onserver-admin-{server.name}"]
    key = Logins(server.store)._session(session)
    login = msgspec.json.decode(server.store.command("GET", key), type=Login)
    long_ago = Login(user=login.user, by=login.by, roles=login.roles, at=login.at - 301_000)
    server.store.command("SET", key, msgspec.json.encode(long_ago), "EX", 600)
    answer = old.post("/act/backup.restore", data={"archive": name, "confirm": name})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?again=1")
    assert [one[2] for one in written(server, "backup.restore")] == ["refused"]


def interrupt(server: Server, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Have a restore die where a machine could."""

    class Died(BaseException):
        pass

    def dies(name: str) -> None:
        if name == where:
            raise Died

    def no_time_left(*_: object) -> None:
        """Who is killed takes nothing back."""

    loading = sys.modules["onserver.backup.load"]
    monkeypatch.setattr(loading, "crash_point", dies)
    if where == "before_restore_switch":
        monkeypatch.setattr(loading, "_undo", no_time_left)
    meant = find(server, "1")
    with pytest.raises(Died):
        restoring.restore(server, meant, restoring.Wish(save=False, by="ann"))
    monkeypatch.undo()
    assert standing(server.store) is not None


@pytest.mark.parametrize(
    ("where", "action", "text"),
    [
        ("before_restore_switch", "backup.undo", "The restore is given up: all is as it was."),
        ("after_restore_switch", "backup.finish", "The restore is finished:"),
    ],
)
def test_a_restore_that_was_interrupted_is_brought_to_an_end(
    server: Server, ann: TestClient, monkeypatch: pytest.MonkeyPatch, where: str, action: str, text: str
) -> None:
    put(server, rates=1)
    make(server)
    put(server, rates=2)
    interrupt(server, monkeypatch, where)
    page = ann.get("/backups").text
    assert "has begun and not ended" in page
    other = "backup.finish" if action == "backup.undo" else "backup.undo"
    assert f'action="/act/{other}"' not in page
    asked = ann.post(f"/act/{action}", data=form(page, action))
    assert asked.status_code == 200
    assert ann.post(f"/act/{action}", data=form(page, action) | {"confirm": "yes"}).status_code == 303
    assert ended(server, action).state == "done"
    assert text in ann.get("/backups").text
    assert standing(server.store) is None
    assert server.storage["rates"] == (2 if action == "backup.undo" else 1)
    refused = ann.post(f"/act/{action}", data={"confirm": "yes"})
    assert refused.status_code == 303
    assert "no restore has begun" in ann.get("/backups").text


def test_it_is_restored_while_workers_are_up_and_the_server_is_closed(server: Server, ann: TestClient) -> None:
    put(server, rates=1)
    make(server)
    put(server, rates=2)
    name = name_of(server)
    way = f"/backups/{name}/restore?step=restore"
    with working(server):
        send(ann, f"/backups/{name}/restore?step=maintenance", "maintenance.on", message="restoring")
        assert "It would be refused now:" not in ann.get(way).text
        ann.post(
            "/act/backup.restore", data=form(ann.get(way).text, "backup.restore", no_backup="true") | {"confirm": name}
        )
        assert ended(server, "backup.restore").why == ""
        assert server.storage["rates"] == 1
        assert len(listed(server)) == 1  # none was made before
        send(ann, way, "maintenance.off")
    assert written(server, "backup.restore")[0][2] == "done"


#: A program that verifies an archive on the page, and is held in the middle of it.
KILLED = """
import sys, threading
from pathlib import Path
from onserver import Server
from onserver.settings import load
from onserver.steer import acts_backup
from onserver.steer.actor import Actor
from onserver.steer.gate import perform
from onserver.steer.granted import PRIVILEGES

acts_backup.verify_here = lambda *_: threading.Event().wait()
project = Path(sys.argv[1])
server = Server(project=project, settings=load(project))
actor = Actor(user="bob", origin="::1", where="page", privileges=frozenset(PRIVILEGES))
print(perform(server, actor, "backup.verify", {"archive": "1"}).text, flush=True)
"""


def test_a_program_that_is_killed_in_the_middle_of_it_is_told_of(server: Server, ann: TestClient) -> None:
    make(server)
    assert server.project
    settings = server.settings
    own = {"ONSERVER_NAME": settings.name, "ONSERVER_REDIS": settings.redis, "ONSERVER_SIGNING_KEY": "k" * 32,
           "ONSERVER_MEMBER_LEASE_SECONDS": "1", "ONSERVER_MEMBER_BEAT_SECONDS": "0.2"}  # fmt: skip
    command = [sys.executable, "-c", KILLED, str(server.project)]
    with subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert "is being verified" in program.stdout.readline()
        assert [job.state for job in jobs(server.store)] == ["running"]
        assert 'data-state="running"' in ann.get("/backups").text
        program.kill()
    (job,) = jobs(server.store)
    bury_member(server.store, server.settings, int(job.holder.partition(".")[0]), "its program has ended")
    assert [one.state for one in jobs(server.store)] == ["lost"]
    assert "The program that did it was killed." in ann.get("/backups").text
    assert written(server, "backup.verify") == [("bob", "1", "begun", "")]
    assert "It goes on, or its program was killed." in ann.get("/audit").text


def test_what_has_begun_is_brought_to_its_end_before_its_program_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(server)
    everything = Actor(user="ann", origin="", where="page", privileges=frozenset(PRIVILEGES))
    held_there = held(monkeypatch, acts_backup, "verify_here")
    with held_there as (begun, go), Server(project=server.project, settings=server.settings) as other:
        perform(other, everything, "backup.verify", {"archive": "1"})
        assert begun.wait(10)
        closing = threading.Thread(target=other.close)
        closing.start()
        wait_for(lambda: "This program ends when backup.verify 1 has ended" in caplog.text)
        assert [job.state for job in jobs(server.store)] == ["running"]
        go.set()
        closing.join(30)
    assert [job.state for job in jobs(server.store)] == ["done"]
    assert [one[2] for one in written(server, "backup.verify")] == ["done"]
