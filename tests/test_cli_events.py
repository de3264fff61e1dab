"""`onserver events` and `onserver hooks event`: what is shown, followed and told, and with which exit statuses."""

from __future__ import annotations

import json
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver.testing.wait import wait_for
from tests.test_cli_programs import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, onserver_redis: str) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("events") / "shop", onserver_redis)
    yield made
    made.end()


def test_what_a_user_tells_is_shown(project: Project) -> None:
    told = project.run("hooks", "event", "shop.opened", "shelves=12", "by=Ann Lee", 'codes=["a", "b"]')
    assert (told.returncode, told.stdout, told.stderr) == (0, "shop.opened: told\n", "")
    shown = project.run("events")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d shop\.opened shelves=12 by="Ann Lee" codes=\["a","b"\] · \S+@\S+\n',
        shown.stdout,
    )
    (event,) = project.json("events", "shop", "--since", "10m")["data"]
    assert event["code"] == 1000
    assert event["payload"] == {"shelves": 12, "by": "Ann Lee", "codes": ["a", "b"]}
    assert project.run("events", "worker").stdout == "no event\n"
    assert project.run("events", "-n", "0").stdout == "no event\n"
    assert project.run("events", "--since", "0").stdout == "no event\n"


def test_what_cannot_be_told_is_refused(project: Project) -> None:
    assert project.run("hooks", "event", "worker.dead", "member=1").returncode == 2
    assert "that name is onserver's own" in project.run("hooks", "event", "worker.dead").stderr
    assert "`twelve` is no fact of an event" in project.run("hooks", "event", "x", "twelve").stderr
    refused = project.json("hooks", "event", "no name")
    assert refused["error"]["code"] == "ONS-1108"


@pytest.mark.parametrize("form", ["text", "json"])
def test_who_follows_sees_what_is_there_and_what_comes(project: Project, form: str) -> None:
    first, second = f"a{secrets.token_hex(4)}", f"a{secrets.token_hex(4)}"
    project.run("hooks", "event", first)
    log = project.start("events", "a", "-f", "--since", "1m", *(["--json"] if form == "json" else []))
    wait_for(lambda: first in log.read_text(), 60)
    project.run("hooks", "event", "other", "n=1")
    project.run("hooks", "event", second, "n=2")
    wait_for(lambda: second in log.read_text(), 60)
    lines = log.read_text().splitlines()
    assert "other" not in log.read_text()
    assert [line for line in lines if first in line]
    if form == "json":
        assert json.loads(lines[-1])["payload"] == {"n": 2}
    follower = project.programs[-1]
    follower.send_signal(signal.SIGINT)
    assert follower.wait(60) == 130


def test_a_redis_that_is_not_there_is_status_6(project: Project, tmp_path: Path) -> None:
    away = {"ONSERVER_REDIS": f"unix://{tmp_path}/no", "ONSERVER_REDIS_CONNECT_SECONDS": "0.2"}
    assert project.run("events", **away).returncode == 6
    assert project.run("events", "-f", **away).returncode == 6
    assert project.run("hooks", "event", "x", **away).returncode == 6
