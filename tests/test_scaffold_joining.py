"""`onserver init`: two lines in the file that makes the application, and nothing else in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from onserver.scaffold.joining import find_application, joined
from tests.attached import django_shop, flask_shop


def write(folder: Path, files: dict[str, str]) -> Path:
    for part, text in files.items():
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_text(text)
    return folder


def without_the_lines(text: str) -> str:
    kept = [
        line
        for line in text.splitlines(keepends=True)
        if line.strip() != "from onserver import Server" and not line.startswith("server = Server.attach(")
    ]
    return "".join(kept)


def init(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onserver.cli", "init", *words]
    return subprocess.run(
        command, cwd=folder, text=True, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL
    )


def test_the_two_lines_stand_where_they_belong() -> None:
    text = joined(django_shop.CELERY, "app")
    assert text.splitlines()[2:4] == ["from celery import Celery", "from onserver import Server"]
    at = text.splitlines().index('app = Celery("proj")')
    assert text.splitlines()[at + 1] == "server = Server.attach(app)"
    assert without_the_lines(text) == django_shop.CELERY


@pytest.mark.parametrize(
    "text",
    [
        "import celery\napp = celery.Celery(\n    'x',\n    broker='redis://',\n)\napp.conf.x = 1\n",
        '"""No import above."""\r\nfrom celery import Celery\r\napp: Celery = Celery("x")\r\n',
        "from celery import Celery\n\nother = 1\napp = Celery('x')\n\nfrom late import that\n",
    ],
    ids=["several-lines", "crlf", "late-import"],
)
def test_taking_the_lines_out_gives_back_every_byte(text: str) -> None:
    made = joined(text, "app")
    assert made.count("Server") == 2
    compile(made, "made", "exec")
    assert without_the_lines(made) == text


def test_an_application_is_found_by_its_line(tmp_path: Path) -> None:
    write(tmp_path, django_shop.FILES)
    assert find_application(tmp_path).path == "proj.celery:app"
    assert find_application(tmp_path, django=True).path == "proj.celery:app"
    assert find_application(tmp_path, "proj:app").path == "proj.celery:app"
    (tmp_path / "other.py").write_text("import celery\nsecond = celery.Celery()\n")
    with pytest.raises(ValueError, match=r"--celery other:second or --celery proj\.celery:app"):
        find_application(tmp_path)


def test_an_application_that_a_function_makes_is_named(tmp_path: Path) -> None:
    write(tmp_path, flask_shop.FILES)
    with pytest.raises(ValueError, match="--celery MODULE:APP"):
        find_application(tmp_path)
    assert find_application(tmp_path, "make_celery:celery_app").file == tmp_path / "make_celery.py"


def test_init_writes_settings_a_key_and_two_lines_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "my Shop", django_shop.FILES)
    tried = init(folder, "--django", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert [line for line in tried.stdout.splitlines() if line.startswith("+")][1:] == [
        "+from onserver import Server",
        "+server = Server.attach(app)",
    ]
    assert not (folder / "config").exists()
    assert (folder / "proj/celery.py").read_text() == django_shop.CELERY
    done = init(folder, "--django")
    assert done.returncode == 0, done.stderr
    assert "found Celery application proj.celery:app" in done.stderr
    assert 'name = "my-shop"' in (folder / "config/onserver.toml").read_text()
    assert (folder / ".onserver/keys.json").exists()
    again = init(folder, "--django", "--json")
    assert again.returncode == 8
    assert "joined already" in json.loads(again.stdout)["error"]["message"]


def test_init_without_an_application_is_a_usage_error(tmp_path: Path) -> None:
    found = init(tmp_path)
    assert found.returncode == 2
    assert "--celery MODULE:APP" in found.stderr
