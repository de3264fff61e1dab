"""The pytest plug-in, used as the tests of a project use it: in a project of its own, by a pytest of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from onserver.scaffold import write_project

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from onserver import execute_many, execute_on_server, process, procedure, server_epoch, session
from onserver.testing import wait_for
from tasks.hello import add, greet

@procedure
def nested(n: int) -> int:
    return execute_on_server(add, n, 1).result(timeout=5) + 1

@procedure
def fails() -> None:
    raise ValueError("no")

def test_inline(onserver):
    assert execute_on_server(add, 2, 3).state == "done"
    assert execute_on_server(nested, 5).result(timeout=5) == 7
    assert [p.result() for p in execute_many(add, [(1, 1), (2, 2)])] == [2, 4]
    assert onserver.calls(add) == [([2, 3], {}), ([5, 1], {}), ([1, 1], {}), ([2, 2], {})]
    assert server_epoch().state == "running"
    assert session() is None

def test_each_test_has_a_server_of_its_own(onserver):
    assert onserver.calls(add) == []
    assert len(onserver.storage) == 0

def test_failure(onserver):
    with pytest.raises(ValueError, match="no"):
        execute_on_server(fails).result(timeout=5)

def test_time(onserver):
    later = execute_on_server(add.options(delay=60), 1, 2)
    assert later.state == "delayed"
    onserver.advance(59)
    assert later.state == "delayed"
    onserver.advance(2)
    assert later.result(timeout=5) == 3

def test_hooks(onserver):
    onserver.fire("server_startup")
    assert "rates" in onserver.storage
    onserver.fire("server_shutdown")

def test_live(onserver_live):
    assert execute_on_server(greet, "Ann").result(timeout=5) == "Hello Ann! Greeting number 1."
    assert onserver_live.storage["greetings"] == 1

async def test_live_in_a_loop(onserver_live):
    assert await execute_on_server(add, 1, 2) == 3

def test_cluster(onserver_cluster):
    cluster = onserver_cluster(2)
    with cluster.as_current():
        assert execute_on_server(add, 2, 3).result(timeout=10) == 5
    cluster.kill(cluster.worker(0))
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, whose pytest runs as a program of its own: `tasks` is another one in each."""
    write_project("shop", pytester.path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    pytester.makeini(
        "[pytest]\naddopts = -p no:valkey\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    return pytester.path


def test_the_tests_of_a_new_project_pass(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest_subprocess(project / "tests").assert_outcomes(passed=4)


def test_the_fixtures_do_what_they_say(pytester: pytest.Pytester, project: Path) -> None:
    (project / "tests" / "test_fixtures.py").write_text(TESTS)
    pytester.runpytest_subprocess(project / "tests" / "test_fixtures.py").assert_outcomes(passed=8)


def test_a_key_that_is_left_behind_fails_the_test(pytester: pytest.Pytester, project: Path) -> None:
    test = "def test_it(onserver):\n    onserver.server.store.command('SET', onserver.server.store.key('mine'), 1)\n"
    (project / "tests" / "test_left.py").write_text(test)
    result = pytester.runpytest_subprocess(project / "tests" / "test_left.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left behind by this test*", "*mine*"])


def test_a_process_that_does_not_end_fails_the_test(pytester: pytest.Pytester, project: Path) -> None:
    test = (
        "import threading\nfrom onserver import execute_on_server, procedure\n\n"
        "@procedure\ndef stuck() -> None:\n    threading.Event().wait(60)\n\n"
        "def test_it(onserver_live):\n    execute_on_server(stuck)\n"
    )
    (project / "tests" / "test_stuck.py").write_text(test)
    result = pytester.runpytest_subprocess(project / "tests" / "test_stuck.py", timeout=30)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*has not ended within two seconds*"])
