"""Events in a cluster: told once, heard by the hooks of the right workers, in their order, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from onserver import execute_on_server, system_event
from onserver.errors import NoWorker
from onserver.life.happenings import PATIENCE
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open
from tests.cluster.happened import TASKS, events, heard, runner
from tests.logind import impostor, private_logind


def test_each_event_of_the_cluster_is_told_once_and_heard_once_with_three_workers(cluster_of: Open) -> None:
    marks = {"events.disk_free_percent": 100, "events.queue_wait_seconds": 0.5}
    cluster = cluster_of(3, tasks=TASKS, settings=marks)
    with cluster.as_current():
        with pytest.warns(NoWorker):
            waiting = execute_on_server("jobs.of_no_queue")
        for name in ("fail", "fail_in_secret", "die", "be_killed"):
            execute_on_server(f"jobs.{name}", *(() if name == "be_killed" else ("x: é",)))
        system_event("shop.opened", shelves=12)
        execute_on_server("jobs.tell", "shop.told").result(timeout=60)
        victim = cluster.worker(2)
        cluster.kill(victim)
        wanted = {
            "worker.joined": 3, "leader.changed": 1, "worker.dead": 1, "process.failed": 2, "process.dead": 1,
            "process.lost": 1, "shop.opened": 1, "shop.told": 1, "disk.low": 1, "queue.waits": 1,
        }  # fmt: skip
        for name, count in wanted.items():
            cluster.wait_for(lambda name=name, count=count: len(heard(cluster, "once", name)) >= count)  # type: ignore[misc]
        for name, count in wanted.items():
            if name != "leader.changed":  # the one that was killed may have led
                assert len(events(cluster, name)) == len(heard(cluster, "once", name)) == count, name
            cluster.wait_for(lambda name=name: heard(cluster, "here", name))  # type: ignore[misc]
            assert len(heard(cluster, "here", name)) == len(heard(cluster, "once", name)), name
        (dead,) = events(cluster, "worker.dead")
        assert (dead.worker, dead.payload["why"]) == ("w3", "was silent for a lease")
        failed = {event.payload["procedure"]: event for event in events(cluster, "process.failed")}
        assert failed["jobs.fail"].payload["error"] == "LookupError"
        assert failed["jobs.fail"].payload["message"] == "x: é"
        assert failed["jobs.fail"].worker in ("w1", "w2", "w3")
        assert failed["jobs.fail_in_secret"].payload["message"] == ""
        (told,) = heard(cluster, "once", "shop.told")
        assert (told["code"], told["payload"]) == (1000, {"n": 0})
        (waits,) = events(cluster, "queue.waits")
        assert (waits.payload["queue"], waits.payload["number"]) == ("nobody", waiting.number)
        (opened,) = events(cluster, "shop.opened")
        assert opened.member == 0
        cluster.wait_for(lambda: len(heard(cluster, "every", "worker.dead")) == 2)
        runners = {runner(cluster, one["run"]) for one in heard(cluster, "every", "worker.dead")}
        assert runners == {event.member for event in events(cluster, "worker.joined")} - {dead.member}


def test_hooks_hear_one_event_after_the_other_in_their_order(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS)
    with cluster.as_current():
        execute_on_server("jobs.tell", "many", 250).result(timeout=60)
        cluster.wait_for(lambda: len(heard(cluster, "once", "many")) >= 250)
        assert [one["payload"]["n"] for one in heard(cluster, "once", "many")] == list(range(250))
        assert len({one["run"] for one in heard(cluster, "once", "many")}) < 250, "they are heard in heaps"


def test_what_a_worker_sees_is_heard_by_its_own_hooks(cluster_of: Open) -> None:
    cluster = cluster_of(3, tasks=TASKS)
    cluster.worker(1).signal(signal.SIGCONT)
    cluster.wait_for(lambda: heard(cluster, "here", "foreground") and heard(cluster, "once", "foreground"))
    (event,) = events(cluster, "foreground")
    assert (event.code, event.worker, event.payload) == (2, "w2", {"cause": "signal"})
    (here,) = heard(cluster, "here", "foreground")
    assert here["member"] == runner(cluster, here["run"]) == event.member
    cluster.wait_for(lambda: len(heard(cluster, "every", "foreground")) == 3)
    assert len({runner(cluster, one["run"]) for one in heard(cluster, "every", "foreground")}) == 3


def test_a_worker_that_is_stopped_tells_it_and_stops(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings={"member.lease_seconds": 20, "member.beat_seconds": 0.4})
    worker = cluster.worker(0)
    worker.signal(signal.SIGTSTP)
    cluster.wait_for(lambda: _is_stopped(worker.pid))
    assert len(heard(cluster, "here", "background")) == 1, "its hooks were told before"
    assert [event.payload["cause"] for event in events(cluster, "background")] == ["signal"]
    worker.signal(signal.SIGCONT)
    cluster.wait_for(lambda: heard(cluster, "here", "foreground"))
    with cluster.as_current():
        assert execute_on_server("jobs.work", 7).result(timeout=60) == 7
    assert len(events(cluster, "background")) == len(events(cluster, "foreground")) == 1


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_an_end_that_a_supervisor_asks_for_is_told(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS, grace=30.0)
    cluster.worker(1).signal(signal.SIGTERM)
    assert cluster.worker(1).wait() == 0
    (asked,) = events(cluster, "shutdown.asked")
    assert (asked.worker, asked.payload) == ("w2", {"by": "SIGTERM", "grace_seconds": 30.0})
    (left,) = cluster.wait_for(lambda: events(cluster, "worker.left"))
    assert left.worker == "w2"
    cluster.wait_for(lambda: heard(cluster, "once", "worker.left"))
    assert len(heard(cluster, "here", "shutdown.asked")) == 1, "before it left"


def test_settings_that_can_change_are_taken_over_and_others_named(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    file, worker = cluster.project / "config" / "onserver.toml", cluster.worker(0)
    text = file.read_text()

    file.write_text(text + "worker.grace_seconds = 7\n[events]\ndisk_free_percent = 100\n[hook]\ntimeout_seconds = 9\n")
    worker.signal(signal.SIGHUP)
    cluster.wait_for(lambda: events(cluster, "disk.low"))  # no disk is empty: the mark holds now
    (reloaded,) = events(cluster, "settings.reloaded")
    assert sorted(reloaded.payload["changed"]) == [
        "events.disk_free_percent", "hook.timeout_seconds", "worker.grace_seconds",
    ]  # fmt: skip
    assert reloaded.payload["restart"] == ["worker.grace_seconds"]
    assert events(cluster, "disk.low")[0].payload["over"]

    file.write_text(text + "[events]\ndisk_free_percent = 101\n")
    worker.signal(signal.SIGHUP)
    cluster.wait_for(lambda: len(events(cluster, "settings.reloaded")) == 2)
    assert "`events.disk_free_percent` is 101" in events(cluster, "settings.reloaded")[1].payload["error"]

    file.write_text(text + "[events]\ndisk_free_percent = 0\n")
    worker.signal(signal.SIGHUP)
    cluster.wait_for(lambda: len(events(cluster, "settings.reloaded")) == 3)
    with cluster.as_current():
        assert execute_on_server("jobs.work", 7).result(timeout=60) == 7
    assert worker.alive


def test_sleep_waits_until_hooks_were_told_and_a_machine_tells_it_once(cluster_of: Open, tmp_path: Path) -> None:
    with private_logind(tmp_path) as (address, logind):
        cluster = cluster_of(2, tasks=TASKS, grace=30.0, DBUS_SYSTEM_BUS_ADDRESS=address)
        wait_for(lambda: logind.waits == 2, 30, "both workers to delay")
        assert {what for what, _ in logind.asked} == {"sleep:shutdown delay"}
        assert {who for _, who in logind.asked} == {"onserver w1", "onserver w2"}

        impostor(address, "PrepareForSleep")
        logind.tell("PrepareForSleep", True)
        cluster.wait_for(lambda: logind.waits == 0)
        assert len(events(cluster, "background")) == 1
        assert len(heard(cluster, "here", "background")) == 1, "heard before the machine sleeps"
        assert events(cluster, "background")[0].payload == {"cause": "sleep"}

        logind.tell("PrepareForSleep", False)
        cluster.wait_for(lambda: logind.waits == 2)
        cluster.wait_for(lambda: heard(cluster, "once", "foreground"))
        cluster.wait_for(lambda: heard(cluster, "here", "foreground"))
        assert len(events(cluster, "foreground")) == len(heard(cluster, "here", "foreground")) == 1
        assert (events(cluster, "background")[0].code, events(cluster, "foreground")[0].code) == (1, 2)

        with cluster.as_current():
            process = execute_on_server("jobs.work", 7, 0.5)
            cluster.wait_for(lambda: cluster.ledger.of("started"))
            logind.tell("PrepareForShutdown", True)
            for worker in cluster.workers:
                assert worker.wait() == 0
            assert process.result(timeout=60) == 7, "it could finish"
        assert logind.waits == 0
        asked = events(cluster, "shutdown.asked")
        assert [event.payload["by"] for event in asked] == ["logind", "logind"]


def test_a_hook_that_hangs_delays_sleep_for_a_while_only(cluster_of: Open, tmp_path: Path) -> None:
    hanging = (
        "import threading\n\nfrom onserver import on_system_event\n\n\n"
        "@on_system_event\ndef hang(event):\n    if event.code == 1:\n        threading.Event().wait(60)\n"
    )
    with private_logind(tmp_path) as (address, logind):
        cluster = cluster_of(1, tasks=hanging, DBUS_SYSTEM_BUS_ADDRESS=address)
        wait_for(lambda: logind.waits == 1, 30, "the worker to delay")
        logind.tell("PrepareForSleep", True)
        cluster.wait_for(lambda: logind.waits == 0, PATIENCE + 30)
        assert cluster.worker(0).alive


#: Moves the wall clock of a program by what is in a file, as somebody does who sets it: found by Python at its start.
OTHER_CLOCK = """import pathlib
import time

true, file = time.time, pathlib.Path(__file__).with_name("moved")
time.time = lambda: true() + float(file.read_text() or 0)
"""


def test_clocks_that_are_changed_are_told_once_for_each_machine_and_work_goes_on(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (cluster.project / "sitecustomize.py").write_text(OTHER_CLOCK)
    moved, new = cluster.project / "moved", cluster.project / "moving"
    moved.write_text("0")
    cluster.start(3)
    with cluster.as_current():
        for seconds in (3600, -60):
            new.write_text(str(seconds))
            new.replace(moved)  # whoever reads it has the old time or the new one, and never none
            count = 1 if seconds > 0 else 2
            cluster.wait_for(lambda count=count: len(heard(cluster, "here", "clock.jumped")) == count)  # type: ignore[misc]
            assert execute_on_server("jobs.work", seconds).result(timeout=60) == seconds
        jumps = [event.payload["seconds"] for event in events(cluster, "clock.jumped")]
        # of three workers one may have slept from before the first to after the second: it tells what is left of both
        assert [round(jump, -1) for jump in jumps] in ([3600, -3660], [3600, -60])
        assert not events(cluster, "redis.clock_jumped")

        cluster.advance(100)  # the clock of Redis
        cluster.wait_for(lambda: heard(cluster, "once", "redis.clock_jumped"))
        (jumped,) = events(cluster, "redis.clock_jumped")
        assert 90 < jumped.payload["seconds"] < 110
        assert all(worker.alive for worker in cluster.workers)


PRESSED = "some avg10={}.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n"
#: Lets a program see a file of the test where the kernel tells of pressure, in a mount space of its own.
OWN_PRESSURE = """import ctypes
import pathlib

libc = ctypes.CDLL(None)
libc.unshare(0x20000)
libc.mount(None, b"/", None, 0x44000, None)
libc.mount(bytes(pathlib.Path(__file__).with_name("pressure")), b"/proc/pressure/memory", None, 0x1000, None)
"""


def test_pressure_on_memory_is_told_and_sheds_load_where_that_is_wanted(cluster_of: Open) -> None:
    if os.geteuid() != 0 or not Path("/proc/pressure/memory").exists():
        pytest.skip("a file cannot be mounted over /proc/pressure/memory: that needs root, and a kernel that has it")
    cluster = cluster_of(0, tasks=TASKS, settings={"events.shed_percent": 40})
    (cluster.project / "sitecustomize.py").write_text(OWN_PRESSURE)
    pressure = cluster.project / "pressure"
    pressure.write_text(PRESSED.format(0))
    cluster.start(2)
    with cluster.as_current():
        pressure.write_text(PRESSED.format(30))
        cluster.wait_for(lambda: heard(cluster, "here", "memory.pressure"))
        (event,) = events(cluster, "memory.pressure")
        assert event.payload == {"over": True, "some": 30.0, "full": 1.0}
        assert not events(cluster, "load.shed")
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1

        pressure.write_text(PRESSED.format(50))
        cluster.wait_for(lambda: len(events(cluster, "load.shed")) == 2)
        cluster.wait_for(lambda: not any(worker.executors for worker in cluster.workers))
        with pytest.warns(NoWorker, match="no worker listens"):
            waiting = execute_on_server("jobs.work", 2)
        assert waiting.state == "queued"

        pressure.write_text(PRESSED.format(10))
        assert waiting.result(timeout=60) == 2
        cluster.wait_for(lambda: len(events(cluster, "load.shed")) == 4)
        assert [event.payload["shed"] for event in events(cluster, "load.shed")] == [True, True, False, False]
        cluster.wait_for(lambda: len(events(cluster, "memory.pressure")) == 2)
        assert not events(cluster, "memory.pressure")[1].payload["over"]


def test_a_worker_of_celerys_own_tells_and_hears_events(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, pool="threads")
    with cluster.as_current():
        execute_on_server("jobs.fail", "x")
        system_event("shop.opened", shelves=12)
        for name in ("worker.joined", "leader.changed", "process.failed", "shop.opened"):
            for place in ("once", "here", "every"):
                cluster.wait_for(lambda name=name, place=place: heard(cluster, place, name))  # type: ignore[misc]
            assert len(events(cluster, name)) == len(heard(cluster, "once", name)) == 1, name
