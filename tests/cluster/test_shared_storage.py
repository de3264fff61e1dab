"""One storage in many programs: nothing is lost, nobody reads what is old, and forks are members of their own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from onserver import execute_many, execute_on_server
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open

ROOT = Path(__file__).resolve().parents[2]


def test_eight_processes_of_two_hundred_increments(cluster_of: Open) -> None:
    cluster = cluster_of(2, executors=4)
    with cluster.as_current():
        processes = execute_many("jobs.increment", [200] * 8)
        for process in processes:
            process.result(timeout=60)
        assert cluster.storage["nested"]["deep"]["count"] == 1600
        assert cluster.storage.version("nested") == 1601


def test_what_was_committed_before_a_start_is_read_by_it(cluster_of: Open) -> None:
    cluster = cluster_of(2, executors=2)
    with cluster.as_current():
        for n in range(1000):
            with cluster.storage.use("x") as x:
                x["n"] = n
            assert execute_on_server("jobs.read", "x").result(timeout=60)["n"] == n


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def test_forks_of_a_web_server_count_two_thousand_requests(cluster_of: Open, tmp_path: Path) -> None:
    cluster = cluster_of(0)
    path = tmp_path / "web"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "-w",
        "4",
        "--bind",
        f"unix:{path}",
        "--log-level",
        "error",
    ]
    environment = cluster.environment() | {"PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [*command, "tests.cluster.web_application:application"], env=environment, cwd=ROOT, process_group=0
    )

    def ask(count: int) -> set[str]:
        answers = set[str]()
        for _ in range(count):  # a connection each, so that all forks get some
            connection = UnixConnection(path)
            connection.request("GET", "/")
            answers.add(connection.getresponse().read().decode())
            connection.close()
        return answers

    try:
        wait_for(path.exists, 20, "the socket of gunicorn")
        with ThreadPoolExecutor(8) as pool:
            answers = set().union(*pool.map(ask, [250] * 8))
        web = cluster.storage["web"]
        assert web["count"] == 2000
        assert len(web["pids"]) == len(answers) == 4
        assert len({answer.split()[0].partition(".")[0] for answer in answers}) == 4
        assert {answer.split()[1] for answer in answers} == {"None"}
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself, which the test has said
            os.killpg(program.pid, signal.SIGTERM)
        program.wait(60)
