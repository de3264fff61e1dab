"""Set up .venv for one target of the Makefile: `python3 scripts/bootstrap.py demo|test|bench …`.

It needs Python 3.11 or newer with its venv and pip, and nothing else. What is installed is written down to the byte in
requirements/SET.txt, so that everybody runs the same; the project itself is installed from this folder. A second run
finds its stamp and ends at once. Another Python: `make demo PYTHON=python3.13`.

A set whose name begins with `bench-` would not agree with the others, or is only looked at by them: it gets an
environment of its own, .venv/SET, in which this project is not installed.
"""

# This file has to run, or to say why not, under every Python 3 that a machine may have.
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
APART = "bench-"
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")


def main(arguments: "list[str]") -> int:
    """Set up what was asked for and return an exit status."""
    known = sorted(file.stem for file in (ROOT / "requirements").glob("*.txt"))
    if not arguments or not set(arguments) <= set(known):
        return complain(f"Say what to set up: {' or '.join(known)}.")
    if sys.version_info < OLDEST:
        return try_a_newer_python(arguments)
    return next((status for status in map(set_up, arguments) if status), 0)


def try_a_newer_python(arguments: "list[str]") -> int:
    """Start again under the first newer Python on PATH; only returns when there is none."""
    for name in NEWER_PYTHONS:
        path = shutil.which(name)
        if path:
            os.execv(path, [path, str(Path(__file__)), *arguments])
    version = ".".join(map(str, sys.version_info[:3]))
    return complain(
        f"onserver needs Python 3.11 or newer; {sys.executable} is {version}, and PATH has no newer one. "
        "Install one, then: make PYTHON=python3.13"
    )


def set_up(name: str) -> int:
    """Make the environment if need be, and install the set unless it is there already."""
    home = VENV / name if name.startswith(APART) else VENV
    python = home / "bin" / "python"
    if not python.exists() or run([str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], quiet=True):
        status = make_environment(home)
        if status:
            return status
    stamp = home / f"onserver-{name}.stamp"
    wanted = fingerprint(name)
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    print(f"setting up {home.relative_to(ROOT)} from requirements/{name}.txt", file=sys.stderr)
    pip = pip_of(python)
    # --no-deps: the file names everything that is needed, and leaves out what a package only claims to need.
    steps = [["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements" / f"{name}.txt")]]
    if home == VENV:
        steps.append(["--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT)])
    for step in steps:
        status = run([*pip, "install", "--quiet", "--disable-pip-version-check", "--no-input", *step])
        if status:
            return complain(f"pip could not install what requirements/{name}.txt names; its own words are above.")
    stamp.write_text(wanted)
    return 0


def make_environment(home: Path) -> int:
    """Make an environment; where Python comes without ensurepip, with the pip that is beside it."""
    if find_spec("ensurepip"):
        return run([sys.executable, "-m", "venv", "--clear", str(home)])
    if find_spec("venv") and find_spec("pip"):
        return run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)])
    return complain(
        f"This Python ({sys.executable}) comes without ensurepip, so that it cannot make an environment. "
        "On Debian and Ubuntu: apt install python3-venv. Or name another: make PYTHON=python3.13"
    )


def pip_of(python: Path) -> "list[str]":
    """Return the command for the environment's pip, or for ours, working on the environment."""
    if run([str(python), "-c", "import pip"], quiet=True) == 0:
        return [str(python), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(python)]


def fingerprint(name: str) -> str:
    """Digest of all that decides what is installed."""
    digest = hashlib.sha256()
    for file in (ROOT / "requirements" / f"{name}.txt", ROOT / "pyproject.toml", Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def run(command: "list[str]", *, quiet: bool = False) -> int:
    """Run a command and return its exit status."""
    where = subprocess.DEVNULL if quiet else None
    return subprocess.call(command, cwd=str(ROOT), stdout=where, stderr=where)


def complain(text: str) -> int:
    """Print why this cannot go on; returns the exit status."""
    print("error  " + text, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
