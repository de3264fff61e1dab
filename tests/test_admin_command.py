"""`onserver admin`: the page as a program, its links and tokens, and where it does not start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from onserver.admin.logins import Logins
from onserver.admin.tokens import Tokens
from onserver.cli import command
from onserver.cli.serving import is_here
from onserver.redis.address import Address
from onserver.scaffold import write_project
from onserver.server import Server
from onserver.session.users import Users
from onserver.testing import wait_for
from tests.topologies import free_port

SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def folder(tmp_path: Path, redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project("shop", tmp_path / "shop")
    for name, value in (
        ("PROJECT", str(tmp_path / "shop")), ("REDIS", f"unix://{redis_address.path}"),
        ("NAME", f"ac{uuid4().hex[:8]}"), ("SIGNING_KEY", "a key that only the tests have"),
    ):  # fmt: skip
        monkeypatch.setenv(f"ONSERVER_{name}", value)
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Server.load(folder) as made:
        yield made


class Said:
    """What the command prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, status: int = 0) -> str:
        self._capsys.readouterr()
        got = command.run(["admin", *words])
        out, error = self._capsys.readouterr()
        assert got == status, out + error
        return out if status == 0 else out + error

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))["data"]


@pytest.fixture
def admin(server: Server, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


class Programs:
    """Admin pages as programs of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, verb: str = "admin") -> Path:
        log = self._folder / f"{len(self.started)}.log"
        with log.open("w") as file:
            program = subprocess.Popen(
                [sys.executable, "-m", "onserver.cli", verb, *words], cwd=self._folder, stdout=file, stderr=file,
                text=True, process_group=0,
            )  # fmt: skip
        self.started.append(program)
        return log

    def link(self, log: Path) -> str:
        wait_for(lambda: re.search(r"login\?t=\S+", log.read_text()) or self.started[-1].poll() is not None, 60)
        found = re.search(r"http://\S+", log.read_text())
        assert found, log.read_text()
        return found[0]

    def end(self) -> None:
        for program in self.started:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


@pytest.fixture
def programs(folder: Path) -> Iterator[Programs]:
    made = Programs(folder)
    yield made
    made.end()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/login").status_code == 200
    except httpx.TransportError:
        return False


def test_the_page_is_served_and_a_login_outlives_it(programs: Programs) -> None:
    port = free_port()
    link = programs.link(programs.start("--bind", f"127.0.0.1:{port}"))
    at, _, token = link.partition("/login?t=")
    assert at == f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=at, headers=SAME) as ann:
        assert ann.get("/", headers={"accept": "application/json"}).status_code in (401, 404)
        assert ann.post("/login", data={"t": token}).status_code == 303
        assert ann.get("/login").headers["location"] == "/"
        programs.started[0].kill()
        programs.started[0].wait()
        programs.start("--bind", f"127.0.0.1:{port}")
        wait_for(lambda: answers(at), 60)
        assert ann.get("/login").headers["location"] == "/"
    programs.started[1].send_signal(signal.SIGTERM)
    assert programs.started[1].wait(20) == -signal.SIGTERM or programs.started[1].returncode == 0


def test_dev_prints_a_link_and_its_page_ends_with_it(programs: Programs) -> None:
    port = free_port()
    log = programs.start("--port", str(port), "--no-reload", "-c", "1", verb="dev")
    link = programs.link(log)
    assert link.startswith(f"http://127.0.0.1:{port}/login?t=")
    with httpx.Client(headers=SAME) as ann:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}"), 60)
        done = ann.post(link.partition("?")[0], data={"t": link.partition("=")[2]})
        assert done.status_code == 303
    wait_for(lambda: " ready" in log.read_text(), 60)
    assert len(log.read_text().splitlines()) <= 8
    os.killpg(programs.started[0].pid, signal.SIGKILL)  # not even told to
    programs.started[0].wait()
    wait_for(lambda: not answers(f"http://127.0.0.1:{port}"), 20)


def test_it_does_not_start_where_everybody_could_come_in(admin: Said, server: Server) -> None:
    for bind in ("0.0.0.0:0", "[::]:0", ":0"):
        said = admin("--bind", bind, status=2)
        assert "ONS-6001" in said
        for way in ("--bind 127.0.0.1", "onserver users add", "--behind-proxy"):
            assert way in said


def test_with_users_or_a_proxy_it_may_be_reached_from_elsewhere(server: Server, programs: Programs) -> None:
    port = free_port()
    log = programs.start("--bind", f"0.0.0.0:{port}", "--behind-proxy", "10.0.0.1")
    wait_for(lambda: answers(f"http://127.0.0.1:{port}"), 60)
    assert "login?t=" not in log.read_text()  # a log elsewhere has no key to the page
    Users(server.store).add("ann", "correct horse", ["owner"])
    port = free_port()
    log = programs.start("--bind", f"0.0.0.0:{port}", "--read-only")
    wait_for(lambda: answers(f"http://127.0.0.1:{port}"), 60)
    assert "let a server in front speak TLS" in log.read_text()
    assert "login?t=" not in log.read_text()


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("no.such.host.invalid", False)],
)  # fmt: skip
def test_what_is_reached_from_here_alone(host: str, here: bool) -> None:
    assert is_here(host) is here


def test_wrong_options(admin: Said) -> None:
    assert "RFC" not in admin("--bind", "nonsense", status=2)
    assert "--behind-proxy" in admin("--behind-proxy", "proxy.example", status=2)
    assert "ONS-1012" in admin("--behind-proxy", "10.0.0.1", "--proxy-role", "nobody", status=4)
    assert "ONS-1012" in admin("link", "--as", "vewer", status=4)
    assert "viewer" in admin("link", "--as", "vewer", status=4)


def test_a_link_leads_to_the_page_that_was_started_last(admin: Said, server: Server) -> None:
    assert admin("link").startswith("http://127.0.0.1:8765/login?t=")
    Logins(server.store).at = "http://127.0.0.1:9999"
    assert admin("link").startswith("http://127.0.0.1:9999/login?t=")
    made = admin.json("link", "--as", "viewer", "--at", "https://ops.example/admin/")
    assert made["url"].startswith("https://ops.example/admin/login?t=")
    assert Logins(server.store).is_link(made["url"].partition("=")[2])
    assert made["seconds"] == 600


def test_tokens_are_made_listed_and_revoked(admin: Said, server: Server) -> None:
    secret = admin("token", "new", "deploy", "--priv", "viewer", "--priv", "admin.process", "--ttl", "30d").strip()
    found = Tokens(server.store).find(secret)
    assert found is not None
    assert found.privileges == ("admin.view", "admin.process")
    assert secret not in admin("token", "ls")
    (row,) = admin.json("token", "ls")
    assert (row["name"], row["id"]) == ("deploy", found.id)
    assert found.id in admin("token", "rm", "deploy")
    assert Tokens(server.store).find(secret) is None
    assert "ONS-6002" in admin("token", "rm", "deploy", status=4)
    assert "a year at most" in admin("token", "new", "--priv", "viewer", "--ttl", "400d", status=2)
    assert "ONS-1012" in admin("token", "new", "--priv", "admin.everything", "--ttl", "1d", status=4)


def test_users_may_have_the_roles_of_the_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    Users(server.store).add("ann", "correct horse")
    assert command.run(["users", "roles", "ann", "+Operator", "+admin.restore"]) == 0
    assert Users(server.store).get("ann").roles == ("operator", "admin.restore")
    assert command.run(["users", "roles", "ann", "+operatr"]) == 4
