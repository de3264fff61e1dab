"""A single-user application has one session, for all its programs and as long as one of them is there (row 24)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver import Server, session
from onserver.scaffold import write_project
from onserver.session.context import serving

PROGRAM = """
from onserver import Server, session
with Server.standalone():
    print(session().id, session().storage["seen"])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project("alone", tmp_path / "alone")
    return tmp_path / "alone"


@pytest.fixture
def alone(project: Path) -> Iterator[Server]:
    with Server.standalone(project, {"ONSERVER_REDIS": "redis://production.example:6379"}) as made:
        yield made


def test_what_the_standalone_session_says_of_itself(alone: Server) -> None:
    found = session()
    assert found is alone.session()
    info = found.info
    assert info.type == "standalone"
    assert info.user_name == found.user_name == "designer"
    assert info.machine_name == socket.gethostname()
    assert info.ip_address == "localhost"
    assert info.id == found.id != ""
    assert not found.is_guest()
    assert alone.sessions.counts()["standalone"] == 1


def test_it_is_private(alone: Server, project: Path) -> None:
    assert alone.store.address.describe().startswith("unix://")
    assert (project / ".onserver" / "standalone").is_dir()
    assert not (project / ".onserver" / "redis").exists()


def test_every_thread_has_it_and_a_request_of_the_web_has_its_own(alone: Server) -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(session()))
    thread.start()
    thread.join()
    assert seen == [session()]
    web = alone.sessions.open("web")
    with serving(web):  # row 25
        assert session() is web
    with serving(None):
        assert session() is None


def test_another_program_of_it_has_the_same_and_the_next_opening_a_new_one(project: Path) -> None:
    with Server.standalone(project, {}):
        first = session()
        with first.storage.use("seen") as seen:
            seen["by"] = "the first"
        environ = os.environ | {"ONSERVER_PROJECT": str(project)}
        command = [sys.executable, "-c", PROGRAM]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert ran.stdout.split(maxsplit=1)[0] == first.id, ran.stderr
        assert "the first" in ran.stdout
    with Server.standalone(project, {}) as again:
        assert session().id != first.id
        assert "seen" not in session().storage
        assert again.sessions.find(first.id) is None
        assert again.sessions.counts()["standalone"] == 1
