"""A new project: what `onserver new` writes, and what it never overwrites."""

import compileall
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import ruamel.yaml

from onserver.scaffold import FILES, write_project


def test_a_new_project_has_every_file_and_its_name(tmp_path: Path) -> None:
    assert write_project("shop", tmp_path / "shop") == FILES
    assert all((tmp_path / "shop" / part).is_file() for part in FILES)
    assert tomllib.loads((tmp_path / "shop/config/onserver.toml").read_text())["name"] == "shop"
    assert json.loads((tmp_path / "shop/config/roles.json").read_text())["forceLogin"] is True
    assert "$" not in (tmp_path / "shop/docker-compose.yml").read_text()


def test_the_compose_file_of_a_new_project_serves_its_worker_and_its_web_server(tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    checker = Path(sys.executable).parent / "check-jsonschema"
    told = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", tmp_path / "docker-compose.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    services = ruamel.yaml.YAML(typ="safe").load(tmp_path / "docker-compose.yml")["services"]
    assert set(services) == {"redis", "server", "web", "admin"}
    server, web = services["server"], services["web"]
    assert (server["command"], web["command"]) == ("onserver worker server", "onserver web --bind 0.0.0.0:8000")
    assert web["ports"] == ["127.0.0.1:8000:8000"]  # reached from this machine alone
    admin = services["admin"]
    assert (admin["command"], admin["ports"]) == ("onserver admin --bind 0.0.0.0:8765", ["127.0.0.1:8765:8765"])
    assert admin["profiles"] == ["admin"]  # it does not start before there is a user
    for shared in ("build", "environment", "volumes", "depends_on"):  # the same code, Redis, and key that signs
        assert server[shared] == web[shared]
    assert "[admin,users,web]" in web["build"]["dockerfile_inline"]


def test_the_code_of_a_new_project_compiles(tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    assert compileall.compile_dir(tmp_path, quiet=1)


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/hello.py").write_text("mine")
    with pytest.raises(FileExistsError, match=r"hello\.py is there already"):
        write_project("shop", tmp_path)
    assert (tmp_path / "tasks/hello.py").read_text() == "mine"
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "a b", "../up", "a" * 64, "shop\n"])
def test_a_name_that_cannot_be_part_of_a_key_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a project"):
        write_project(name, tmp_path)
