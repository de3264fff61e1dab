"""The diagnostics: what the doctor finds, settings, versions, what was slow in Redis, and that no secret is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from starlette.testclient import TestClient

from onserver import Server
from onserver.planned import ScheduleSettings
from onserver.redis.address import Address
from onserver.settings import SETTINGS, load
from onserver.steer.acts_diagnostics import examined
from onserver.steer.audit import lines
from onserver.steer.background import jobs
from onserver.testing import wait_for
from tests.admin_browser import browser
from tests.inline_worker import KEY, make_server

SECRET = "a-secret-that-nobody-sees"


@pytest.fixture
def server(redis_address: Address, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text("process.deliveries = 5\n")
    variables = {"ONSERVER_NAME": f"di{uuid4().hex[:8]}", "ONSERVER_REDIS": f"unix://{redis_address.path}",
                 "ONSERVER_SIGNING_KEY": SECRET + "k" * 32, "ONSERVER_MEMBER_LEASE_SECONDS": "60"}  # fmt: skip
    with Server(project=tmp_path, settings=load(tmp_path, variables)) as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def data(ann: TestClient, query: str = "") -> Any:
    answer = ann.get(f"/diagnostics{query}", headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def ended(server: Server, action: str) -> str:
    wait_for(lambda: next(job for job in jobs(server.store) if job.action == action).state != "running")
    return next(job for job in jobs(server.store) if job.action == action).state


# -- the doctor


def test_before_anybody_has_looked_it_says_so(ann: TestClient) -> None:
    page = ann.get("/diagnostics").text
    assert "Nobody has examined the server within a day." in page
    assert data(ann)["examined"] is None


def test_an_examination_is_seen_by_everybody(server: Server, ann: TestClient) -> None:
    server.store.command("SET", server.store.key("left:behind"), "x")  # which is in no catalogue
    answer = ann.post("/act/server.examine", data={"back": "/diagnostics"})
    assert answer.headers["location"] == "/diagnostics"
    assert "The server is being examined." in ann.get("/diagnostics").text
    assert ended(server, "server.examine") == "done"
    viewer = browser(server, ["viewer"])
    page = viewer.get("/diagnostics").text
    assert "by ann: one thing is to be done." in page
    assert "left:behind" in page
    assert "Examined: 1 things are to be done." in page
    assert "/act/" not in page
    told = data(viewer)["examined"]
    assert told["by"] == "ann"
    assert {"settings", "redis", "keys", "backups"} <= {one["check"] for one in told["findings"]}
    assert 0 < server.store.command("TTL", server.store.key("admin:findings")) <= 86_400
    (line,) = lines(server.store, action="server.examine")
    assert (line.user, line.result, line.after) == ("ann", "done", "1 to be done")
    server.store.command("DEL", server.store.key("left:behind"))


def test_what_can_be_mended_is_mended_and_written_down(server: Server, ann: TestClient) -> None:
    left = server.store.key("orders:999")  # of a worker that nobody knows
    server.store.command("RPUSH", left, "reload")
    assert ann.post("/act/server.mend").status_code == 200  # it is asked once more
    assert server.store.command("EXISTS", left)
    assert ann.post("/act/server.mend", data={"confirm": "yes"}).status_code == 303
    assert ended(server, "server.mend") == "done"
    assert not server.store.command("EXISTS", left)
    found = examined(server.store)
    assert found
    assert [one.done for one in found.findings if one.done] == ["orders:999 is dropped"]
    page = ann.get("/diagnostics").text
    assert "orders:999 is dropped" in page
    assert "1 things are mended, 0 are left." in page
    (line,) = lines(server.store, action="server.mend")
    assert (line.user, line.result, line.after) == ("ann", "done", "orders:999 is dropped")


def test_without_a_project_it_says_what_is_missing(redis_address: Address) -> None:
    with make_server(f"di{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        client = browser(made)
        client.post("/act/server.examine")
        assert ended(made, "server.examine") == "done"
        assert "this program has no project" in client.get("/diagnostics").text


@pytest.mark.parametrize(("roles", "may"), [(["viewer"], ()), (["operator"], ("server.examine",))])
def test_only_who_may_examines_and_mends(server: Server, roles: list[str], may: tuple[str, ...]) -> None:
    page = browser(server, roles).get("/diagnostics").text
    assert set(re.findall(r'action="/act/([^"]+)"', page)) == set(may)
    assert "/act/" not in browser(server, read_only=True).get("/diagnostics").text


# -- settings


def test_every_setting_says_what_it_is_and_where_it_is_from(server: Server, ann: TestClient) -> None:
    rows = {row["key"]: row for row in data(ann, "?which=all")["settings"]}
    assert list(rows) == list(SETTINGS)
    given = rows["process.deliveries"]
    assert (given["value"], given["default"], given["given"]) == ("5", "3", True)
    assert "onserver.toml line 1" in given["source"]
    assert rows["name"]["source"] == "ONSERVER_NAME"
    assert rows["backup.keep"]["source"] == "default"
    page = ann.get("/diagnostics").text
    assert '<tr data-key="process.deliveries">' in page
    assert "ONSERVER_PROCESS_DELIVERIES" in page


def test_settings_are_found_in_the_address(ann: TestClient) -> None:
    assert [row["key"] for row in data(ann, "?q=backup.keep")["settings"]] == ["backup.keep"]
    assert {row["key"] for row in data(ann)["settings"]} == {
        "name", "redis", "process.deliveries", "signing.key", "member.lease_seconds",
    }  # fmt: skip
    assert data(ann, "?q=nothing+like+it")["settings"] == []
    assert ann.get("/diagnostics?which=some").status_code == 400


def test_no_secret_is_there(server: Server, ann: TestClient) -> None:
    schedule = {"nightly": ScheduleSettings(procedure="shop.close", cron="0 2 * * *", arguments={"pin": SECRET})}
    server.settings = msgspec.structs.replace(
        server.settings, schedule=schedule, celery=f"amqp://ann:{SECRET}@broker/x",
        backup=msgspec.structs.replace(server.settings.backup, postgresql=(f"postgresql://a:{SECRET}@db/shop",),
                                       folder=f"s3://bucket/x?secret_access_key={SECRET}"),
    )  # fmt: skip
    ann.post("/act/server.examine")
    ended(server, "server.examine")
    server.store.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
    try:
        server.store.command("GET", server.store.key(SECRET))
    finally:
        server.store.command("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    for path in ("/diagnostics?which=all", "/diagnostics/snapshot"):
        for accept in ("text/html", "application/json"):
            text = ann.get(path, headers={"accept": accept}).text
            assert SECRET not in text, f"{path} as {accept}"
            assert KEY not in text
    rows = {row["key"]: row["value"] for row in data(ann, "?which=all")["settings"]}
    assert rows["signing.key"] == '"(set)"'
    assert rows["celery"] == '"amqp://…@broker/x"'
    assert rows["backup.folder"] == '"s3://bucket/x?secret_access_key=…"'
    assert "•••" in rows["schedule"]
    assert "shop.close" in rows["schedule"]


# -- Redis, versions


def test_what_was_slow_is_named_without_what_was_handed_over(server: Server, ann: TestClient) -> None:
    store = server.store
    store.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
    try:
        store.run("depth", "mail")
        store.command("HGET", store.key("numbers"), SECRET)
    finally:
        store.command("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    names = [one["what"] for one in data(ann)["slow"]]
    assert any(name.endswith(" depth") for name in names), names
    assert "HGET" in names
    assert SECRET not in ann.get("/diagnostics").text
    store.command("SLOWLOG", "RESET")
    assert "Nothing took longer than" in ann.get("/diagnostics").text


def test_where_redis_does_not_tell_it_says_so(
    redis_address: Address, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"u{uuid4().hex[:8]}"
    server.store.command("ACL", "SETUSER", name, "on", ">pw", "~*", "&*", "+@all", "-slowlog")
    settings = msgspec.structs.replace(server.settings, redis=f"unix://{name}:pw@{redis_address.path}")
    try:
        with Server(project=server.project, settings=settings) as limited, limited.as_current():
            try:
                page = browser(limited).get("/diagnostics")
            finally:
                limited.close()
        assert page.status_code == 200
        assert "Redis does not tell:" in page.text
    finally:
        server.store.command("ACL", "DELUSER", name)


def test_redis_and_versions_have_their_facts(server: Server, ann: TestClient) -> None:
    told = data(ann)
    assert told["redis"]["redis_version"]
    assert told["redis"]["trip"].endswith(" ms")
    assert told["versions"]["onserver"]
    assert told["versions"]["celery"]
    page = ann.get("/diagnostics").text
    assert '<tr data-key="used_memory">' in page
    assert told["machine"] in page


def test_all_of_it_is_a_file(server: Server, ann: TestClient) -> None:
    (href,) = re.findall(r'href="([^"]*snapshot[^"]*)"', ann.get("/diagnostics").text)
    got = ann.get(href)
    assert re.fullmatch(rf'attachment; filename="onserver-{server.name}-\d+\.json"', got.headers["content-disposition"])
    assert got.headers["content-type"] == "application/json"
    told = json.loads(got.content)
    assert told["server"] == server.name
    assert told["settings"]["process.deliveries"]["value"] == "5"
    assert told["standing"]["workers"] == 0
    assert told["findings"] is None
    assert len(got.content) < 100_000


@pytest.mark.parametrize("language", ["en", "fr", "ja"])
def test_every_link_leads_to_a_page(ann: TestClient, language: str) -> None:
    found = set(
        re.findall(r'href="(/[^"#]*)"', ann.get("/diagnostics?q=backup", headers={"accept-language": language}).text)
    )
    for address in found:
        assert ann.get(address.replace("&amp;", "&")).status_code == 200, address
