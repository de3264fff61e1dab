"""How an existing Celery application joins a server: which files are written, and two lines in the file that makes it.

Nothing is imported to find that out: the application's module is read as text. The lines are whole lines, an import
behind the imports above the application, the call right behind the statement that makes it, so that taking them out
gives back the file as it was.
"""

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onserver.scaffold.project import text_of

IMPORT: Final = "from onserver import Server"
_SKIPPED: Final = frozenset({"node_modules", "site-packages", "venv", "env", "build", "dist", "tests", "migrations"})
_SETTINGS_MODULE: Final = re.compile(r"""DJANGO_SETTINGS_MODULE['"],\s*['"]([\w.]+)['"]""")


@dataclass(frozen=True, kw_only=True)
class Application:
    """Where a Celery application is made."""

    module: str
    name: str
    file: Path

    @property
    def path(self) -> str:
        """As in the setting `celery`."""
        return f"{self.module}:{self.name}"


def find_application(folder: Path, named: str = "", *, django: bool = False) -> Application:
    """Find the application of the project in a folder.

    Args:
        folder: where `manage.py` is, or where Celery is started.
        named: as in `celery -A`: `proj.celery:app`; without a name behind the colon, `app`.
        django: look where Celery's guide for Django has it: `celery.py` beside the settings that `manage.py` names.

    Raises:
        ValueError: there is none, or several; the text tells which.
    """
    if django and not named:
        named = f"{_package_of_django(folder)}.celery"
    if named:
        module, _, name = named.partition(":")
        return _made_in(folder, module, name or "app")
    found = list(_candidates(folder))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError("No line `NAME = Celery(…)` was found below this folder. Say where: --celery MODULE:APP.")
    raise ValueError(f"Which one? --celery {' or --celery '.join(each.path for each in found)}")


def joined(text: str, name: str, broker: str = "keep") -> str:
    """The source of the application's module with the two lines.

    Args:
        text: as it is.
        name: of the application in it.
        broker: what `Server.attach` is told.

    Raises:
        ValueError: the lines are there already, or no statement makes that name.
    """
    if IMPORT in text.splitlines() or "Server.attach(" in text:
        raise ValueError("It has joined already: `Server.attach` is in it.")
    tree = ast.parse(text)
    place = _line_of(tree, name)
    if place is None:
        raise ValueError(f"No statement at the top level of the module makes `{name}`.")
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    above = max((node.end_lineno or 0 for node in imports if (node.end_lineno or 0) < place), default=0)
    ending = "\r\n" if "\r\n" in text else "\n"
    told = "" if broker == "keep" else f', broker="{broker}"'
    lines = text.splitlines(keepends=True)
    if not lines[place - 1].endswith(("\n", "\r")):
        lines[place - 1] += ending
    lines.insert(place, f"server = Server.attach({name}{told}){ending}")
    lines.insert(above, f"{IMPORT}{ending}")
    return "".join(lines)


def new_files(folder: Path, application: Application) -> dict[Path, str]:
    """What is written besides: settings, roles, and what keeps the private folder out of version control.

    Raises:
        FileExistsError: there are settings already.
    """
    settings = folder / "config/onserver.toml"
    if settings.exists():
        raise FileExistsError(f"{settings} is there already; nothing was written.")
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_") or "project"
    lines = (
        f'name = "{name}"',
        'redis = "embedded"   # a private Redis of this project; or redis://host:6379/0, rediss://, unix://',
        f'celery = "{application.path}"',
    )
    made = {settings: "\n".join(lines) + "\n", folder / ".onserver/.gitignore": "*\n"}
    if not (folder / "config/roles.json").exists():
        made |= {folder / part: text_of(part, name) for part in ("config/roles.json", "config/roles.schema.json")}
    return made


def difference(file: Path, before: str, after: str) -> str:
    """The two lines, as a patch that people can read."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(file), str(file), n=1
    )
    return "".join(lines)


def _package_of_django(folder: Path) -> str:
    program = folder / "manage.py"
    named = _SETTINGS_MODULE.search(program.read_text(encoding="utf-8")) if program.is_file() else None
    if named is None:
        raise ValueError("No `manage.py` here names DJANGO_SETTINGS_MODULE. Say where: --celery MODULE:APP.")
    return named[1].rpartition(".")[0] or named[1]


def _made_in(folder: Path, module: str, name: str) -> Application:
    below = folder.joinpath(*module.split("."))
    for file in (below.with_suffix(".py"), below / "__init__.py", below / "celery.py"):
        if file.is_file() and _line_of(ast.parse(file.read_text(encoding="utf-8")), name) is not None:
            own = module if file.name != "celery.py" or below.name == "celery" else f"{module}.celery"
            return Application(module=own, name=name, file=file)
    raise ValueError(f"`{name}` is not made in a module `{module}` below {folder}.")


def _candidates(folder: Path) -> Iterator[Application]:
    for file in sorted(folder.rglob("*.py")):
        parts = list(file.relative_to(folder).with_suffix("").parts)
        if len(parts) > 4 or any(part in _SKIPPED or part.startswith((".", "test_")) for part in parts):
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_celery(node.value.func):
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield Application(module=module, name=target.id, file=file)


def _is_celery(called: ast.expr) -> bool:
    return (isinstance(called, ast.Name) and called.id == "Celery") or (
        isinstance(called, ast.Attribute) and called.attr == "Celery"
    )


def _line_of(tree: ast.Module, name: str) -> int | None:
    """The last line of the statement at the top level that makes a name."""
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.end_lineno
    return None
