"""`onserver hooks` as people and scripts use it: which there are, how they ran, and one that is run now."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from onserver.life.hook import BACKUP_STARTUP
from tests.test_cli_programs import Project

TASKS = """from onserver import (
    on_backup_shutdown, on_backup_startup, on_server_close_connection, on_server_open_connection, on_server_startup,
    on_system_event,
)


@on_server_startup
def load():
    \"\"\"Load the rates.\"\"\"


@on_backup_startup(timeout=20, by_hand=True)
def guard(backup):
    return backup.veto(201, "month-end close") if backup.number == 0 else None


@on_backup_startup(before="hooked.guard", by_hand=True)
def earlier(backup):
    return 0


@on_backup_shutdown(by_hand=True)
def told(result):
    raise ValueError("no mail today")


@on_system_event(run_on="every", timeout=0.5, by_hand=True)
async def heard(event):
    while event.name == "hooks.run":
        import asyncio
        await asyncio.sleep(0.1)


@on_server_open_connection(name="door", by_hand=True)
def admit(connection):
    return 22000


@on_server_close_connection(name="door", by_hand=True)
def left(connection):
    return {"user": connection.user}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, onserver_redis: str) -> Iterator[Project]:
    """A project with hooks, and nobody who works."""
    made = Project(tmp_path_factory.mktemp("hooks") / "shop", onserver_redis)
    (made.folder / "tasks" / "hooked.py").write_text(TASKS)
    yield made
    made.end()


@pytest.fixture(scope="module")
def served(project: Project) -> Project:
    """The same with a worker."""
    project.serve()
    return project


def rows(project: Project, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.json("hooks", *words)["data"]
    return found


def test_run_and_its_rehearsal_without_a_worker(project: Project) -> None:
    for words in (("run", "guard"), ("run", "guard", "--dry-run")):
        refused = project.run("hooks", *words)
        assert refused.returncode == 7
        assert "No worker has `hooked.guard`" in refused.stderr
    assert [row["name"] for row in rows(project, "ls") if row["last"]] == []
    assert rows(project, "history") == []
    assert "no run of a hook is kept" in project.run("hooks", "history").stdout


def test_ls_shows_them_by_kind_in_their_order_with_their_last_run(served: Project) -> None:
    found = [row for row in rows(served, "ls") if row["name"].startswith(("hooked.", "door"))]
    assert [(row["kind"], row["name"], row["timeout"], row["run_on"]) for row in found] == [
        ("on_server_startup", "hooked.load", 600.0, None),
        ("on_backup_startup", "hooked.earlier", 600.0, None),
        ("on_backup_startup", "hooked.guard", 20.0, None),
        ("on_backup_shutdown", "hooked.told", 600.0, None),
        ("on_system_event", "hooked.heard", 0.5, "every"),
        ("on_server_open_connection", "door", 600.0, None),
        ("on_server_close_connection", "door", 600.0, None),
    ]
    assert found[0]["doc"] == "Load the rates."
    assert (found[0]["last"]["outcome"], found[0]["last"]["epoch"]) == ("ok", 1)
    shown = served.run("hooks", "ls").stdout
    assert shown.splitlines()[0].split() == ["KIND", "NAME", "LAST", "EPOCH", "OUTCOME"]
    assert " ok " in next(line for line in shown.splitlines() if "hooked.load" in line)


def test_run_of_one_that_would_refuse(served: Project) -> None:
    ran = served.run("hooks", "run", "guard")
    assert ran.returncode == 3
    assert "hooked.guard  VETO 201 month-end close" in ran.stdout
    [newest] = rows(served, "history", "guard", "-n", "1")
    assert (newest["outcome"], newest["value"], newest["reason"]) == ("veto", 201, "month-end close")
    assert "VETO 201 month-end close" in served.run("hooks", "history", "guard").stdout


def test_run_of_one_that_ends_well(served: Project) -> None:
    ran = served.run("hooks", "run", "hooked.earlier", "--json")
    data = json.loads(ran.stdout)["data"]
    assert (ran.returncode, data["kind"], data["outcome"], data["code"]) == (0, "on_backup_startup", "ok", 0)
    assert data["process"] > 0


def test_run_of_one_that_does_not_say_that_it_may_be_run_by_hand(served: Project) -> None:
    refused = served.run("hooks", "run", "hooked.load")
    assert refused.returncode == 3
    assert "`@on_server_startup(by_hand=True)` says that it may" in refused.stderr
    assert served.run("hooks", "run", "hooked.load", "--dry-run").returncode == 0
    assert served.run("hooks", "run", "hooked.load", "--force").returncode == 0


def test_run_of_one_that_raises_shows_its_traceback(served: Project) -> None:
    ran = served.run("hooks", "run", "told")
    assert ran.returncode == 1
    assert "in told" in ran.stderr
    assert "no mail today" in ran.stderr
    [newest] = rows(served, "history", "told", "-n", "1")
    assert (newest["outcome"], newest["reason"]) == ("failed", "ValueError: no mail today")


def test_run_of_one_that_hangs(served: Project) -> None:
    ran = served.run("hooks", "run", "heard")
    assert ran.returncode == 1
    assert "ONS-5301" in ran.stderr or "it ran for more than 0.5 s" in ran.stderr


def test_a_rehearsal_says_what_would_be_run(served: Project) -> None:
    before = len(rows(served, "history", "guard"))
    ran = served.run("hooks", "run", "guard", "--dry-run", "--json")
    data = json.loads(ran.stdout)["data"]
    assert (ran.returncode, data["hook"], data["kind"], data["dry_run"]) == (0, "hooked.guard", BACKUP_STARTUP, True)
    assert data["argument"]["number"] == 0
    assert "would run on_backup_startup hooked.guard" in served.run("hooks", "run", "guard", "--dry-run").stdout
    assert len(rows(served, "history", "guard")) == before


def test_one_of_two_kinds_is_named_with_its_kind(served: Project) -> None:
    ran = served.run("hooks", "run", "door")
    assert ran.returncode == 4
    assert "`on_server_open_connection:door` or `on_server_close_connection:door`" in ran.stderr
    assert served.run("hooks", "run", "on_server_open_connection:door").returncode == 3
    assert served.run("hooks", "run", "on_server_close_connection:door").returncode == 0


@pytest.mark.parametrize("words", [("run", "gard"), ("history", "gard"), ("run", "on_backup_startup:door")])
def test_one_that_there_is_not(served: Project, words: tuple[str, ...]) -> None:
    ran = served.run("hooks", *words)
    assert ran.returncode == 4
    assert "ONS-5302" in ran.stderr


def test_history_has_no_more_than_asked_for_the_newest_first(served: Project) -> None:
    for _ in range(2):
        assert served.run("hooks", "run", "earlier").returncode == 0
    found = rows(served, "history", "earlier", "-n", "2")
    assert len(found) == 2
    assert found[0]["number"] > found[1]["number"]
    assert {run["hook"] for run in rows(served, "history")} >= {"hooked.earlier", "hooked.load"}
