"""The house around the source: what is built, what is served, what is written into the repository."""

import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import redis
import ruamel.yaml

from onserver.redis.search import find_server

ROOT = Path(__file__).parents[1]
WORKERS = sorted(file.stem for file in (ROOT / "workers").glob("*.py") if file.stem != "__init__")


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool that is installed beside this Python."""
    path = Path(sys.executable).parent / command[0]
    return subprocess.run([path, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


def committed() -> list[Path]:
    """Every file that is in the repository, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git work tree")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = ruamel.yaml.YAML(typ="safe").load(ROOT / "docker-compose.yml")
    return read


def test_the_compose_file_is_one() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_there_is_a_service_for_redis_the_web_the_admin_page_and_each_worker(compose: dict[str, Any]) -> None:
    assert sorted(compose["services"]) == sorted(["admin", "redis", "web", *WORKERS])
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name
    commands = {worker: ["onserver", "worker", worker] for worker in WORKERS}
    commands["web"] = ["onserver", "web", "--bind", "0.0.0.0:8000"]
    commands["admin"] = ["onserver", "admin", "--bind", "0.0.0.0:8765"]
    for name, command in commands.items():
        service = compose["services"][name]
        assert service["command"] == command
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert {"ONSERVER_REDIS", "ONSERVER_SIGNING_KEY"} <= set(service["environment"])


def test_every_program_and_path_of_the_compose_file_exists(compose: dict[str, Any]) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, service in compose["services"].items():
        ours = "build" in service
        for command in (service["command"], service["healthcheck"]["test"][1:]):
            assert command[0] in ({*scripts, "python"} if ours else {"valkey-server", "valkey-cli"}), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"], volume


def test_the_image_has_what_its_programs_import() -> None:
    locked = (ROOT / "requirements/demo.txt").read_text()
    for package in ("argon2-cffi", "jinja2", "starlette", "uvicorn"):
        assert f"\n{package}==" in locked, f"`onserver web` and `onserver admin` need {package}"


def test_web_and_admin_are_reached_from_this_machine_alone(compose: dict[str, Any]) -> None:
    assert compose["services"]["web"]["ports"] == ["127.0.0.1:8000:8000"]
    admin = compose["services"]["admin"]
    assert admin["ports"] == ["127.0.0.1:8765:8765"]
    assert admin["profiles"] == ["admin"]  # it does not start before there is a user


def test_verbs_that_the_compose_file_uses_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for command in (service["command"], service["healthcheck"]["test"][1:]):
            if command[0] == "onserver":
                told = tool("python", "-m", "onserver.cli", command[1], "--help")
                assert told.returncode == 0, told.stderr
                for flag in command[2:]:
                    assert not flag.startswith("-") or flag in told.stdout


def test_the_dockerfile_copies_what_exists_and_serves_as_an_ordinary_user() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line]
    sources = [word for line in lines if line.startswith("COPY") for word in shlex.split(line)[1:-1]]
    assert sources
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, f"{source} is not let in by .dockerignore"
    users = [line for line in lines if line.startswith("USER")]
    assert users[-1].split()[1] not in {"root", "0"}
    assert lines.index(users[-1]) > max(index for index, line in enumerate(lines) if line.startswith("RUN"))


def test_redis_keeps_what_it_was_told() -> None:
    lines = (ROOT / "config" / "redis.conf").read_text().splitlines()
    wanted = ["appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "hash-max-listpack-value 1024"]
    assert set(wanted) <= set(lines)


def test_a_redis_starts_with_the_configuration_for_production(tmp_path: Path) -> None:
    command = [str(find_server().path), str(ROOT / "config" / "redis.conf"), "--dir", str(tmp_path), "--port", "0"]
    socket = tmp_path / "s"
    with subprocess.Popen([*command, "--unixsocket", str(socket)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            told = []
            for line in server.stdout:  # until it is ready, or has ended
                told.append(line)
                if "eady to accept connections" in line:
                    break
            else:
                pytest.fail("".join(told))
            with redis.Redis(unix_socket_path=str(socket)) as client:
                assert client.config_get("appendonly", "maxmemory-policy", "hash-max-listpack-value") == {
                    "appendonly": "yes",
                    "maxmemory-policy": "noeviction",
                    "hash-max-listpack-value": "1024",
                }
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    built = tool("hatchling", "build", "-t", "wheel", "-d", str(folder))
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_the_wheel_holds_the_framework_and_nothing_else(wheel: list[str]) -> None:
    package = {name.partition("/")[0] for name in wheel}
    assert {name for name in package if not name.endswith(".dist-info")} == {"onserver"}


def test_the_wheel_holds_every_file_of_the_framework(wheel: list[str]) -> None:
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "onserver").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= set(wheel)
    assert "onserver/py.typed" in wanted
    assert any(name.endswith(".lua") for name in wanted)
    assert any("/scaffold/" in name and not name.endswith(".py") for name in wanted)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "requirements").glob("*.txt")))
def test_requirements_are_pinned_to_the_byte_and_name_no_host(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==\S+(?: ;.*)? \\$", text, re.MULTILINE)
    assert pinned
    assert len(pinned) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_the_sets_agree_with_each_other() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))

    assert pins("demo") <= pins("test")
    assert pins("bench") <= pins("test")


def test_what_the_package_needs_is_in_the_pinned_sets() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def missing(needs: list[str], name: str) -> set[str]:
        pinned = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
        named = {re.split(r"[\[<>=!~ ]", need)[0].replace(".", "-") for need in needs} - {"onserver"}
        return named - set(pinned)

    extras = project["optional-dependencies"]
    assert not missing(project["dependencies"] + extras["backup"] + extras["embedded"] + extras["demo"], "demo")
    assert not missing(project["dependencies"] + extras["embedded"] + extras["backup"] + extras["dev"], "test")


#: Package indexes, and where this repository may have been worked on; written so that this file holds none of them.
UNWANTED = re.compile(r"pypi\.[a-z]|pythonhosted|deb\.debian|registry\.[a-z]+js|index-url|find-links\s*=|/opt/pypi")
SAYS_SO = {"Makefile", "tests/test_house.py"}


def test_no_committed_file_names_a_registry() -> None:
    offenders = []
    for path in committed():
        name = str(path.relative_to(ROOT))
        if name not in SAYS_SO and (found := UNWANTED.search(path.read_bytes().decode("utf-8", "replace"))):
            offenders.append(f"{name}: {found[0]}")
    assert not offenders


def test_the_commands_of_the_readme_are_targets_and_verbs() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "test-long", "bench", "lint", "format", "clean", "help"} <= targets
    named = set(re.findall(r"\$ make ([a-z-]+)", text))
    assert named
    assert named <= targets


def test_the_bootstrap_says_which_sets_there_are() -> None:
    refused = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bootstrap.py", "dmo"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    sets = ["bench", "bench-arq", "bench-peers", "bench-saq", "bench-tools", "demo", "desktop", "test"]
    assert refused.stderr == f"error  Say what to set up: {' or '.join(sets)}.\n"
