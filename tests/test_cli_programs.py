"""The command as people use it: a new project, a server, and every exit status that a script may build on."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver.redis.embedded import Embedded
from onserver.redis.link import Link
from onserver.scaffold import write_project
from onserver.testing.wait import wait_for

SLOW = """import threading
from onserver import procedure


@procedure
def slow() -> None:
    threading.Event().wait(60)
"""
FAILS = "from onserver import procedure\n\n\n@procedure\ndef fails() -> None:\n    raise KeyError('x')\n"
BAD_HOOK = (
    "from onserver import on_server_startup\n\n\n@on_server_startup\ndef broken() -> None:\n    raise OSError('no')\n"
)


class Project:
    """A project in a folder of its own, and the command run in it."""

    def __init__(self, folder: Path, redis: str) -> None:
        self.folder = folder
        write_project("shop", folder)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}
        own = {"ONSERVER_REDIS": redis, "ONSERVER_NAME": f"cli-{secrets.token_hex(4)}"}
        own |= {"ONSERVER_SIGNING_KEY": secrets.token_hex(16), "ONSERVER_MEMBER_LEASE_SECONDS": "2"}
        self.environment = kept | own | {"ONSERVER_MEMBER_BEAT_SECONDS": "0.4", "PYTHONUNBUFFERED": "1"}
        self.programs: list[subprocess.Popen[str]] = []

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "onserver.cli", *words]

    def run(self, *words: str, text: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = self.environment | variables
        return subprocess.run(
            self.command(*words), env=environment, cwd=self.folder, input=text, text=True, capture_output=True,
            check=False, timeout=60,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def start(self, *words: str, **variables: str) -> Path:
        """Start a program and answer the file that it writes to."""
        log = self.folder / f"{len(self.programs)}.log"
        with log.open("w") as file:
            environment = self.environment | variables
            program = subprocess.Popen(
                self.command(*words), env=environment, cwd=self.folder, stdout=file, stderr=file, text=True,
                process_group=0,
            )  # fmt: skip
        self.programs.append(program)
        return log

    def serve(self) -> Path:
        log = self.start("worker")
        wait_for(lambda: " ready" in log.read_text() or self.programs[-1].poll() is not None, 60)
        assert self.programs[-1].poll() is None, log.read_text()
        return log

    def end(self) -> None:
        for program in self.programs:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


@pytest.fixture
def project(tmp_path: Path, onserver_redis: str) -> Iterator[Project]:
    made = Project(tmp_path / "shop", onserver_redis)
    yield made
    made.end()


def test_call_prints_the_result_and_nothing_else(project: Project) -> None:
    project.serve()
    called = project.run("call", "add", "2", "3")
    assert (called.returncode, called.stdout, called.stderr) == (0, "5\n", "")
    assert project.run("call", "hello.add", "2", "y=3").stdout == "5\n"
    assert project.run("call", "add", "--args-json", "-", text='{"x": 2, "y": 4}').stdout == "6\n"
    answer = project.json("call", "greet", "Ann")
    assert answer["v"] == 1
    assert answer["ok"] is True
    assert answer["data"]["result"] == "Hello Ann! Greeting number 1."


def test_a_call_that_waits_tells_after_a_while_what_for(project: Project) -> None:
    (project.folder / "tasks" / "slow.py").write_text(
        "import time\nfrom onserver import procedure, session\n\n\n@procedure\ndef slow() -> int:\n"
        "    while 'go' not in session().storage:\n        time.sleep(0.05)\n    return 7\n"
    )
    project.serve()
    worker = project.programs[-1]
    told = project.start("call", "slow", "-v")
    quiet = project.start("call", "slow")  # into a file: this is no terminal
    call = project.programs[-2]
    wait_for(lambda: " runs on server@" in told.read_text(), 60)
    os.killpg(worker.pid, signal.SIGKILL)
    wait_for(lambda: ", which is silent for " in told.read_text(), 60)
    wait_for(lambda: "as soon as another worker is there" in told.read_text(), 60)
    project.serve()
    assert project.run("storage", "set", "go", "1").returncode == 0
    assert call.wait(60) == project.programs[-2].wait(60) == 0
    assert told.read_text().splitlines()[-1] == "7"
    assert quiet.read_text() == "7\n"


def test_a_call_of_what_no_worker_there_has_says_so(project: Project) -> None:
    project.serve()
    (project.folder / "tasks" / "later.py").write_text(
        "from onserver import procedure\n\n\n@procedure\ndef later() -> int:\n    return 1\n"
    )
    code = "from onserver import execute_on_server; execute_on_server(__import__('tasks.later').later.later)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=project.environment, cwd=project.folder, text=True, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert "no worker on queue `default` has `later.later`. `onserver reload`" in done.stderr, done.stderr


def test_the_exit_statuses_of_call(project: Project) -> None:
    (project.folder / "tasks" / "more.py").write_text(FAILS)
    (project.folder / "tasks" / "slow.py").write_text(SLOW)
    nobody = project.run("call", "add", "2", "3")
    assert (nobody.returncode, nobody.stdout) == (7, "")
    assert "no worker listens on queue `default`" in nobody.stderr
    assert "No worker is up: #1 is kept and waits." in nobody.stderr
    assert project.run("call", "add", "2", "3", "--detach").returncode == 0
    project.serve()
    failed = project.run("call", "fails")
    assert failed.returncode == 1
    assert "KeyError: 'x'" in failed.stderr
    assert project.run("call", "add", "2").returncode == 2
    assert project.run("call").returncode == 2
    assert project.run("call", "add", "2", "3", "--unique").returncode == 2
    unknown = project.run("call", "ad", "2", "3")
    assert unknown.returncode == 4
    assert "Did you mean `hello.add`?" in unknown.stderr
    late = project.run("call", "slow", "--timeout", "200ms")
    assert late.returncode == 5
    away = project.run(
        "call", "add", "2", "3", ONSERVER_REDIS="redis://127.0.0.1:1", ONSERVER_REDIS_CONNECT_SECONDS="0.2"
    )
    assert away.returncode == 6
    assert "redis://127.0.0.1:1/0 refused the connection" in away.stderr


def test_ps_says_why_something_waits(project: Project) -> None:
    empty = project.run("ps")
    assert (empty.returncode, empty.stdout) == (0, "no process\n")
    number = project.json("call", "add", "2", "3", "--detach")["data"]["process"]
    (row,) = project.json("ps")["data"]
    assert (row["number"], row["state"], row["why"]) == (number, "queued", "no worker listens on queue `default`")
    project.serve()
    wait_for(lambda: project.json("ps", "--all", str(number))["data"][0]["state"] == "done", 60)
    assert project.run("ps", "nothing-like-it").returncode == 4
    procedures = [row["name"] for row in project.json("ps", "--procedures")["data"]]
    assert procedures == ["hello.add", "hello.convert", "hello.greet", "hello.set_rate"]
    (member,) = [row for row in project.json("ps", "--members")["data"] if row["kind"] == "worker"]
    assert (member["executors"], member["queues"]) == (2, "default")
    assert (member["state"], member["leads"], member["slots"]) == ("ready", True, 2)
    assert "ready, leads" in project.run("ps", "--members").stdout


def test_storage_from_the_command_line(project: Project) -> None:
    assert project.run("storage", "ls").stdout == "the storage is empty\n"
    assert project.run("storage", "get", "rates").returncode == 4
    assert project.run("storage", "set", "rates", '{"EUR": 1.1}').returncode == 0
    assert json.loads(project.run("storage", "get", "rates").stdout) == {"EUR": 1.1}
    conflict = project.run("storage", "set", "rates", "{}", "--if-version", "7")
    assert conflict.returncode == 8
    assert "`rates` is at version 1" in conflict.stderr
    assert project.run("storage", "incr", "n", "5").stdout == "5\n"
    assert [row["key"] for row in project.json("storage", "ls")["data"]] == ["n", "rates"]
    assert project.run("storage", "locks").stdout == "no lock is held\n"
    assert project.run("storage", "unlock", "rates").returncode == 4
    assert project.run("storage", "rm", "n").returncode == 0
    assert project.run("storage", "rm", "n").returncode == 4


def test_stop_ends_the_server(project: Project) -> None:
    assert project.run("stop").stdout == "no worker is up\n"
    project.serve()
    stopped = project.run("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "lifecycle.flush ok" in stopped.stderr
    assert stopped.stdout == "epoch 1 closed\n"
    assert project.programs[0].wait(60) == 0


def test_a_start_that_fails(project: Project) -> None:
    (project.folder / "tasks" / "lifecycle.py").write_text(BAD_HOOK)
    failed = project.run("worker")
    assert failed.returncode == 1
    assert "ONS-5301" in failed.stderr
    assert failed.stderr.rstrip().endswith("OSError: no")


def test_a_project_that_cannot_be_loaded(project: Project, tmp_path: Path) -> None:
    (project.folder / "tasks" / "broken.py").write_text("import no_such_module\n")
    broken = project.run("worker")
    assert broken.returncode == 2
    assert "`tasks/broken.py:1` cannot be imported: ModuleNotFoundError" in broken.stderr
    missing = project.run("worker", "nightly")
    assert missing.returncode == 2
    assert "there are: server" in missing.stderr
    nowhere = project.run("ps", "--project", str(tmp_path))
    assert nowhere.returncode == 2
    assert "ONS-1001" in nowhere.stderr
    unknown = project.run("ps", ONSERVER_PROCES_DELIVERIES="3")
    assert unknown.returncode == 2
    assert "Did you mean" in unknown.stderr


def test_a_worker_without_a_key_does_not_start(project: Project) -> None:
    del project.environment["ONSERVER_SIGNING_KEY"]
    refused = project.run("worker")
    assert refused.returncode == 2
    assert "No signing key" in refused.stderr


def test_an_unsafe_redis_is_refused(project: Project, tmp_path: Path) -> None:
    with Embedded(tmp_path / "other", linger_seconds=0) as own:
        with Link(own.start()) as link:
            link.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        refused = project.run("worker", ONSERVER_REDIS=f"unix://{own.home.socket}")
    assert refused.returncode == 2
    assert "ONS-1204" in refused.stderr
    assert "noeviction" in refused.stderr


def test_a_redis_that_keeps_nothing_is_warned_of(project: Project, tmp_path: Path) -> None:
    with Embedded(tmp_path / "other", linger_seconds=0) as own:
        with Link(own.start()) as link:
            link.command("CONFIG", "SET", "appendonly", "no")
        project.environment["ONSERVER_REDIS"] = f"unix://{own.home.socket}"
        said = project.serve().read_text()
        assert f"warning  unix://{own.home.socket}" in said
        assert "keeps nothing on disk" in said
        project.end()


def test_dev_serves_and_takes_new_code(project: Project) -> None:
    for name in ("ONSERVER_REDIS", "ONSERVER_NAME", "ONSERVER_SIGNING_KEY"):
        del project.environment[name]
    log = project.start("dev")
    wait_for(lambda: " ready" in log.read_text(), 60)
    assert (project.folder / ".onserver" / "keys.json").exists()
    assert project.run("call", "add", "2", "3").stdout == "5\n"
    hello = project.folder / "tasks" / "hello.py"
    hello.write_text(hello.read_text().replace("return x + y", "return x + y + 1000"))
    wait_for(lambda: project.run("call", "add", "2", "3").stdout == "1005\n", 60)
    hello.write_text(hello.read_text() + "\nimport no_such_module\n")
    wait_for(lambda: "the old code goes on" in log.read_text(), 60)
    assert project.run("call", "add", "2", "3").stdout == "1005\n"
    os.killpg(project.programs[0].pid, signal.SIGINT)  # Ctrl-C goes to the whole group
    assert project.programs[0].wait(60) == 0
    assert "epoch 1 closed" in log.read_text()
    assert "Traceback" not in log.read_text().replace("ModuleNotFoundError", "", 1).partition("the old code")[0]


def test_ctrl_c_ends_a_call(project: Project) -> None:
    (project.folder / "tasks" / "slow.py").write_text(SLOW)
    project.serve()
    project.start("call", "slow")
    wait_for(lambda: any(row["state"] == "running" for row in project.json("ps", "slow")["data"]), 60)
    os.killpg(project.programs[1].pid, signal.SIGINT)
    assert project.programs[1].wait(60) == 130
