"""The verbs with which people see and control what runs, as they and scripts use them."""

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any

import pytest

from onserver.cli import command
from onserver.cli.bar import line as bar_line
from onserver.cli.top_screen import Shown, draw
from onserver.process.progress import Progress
from onserver.server import Server
from onserver.testing.wait import wait_for
from onserver.views.members import MemberRow
from onserver.views.overview import Overview, QueueRow
from onserver.views.processes import Row
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
        threading.Event().wait(0.2)  # seldom at a checkpoint: a pause stops it
    print("done", until)
    return until


@procedure(queue="nobody")
def waits() -> None: ...


@procedure
def locks(until: str) -> None:
    with session().storage.use("rates"):
        works(until)


@procedure(rerun=False)
def deaf() -> None:
    while True:
        threading.Event().wait(0.05)


@procedure(pause="checkpoint", rerun=False)
def delicate(until: str) -> None:
    while True:
        threading.Event().wait(0.05)
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
    wait_for(lambda: row(served, number)["progress"], 60)
    yield number
    release(served, name)
    wait_for(lambda: row(served, number)["state"] not in ("running", "paused"), 60)


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
    wait_for(lambda: row(served, done)["state"] == "done", 60)
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
    wait_for(lambda: log.read_text().count("work.works") >= 2, 60)
    served.programs[-1].send_signal(signal.SIGINT)
    assert served.programs[-1].wait(60) == 130
    assert "Traceback" not in log.read_text()


# ---- call --progress


def test_ps_watches_as_objects_one_a_look(served: Project, working: int) -> None:
    log = served.start("ps", "--watch", str(working), "--json", "-q")
    wait_for(lambda: log.read_text().count('{"v":1') >= 2, 60)
    served.programs[-1].send_signal(signal.SIGINT)
    assert served.programs[-1].wait(60) == 130
    looks = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]  # the rest is narration
    assert len(looks) >= 2
    assert {(look["ok"], look["data"][0]["number"], look["data"][0]["state"]) for look in looks} == {
        (True, working, "running")
    }


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
    wait_for(lambda: "it fails" in served.run("logs", str(number)).stdout, 60)
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
    wait_for(lambda: len(served.json("logs", str(number))["data"]) == 3, 60)
    assert [line["text"] for line in served.json("logs", str(number), *options)["data"]] == texts


def test_logs_of_all(served: Project) -> None:
    numbers = [detach(served, "work.speaks", word) for word in ("salt", "pepper")]
    wait_for(lambda: set(numbers) <= speakers(served), 60)
    assert served.run("logs", "--grep", "word (salt|pepper)").stdout.count("\n") == 2
    assert served.run("logs", "--grep", "nobody says this").stdout == "no line\n"


def speakers(project: Project) -> set[int]:
    return {line["process"] for line in project.json("logs", "--level", "ERROR")["data"]}


def test_logs_follow_a_process_to_its_end(served: Project) -> None:
    name = f"end-{time.time_ns()}"
    number = detach(served, "work.works", name)
    log = served.start("logs", str(number), "-f")
    wait_for(lambda: f"at work {name}" in log.read_text(), 60)
    release(served, name)
    assert served.programs[-1].wait(60) == 0
    assert [line.split(" ", 3)[3] for line in log.read_text().splitlines() if "#" in line] == [
        f"at work {name}",
        f"done {name}",
    ]


def test_logs_follow_all_as_objects(served: Project) -> None:
    log = served.start("logs", "-f", "--json", "-n", "0", "-q")
    others = detach(served, "work.speaks", "first")
    wait_for(lambda: "word" in log.read_text() or heard_again(served), 60)
    os.killpg(served.programs[-1].pid, signal.SIGINT)
    assert served.programs[-1].wait(60) == 130
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
    wait_for(lambda: served.run("logs", "works").stdout.count("at work") == 1, 20)  # a moment after it was written
    assert served.run("logs", "--grep", "(").returncode == 2
    assert served.run("logs", "--level", "loud").returncode == 2


# ---- abort, pause, resume


def began(project: Project, *words: str) -> int:
    number = detach(project, *words)
    wait_for(lambda: row(project, number)["state"] == "running", 20)
    return number


def test_abort_tells_how_far_it_came(served: Project) -> None:
    number = began(served, "work.works", "never")
    aborted = served.run("abort", str(number), "--reason", "no longer needed")
    assert aborted.returncode == 0
    assert re.fullmatch(rf"{number} work\.works: asked … stopped at a checkpoint after \d+\.\d s\n", aborted.stdout)
    failed = served.json("abort", str(number))["data"]
    assert (failed[0]["level"], failed[0]["state"]) == ("asked", "aborted")
    assert row(served, number)["state"] == "aborted"


def test_abort_names_the_locks_that_it_released(served: Project) -> None:
    number = began(served, "work.locks", "never")
    wait_for(lambda: served.json("storage", "locks")["data"], 20)
    assert served.run("abort", str(number)).stdout.endswith("locks released: rates\n")


def test_abort_with_force_kills(served: Project) -> None:
    number = began(served, "work.deaf")
    aborted = served.json("abort", str(number), "--force")["data"][0]
    assert (aborted["state"], aborted["level"]) == ("aborted", "killed")


def test_abort_that_is_not_obeyed_in_time_is_status_5(served: Project) -> None:
    number = began(served, "work.deaf")
    late = served.run("abort", str(number), "--timeout", "50ms")
    assert late.returncode == 5
    assert f"{number} work.deaf: asked, and running still" in late.stdout
    assert served.run("abort", str(number), "--timeout", "0").returncode == 0
    wait_for(lambda: row(served, number)["state"] == "aborted", 20)


def test_abort_takes_what_waits_from_its_queue(served: Project) -> None:
    numbers = [detach(served, "work.waits") for _ in range(3)]
    assert (
        served.run("abort", str(numbers[0])).stdout
        == f"{numbers[0]} work.waits: removed from its queue; it never ran\n"
    )
    dry = served.json("abort", "--all", "--procedure", "waits", "--dry-run")["data"]
    assert {found["number"] for found in dry} >= set(numbers[1:])
    assert row(served, numbers[1])["state"] == "queued"
    refused = served.run("abort", "--all", "--procedure", "waits")
    assert refused.returncode == 2
    assert "--yes says so" in refused.stderr
    assert served.run("abort", "--all", "--procedure", "waits", "--yes").returncode == 0
    assert [row(served, number)["state"] for number in numbers] == ["aborted"] * 3
    assert served.run("ps", "--state", "queued").stdout == "no process\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("abort",), 2), (("abort", "1", "--all"), 2), (("abort", "--procedure", "waits"), 2), (("abort", "--all"), 2),
        (("abort", "999999"), 4), (("abort", "999999", "--dry-run"), 4), (("abort", "no_such_name"), 4),
        (("abort", "--all", "--procedure", "no_such", "--yes"), 4), (("pause",), 2), (("pause", "999999"), 4),
        (("pause", "1", "--all"), 2),
        (("pause", "1", "--for", "1m"), 2),
        (("pause", "--procedure", "no_such"), 4),
        (("resume", "--queue", "a", "--procedure", "b"), 2),
        (("resume", "no_such_name"), 4), (("signal", "#x"), 2), (("signal", "x", "--wait", "1", "--reset"), 2),
        (("vars", "999999"), 4), (("top",), 2),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_status(served: Project, words: tuple[str, ...], status: int) -> None:
    assert served.run(*words).returncode == status


def test_of_several_those_that_are_there_are_aborted(served: Project) -> None:
    number = detach(served, "work.waits")
    aborted = served.run("abort", "999999", str(number))
    assert aborted.returncode == 4
    assert "No process #999999" in aborted.stderr
    assert row(served, number)["state"] == "aborted"


def test_pause_and_resume_what_runs(served: Project, working: int) -> None:
    paused = served.run("pause", str(working))
    assert paused.returncode == 0
    assert paused.stdout == f"{working} work.works: executor stopped at 70 %; another has taken its place\n"
    found = row(served, working)
    assert (found["state"], found["why"].split(", ")[0]) == ("paused", found["why"].split(", ")[0])
    assert "its executor is stopped" in found["why"]
    assert served.run("resume", str(working)).stdout == f"{working} work.works: asked to go on\n"
    wait_for(lambda: row(served, working)["state"] == "running", 20)
    assert served.json("resume", str(working))["data"][0]["level"] == "running"


def test_pause_and_resume_what_waits(served: Project) -> None:
    number = detach(served, "work.waits")
    assert served.run("pause", str(number)).stdout == f"{number} work.waits: paused; it had not begun\n"
    assert [found["number"] for found in served.json("ps", "--state", "paused")["data"]] == [number]
    assert served.run("resume", str(number)).stdout == f"{number} work.waits: waits for its turn again\n"
    served.run("abort", str(number))


def test_pause_that_waits_for_a_checkpoint_says_so(served: Project) -> None:
    name = f"end-{time.time_ns()}"
    number = began(served, "work.delicate", name)
    assert served.run("pause", str(number), "--timeout", "100ms").stdout.endswith("will pause at its next checkpoint\n")
    assert row(served, number)["why"].startswith("is to pause, by ")
    served.run("abort", str(number), "--force")


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (("--queue", "default"), "queue `default`"),
        (("--procedure", "work.counts"), "procedure `work.counts`"),
        (("--all",), "everything"),
    ],
)
def test_a_wide_pause_lets_nothing_begin(served: Project, gate: tuple[str, ...], said: str) -> None:
    paused = served.run("pause", *gate)
    try:
        assert paused.returncode == 0
        assert re.fullmatch(rf"{said} is paused by \S+@\S+ since \d\d:\d\d; what runs goes on\n", paused.stdout)
        number = detach(served, "work.counts", "3")
        assert row(served, number)["state"] == "queued"
        assert f"{said} is paused by" in row(served, number)["why"]
        (default,) = [queue for queue in served.json("top")["data"]["queues"] if queue["name"] == "default"]
        assert ("paused by" in default["paused"]) == (gate[0] != "--procedure")
    finally:
        resumed = served.run("resume", *gate)
    assert resumed.stdout.endswith(" goes on\n")
    wait_for(lambda: row(served, number)["state"] == "done", 20)
    assert served.run("resume", *gate).stdout.endswith(" was not paused\n")


def test_a_wide_pause_ends_by_itself(served: Project) -> None:
    gate = served.json("pause", "--queue", "default", "--for", "1s")["data"]
    assert gate["until_ms"] - gate["since_ms"] == 1000
    number = detach(served, "work.counts", "3")
    wait_for(lambda: row(served, number)["state"] == "done", 20)


def test_a_process_is_meant_by_its_name(served: Project) -> None:
    name = f"end-{time.time_ns()}"
    number = detach(served, "work.works", name, "--name", "nightly")
    wait_for(lambda: row(served, number)["state"] == "running", 20)
    assert served.run("pause", "nightly").returncode == 0
    assert row(served, number)["state"] == "paused"
    assert served.run("abort", "nightly").returncode == 0


# ---- signals and variables


def test_a_signal_is_triggered_waited_for_and_reset(served: Project) -> None:
    name = f"closed-{time.time_ns()}"
    waited = served.run("signal", name, "--wait", "50ms")
    assert (waited.returncode, waited.stdout) == (5, f"{name}: nothing yet\n")
    assert served.run("signal", name).stdout == f"{name}: triggered\n"
    assert served.run("signal", name).stdout == f"{name}: was triggered before\n"
    assert served.run("signal", name, "--wait", "10s").returncode == 0
    assert served.json("signal", name, "--reset")["data"] == {"signal": name, "signaled": False}
    assert served.run("signal", name, "--wait", "0").returncode == 5


def test_variables_are_read_and_written(served: Project, working: int) -> None:
    process = str(working)
    assert served.run("vars", process).stdout == "no variable\n"
    assert served.run("vars", process, "stop=true", 'note={"a": [1]}', "word=hello").stdout == ""
    assert served.json("vars", process)["data"] == {"note": {"a": [1]}, "stop": True, "word": "hello"}
    assert served.run("vars", process, "note").stdout == '{"a":[1]}\n'
    assert served.run("vars", process).stdout.splitlines()[1:] == ['note  {"a":[1]}', "stop  true", "word  hello"]
    missing = served.run("vars", process, "wrod")
    assert missing.returncode == 4
    assert "Did you mean `word`?" in missing.stderr


# ---- top


def overview(**changed: Any) -> Overview:
    rows = [
        Row(number, f"name{number}", "shop.render", "procedure", "ann (web)", "running",
            Progress(1, 4, "", 0).as_dict(), 75.0, "server@web-2", 0, "default", "")
        for number in range(1, 100)
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "name": "shop", "state": "running", "epoch": 7, "now_ms": 1_700_000_000_000, "running": 99, "waiting": 12,
        "delayed": 3, "dead": 1, "processes": rows, "queues": [QueueRow("default", 12, 4)],
        "members": [MemberRow(1, "worker", "server@web-2", "web-2", 5, "default", 4, 4, 0.2)],
    }  # fmt: skip
    return Overview(**facts | changed)


BARE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60)])
@pytest.mark.parametrize("shown", [
    Shown(chosen=3), Shown(view="queues"), Shown(view="workers"), Shown(help=True), Shown(log_of=3), Shown(pattern="x"),
    Shown(still=True, note="a note " * 40),
])  # fmt: skip
def test_the_screen_fits_the_terminal(size: tuple[int, int], shown: Shown) -> None:
    width, height = size
    lines = [BARE.sub("", line) for line in draw(overview(), shown, ["a log line " * 40] * 100, width, height)]
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("shop: running, epoch 7")


def test_the_screen_shows_what_it_is_about() -> None:
    lines = draw(overview(), Shown(chosen=3), [], 100, 24)
    assert "1 worker · 99 running · 12 waiting · 3 delayed · 1 dead" in lines[0]
    assert BARE.sub("", next(line for line in lines[1:] if "\x1b[7m" in line)).split()[:2] == ["3", "name3"]
    assert "25 %" in lines[4]
    assert "CALLER" in lines[3]
    narrow = draw(overview(), Shown(), [], 80, 24)
    assert narrow[3].split() == ["#", "NAME", "STATE", "PROGRESS", "TIME", "WORKER"]
    assert any("default" in line and "12" in line for line in draw(overview(), Shown(view="queues"), [], 80, 24))
    assert (
        "paused by ann"
        in draw(overview(queues=[QueueRow("default", 12, 4, "paused by ann")]), Shown(view="queues"), [], 80, 24)[4]
    )
    assert any("web-2" in line for line in draw(overview(), Shown(view="workers"), [], 80, 24))


def test_keys_choose_within_what_is_there() -> None:
    seen = overview()
    assert Shown().moved(seen, 1).chosen == 1
    assert Shown(chosen=98).moved(seen, 5).chosen == 99
    assert Shown(chosen=2).moved(seen, -5).chosen == 1
    assert Shown(chosen=2).moved(overview(processes=[]), 1).chosen == 0


def test_top_once_and_as_data(served: Project, working: int) -> None:
    shown = served.run("top", "--once").stdout
    assert re.search(rf"{working}\s+work\.works", shown)
    data = served.json("top")["data"]
    assert data["state"] == "running"
    assert working in [found["number"] for found in data["processes"]]
    assert {"name": "default", "waiting": 0} in [{"name": q["name"], "waiting": q["waiting"]} for q in data["queues"]]


class Terminal:
    """A terminal of 80 by 24 in which the command runs."""

    def __init__(self, project: Project, *words: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(project.folder)
            os.execve(sys.executable, project.command(*words), project.environment | {"TERM": "xterm"})
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.text = ""

    def shows(self, text: str) -> bool:
        if select.select([self.screen], [], [], 0)[0]:
            with suppress(OSError):  # it has ended
                self.text += os.read(self.screen, 65536).decode(errors="replace")
        return text in self.text

    def waits(self, text: str) -> None:
        wait_for(lambda: self.shows(text), 20, f"{text!r} on the screen")

    def types(self, keys: str) -> None:
        self.text = ""
        os.write(self.screen, keys.encode())

    def ends(self) -> int:
        wait_for(lambda: self.shows("\x1b[?1049l"), 20)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.screen)
        return os.waitstatus_to_exitcode(status)


def test_top_in_a_terminal(served: Project) -> None:
    number = began(served, "work.works", "never")
    terminal = Terminal(served, "top", "--interval", "200ms")
    terminal.waits("work.works")
    terminal.types("2")
    terminal.waits("EXECUTORS")
    terminal.types("\t")
    terminal.waits("server@")
    terminal.types("1/never-there\r")
    terminal.waits("no process")
    terminal.types("/\r")
    terminal.waits("work.works")
    terminal.types("?")
    terminal.waits("its log, and back")
    terminal.types("?l")
    terminal.waits("at work never")
    terminal.types("lp")
    wait_for(lambda: row(served, number)["state"] == "paused", 20)
    terminal.waits("asked to pause")
    terminal.types("r")
    wait_for(lambda: row(served, number)["state"] == "running", 20)
    terminal.types("a")
    terminal.waits(f"abort #{number}? y or n:")
    terminal.types("n?")
    terminal.waits("its log, and back")
    assert row(served, number)["state"] == "running"
    terminal.types("ay")
    wait_for(lambda: row(served, number)["state"] == "aborted", 20)
    terminal.types("q")
    assert terminal.ends() == 0


def test_top_ends_cleanly_on_ctrl_c(served: Project) -> None:
    terminal = Terminal(served, "top")
    terminal.waits("q leave")
    terminal.types("\x03")
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.text
    assert "\x1b[?25h" in terminal.text


def test_top_without_a_terminal_says_so(served: Project) -> None:
    assert "needs a terminal" in served.run("top").stderr
