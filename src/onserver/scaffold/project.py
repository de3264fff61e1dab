"""The folder of a new project, made from the files in `template/`.

Each template is the file that is written, with `.in` behind its name so that no tool takes it for a module of ours, and
`$name` where the project's name belongs.
"""

import re
from importlib.resources import files
from pathlib import Path
from string import Template

#: What a new project consists of, in the order in which it is told.
FILES = (
    "config/onserver.toml",
    "config/roles.json",
    "tasks/hello.py",
    "tasks/lifecycle.py",
    "workers/__init__.py",
    "workers/server.py",
    "tests/test_hello.py",
    "docker-compose.yml",
    ".gitignore",
    "config/roles.schema.json",
)
#: The one that is no template: what editors check `config/roles.json` with.
_SCHEMA = "config/roles.schema.json"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def write_project(name: str, folder: Path) -> tuple[str, ...]:
    """Write a project of this name into a folder, which is made if need be.

    Args:
        name: The server's name: lower-case letters, digits, `-` and `_`, a letter first, at most 63 characters, since
            it becomes part of every key in Redis and a user name in the compose file.
        folder: Where to. Other files may be there; none of ours is overwritten.

    Returns:
        What was written, below the folder.

    Raises:
        ValueError: The name has another form.
        FileExistsError: A file of that name is there already; nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{name}` cannot name a project: lower-case letters, digits, `-` and `_`, a letter first.")
    for part in FILES:
        if (folder / part).exists():
            raise FileExistsError(f"{folder / part} is there already; nothing was written.")
    for part in FILES:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text_of(part, name), encoding="utf-8")
    return FILES


def text_of(part: str, name: str) -> str:
    """Return what one of the files of a new project holds.

    Args:
        part: Which one, as `FILES` has it.
        name: The project's.
    """
    if part == _SCHEMA:
        return (files("onserver.session") / "roles.schema.json").read_text(encoding="utf-8")
    # A dot file's template has no dot, so that packaging tools do not skip it.
    template = files("onserver.scaffold") / "template" / f"{part.removeprefix('.')}.in"
    return Template(template.read_text(encoding="utf-8")).substitute(name=name)
