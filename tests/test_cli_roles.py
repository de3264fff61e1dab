"""`onserver roles` as people and scripts use it, and the start of a server whose roles are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver.cli.command import run
from onserver.testing import wait_for
from tests.test_cli_programs import Project

FILE = """{
  "privileges": [
    {"privilege": "invoices.read"},
    {"privilege": "invoices.create", "includes": ["invoices.read"]},
    {"privilege": "invoices.delete"}
  ],
  "roles": [
    {"role": "clerk", "privileges": ["invoices.create"]},
    {"role": "owner", "privileges": ["invoices.create", "invoices.delete"]}
  ],
  "permissions": {"allowed": [
    {"applyTo": "shop.create_invoice", "type": "method", "execute": ["invoices.create"], "promote": ["invoices.delete"]}
  ]},
  "restrictedByDefault": true,
  "forceLogin": true
}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The roles of a project, which the command is run in."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text('name = "shop"\n')
    made = tmp_path / "config" / "roles.json"
    made.write_text(FILE)
    monkeypatch.delenv("ONSERVER_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    return made


Shown = pytest.CaptureFixture[str]


def data(capsys: Shown) -> Any:
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    return answer["data"]


# ---- check


def test_check_of_a_file_that_is_right(file: Path, capsys: Shown) -> None:
    assert run(["roles", "check"]) == 0
    assert capsys.readouterr().out == "config/roles.json: 2 roles, 3 privileges, 0 findings\n"
    assert run(["roles", "check", "--json"]) == 0
    assert data(capsys) == {"file": "config/roles.json", "right": True, "roles": 2, "privileges": 3, "findings": []}


def test_check_tells_everything_that_is_wrong_with_its_line(file: Path, capsys: Shown) -> None:
    file.write_text(FILE.replace('"forceLogin"', '"forcLogin"').replace('["invoices.read"]', '["invoices.create"]'))
    assert run(["roles", "check"]) == 10
    assert capsys.readouterr().out.splitlines() == [
        "config/roles.json:4  privileges include each other in a circle: `invoices.create` → `invoices.create`",
        "config/roles.json:15  unknown key `forcLogin`; did you mean `forceLogin`?",
        "config/roles.json: 2 findings; no worker starts with it",
    ]
    assert run(["roles", "check", "--json"]) == 10
    found = data(capsys)
    assert (found["right"], [one["line"] for one in found["findings"]]) == (False, [4, 15])


def test_check_tells_what_has_no_effect_and_finds_nothing_wrong(file: Path, capsys: Shown) -> None:
    file.write_text(FILE.replace('"execute": ["invoices.create"]', '"execute": []'))
    assert run(["roles", "check"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("note  `config/roles.json` line 12: `execute` of method `shop.create_invoice` is empty")
    assert shown.out.endswith("0 findings\n")


def test_where_there_is_no_file_nothing_is_wrong_and_it_is_said_what_holds(file: Path, capsys: Shown) -> None:
    file.unlink()
    assert run(["roles", "check"]) == 0
    assert capsys.readouterr().err.startswith("there is no config/roles.json")
    assert run(["roles", "can", "clerk", "invoices.read"]) == 4


ASKS = """from onserver import procedure, server_method


@procedure(requires=["invoices.create", "invoices.craete"])
def create_invoice() -> None: ...


@server_method(requires="OWNER")
def close_month() -> None: ...


@procedure(requires=["INVOICES.read", "guest"])
def look() -> None: ...
"""


def test_check_tells_what_the_code_asks_for_and_nothing_declares(project: Project) -> None:
    (project.folder / "config" / "roles.json").write_text(FILE)
    (project.folder / "tasks" / "bills.py").write_text(ASKS)
    wrong = [
        "`bills.create_invoice` requires `invoices.craete`, which config/roles.json does not declare; "
        "did you mean `invoices.create`?",
        "`bills.close_month` requires `OWNER`, which is a role: only privileges are asked for",
    ]
    told = project.run("roles", "check")
    assert (told.returncode, told.stdout.splitlines()) == (
        10,
        [
            f"tasks/bills.py:4  {wrong[0]}",
            f"tasks/bills.py:8  {wrong[1]}",
            "config/roles.json: 2 findings; nobody has what is not declared",
        ],
    )
    found = project.json("roles", "check")["data"]
    assert (found["right"], found["roles"]) == (False, 2)
    assert [(one["procedure"], one["privilege"], one["nearest"]) for one in found["findings"]] == [
        ("bills.create_invoice", "invoices.craete", "invoices.create"),
        ("bills.close_month", "OWNER", ""),
    ]
    doctor = project.run("doctor")
    assert doctor.returncode == 10
    assert [line for line in doctor.stdout.splitlines() if "requires" in line] == [
        f"✗ tasks/bills.py line {line}: {problem} → Declare it there, or mend the name in the code."
        for line, problem in zip((4, 8), wrong, strict=True)
    ]


def test_check_is_content_with_code_that_asks_for_what_is_declared(project: Project) -> None:
    (project.folder / "config" / "roles.json").write_text(FILE)
    bills = project.folder / "tasks" / "bills.py"
    bills.write_text(ASKS.replace("craete", "create").replace("OWNER", "Invoices.Delete"))
    assert project.run("roles", "check").returncode == 0
    bills.write_text("import a_module_that_is_not_there\n")
    refused = project.run("roles", "check")
    assert (refused.returncode, "a_module_that_is_not_there" in refused.stderr) == (2, True)


# ---- show, can, schema


def test_show_tells_what_holds_after_inclusion(file: Path, capsys: Shown) -> None:
    assert run(["roles", "show"]) == 0
    assert capsys.readouterr().out.split("\n\n") == [
        "ROLE   GIVES\n"
        "clerk  invoices.create, and so invoices.read\n"
        "owner  invoices.create, invoices.delete, and so invoices.read",
        "PRIVILEGE        INCLUDES       GIVEN BY\n"
        "invoices.read    -              clerk, owner\n"
        "invoices.create  invoices.read  clerk, owner\n"
        "invoices.delete  -              owner",
        "ACCESS                                        TAKES ONE OF\n"
        "execute method shop.create_invoice            invoices.create\n"
        "method shop.create_invoice has while it runs  invoices.delete",
        "restrictedByDefault: what nothing is said about is closed\n"
        "forceLogin: a web session has to log in before anything else\n",
    ]


def test_show_for_programs_has_every_fact(file: Path, capsys: Shown) -> None:
    assert run(["roles", "show", "--json"]) == 0
    shown = data(capsys)
    assert shown["roles"][0] == {
        "role": "clerk",
        "privileges": ["invoices.create"],
        "gives": ["invoices.read", "invoices.create"],
    }
    assert shown["privileges"][2]["given_by"] == ["owner"]
    assert shown["permissions"][0]["actions"] == {"execute": ["invoices.create"]}
    assert (shown["restrictedByDefault"], shown["forceLogin"]) == (True, True)


@pytest.mark.parametrize(
    ("role", "privilege", "status", "answer"),
    [
        ("clerk", "invoices.read", 0, "yes: `clerk` gives `invoices.create`, which includes `invoices.read`"),
        ("CLERK", "Invoices.Read", 0, "yes: `clerk` gives `invoices.create`, which includes `invoices.read`"),
        ("clerk", "invoices.delete", 4, "no: `clerk` does not give it; granted by: owner"),
        ("invoices.create", "invoices.read", 0, "yes: `invoices.create` gives `invoices.read`"),
        ("clerk", "guest", 0, "yes: everybody has `guest`"),
    ],
)
def test_can_answers_with_the_why(
    file: Path, capsys: Shown, role: str, privilege: str, status: int, answer: str
) -> None:
    assert run(["roles", "can", role, privilege]) == status
    assert capsys.readouterr().out == f"{answer}\n"
    assert run(["roles", "can", role, privilege, "--json"]) == status
    assert data(capsys) == {
        "role": role,
        "privilege": privilege,
        "allowed": status == 0,
        "why": answer.partition(": ")[2],
    }


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["clark", "invoices.read"], "There is no role or privilege `clark`. Did you mean `clerk`?"),
        (["clerk", "invoice.read"], "There is no role or privilege `invoice.read`. Did you mean `invoices.read`"),
        (["clerk", "owner"], "There is no role or privilege `owner`."),
    ],
)
def test_can_knows_only_what_is_declared(file: Path, capsys: Shown, words: list[str], near: str) -> None:
    assert run(["roles", "can", *words]) == 4
    assert f"ONS-1012  {near}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show"], ["can", "clerk", "invoices.read"]])
def test_a_wrong_file_answers_nothing_but_what_is_wrong(file: Path, capsys: Shown, words: list[str]) -> None:
    file.write_text(FILE[:-4])
    assert run(["roles", *words]) == 10
    assert "cannot be read as JSON" in capsys.readouterr().out


def test_schema_is_what_a_new_project_has(file: Path, capsys: Shown, tmp_path: Path) -> None:
    assert run(["roles", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"].endswith("(config/roles.json)")


# ---- the start of a server


@pytest.fixture
def project(tmp_path: Path, onserver_redis: str) -> Iterator[Project]:
    made = Project(tmp_path / "shop", onserver_redis)
    yield made
    made.end()


def test_no_worker_starts_with_a_wrong_file(project: Project) -> None:
    (project.folder / "config" / "roles.json").write_text(FILE.replace("restrictedByDefault", "restrictByDefault"))
    refused = project.run("worker")
    assert refused.returncode == 2
    assert "error ONS-1004  `config/roles.json` line 14: unknown key `restrictByDefault`" in refused.stderr
    assert "`onserver roles check` lists everything" in refused.stderr
    assert project.json("ps", "--members")["data"] == [], "nobody has joined"


def test_nor_does_a_worker_of_celery(project: Project) -> None:
    (project.folder / "config" / "roles.json").write_text("{")
    refused = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "worker", "--pool", "solo"],
        env=project.environment, cwd=project.folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "`config/roles.json` line 1: it cannot be read as JSON" in refused.stderr
    assert project.json("ps", "--members")["data"] == []


def test_a_worker_that_runs_keeps_the_old_roles_when_a_wrong_file_takes_their_place(project: Project) -> None:
    file = project.folder / "config" / "roles.json"
    file.write_text(FILE)
    log = project.serve()
    file.write_text(FILE[:-4])
    assert project.run("reload").returncode == 0, "the code is new, and the server goes on"
    wait_for(lambda: "What held before stays in force." in log.read_text(), 30)
    assert "ONS-1004  `config/roles.json` line 15: it cannot be read as JSON" in log.read_text()
    file.write_text(
        FILE.replace(
            '"role": "clerk", "privileges": ["invoices.create"', '"role": "clerk", "privileges": ["invoices.read"'
        )
    )
    assert project.run("reload").returncode == 0
    wait_for(lambda: "was changed, and is in force: withdrawn role `clerk`: `invoices.create`" in log.read_text(), 30)
