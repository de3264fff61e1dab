"""A project of components: their procedures and hooks have their names and share its sessions (specification 1.4).

What a program of such a project sees is told by one, in a process of its own, since a program can load one project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onserver import Server
from onserver.backup.making import content_of
from onserver.cli.watch import Watch
from onserver.errors import BadSetting, ImportFailed
from onserver.life.code import Code
from onserver.project import find_component, import_tasks
from onserver.redis.embedded import Embedded
from onserver.registry import name_below_tasks
from onserver.scaffold import write_project
from onserver.settings import load

COMPONENTS = {
    "project/billing/__init__.py": "",
    "project/billing/tasks/__init__.py": """
from onserver import procedure

@procedure
def about() -> str:
    return "billing"
""",
    "project/billing/tasks/invoices.py": """
from onserver import on_server_startup, procedure, process, session

class Unpaid(Exception):
    pass

@on_server_startup
def number_range() -> None:
    with session().storage.use("billing") as billing:
        billing["next"], billing["opened in"] = 1, session().id

@procedure
def send() -> list:
    return [process().procedure, session().id, session().storage["billing"]["next"], session().info["type"]]

@procedure
def remind() -> None:
    raise Unpaid("42")

def asked() -> str | None:
    found = session()
    return None if found is None else found.id
""",
    "elsewhere/acme/crm/__init__.py": "",
    "elsewhere/acme/crm/tasks/people.py": """
from onserver import procedure, session

@procedure
async def find() -> list:
    return [session().id, session().storage["billing"]["next"]]
""",
    "project/tasks/shop.py": """
from billing.tasks.invoices import send
from onserver import procedure, session

@procedure
def order() -> list:
    return [session().id, send()[1]]
""",
}

PROGRAM = """
import json, sys
from pathlib import Path
from acme.crm.tasks.people import find
from billing.tasks.invoices import Unpaid, asked, remind, send
from billing.tasks import about
from onserver import Server, execute_on_server, session
from onserver.life.code import Code
from onserver.project import reimport_tasks
from onserver.session.context import serving
from onserver.testing import OnServer
from tasks.shop import order

told = {"imported first": [send.name, about.name, find.name, order.name]}
server = Server.load()
server.load_tasks()
with server:
    worker = OnServer(server, live=True)
    worker.open()
    worker.fire("server_startup")
    told["server"] = server.session().id
    told["opened in"] = server.storage["billing"]["opened in"]
    told["send"] = execute_on_server(send).result(timeout=60)
    told["find"] = execute_on_server("acme.crm.people.find").result(timeout=60)
    told["order"] = execute_on_server(order).result(timeout=60)
    try:
        execute_on_server(remind).result(timeout=60)
    except Unpaid as error:
        told["unpaid"] = str(error)
    web = server.sessions.open("web", web="")
    own = server.sessions.open("web", web="billing")
    remote = server.sessions.open("remote")
    told["web"], told["own"], told["remote"] = web.id, own.id, remote.id
    with serving(web):
        told["called in host's request"] = asked()
    with serving(own, web="billing"):
        told["called in component's request"] = asked()
    with serving(None, web="billing"):
        told["called without sessions"] = asked()
    with serving(remote, remote=True):
        told["called in remote request"] = asked()
    told["called outside"] = asked()
    worker.close()
    told["components"] = [[part.name, str(part.folder)] for part in server.components()]
    before, file = Code.of(server).digest, Path(sys.argv[1])
    file.write_text(file.read_text() + "\\n@procedure\\ndef again() -> None: ...\\n")
    told["digest differs"] = before != Code.of(server).digest
    reimport_tasks(server.project, server.settings.components)
    told["added"] = server.registry.find("billing.invoices.again") is not None
    good = file.read_text()
    file.write_text("raise ValueError('no')")
    try:
        reimport_tasks(server.project, server.settings.components)
    except Exception as error:
        told["refused"] = type(error).__name__, str(error).partition("(")[0]
    told["kept"] = server.registry.find("billing.invoices.again") is not None
    file.write_text(good)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a component in its folder, and one that is installed elsewhere."""
    folder = tmp_path_factory.mktemp("components")
    write_project("shop", folder / "project")
    for name, text in COMPONENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    settings = folder / "project" / "config" / "onserver.toml"
    settings.write_text('components = ["billing", "acme.crm"]\n' + settings.read_text())
    return folder / "project"


@pytest.fixture(scope="module")
def told(project: Path, embedded: Embedded) -> dict[str, Any]:
    """What a program of that project tells."""
    environ = os.environ | {
        "PYTHONPATH": f"{project}{os.pathsep}{project.parent / 'elsewhere'}",
        "ONSERVER_PROJECT": str(project),
        "ONSERVER_REDIS": f"unix://{embedded.home.socket}",
        "ONSERVER_SIGNING_KEY": "a key of this test",
        "ONSERVER_NAME": f"t{os.getpid()}-components",
        "ONSERVER_TESTING": "1",
    }
    command = [sys.executable, "-c", PROGRAM, str(project / "billing" / "tasks" / "invoices.py")]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False, cwd=project)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_names_begin_with_the_component_whoever_imports_it(told: dict[str, Any]) -> None:
    names = ["billing.invoices.send", "billing.about", "acme.crm.people.find", "shop.order"]
    assert told["imported first"] == names
    assert told["send"][0] == "billing.invoices.send"


def test_processes_and_hooks_of_host_and_components_share_the_servers_session(told: dict[str, Any]) -> None:
    server = told["server"]
    assert told["opened in"] == server
    assert told["send"][1:] == [server, 1, "storedProcedure"]
    assert told["find"] == [server, 1]
    assert told["order"] == [server, server]


def test_in_a_request_the_session_is_that_of_the_web_server_it_was_for(told: dict[str, Any]) -> None:
    assert told["called in host's request"] == told["web"]
    assert told["called in component's request"] == told["own"]
    assert told["called without sessions"] is None
    assert told["called in remote request"] == told["remote"]
    assert told["called outside"] is None


def test_exceptions_of_a_component_are_raised_again(told: dict[str, Any]) -> None:
    assert told["unpaid"] == "42"


def test_components_are_part_of_the_code(told: dict[str, Any], project: Path) -> None:
    elsewhere = project.parent / "elsewhere"
    assert told["components"] == [["billing", str(project / "billing")], ["acme.crm", str(elsewhere / "acme" / "crm")]]
    assert told["digest differs"]
    assert told["added"]
    assert told["refused"][0] == "ImportFailed"
    assert told["kept"]


def test_a_component_in_the_project_is_saved_with_it_and_an_installed_one_is_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(project.parent / "elsewhere"), *sys.path])
    with Server(project=project, settings=load(project, {})) as server:
        assert content_of(server).components == ["billing"]
        first = Code.of(server).files
        assert first == Code.of(server).files


def test_what_is_named_and_is_no_component_is_told(tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    (tmp_path / "alone_in_a_file.py").write_text("")
    (tmp_path / "broken_component" / "tasks").mkdir(parents=True)
    (tmp_path / "broken_component" / "tasks" / "bad.py").write_text("raise OSError('rates.example')")
    with pytest.raises(ImportFailed, match="no such package"):
        find_component(tmp_path, "not_there_at_all")
    with pytest.raises(ImportFailed, match=r"no such package|No module named"):
        find_component(tmp_path, "not_there.at_all")
    with pytest.raises(ImportFailed, match="it is a module"):
        find_component(tmp_path, "alone_in_a_file")
    with pytest.raises(ImportFailed, match=r"rates\.example") as failed:
        import_tasks(tmp_path, ["broken_component"])
    assert "broken_component/tasks/bad.py:1" in str(failed.value)


@pytest.mark.parametrize("name", ["tasks", "tasks.shop", "workers", "onserver.life", "bill-ing", "", "a..b", "1st"])
def test_a_component_is_named_as_it_is_imported(name: str, tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    settings = tmp_path / "config" / "onserver.toml"
    settings.write_text(f'components = ["{name}"]\n' + settings.read_text())
    with pytest.raises(BadSetting, match="components"):
        load(tmp_path, {})


def test_components_can_be_named_in_the_environment(tmp_path: Path) -> None:
    write_project("shop", tmp_path)
    assert load(tmp_path, {"ONSERVER_COMPONENTS": "billing, acme.crm"}).components == ("billing", "acme.crm")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tasks", "send"),
        ("tasks.shop", "shop.send"),
        ("tasks.tasks.shop", "tasks.shop.send"),
        ("shop.tasks", "shop.tasks.send"),
        ("billing.tasks.invoices", "billing.invoices.send"),
        ("acme.crm.tasks.people.old", "acme.crm.people.old.send"),
        ("mytasks.shop", "mytasks.shop.send"),
    ],
)
def test_the_name_of_a_function(module: str, name: str) -> None:
    def send() -> None: ...

    send.__module__ = module
    assert name_below_tasks(send) == name


def test_a_change_of_a_component_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "parts" / "tasks").mkdir(parents=True)
    file = tmp_path / "parts" / "tasks" / "one.py"
    file.write_text("")
    watch = Watch(tmp_path / "project", print, [tmp_path / "parts"])
    before = watch._times()[file]
    os.utime(file, ns=(before + 1, before + 1))
    assert watch._times() == {file: before + 1}
