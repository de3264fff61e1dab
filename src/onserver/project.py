"""The code of a project: its `tasks/` and `workers/`, and those of its components, imported as they are.

`tasks` and `workers` are ordinary packages (an `__init__.py` is not needed) that lie beside `config/`; the project's
folder goes to the front of `sys.path`, as if Python had been started there. A program can load one project: the names
`tasks` and `workers` are taken by the first.

A component is a package, installed or lying in the project's folder, that the setting `components` names. What lies in
its `tasks/` belongs to the project as if it lay in the project's own, under names that begin with the component's: its
procedures and hooks run in the sessions in which the project's do. Components are imported first, in the order of the
setting, so that the project's own code can count on them.
"""

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from onserver.errors import ImportFailed, OnServerError
from onserver.registry import Registry, keep, kept

#: The file of `workers/` that a worker runs when none is named.
DEFAULT_WORKER = "server"


def put_on_path(folder: Path) -> None:
    """Let `import tasks` find this project's."""
    path = str(folder)
    if sys.path[:1] != [path]:
        sys.path[:] = [path, *(other for other in sys.path if other != path)]


@dataclass(frozen=True)
class Component:
    """A package that a project is made of besides its own code.

    Attributes:
        name: by which it is imported, and with which the names of its procedures begin.
        folder: where it lies.

    Example:
        >>> Component("billing", Path("/srv/shop/billing")).tasks
        PosixPath('/srv/shop/billing/tasks')
    """

    name: str
    folder: Path

    @property
    def tasks(self) -> Path:
        """The folder of its procedures and hooks; it need not be there."""
        return self.folder / "tasks"


def find_component(folder: Path, name: str) -> Component:
    """Find a component of the project at `folder`. Of a package in a package, the outer one is imported for it.

    Raises:
        ImportFailed: ONS-1002, there is no such package.
    """
    put_on_path(folder)
    try:
        spec = importlib.util.find_spec(name)
    except (Exception, SystemExit) as error:
        raise _failed(folder, name, error) from error
    if spec is None or not spec.submodule_search_locations:
        found = "there is no such package" if spec is None else "it is a module, and a component is a package"
        raise ImportFailed(name, f"{found} (setting `components`)", name.replace(".", "/"))
    return Component(name, Path(next(iter(spec.submodule_search_locations))).resolve())


def import_tasks(folder: Path, components: Sequence[str] = ()) -> list[ModuleType]:
    """Import every module below `tasks/` of the components and of the project, in the order of their names.

    Raises:
        ImportFailed: ONS-1002, one of them raised; the error is the cause, its traceback part of the notes.
    """
    imported: list[ModuleType] = []
    for component in [find_component(folder, name) for name in components]:
        imported.append(_import(folder, component.name))
        if component.tasks.is_dir():
            imported += [_import(folder, name) for name in _modules_below(component.tasks, f"{component.name}.tasks")]
    if (folder / "tasks").is_dir():
        imported += [import_module(folder, name) for name in _modules_below(folder / "tasks", "tasks")]
    return imported


def import_worker(folder: Path, name: str = DEFAULT_WORKER) -> ModuleType:
    """Import `workers/NAME.py`.

    Raises:
        ImportFailed: ONS-1002, there is none, or it raised.
    """
    return import_module(folder, f"workers.{name.removesuffix('.py').replace('/', '.')}")


def load_worker(folder: Path, name: str = DEFAULT_WORKER) -> ModuleType:
    """Load `workers/NAME.py` by itself, without `workers/__init__.py`, which brings Celery for those who want it.

    Raises:
        ImportFailed: ONS-1002, there is none, or it raised.
    """
    put_on_path(folder)
    stem = Path(name).stem
    path = folder / "workers" / f"{stem}.py"
    spec = importlib.util.spec_from_file_location(f"workers_{stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        there = sorted(found.stem for found in (folder / "workers").glob("*.py") if found.stem != "__init__")
        raise ImportFailed(
            f"workers.{stem}", f"there is no such file; there are: {', '.join(there) or 'none'}", str(path)
        )
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(folder, f"workers.{stem}", error) from error
    return module


def import_module(folder: Path, name: str) -> ModuleType:
    """Import one module of the project at `folder`.

    Raises:
        ImportFailed: ONS-1002, it is not there, raised, or its name was taken by another project.
    """
    module = _import(folder, name)
    _require_of_project(folder, name.partition(".")[0])
    return module


def _import(folder: Path, name: str) -> ModuleType:
    put_on_path(folder)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _failed(folder, name, error) from error


def _modules_below(folder: Path, package: str) -> Iterator[str]:
    yield package
    for found in sorted(pkgutil.iter_modules([str(folder)]), key=lambda module: module.name):
        name = f"{package}.{found.name}"
        if found.ispkg:
            yield from _modules_below(folder / found.name, name)
        elif found.name != "__main__":
            yield name
    for sub in sorted(folder.iterdir()):  # folders without an __init__.py, which pkgutil does not see
        is_package = sub.is_dir() and sub.name.isidentifier() and not (sub / "__init__.py").exists()
        if is_package and any(sub.rglob("*.py")):
            yield from _modules_below(sub, f"{package}.{sub.name}")


def _require_of_project(folder: Path, package: str) -> None:
    places = [Path(place).resolve() for place in sys.modules[package].__path__]
    if (folder / package).resolve() not in places:
        taken = f"this program has already loaded the `{package}` of {', '.join(map(str, places))}"
        raise ImportFailed(package, taken, str(folder / package))


def _failed(folder: Path, name: str, error: BaseException) -> ImportFailed:
    file = _file_of(folder, name, error)
    failed = ImportFailed(name, f"{type(error).__name__}: {error}", file)
    failed.add_note("".join(traceback.format_exception(error)).rstrip())
    return failed


def _file_of(folder: Path, name: str, error: BaseException) -> str:
    """Answer the project's file in which the error arose, relative to the project, with its line."""
    root = str(folder.resolve())
    at = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if str(Path(frame.filename).resolve()).startswith(root):
            at = f"{Path(frame.filename).resolve().relative_to(root)}:{frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename and str(error.filename).startswith(root):
        at = f"{Path(error.filename).relative_to(root)}:{error.lineno}"
    return at or name.replace(".", "/") + ".py"


def reimport_tasks(folder: Path, components: Sequence[str] = ()) -> None:
    """Import the project's modules anew: those in the project's folder and its components, not the libraries they use.

    Raises:
        ImportFailed: ONS-1002, one of them raised; all modules and what they had declared are as before.
        DuplicateName: ONS-1006, likewise.
    """
    before, declared = own_modules(folder, components), kept()
    for name in before:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        import_tasks(folder, components)
        Registry().bind()
    except OnServerError:
        for name in own_modules(folder, components):
            del sys.modules[name]
        sys.modules.update(before)
        keep(declared)
        raise


def own_modules(folder: Path, components: Sequence[str] = ()) -> dict[str, ModuleType]:
    """Answer the imported modules that lie in the project's folder or in its components, by name."""
    root = folder.resolve()
    tops = {name for name, module in list(sys.modules.items()) if "." not in name and _lies_in(module, root)}
    inside = tuple(f"{component}." for component in components)
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in tops or f"{name}.".startswith(inside)
    }


def _lies_in(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [Path(file).parent] if file else []
    if hasattr(module, "__path__"):
        places = [Path(place).parent for place in module.__path__]
    return any(place.resolve() == root for place in places)
