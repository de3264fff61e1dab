"""`onserver web` with a real worker: the original's example over a real connection; how the program begins and ends.

Rows 4, 5 and 9 of the table of contexts (1.3), each program for itself: browser, web server, worker, Redis.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onserver import Process
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.wait import wait_for
from tests.web_project import make_project

TASKS = """
import os

from onserver import caller, procedure, server_method, session


@server_method(published=True)
def action_Session() -> str:
    here = session()
    if here is None:
        return "4DACTION --> Session is null"
    if here.has_privilege("CreateInvoices"):
        return "4DACTION --> Session is CreateInvoices"
    return "4DACTION --> Session is not CreateInvoices"


@server_method(published=True)
def login(user: str) -> None:
    session().set_privileges({"userName": user, "roles": ["clerk"]})


@server_method(published=True)
async def where() -> dict[str, object]:
    return {"pid": os.getpid(), "id": session().id, "kind": session().record.kind, "caller": caller().user}


@server_method(published=True)
def kept(note: str = "") -> str:
    if note:
        with session().storage.use("notes", list[str]) as notes:
            notes.append(note)
    return ",".join(session().storage.get("notes", []))


@procedure(published=True)
def report(year: int) -> str:
    return f"{year}: {session().record.kind} for {caller().user}"
"""
PAGES = {"index.html": "<p><!--#4DTEXT session.user_name-->: <!--#4DSCRIPT/action_Session--></p>"}


class WebProgram:
    """`onserver web`, as a program."""

    def __init__(self, cluster: Cluster, log: Path, *words: str, **variables: str) -> None:
        self.log = log
        with log.open("w") as file:
            self.program = subprocess.Popen(
                [sys.executable, "-m", "onserver.cli", "web", "--bind", "127.0.0.1:0", *words],
                env=cluster.environment() | variables, cwd=cluster.project, stdout=file, stderr=file,
            )  # fmt: skip
        wait_for(lambda: self._said() or self.program.poll() is not None, 60)
        found = self._said()
        assert found, log.read_text()
        self.url = found[0]

    def _said(self) -> re.Match[str] | None:
        return re.search(r"(?<=serving )http://\S+", self.log.read_text())

    def end(self) -> int:
        self.program.send_signal(signal.SIGTERM)
        try:
            return self.program.wait(30)
        finally:
            self.program.kill()


@pytest.fixture(scope="module")
def cluster(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("web")
    project = make_project(folder / "shop", PAGES)
    (project / "tasks").mkdir()
    (project / "tasks/__init__.py").touch()
    (project / "tasks/shop.py").write_text(TASKS)
    (project / "workers").mkdir()
    (project / "workers/__init__.py").touch()
    worker = 'from onserver import Worker\n\nworker = Worker(queues=["default"], executors=1, async_executors=1)\n'
    (project / "workers/server.py").write_text(worker)
    with open_cluster(onserver_redis, folder, project, "", {}) as opened:
        opened.start(1)
        yield opened


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[WebProgram]:
    program = WebProgram(cluster, cluster.folder / "web.log")
    yield program
    program.program.kill()
    program.program.wait()


def test_it_tells_where_it_serves_and_what(web: WebProgram) -> None:
    assert "serving http://127.0.0.1:" in web.log.read_text()
    assert "4 published methods, 1 procedure" in web.log.read_text()


def test_row_5_the_example_of_the_original_with_two_browsers(web: WebProgram) -> None:
    with httpx.Client(base_url=web.url, timeout=60) as ann, httpx.Client(base_url=web.url, timeout=60) as ben:
        assert ann.get("/4DACTION/action_Session").text == "4DACTION --> Session is not CreateInvoices"
        ann.post("/action/login", data={"user": "ann"})
        assert ann.get("/4DACTION/action_Session").text == "4DACTION --> Session is CreateInvoices"
        assert ben.get("/4DACTION/action_Session").text == "4DACTION --> Session is not CreateInvoices"
        assert ann.get("/").text == "<p>ann: 4DACTION --&gt; Session is CreateInvoices</p>"
        found = ann.get("/action/where").json()
        assert (found["kind"], found["caller"]) == ("web", "ann")
        assert found["pid"] not in {web.program.pid, os.getpid()}  # it ran in a worker
        assert ann.cookies.get(next(iter(ann.cookies))) == found["id"]


def test_storage_is_that_of_the_browser(web: WebProgram) -> None:
    with httpx.Client(base_url=web.url, timeout=60) as ann, httpx.Client(base_url=web.url, timeout=60) as ben:
        assert ann.get("/action/kept?note=a").text == "a"
        assert ann.get("/action/kept?note=b").text == "a,b"
        assert ben.get("/action/kept").text == ""


def test_a_published_procedure_runs_in_the_session_of_the_server(cluster: Cluster, web: WebProgram) -> None:
    with httpx.Client(base_url=web.url, timeout=60) as ann:
        ann.post("/action/login", data={"user": "ann"})
        answer = ann.post("/action/report", data={"year": "2026"})
    assert answer.status_code == 202
    with cluster.as_current():
        assert Process.get(answer.json()["process"]).result(30) == "2026: storedProcedure for ann"


def test_row_9_without_scalable_sessions_it_is_null(cluster: Cluster) -> None:
    web = WebProgram(cluster, cluster.folder / "null.log", ONSERVER_WEB_SCALABLE_SESSIONS="false")
    try:
        assert httpx.get(f"{web.url}/4DACTION/action_Session", timeout=60).text == "4DACTION --> Session is null"
        assert ": 4DACTION" not in httpx.get(f"{web.url}/", timeout=60).text
    finally:
        web.end()


def test_it_ends_when_it_is_told_to(cluster: Cluster) -> None:
    web = WebProgram(cluster, cluster.folder / "end.log")
    assert httpx.get(f"{web.url}/nothing", timeout=60).status_code == 404
    assert web.end() == 0
    assert "Traceback" not in web.log.read_text()


def _run(cluster: Cluster, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "onserver.cli", "web", *words], env=cluster.environment() | variables,
        cwd=cluster.project, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_address_that_is_taken_is_told(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run(cluster, "--bind", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr


@pytest.mark.parametrize("bind", ["nowhere", "127.0.0.1:x", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(cluster: Cluster, bind: str) -> None:
    done = _run(cluster, "--bind", bind)
    assert done.returncode == 2
    assert "is no address with a port" in done.stderr


def test_without_redis_it_does_not_start(cluster: Cluster, tmp_path: Path) -> None:
    done = _run(cluster, ONSERVER_REDIS=f"unix://{tmp_path}/nothing", ONSERVER_REDIS_CONNECT_SECONDS="0.3")
    assert done.returncode == 6
    assert "ONS-1201" in done.stderr


def test_a_component_that_there_is_not(cluster: Cluster) -> None:
    done = _run(cluster, "--component", "elsewhere")
    assert done.returncode == 2
    assert "elsewhere" in done.stderr
