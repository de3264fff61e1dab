"""The command as a whole: which verb, which stream, which exit status. Nothing here needs a server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onserver.cli.command import VERBS, run
from onserver.lazy import load


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONSERVER_PROJECT", raising=False)


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("onserver 0.")


def test_every_verb_of_the_table_is_there() -> None:
    for name, (target, text) in VERBS.items():
        assert load(target).name == name
        assert text.endswith(".")


def test_an_unknown_verb_is_status_2_and_the_nearest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker2"]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "Did you mean `worker`?" in shown.err


@pytest.mark.parametrize("words", [["--json", "nwe"], ["new", "--json", "--nonsense"]])
def test_wrong_usage_is_one_object_with_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["error"]["message"]


@pytest.mark.parametrize("words", [["config", "show"], ["ps"], ["call", "add"], ["storage", "ls"], ["worker"]])
def test_without_a_project_the_text_says_how_to_get_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "error ONS-1001" in capsys.readouterr().err


def test_a_project_may_be_named_before_or_after_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "shop"]) == 0
    for words in (
        ["--project", "shop", "config", "explain", "name"],
        ["config", "explain", "name", "--project", "shop"],
    ):
        assert run(words) == 0
        shown = capsys.readouterr()
        assert '"shop"' in shown.out
        assert f"project {tmp_path / 'shop'}" in shown.err


def test_new_says_what_it_wrote_and_refuses_to_write_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "shop"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("✓ shop/: config/onserver.toml config/roles.json tasks/hello.py tasks/lifecycle.py")
    assert "next: cd shop && onserver dev" in shown.err
    assert run(["new", "shop"]) == 8
    assert "is there already" in capsys.readouterr().err
    assert run(["new", "No Name"]) == 2


def test_a_setting_is_explained_with_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["new", "shop"])
    monkeypatch.setenv("ONSERVER_PROCESS_DELIVERIES", "5")
    capsys.readouterr()
    assert run(["config", "explain", "process.deliveries", "--project", "shop", "--json", "-q"]) == 0
    answer = json.loads(capsys.readouterr().out)["data"]
    assert (answer["value"], answer["source"], answer["default"]) == (5, "ONSERVER_PROCESS_DELIVERIES", 3)


def test_a_misspelt_setting_stops_everything_and_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["new", "shop"])
    with (tmp_path / "shop/config/onserver.toml").open("a") as file:
        file.write("process.delivries = 3\n")
    assert run(["--project", "shop", "config", "check"]) == 2
    assert "Did you mean `deliveries`?" in capsys.readouterr().err


def test_help_loads_no_verb() -> None:
    code = (
        "import sys; from onserver.cli.command import run; run(['--help'])\n"
        "print([name for name in sys.modules if name in ('rich', 'redis', 'celery', 'onserver.cli.call')])"
    )
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
