"""The verbs with which people see and control what runs, as they and scripts use them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from onserver.cli import command
from onserver.cli.bar import line as bar_line
from onserver.process.progress import Progress
from onserver.server import Server
from onserver.testing.wait import wait_for
from tests.test_cli_programs import Project

TASKS = """import logging
import sys
import threading

from onserver import procedure, process, session

logger = logging.getLogger("shop")


@procedure
def counts(total: int) -> int:
    for done in range(total):
        process().report(done + 1, total, "customers")
    return total


@procedure
def speaks(word: str) -> None:
    print("word", word)
    logger.warning("take care of %s", word)
    logger.error("it fails: %s", word)


@procedure
def works(until: str) -> str:
    process().report(7, 10, "halfway")
    print("at work", until, flush=True)
    while until not in session().storage:
        threading.Event().wait(0.02)
    print("done", until)
    return until


@procedure(queue="nobody")
def waits() -> None: ...
"""


class Here(Project):
    """The same project, with the command run in this program: what is not about streams and signals is quicker so."""

    def run(self, *words: str, text: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
        assert not text
        assert not variables
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = command.run(["--project", str(self.folder), *words])
        Server.current().close()
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, onserver_redis: str) -> Iterator[Project]:
    made = Here(tmp_path_factory.mktemp("control") / "shop", onserver_redis)
    (made.folder / "tasks" / "work.py").write_text(TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(made.folder)
        for name, value in made.environment.items():
            if name.startswith("ONSERVER_"):
                patch.setenv(name, value)
        made.serve()
        yield made
    made.end()


def detach(project: Project, *words: str) -> int:
    return int(project.json("call", *words, "--detach")["data"]["process"])


def row(project: Project, number: int) -> dict[str, Any]:
    found: dict[str, Any] = project.json("ps", str(number))["data"][0]
    return found


def release(project: Project, name: str) -> None:
    assert project.run("storage", "set", name, "1").returncode == 0


@pytest.fixture
def working(served: Project) -> Iterator[int]:
    """The number of a process that runs for the time of one test."""
    name = f"end-{time.time_ns()}"
    number = detach(served, "work.works", name)
    wait_for(lambda: row(served, number)["progress"], 20)
    yield number
    release(served, name)
    wait_for(lambda: row(served, number)["state"] not in ("running", "paused"), 20)


# ---- ps


def test_ps_shows_who_asked_and_how_far_it_is(served: Project, working: int) -> None:
    found = row(served, working)
    assert (found["state"], found["progress"]["percent"], found["progress"]["note"]) == ("running", 70, "halfway")
    assert found["caller"]
    shown = served.run("ps", str(working)).stdout
    assert re.search(rf"#\s+NAME\s+KIND\s+CALLER\s+STATE\s+PROGRESS\s+TIME\s+WORKER\n\s*{working}\s+work\.works", shown)
    assert " 70 % " in shown


def test_ps_by_state_and_pattern(served: Project, working: int) -> None:
    waiting = detach(served, "work.waits")
    assert [found["number"] for found in served.json("ps", "--state", "running")["data"]] == [working]
    assert waiting in [found["number"] for found in served.json("ps", "--state", "queued,delayed")["data"]]
    assert {found["procedure"] for found in served.json("ps", "wait;nothing")["data"]} == {"work.waits"}
    assert served.run("ps", "--state", "sleepy").returncode == 2
    assert "The states are queued, delayed" in served.run("ps", "--state", "sleepy").stderr
    done = detach(served, "hello.add", "1", "2")
    wait_for(lambda: row(served, done)["state"] == "done", 20)
    assert done in [found["number"] for found in served.json("ps", "--all", "--state", "done")["data"]]
    assert done in [found["number"] for found in served.json("ps", "--state", "done")["data"]]


def test_ps_shows_the_first_page_and_says_that_there_is_more(served: Project) -> None:
    for _ in range(3):
        detach(served, "work.waits")
    shown = served.run("ps", "waits", "--limit", "2")
    assert len(shown.stdout.splitlines()) == 3
    assert "there are more" in shown.stderr


def test_ps_watches_until_it_is_interrupted(served: Project, working: int) -> None:
    log = served.start("ps", "--watch", str(working))
    wait_for(lambda: log.read_text().count("work.works") >= 2, 20)
    served.programs[-1].send_signal(signal.SIGINT)
    assert served.programs[-1].wait(10) == 130
    assert "Traceback" not in log.read_text()


# ---- call --progress


def test_call_shows_progress_and_then_the_result(served: Project) -> None:
    called = served.run("call", "work.counts", "500", "--progress")
    assert (called.returncode, called.stdout) == (0, "500\n")
    assert "100 % customers" in called.stderr
    quiet = served.run("call", "work.counts", "500", "--progress", "-q")
    assert (quiet.stdout, quiet.stderr) == ("500\n", "")


@pytest.mark.parametrize(
    ("progress", "width", "shown"),
    [
        (Progress(1, 4, "files", 0), 60, "██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  25 % 1 of 4 files"),
        (Progress(4, 4, "", 0), 24, "███████████ 100 % 4 of 4"),
        (Progress(12, None, "files", 0), 60, "12 files"),
        (Progress(12, 20, "x" * 100, 0), 10, "  60 % 12 "),
    ],
)
def test_the_bar_fits_its_line(progress: Progress, width: int, shown: str) -> None:
    assert bar_line(progress, width) == shown
    assert len(bar_line(progress, width)) <= width


# ---- logs


def test_logs_of_one_process(served: Project) -> None:
    number = detach(served, "work.speaks", "tea")
    wait_for(lambda: "it fails" in served.run("logs", str(number)).stdout, 20)
    lines = served.run("logs", str(number)).stdout.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(rf"\d\d:\d\d:\d\d #{number} server@\S+ word tea", lines[0])
    data = served.json("logs", str(number))["data"]
    assert [(line["source"], line["level"], line["text"]) for line in data] == [
        ("out", "", "word tea"),
        ("err", "WARNING", "WARNING shop: take care of tea"),
        ("err", "ERROR", "ERROR shop: it fails: tea"),
    ]


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (("--level", "error"), ["ERROR shop: it fails: milk"]),
        (("--grep", "care|word"), ["word milk", "WARNING shop: take care of milk"]),
        (("-n", "1"), ["ERROR shop: it fails: milk"]),
        (("--worker", "server@"), ["word milk", "WARNING shop: take care of milk", "ERROR shop: it fails: milk"]),
        (("--worker", "another"), []),
        (("--since", "1h", "-n", "1"), ["ERROR shop: it fails: milk"]),
        (("--since", "0"), []),
    ],
)
def test_logs_are_filtered(served: Project, options: tuple[str, ...], texts: list[str]) -> None:
    number = detach(served, "work.speaks", "milk")
    wait_for(lambda: len(served.json("logs", str(number))["data"]) == 3, 20)
    assert [line["text"] for line in served.json("logs", str(number), *options)["data"]] == texts


def test_logs_of_all(served: Project) -> None:
    numbers = [detach(served, "work.speaks", word) for word in ("salt", "pepper")]
    wait_for(lambda: set(numbers) <= speakers(served), 20)
    assert served.run("logs", "--grep", "word (salt|pepper)").stdout.count("\n") == 2
    assert served.run("logs", "--grep", "nobody says this").stdout == "no line\n"


def speakers(project: Project) -> set[int]:
    return {line["process"] for line in project.json("logs", "--level", "ERROR")["data"]}


def test_logs_follow_a_process_to_its_end(served: Project) -> None:
    name = f"end-{time.time_ns()}"
    number = detach(served, "work.works", name)
    log = served.start("logs", str(number), "-f")
    wait_for(lambda: f"at work {name}" in log.read_text(), 20)
    release(served, name)
    assert served.programs[-1].wait(20) == 0
    assert [line.split(" ", 3)[3] for line in log.read_text().splitlines() if "#" in line] == [
        f"at work {name}",
        f"done {name}",
    ]


def test_logs_follow_all_as_objects(served: Project) -> None:
    log = served.start("logs", "-f", "--json", "-n", "0", "-q")
    others = detach(served, "work.speaks", "first")
    wait_for(lambda: "word" in log.read_text() or heard_again(served), 20)
    os.killpg(served.programs[-1].pid, signal.SIGINT)
    assert served.programs[-1].wait(10) == 130
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert lines[-1]["v"] == 1
    assert lines[-1]["process"] >= others


def heard_again(project: Project) -> bool:
    """Speak again: the first words may have come before anybody followed."""
    detach(project, "work.speaks", "again")
    return False


def test_logs_of_nobody(served: Project, working: int) -> None:
    assert served.run("logs", "999999").returncode == 4
    unknown = served.run("logs", "work.work")
    assert unknown.returncode == 4
    assert "Did you mean work.works" in unknown.stderr
    assert served.run("logs", "works").stdout.count("at work") == 1
    assert served.run("logs", "--grep", "(").returncode == 2
    assert served.run("logs", "--level", "loud").returncode == 2
