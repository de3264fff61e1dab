"""Each time of a schedule starts one process, whoever dies and whatever the clock does. The verdict is the ledger's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from onserver.process.handle import Process
from onserver.process.plan import plan_of
from onserver.process.timing import Timing
from onserver.redis.keys import find_orphans
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.conftest import Open

TASKS = (Path(__file__).parent / "schedule_project.py").read_text()
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600


def only(*names: str) -> str:
    """The project with none but these schedules."""
    blocks = TASKS.split("\n\n\n")
    return "\n\n\n".join(block for block in blocks if "schedule=" not in block or any(name in block for name in names))


def at(moment: datetime) -> int:
    return int(moment.timestamp())


def now(cluster: Cluster) -> float:
    """The time by the clock that scripts read, in seconds since 1970."""
    seconds, micros = cluster.server.store.command("TIME")
    ahead = cluster.server.store.command("GET", cluster.server.store.key("clock")) or 0
    return float(int(seconds) + int(micros) / 1e6 + int(ahead) / 1000)


def set_clock(cluster: Cluster, seconds: float) -> None:
    """Let it be that time."""
    cluster.advance(seconds - now(cluster))


def started(cluster: Cluster, name: str) -> list[int]:
    """The times for which a schedule has started processes, in the order in which these ran.

    One that had begun at a worker that was killed runs once more: it is the same process.
    """
    runs = [(int(words[2]), int(words[1])) for words in cluster.ledger.of(name) if words[1] != "-"]
    return [time for _, time in dict.fromkeys(runs)]


def times(text: str, begin: float, end: float, zone: str = "UTC") -> list[int]:
    """The times of a schedule in an interval, in seconds."""
    timing, found, after = Timing.read(text, zone), list[int](), int(begin * 1000) - 1
    while (time := timing.after(after)) is not None and time <= end * 1000:
        found.append(time // 1000)
        after = time
    return found


def have_run(cluster: Cluster, name: str, wanted: list[int]) -> None:
    """Wait for a run for each of these times, and find no other and none twice."""
    cluster.wait_for(lambda: set(wanted) <= set(started(cluster, name)), 60)
    assert sorted(started(cluster, name)) == wanted


def settled(cluster: Cluster) -> None:
    """Wait until a leader has looked at the clock as it is now, and what schedules started last has run."""
    store, begun = cluster.server.store, now(cluster)
    cluster.wait_for(lambda: int(store.command("HGET", store.key("server"), "heard") or 0) / 1000 > begun + 0.5)
    cluster.wait_for(lambda: all(Process.get(one.number).state.ended for one in plan_of(store) if one.number))


@pytest.mark.parametrize("day", [datetime(2026, 10, 25, tzinfo=BERLIN), datetime(2027, 3, 28, tzinfo=BERLIN)])
def test_a_day_on_which_the_clocks_are_changed(cluster_of: Open, day: datetime) -> None:
    """Through the day in jumps, each of which passes a few hours."""
    cluster = cluster_of(0, tasks=only("at_half_past_two", "def hourly()"))
    begin = at(day) - 30 * 60
    set_clock(cluster, begin)
    cluster.start(2, executors=2)
    while now(cluster) < at(day + timedelta(days=1)):
        cluster.advance(2.3 * HOUR)
        have_run(cluster, "hourly", times("0 * * * *", begin, now(cluster), "Europe/Berlin"))
    have_run(cluster, "half past two", times("30 2 * * *", begin, now(cluster), "Europe/Berlin"))
    assert len(started(cluster, "half past two")) == 1


@pytest.mark.parametrize("step", ["before_tick", "after_tick"])
def test_a_leader_that_is_killed_at_a_time(cluster_of: Open, step: str) -> None:
    cluster = cluster_of(0, tasks=only("hourly_once", "hourly_skip"))
    (first,) = cluster.start(executors=1, crash_at=f"{step}@supervisor")
    (second,) = cluster.start(executors=1)
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 1)
    cluster.wait_for(lambda: not first.alive)
    assert second.alive
    for name in ("once", "skip"):
        have_run(cluster, name, [full])
    set_clock(cluster, full + HOUR - 1)
    for name in ("once", "skip"):
        have_run(cluster, name, [full, full + HOUR])


def test_no_second_is_left_out_or_counted_twice_while_leaders_die(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=only("each_second"), executors=1)
    cluster.wait_for(lambda: len(started(cluster, "second")) >= 2)
    for _ in range(2):
        store = cluster.server.store
        leader = int(store.command("HGET", store.key("server"), "leader"))
        pid = int(store.command("HGET", store.key(f"member:{leader}"), "pid"))
        worker = next(worker for worker in cluster.workers if worker.pid == pid)
        cluster.kill(worker)
        cluster.start(executors=1)
        reached = int(now(cluster)) + 1
        cluster.wait_for(lambda reached=reached: max(started(cluster, "second")) > reached, 60)  # type: ignore[misc]
    found = sorted(started(cluster, "second"))
    settled(cluster)
    found = sorted(started(cluster, "second"))
    assert found == list(range(found[0], found[-1] + 1))


def test_a_frozen_leader_that_wakes_up_starts_nothing_again(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("hourly_once"))
    (first,) = cluster.start(executors=1)
    (second,) = cluster.start(executors=1)
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 20)
    settled(cluster)
    cluster.stop(first)
    cluster.wait_for(lambda: "was declared dead" in second.output)
    set_clock(cluster, full - 0.5)
    have_run(cluster, "once", [full])
    cluster.cont(first)
    cluster.wait_for(lambda: "dropped" in first.output)
    settled(cluster)
    assert started(cluster, "once") == [full]


def test_a_clock_that_jumps_both_ways(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("def hourly()", "hourly_once", "hourly_skip"))
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 10 * 60)
    cluster.start(executors=2)
    cluster.advance(5 * HOUR)  # it is ten to: five times have passed unseen
    five = [full + n * HOUR for n in range(5)]
    have_run(cluster, "hourly", five)
    have_run(cluster, "once", five[-1:])
    settled(cluster)
    assert started(cluster, "skip") == []

    cluster.advance(-3 * HOUR)  # put back: the times that come again have been
    set_clock(cluster, full + 2 * HOUR - 1)
    settled(cluster)
    set_clock(cluster, full + 5 * HOUR - 1)  # and forward to one that has not
    have_run(cluster, "hourly", [*five, full + 5 * HOUR])
    have_run(cluster, "once", [five[-1], full + 5 * HOUR])
    have_run(cluster, "skip", [full + 5 * HOUR])


def test_what_was_missed_while_no_worker_was_up(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("def hourly()", "hourly_once", "hourly_skip"))
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 10 * 60)
    (first,) = cluster.start(executors=2)
    settled(cluster)
    first.signal(signal.SIGTERM)
    first.wait()
    cluster.advance(30 * HOUR)
    cluster.start(executors=2)
    missed = [full + n * HOUR for n in range(30)]
    have_run(cluster, "hourly", missed)
    have_run(cluster, "once", missed[-1:])
    settled(cluster)
    assert started(cluster, "skip") == []


SETTINGS = """redis = "embedded"

[schedule.morning]
procedure = "greet"
cron = "0 6 * * *"
timezone = "Europe/Berlin"
arguments = ["ann"]

[schedule.often]
procedure = "jobs.greet"
every_seconds = 1800
arguments = { whom = "bob", times = 2 }

[schedule."jobs.hourly_once"]
procedure = "jobs.hourly_once"
cron = "15 * * * *"
"""


def with_settings(cluster: Cluster, text: str) -> None:
    (cluster.project / "config" / "onserver.toml").write_text(text)


def test_schedules_of_the_settings(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("hourly_once"))
    with_settings(cluster, SETTINGS)
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full + 1)
    cluster.start(executors=2)
    set_clock(cluster, full + 30 * 60 - 1)
    cluster.wait_for(lambda: cluster.ledger.of("greet"))
    (words,) = cluster.ledger.of("greet")
    assert (int(words[1]), *words[3:]) == (full + 30 * 60, "bob", "2")
    assert started(cluster, "once") == [full + 15 * 60], "the settings take the place of what the code says"
    assert {row["caller"] for row in data(cluster, "ps", "--all", "jobs.greet")} == {"schedule"}
    row = next(row for row in data(cluster, "schedule", "ls") if row["name"] == "morning")
    assert (row["procedure"], row["words"]) == ("jobs.greet", "At 06:00 every day, Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[schedule.a]\nprocedure = "gret"\ncron = "0 6 * * *"', "`schedule.a.procedure` is 'gret'"),
        ('[schedule.a]\nprocedure = "greet"\ncron = "0 6 * *"\narguments = [1]', "wrong number of fields"),
        ('[schedule.a]\nprocedure = "greet"\ncron = "0 6 * * *"', "misses `whom`"),
        ('[schedule.a]\nprocedure = "greet"', "neither `cron` nor `every_seconds`"),
        ('[schedule.a]\nprocedure = "greet"\ncrn = "0 6 * * *"', "Did you mean `cron`?"),
    ],
)
def test_a_schedule_of_the_settings_that_cannot_be_kept(cluster_of: Open, text: str, problem: str) -> None:
    cluster = cluster_of(0, tasks=only("hourly_once"))
    with_settings(cluster, text)
    (worker,) = cluster.start(ready=False)
    worker.wait(60)
    assert worker.status == 2, worker.output
    assert problem in worker.output
    status, said = run(cluster, "config", "check")
    assert status == 2
    assert problem in said["error"]["message"] + said["error"]["hint"]
    with_settings(cluster, "")


def test_a_schedule_that_new_code_does_not_have(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("def hourly()", "hourly_once"))
    (worker,) = cluster.start(executors=1)
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 1)
    have_run(cluster, "once", [full])
    (cluster.project / "tasks" / "jobs.py").write_text(only("def hourly()"))
    worker.signal(signal.SIGUSR2)
    cluster.wait_for(lambda: ": code " in worker.output)
    cluster.wait_for(lambda: len(live_codes(cluster)) == 1, 60)
    set_clock(cluster, full + HOUR - 1)
    have_run(cluster, "hourly", [full, full + HOUR])
    settled(cluster)
    assert started(cluster, "once") == [full]


def live_codes(cluster: Cluster) -> list[bytes]:
    codes: list[bytes] = cluster.server.store.command("HKEYS", cluster.server.store.key("codes"))
    return codes


# ---- the command line


def run(cluster: Cluster, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a verb with --json; its status, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "onserver.cli", *words, "--json"],
        env=cluster.environment(), cwd=cluster.project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def data(cluster: Cluster, *words: str) -> Any:
    status, said = run(cluster, *words)
    assert status == 0, said
    return said["data"]


def test_the_verbs(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("def hourly()", "hourly_once"))
    assert data(cluster, "schedule", "ls") == []
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 20 * 60)
    (worker,) = cluster.start(executors=1)

    rows = {row["name"]: row for row in data(cluster, "schedule", "ls")}
    assert sorted(rows) == ["jobs.hourly", "jobs.hourly_once"]
    row = rows["jobs.hourly_once"]
    assert datetime.fromisoformat(row["next"]) == datetime.fromtimestamp(full, UTC)
    assert 19 * 60 < row["in_seconds"] < 20 * 60
    assert (row["source"], row["missed"], row["alive"], row["paused_by"], row["process"]) == (
        "code", "once", True, None, None,
    )  # fmt: skip

    coming = data(cluster, "schedule", "next", "hourly_once", "-n", "3")
    assert [at(datetime.fromisoformat(row["time"])) for row in coming] == [full, full + HOUR, full + 2 * HOUR]
    assert [row["name"] for row in data(cluster, "schedule", "next", "-n", "2")] == ["jobs.hourly", "jobs.hourly_once"]

    number = data(cluster, "schedule", "run", "hourly_once")["process"]
    cluster.wait_for(lambda: cluster.ledger.count("once", "-", number))
    assert {row["name"]: row["process"] for row in data(cluster, "schedule", "ls")}["jobs.hourly_once"] == number

    assert data(cluster, "schedule", "pause", "hourly_once")["changed"]
    assert not data(cluster, "schedule", "pause", "hourly_once")["changed"]
    worker.signal(signal.SIGTERM)
    worker.wait()
    rows = {row["name"]: row for row in data(cluster, "schedule", "ls")}
    assert not rows["jobs.hourly"]["alive"]
    cluster.start(executors=1)  # it stays paused
    set_clock(cluster, full - 1)
    have_run(cluster, "hourly", [full])
    row = next(row for row in data(cluster, "schedule", "ls") if row["name"] == "jobs.hourly_once")
    assert "@" in row["paused_by"]
    assert row["next"] is None
    assert data(cluster, "schedule", "resume", "hourly_once")["changed"]
    set_clock(cluster, full + HOUR - 1)
    have_run(cluster, "once", [full + HOUR])

    for verb in ("next", "run", "pause", "resume"):
        status, said = run(cluster, "schedule", verb, "hourli_once")
        assert status == 4
        assert said["error"]["code"] == "ONS-1107"
        assert "Did you mean `jobs.hourly_once`?" in said["error"]["hint"]


def test_a_schedule_that_is_added_runs_and_outlives_every_restart(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=only("def hourly()"))
    full = (int(now(cluster)) // HOUR + 1) * HOUR
    set_clock(cluster, full - 20 * 60)
    row = data(cluster, "schedule", "add", "*/30 * * * *", "greet", "ann", "times=3", "--name", "half")  # nobody is up
    assert (row["name"], row["procedure"], row["source"], row["alive"]) == ("half", "jobs.greet", "added", False)
    (worker,) = cluster.start(executors=1)
    set_clock(cluster, full - 1)
    cluster.wait_for(lambda: cluster.ledger.of("greet"))
    assert [(int(words[1]), *words[3:]) for words in cluster.ledger.of("greet")] == [(full, "ann", "3")]
    worker.signal(signal.SIGTERM)
    worker.wait()
    (cluster.project / "tasks" / "jobs.py").write_text(only("def hourly()") + "\n# newer\n")
    cluster.start(executors=1)
    rows = {row["name"]: row for row in data(cluster, "schedule", "ls")}
    assert (rows["half"]["alive"], "@" in rows["half"]["added_by"]) == (True, True)
    assert (rows["jobs.hourly"]["source"], rows["jobs.hourly"]["added_by"]) == ("code", None)
    set_clock(cluster, full + 30 * 60 - 1)
    cluster.wait_for(lambda: len(cluster.ledger.of("greet")) == 2)
    assert data(cluster, "schedule", "rm", "half") == {"name": "half"}
    set_clock(cluster, full + HOUR - 1)
    have_run(cluster, "hourly", [full, full + HOUR])
    settled(cluster)
    assert started(cluster, "greet") == [full, full + 30 * 60]
    assert find_orphans(cluster.server.store) == []


@pytest.mark.parametrize(
    ("given", "status", "problem"),
    [
        (("0 6 * *", "greet", "ann"), 2, "wrong number of fields"),
        (("0 6 * * *", "greet", "ann", "--timezone", "Mars"), 2, "`Mars` is no time zone"),
        (("every 0.1s", "greet", "ann"), 2, "too often"),
        (("0 6 * * *", "greet"), 2, "misses `whom`"),
        (("0 6 * * *", "gret", "ann"), 4, "No procedure `gret`"),
        (("0 6 * * *", "greet", "ann", "--name", "a b"), 2, "no blanks"),
        (("0 6 * * *", "hourly"), 8, "There is a schedule `jobs.hourly` already"),
    ],
)
def test_a_schedule_that_cannot_be_added(served: Cluster, given: tuple[str, ...], status: int, problem: str) -> None:
    found, said = run(served, "schedule", "add", *given)
    assert found == status, said
    assert problem in said["error"]["message"] + said["error"]["hint"]
    assert [row["name"] for row in data(served, "schedule", "ls")] == ["jobs.hourly"]


def test_a_declared_schedule_is_not_removed(served: Cluster) -> None:
    status, said = run(served, "schedule", "rm", "hourly")
    assert status == 3
    assert "is declared (code)" in said["error"]["message"]
    assert run(served, "schedule", "rm", "hurly")[0] == 4


@pytest.fixture(scope="module")
def served(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that no test changes."""
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("served"), tasks=only("def hourly()")) as cluster:
        cluster.start(executors=1)
        yield cluster
