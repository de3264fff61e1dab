"""The pytest plug-in, used as the tests of a project use it: in a project of its own, by a pytest of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from onserver import execute_on_server, procedure
from onserver.cluster.member import Member
from onserver.errors import NoWorker, ProcessDead
from onserver.scaffold import write_project
from onserver.testing import OnServer

pytest_plugins = ["pytester"]

TESTS = """
from concurrent.futures import ThreadPoolExecutor

import pytest
from onserver import (
    Backup, SystemEvent, caller, execute_many, execute_on_server, on_backup_startup, on_server_startup, on_system_event,
    procedure, server_epoch, session,
)
from onserver.errors import NoWorker, PrivilegeDenied
from onserver.testing import wait_for
from tasks.hello import add, greet

@procedure
def nested(n: int) -> int:
    return execute_on_server(add, n, 1).result(timeout=60) + 1

@procedure(requires="greetings.write")
def guarded() -> str:
    return caller().user

@procedure
def fails() -> None:
    raise ValueError("no")

@on_backup_startup(name="refuse")
def refuse(backup: Backup) -> int:
    return backup.veto(201, "month-end close") if session() else 0

@on_system_event
async def heard(event: SystemEvent) -> None: ...

def test_a_user(onserver):
    assert guarded.start().result() == "server"
    with onserver.as_user("ann", privileges=["greetings.write"]) as web:
        assert session() is web and web.user_name == "ann"
        assert guarded.start().result(timeout=60) == "ann"
    with onserver.as_user("bob"), pytest.raises(PrivilegeDenied):
        guarded.start()
    assert session() is None

def test_inline(onserver):
    assert execute_on_server(add, 2, 3).state == "done"
    assert execute_on_server(nested, 5).result(timeout=60) == 7
    assert [p.result() for p in execute_many(add, [(1, 1), (2, 2)])] == [2, 4]
    assert onserver.calls(add) == [([2, 3], {}), ([5, 1], {}), ([1, 1], {}), ([2, 2], {})]
    assert server_epoch().state == "running"
    assert session() is None

def test_each_test_has_a_server_of_its_own(onserver):
    assert onserver.calls(add) == []
    assert len(onserver.storage) == 0

def test_failure(onserver):
    with pytest.raises(ValueError, match="no"):
        execute_on_server(fails).result(timeout=60)

def test_time(onserver):
    later = execute_on_server(add.options(delay=60), 1, 2)
    assert later.state == "delayed"
    onserver.advance(59)
    assert later.state == "delayed"
    onserver.advance(2)
    assert later.result(timeout=60) == 3

def test_hooks(onserver):
    onserver.fire("server_startup")
    assert "rates" in onserver.storage
    onserver.fire("server_shutdown")
    assert [(o.name, o.code, o.reason) for o in onserver.fire("backup_startup", Backup(number=9))] == [
        ("refuse", 201, "month-end close")
    ]
    assert [o.outcome for o in onserver.fire("system_event", SystemEvent(code=2, name="foreground"))] == ["ok"]

    @on_server_startup
    def broken() -> None:
        raise OSError("rates.example")

    with pytest.raises(OSError, match="rates.example"):
        onserver.fire("server_startup")

async def test_in_a_running_loop(onserver):
    assert await execute_on_server(nested, 5) == 7
    assert await (await add.astart(1, 2)) == 3

def test_in_many_threads(onserver):
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: execute_on_server(nested, n).result(timeout=60), range(80)))
    assert results == [n + 2 for n in range(80)]
    assert sorted(args[0] for args, _ in onserver.calls(nested)) == list(range(80))
    assert len(onserver.calls(add)) == 80

def test_what_a_test_declares(onserver):
    @procedure
    def twice(n: int) -> int:
        return 2 * execute_on_server(add, n, 0).result(timeout=60)

    assert execute_on_server(add, 1, 1).result(timeout=60) == 2
    assert execute_on_server(twice, 4).result(timeout=60) == 8

def test_what_a_test_of_a_live_one_declares(onserver_live):
    assert execute_on_server(add, 1, 1).result(timeout=60) == 2

    @procedure
    def thrice(n: int) -> int:
        return 3 * n

    assert execute_on_server(thrice, 4).result(timeout=60) == 12
    assert onserver_live.calls(thrice) == [([4], {})]

def test_a_body_that_changes_its_arguments(onserver):
    @procedure
    def empties(values: list[int]) -> None:
        values.clear()

    execute_on_server(empties, [1, 2])
    assert onserver.calls(empties) == [([[1, 2]], {})]

def test_a_queue_that_nobody_serves(onserver):
    with pytest.warns(NoWorker, match="no worker listens on queue `reports`"):
        left = execute_on_server(add.options(queue="reports"), 1, 2)
    assert left.state == "queued"
    assert onserver.calls(add) == []
    assert onserver.dead == []

def test_celery_inline(onserver):
    later = add.delay(2, 3)
    onserver.run_waiting()
    assert later.get(timeout=60) == 5

def test_celery_live(onserver_live):
    from celery import chain
    assert add.delay(2, 3).get(timeout=60) == 5
    assert chain(add.s(1, 2), add.s(3))().get(timeout=60) == 6

def test_live(onserver_live):
    assert execute_on_server(greet, "Ann").result(timeout=60) == "Hello Ann! Greeting number 1."
    assert onserver_live.storage["greetings"] == 1

async def test_live_in_a_loop(onserver_live):
    assert await execute_on_server(add, 1, 2) == 3

def test_cluster(onserver_cluster):
    cluster = onserver_cluster(2)
    with cluster.as_current():
        assert execute_on_server(add, 2, 3).result(timeout=60) == 5
    cluster.kill(cluster.worker(0))
"""


@procedure
def deadly() -> None:
    """What its worker does not survive."""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, whose pytest runs as a program of its own: `tasks` is another one in each."""
    write_project("shop", pytester.path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")  # what pytest makes of plug-ins' modules takes it seconds
    pytester.makeini(
        "[pytest]\naddopts = -p no:valkey\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    return pytester.path


def test_the_tests_of_a_new_project_pass(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest_subprocess(project / "tests").assert_outcomes(passed=4)


def test_the_fixtures_do_what_they_say(pytester: pytest.Pytester, project: Path) -> None:
    (project / "tests" / "test_fixtures.py").write_text(TESTS)
    roles = project / "config" / "roles.json"
    roles.write_text(roles.read_text().replace('"privileges": []', '"privileges": [{"privilege": "greetings.write"}]'))
    pytester.runpytest_subprocess(project / "tests" / "test_fixtures.py").assert_outcomes(passed=17)


def test_a_key_that_is_left_behind_fails_the_test(pytester: pytest.Pytester, project: Path) -> None:
    test = "def test_it(onserver):\n    onserver.server.store.command('SET', onserver.server.store.key('mine'), 1)\n"
    (project / "tests" / "test_left.py").write_text(test)
    result = pytester.runpytest_subprocess(project / "tests" / "test_left.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left behind by this test*", "*mine*"])


def test_a_process_that_does_not_end_fails_the_test(pytester: pytest.Pytester, project: Path) -> None:
    test = (
        "import threading\nfrom onserver import execute_on_server, procedure\n"
        "from onserver.testing import inline\n\ninline.ENDS = 1.0\nbegun = threading.Event()\n\n"
        "@procedure\ndef stuck() -> None:\n    begun.set()\n    threading.Event().wait(60)\n\n"
        "def test_it(onserver_live):\n    execute_on_server(stuck)\n    assert begun.wait(60)\n"
    )
    (project / "tests" / "test_stuck.py").write_text(test)
    result = pytester.runpytest_subprocess(project / "tests" / "test_stuck.py", timeout=120)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*has not ended within 1 s*", "*test_stuck.py*in stuck*", "*threading.Event().wait(60)*"]
    )


def test_what_killed_three_workers_is_among_the_dead(onserver: OnServer) -> None:
    with pytest.warns(NoWorker):
        process = execute_on_server(deadly.options(queue="elsewhere"))
    store, settings = onserver.server.store, onserver.server.settings
    member = Member.join(store, settings, "worker", "elsewhere@test")
    member.register("code", {deadly.name: ""})
    for _ in range(3):
        assert onserver.dead == []
        holder = member.enlist("code", ["elsewhere"])
        _, _, _, message = store.run("step", holder, 1, 0, 60, 60, 3, "code", 1, "elsewhere")
        assert int(message[0]) == process.number
        member.bury(holder, begun=process.number)
    member.leave()
    assert [dead.number for dead in onserver.dead] == [process.number]
    with pytest.raises(ProcessDead, match="dead-lettered after 3 deliveries, the last on elsewhere@test"):
        process.result(timeout=60)
