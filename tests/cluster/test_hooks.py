"""Each kind of hook × (ends, raises, hangs, its runner is killed, two workers at once), with real workers.

Start-up and shutdown hooks need a server that starts and stops for each: most of these are in `make test-long`, and the
same is looked at one by one in `test_epochs`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from onserver import Backup, BackupResult, Connection, Process, SystemEvent, execute_on_server, system_event
from onserver.errors import HookFailed, ProcedureFailed
from onserver.life.hook_arguments import HookArgument
from onserver.life.hook_records import HookRecord, read_runs
from onserver.life.side_runs import start_side
from onserver.process.record import State
from onserver.session.context import serving
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.conftest import Open
from tests.cluster.hooks_project import TASKS

BEHAVIOURS = ("ends", "raises", "hangs", "killed", "two")
#: What each hook that is told something is called, and with what argument it behaves so.
TOLD: dict[str, tuple[str, Callable[[str], HookArgument]]] = {
    "on_backup_startup": ("guard", lambda how: Backup(number=1, label=how)),
    "on_backup_shutdown": ("after", lambda how: BackupResult(reason=how)),
    "on_system_event": ("heard", lambda how: SystemEvent(code=1000, name=how)),
    "on_server_open_connection": ("admit", lambda how: Connection(user=BEHAVIOURS.index(how), connection=1)),
    "on_server_close_connection": ("left", lambda how: Connection(user=BEHAVIOURS.index(how), connection=1)),
}


@pytest.fixture(scope="module")
def running(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, for all tests of hooks that are told something."""
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("hooks"), tasks=TASKS) as cluster:
        cluster.start(2)
        yield cluster


def start(cluster: Cluster, kind: str, how: str) -> Process[Any]:
    name, argument = TOLD[kind]
    [number] = start_side(cluster.server, f"{kind}:jobs.{name}", [argument(how)])
    return Process(cluster.server, number)


def runs(cluster: Cluster, kind: str, number: int = 0) -> list[HookRecord]:
    """The records of a kind, or of one process, the first one first."""
    found = [run for run in read_runs(cluster.server.store) if run.kind == kind and number in (0, run.number)]
    return list(reversed(found))


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("how", BEHAVIOURS)
def test_a_hook_that_is_told_something(running: Cluster, kind: str, how: str) -> None:
    before = running.ledger.count("ran", kind, how)
    process = start(running, kind, how)
    others = [start(running, kind, how) for _ in range(how == "two")]
    with running.as_current():
        ends = [one.wait(60) for one in (process, *others)]
    outcomes = [(run.outcome, run.attempt) for run in runs(running, kind, process.number)]
    ran = running.ledger.count("ran", kind, how) - before
    if how == "ends":
        assert (ends, outcomes, ran) == ([State.DONE], [("ok", 1)], 1)
    elif how == "raises":
        assert (ends, outcomes, ran) == ([State.FAILED], [("failed", 1)], 1)
        with pytest.raises(ValueError, match="no rates today") as raised:
            process.result(timeout=1)
        assert "in behave" in str(getattr(raised.value.__cause__, "remote_traceback", ""))
    elif how == "hangs":
        assert (ends, outcomes, ran) == ([State.FAILED], [("timeout", 1)], 1)
        with pytest.raises(HookFailed, match=r"it ran for more than 0\.5 s"):
            process.result(timeout=1)
    elif how == "killed":
        assert (ends, outcomes, ran) == ([State.DONE], [("died", 1), ("ok", 2)], 2)
        assert process.record().deliveries == 1
    else:
        assert (ends, outcomes, ran) == ([State.DONE, State.DONE], [("ok", 1)], 2)


def test_a_record_says_who_ran_it_where_and_for_how_long(running: Cluster) -> None:
    process = start(running, "on_backup_shutdown", "ends")
    process.wait(60)
    [run] = runs(running, "on_backup_shutdown", process.number)
    assert (run.hook, run.epoch, run.worker in ("w1", "w2")) == ("jobs.after", 1, True)
    assert 0 <= run.seconds < 60
    assert run.as_dict()["at"].endswith("+00:00")


def test_a_hook_that_refuses_says_so(running: Cluster) -> None:
    [number] = start_side(running.server, "on_backup_startup:jobs.guard", [Backup(number=9, label="ends")])
    outcome = Process[dict[str, Any]](running.server, number).result(timeout=60)
    assert (outcome["outcome"], outcome["code"], outcome["reason"]) == ("veto", 201, "month-end close")
    [run] = runs(running, "on_backup_startup", number)
    assert (run.outcome, run.value, run.reason) == ("veto", 201, "month-end close")


def test_one_that_is_deaf_to_its_end_is_killed_and_not_run_again(running: Cluster) -> None:
    [number] = start_side(running.server, "on_system_event:jobs.deaf", [SystemEvent(code=1000, name="deaf")])
    process = Process[Any](running.server, number)
    with pytest.raises(HookFailed, match=r"`on_system_event` hook `jobs\.deaf` raised ProcessTimeout: its time was up"):
        process.result(timeout=60)
    assert [(run.outcome, run.attempt) for run in runs(running, "on_system_event", number)] == [("timeout", 1)]
    assert process.record().deliveries == 0


def test_one_that_is_aborted_is_interrupted_and_recorded_so(running: Cluster) -> None:
    [number] = start_side(running.server, "on_system_event:jobs.patient", [SystemEvent(code=1000, name="patient")])
    process = Process[Any](running.server, number)
    running.wait_for(lambda: running.ledger.count("patient", number))
    process.abort("enough")
    assert process.wait(60) == State.ABORTED
    assert [(run.outcome, run.attempt) for run in runs(running, "on_system_event", number)] == [("aborted", 1)]


def test_what_a_side_run_prints_is_in_its_log(running: Cluster) -> None:
    process = start(running, "on_system_event", "raises")
    process.wait(60)
    running.wait_for(lambda: "jobs.heard failed: ValueError" in "\n".join(line.text for line in process.log()))


def test_side_runs_go_on_while_every_executor_is_busy(running: Cluster) -> None:
    """Two workers with two executors each; what waits behind them does not begin, and the hook does."""
    process = start(running, "on_system_event", "ends")
    with running.as_current():
        assert process.wait(60) == State.DONE
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1


# ---- who dies


def test_a_worker_that_dies_between_taking_and_forking_leaves_it_to_another(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    process = start(cluster, "on_backup_shutdown", "ends")
    cluster.start(1, crash_at="before_side@supervisor", ready=False)
    assert cluster.worker(0).wait() == -signal.SIGKILL
    cluster.start(1)
    assert process.wait(60) == State.DONE
    assert cluster.ledger.count("ran", "on_backup_shutdown", "ends") == 1


def test_a_runner_that_dies_before_it_began_counts_nothing(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, crash_at="in_side@executor")
    process = start(cluster, "on_backup_shutdown", "ends")
    assert process.wait(60) == State.DONE
    assert process.record().deliveries == 0
    assert cluster.ledger.count("ran", "on_backup_shutdown", "ends") == 1


def test_a_worker_that_leaves_ends_its_side_runs_first(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, grace=30.0)
    process = start(cluster, "on_backup_shutdown", "hangs")  # for half a second
    cluster.wait_for(lambda: cluster.ledger.count("ran", "on_backup_shutdown", "hangs"))
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert process.state == State.FAILED
    assert [run.outcome for run in runs(cluster, "on_backup_shutdown")] == ["timeout"]


def test_a_celery_worker_runs_them_in_programs_of_their_own(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, pool="threads")
    wanted = {"raises": "failed", "hangs": "timeout"}
    processes = {how: start(cluster, "on_backup_shutdown", how) for how in (*wanted, "killed")}
    for process in processes.values():
        process.wait(60)
    for how, outcome in wanted.items():
        assert [run.outcome for run in runs(cluster, "on_backup_shutdown", processes[how].number)] == [outcome], how
    killed = runs(cluster, "on_backup_shutdown", processes["killed"].number)
    assert [(run.outcome, run.attempt) for run in killed] == [("died", 1), ("ok", 2)], processes["killed"].record()


@pytest.mark.long
def test_an_abort_reaches_a_side_run_of_a_celery_worker(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, pool="solo")
    [number] = start_side(cluster.server, "on_system_event:jobs.patient", [SystemEvent(code=1000, name="patient")])
    cluster.wait_for(lambda: cluster.ledger.count("patient", number))
    process = Process[Any](cluster.server, number)
    process.abort("enough")
    assert process.wait(60) == State.ABORTED
    assert [(run.outcome, run.attempt) for run in runs(cluster, "on_system_event", number)] == [("aborted", 1)]


# ---- start-up and shutdown


def test_start_up_hooks_run_in_their_order_async_ones_too(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    ran = [words[1] for words in cluster.ledger.of("ran")]
    assert [word for word in ran if word != "on_system_event"] == ["first", "startup", "later"]
    assert [run.hook for run in runs(cluster, "on_server_startup")] == ["jobs.first", "jobs.startup", "jobs.later"]


def test_a_server_whose_hooks_wait_for_each_other_does_not_start(cluster_of: Open) -> None:
    circle = (
        "from onserver import on_server_startup\n\n@on_server_startup(before='last')\ndef first(): ...\n\n"
        "@on_server_startup(before='first')\ndef last(): ...\n"
    )
    cluster = cluster_of(0, tasks=circle)
    (worker,) = cluster.start(1, ready=False)
    assert worker.wait() == 2
    assert "ONS-1009" in worker.output
    assert "`jobs.first` is to run before itself" in worker.output


@pytest.mark.parametrize("kind", ["startup", "shutdown", "drained"])
@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=[] if how == "killed" else [pytest.mark.long]) for how in BEHAVIOURS]
)
def test_a_hook_of_the_start_or_the_end(cluster_of: Open, kind: str, how: str) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    workers = cluster.start(2 if how == "two" else 1, ready=False, BEHAVES=f"{kind}={how}")
    fails = kind == "startup" and how in ("raises", "hangs")
    if not fails:
        for worker in workers:
            cluster.wait_ready(worker)
        for worker in workers:
            worker.signal(signal.SIGTERM)
    assert {worker.wait() for worker in workers} == {1 if fails else 0}
    assert cluster.state() == ("failed" if fails else "stopped")
    name = {"startup": "on_server_startup", "shutdown": "on_server_shutdown", "drained": "on_server_shutdown drained"}
    found = [(run.outcome, run.attempt) for run in runs(cluster, name[kind]) if run.hook == f"jobs.{kind}"]
    wanted = {"raises": [("failed", 1)], "hangs": [("timeout", 1)], "killed": [("died", 1), ("ok", 2)]}
    assert found == wanted.get(how, [("ok", 1)])
    assert cluster.ledger.count("ran", kind) == len(found)
    if fails:
        assert "ONS-5301" in workers[0].output


WHO = """
from onserver import (
    caller, on_backup_shutdown, on_backup_startup, on_server_shutdown, on_server_startup, on_system_event, procedure,
)
from onserver.testing.ledger import note


def noted(word):
    who = caller()
    note(word, who.user, who.kind, who.is_server, who.session, who.os_user, who.has_privilege("nobody.has.it"))


@procedure
def started_by(word):
    noted("process of " + word)


@on_server_startup
def startup():
    noted("startup")
    started_by.start("startup")


@on_server_shutdown
def shutdown():
    noted("shutdown")


@on_server_shutdown(when="drained")
def drained():
    noted("drained")


@on_backup_startup
def guard(backup):
    noted("backup " + backup.label)


@on_backup_shutdown
def after(result):
    noted("after backup")


@on_system_event
def heard(event):
    if event.name == "told":
        noted("here")
        started_by.start("event")


@on_system_event(run_on="once")
def heard_once(event):
    if event.name == "told":
        noted("once")
"""


def test_the_server_or_its_operator_asks_in_a_hook(cluster_of: Open) -> None:
    """Not whoever is served when it happens: a hook looks at no privileges of theirs."""
    cluster = cluster_of(1, tasks=WHO, settings={"backup.verify": "false"})
    ann = cluster.server.sessions.open("web", user="ann")
    with cluster.as_current():
        cluster.backup(label="mine")
        with serving(ann):
            system_event("told")
        for word in ("once", "process of event", "process of startup"):
            cluster.wait_for(lambda word=word: cluster.ledger.count(word))  # type: ignore[misc]
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    found = {words[0]: words[1:] for words in cluster.ledger}
    hooks = ("startup", "shutdown", "drained", "backup mine", "after backup", "here", "once")
    who = ["server", "server", "True", "", psutil.Process().username(), "True"]
    assert found == dict.fromkeys((*hooks, "process of startup", "process of event"), who)


def test_the_error_of_a_failed_hook_reaches_whoever_asks(running: Cluster) -> None:
    process = start(running, "on_server_close_connection", "raises")
    with running.as_current(), pytest.raises(ValueError, match="no rates today") as raised:
        process.result(timeout=60)
    assert isinstance(raised.value.__cause__, ProcedureFailed)


def test_the_ledger_of_a_test_is_its_own(running: Cluster, tmp_path: Path) -> None:
    assert running.ledger.path.is_relative_to(running.folder)
    assert not running.ledger.path.is_relative_to(tmp_path)
