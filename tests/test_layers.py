"""The framework stands on floors: imports point down, stand at the top of a file, and never in a circle.

What a floor may import is drawn in `FLOORS`. The offender is named by file and line.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "onserver"

#: Each group of modules, and its floor. Groups of one floor do not import each other, but for `ALLOWED_BESIDE`.
FLOORS = {
    "errors": 0,
    "values": 0,
    "planned": 0,
    "discreet": 0,
    "admin_settings": 0,
    "backup_settings": 0,
    "event_settings": 0,
    "web_settings": 0,
    "remote_settings": 0,
    "settings": 0,
    "lazy": 0,
    "crash": 0,
    "interrupt": 0,
    "checkpoint": 0,
    "redis": 1,
    "cluster": 2,
    "session": 3,
    "parts": 4,
    "server": 4,
    "registry": 4,
    "project": 4,
    "process": 4,
    "life": 5,
    "backup": 6,
    "celery_app": 6,
    "data": 6,
    "connections": 6,
    "doctor": 7,
    "remote": 7,
    "web": 7,
    "views": 7,
    "steer": 8,
    "admin": 9,
    "cli": 10,
    "alone": 11,
    "django_app": 11,
    "scaffold": 11,
    "testing": 12,
}
ALLOWED_BESIDE = {
    ("process", "server"),
    ("process", "registry"),
    ("process", "project"),
    ("server", "parts"),
    ("server", "registry"),
    ("server", "project"),
    ("project", "registry"),
}
#: Beside the floors: what a new project looks like is copied by the command line.
ALLOWED_ABOVE = {("cli", "scaffold")}
#: Floor 0 is one floor of small modules, in this order.
GROUND = ["errors", "lazy", "crash", "interrupt", "checkpoint", "values", "planned", "discreet"]
GROUND += ["admin_settings", "backup_settings", "event_settings", "web_settings", "remote_settings", "settings"]

CELERY = {"celery", "kombu", "billiard", "vine", "amqp"}
#: The only modules that may call the lazy loader, and those that import a project's own modules by name.
LAZY_USERS = {
    "onserver",
    "onserver.admin",
    "onserver.admin.oidc",
    "onserver.backup.bucket",
    "onserver.backup.packing",
    "onserver.backup.seal",
    "onserver.cli.admin",
    "onserver.cli.command",
    "onserver.cli.serving",
    "onserver.life.happenings",
    "onserver.life.health",
    "onserver.cli.compat",
    "onserver.cli.version",
    "onserver.cli.web",
    "onserver.cli.celery_side",
    "onserver.life.duties",
    "onserver.life.guests",
    "onserver.data",
    "onserver.process.after_commit",
    "onserver.process.procedure",
    "onserver.process.side",
    "onserver.process.tracing",
    "onserver.remote",
    "onserver.remote.ways",
    "onserver.server",
    "onserver.session.users",
    "onserver.steer",
    "onserver.values",
    "onserver.web",
    "onserver.web.rest",
    "onserver.web.rest_source",
}
#: Packages whose public names are loaded when they are used.
FRONTS = {"onserver", "onserver.admin", "onserver.data", "onserver.remote", "onserver.steer", "onserver.web"}
IMPORTERS = {"onserver.lazy", "onserver.project", "onserver.process.failure"}


class Import(NamedTuple):
    """One import: who, whom, and where it is written."""

    importer: str
    target: str
    line: int
    inside: str
    """The function or ``if TYPE_CHECKING`` that holds it, or an empty text at the top of the file."""

    def __str__(self) -> str:
        return f"{self.importer.replace('.', '/')}.py:{self.line} imports {self.target}"


def name_of(file: Path) -> str:
    parts = list(file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


def targets(node: ast.Import | ast.ImportFrom, importer: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, f"{importer}:{node.lineno} is a relative import"
    names = [f"{node.module}.{alias.name}" for alias in node.names]
    if node.module == "onserver":  # a module, its version, or a public name, which `offence` refuses
        return [name if name != "onserver.__version__" else "onserver" for name in names]
    return [name if name in MODULES else str(node.module) for name in names]


def walk(node: ast.AST, importer: str, inside: str = "") -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for target in targets(child, importer):
                yield Import(importer, target, child.lineno, inside)
        else:
            here = inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                here = getattr(child, "name", "lambda")
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                here = "TYPE_CHECKING"
            yield from walk(child, importer, here)


IMPORTS = [found for name, tree in MODULES.items() for found in walk(tree, name)]
OURS = [found for found in IMPORTS if found.target.split(".")[0] == "onserver" and found.inside != "TYPE_CHECKING"]


def group(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def offence(found: Import) -> str:
    """Tell what is wrong with an import between two groups, or an empty text."""
    who, whom = group(found.importer), group(found.target)
    if who == whom or (who, whom) in ALLOWED_BESIDE | ALLOWED_ABOVE:
        return ""
    if found.importer == "onserver":
        return "" if whom == "lazy" else "the package's front may import the lazy loader and nothing else"
    if found.target == "onserver":
        return ""
    if whom not in FLOORS:
        return "takes a public name from the package's front, which may lead anywhere"
    if who in GROUND and whom in GROUND:
        return "" if GROUND.index(whom) < GROUND.index(who) else "points up on the ground floor"
    if FLOORS[who] == FLOORS[whom]:
        return f"points sideways on floor {FLOORS[who]}"
    return "" if FLOORS[whom] < FLOORS[who] else f"points up from floor {FLOORS[who]} to {FLOORS[whom]}"


def test_every_module_has_a_floor() -> None:
    assert {group(name) for name in MODULES} - {""} <= set(FLOORS)


def test_imports_point_down() -> None:
    offenders = [f"{found}: {wrong}" for found in OURS if (wrong := offence(found))]
    assert not offenders, "\n".join(offenders)


def test_imports_stand_at_the_top_of_the_file() -> None:
    offenders = [
        f"{found} inside {found.inside}"
        for found in IMPORTS
        if found.inside and not (found.inside == "TYPE_CHECKING" and found.importer in FRONTS)
    ]
    assert not offenders, "\n".join(offenders)


def test_only_celery_app_imports_celery() -> None:
    offenders = [
        str(found)
        for found in IMPORTS
        if found.target.split(".")[0] in CELERY and group(found.importer) != "celery_app"
    ]
    assert not offenders, "\n".join(offenders)


def test_only_django_app_imports_django() -> None:
    offenders = [
        str(found)
        for found in IMPORTS
        if found.target.split(".")[0] == "django" and group(found.importer) != "django_app"
    ]
    assert not offenders, "\n".join(offenders)


def test_only_the_lazy_loader_imports_late() -> None:
    offenders = [
        f"{name} uses {ast.unparse(node)}"
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
        if name not in IMPORTERS
    ]
    assert not offenders, "\n".join(offenders)


def test_the_users_of_the_lazy_loader_are_known() -> None:
    users = {found.importer for found in OURS if found.target == "onserver.lazy"}
    assert users <= LAZY_USERS, f"new users of the lazy loader: {users - LAZY_USERS}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "base", "common", "helpers", "helper", "manager", "core", "types", "misc"}
    assert not [name for name in MODULES if name.split(".")[-1] in nothing]


def test_there_are_no_circles() -> None:
    below: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in OURS:
        if found.importer != found.target:
            below[found.importer].add(found.target)
    below["onserver"] = set()  # the front is loaded first, and is complete before anything asks it
    seen: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if seen.get(name) == "done":
            return
        if name in path:
            pytest.fail(" → ".join((*path[path.index(name) :], name)))
        for target in sorted(below.get(name, ())):
            visit(target, (*path, name))
        seen[name] = "done"

    for name in MODULES:
        visit(name, ())
