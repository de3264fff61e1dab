"""What the documentation says is so: its examples run, its commands exist, its reference agrees with the code.

A page is run from top to bottom in a folder of its own, as its reader would. In a block `python` whose first line is
`# PATH.py` the file is written; another one is run. `print(…)  # VALUE` has to print that value. A block `json` below a
line that ends with a path is that file, and so is one `html`. In a block `console` the lines that begin with `$` are
run, and the lines below are what they print, `…` standing for anything. What serves (`onserver dev`) goes on while the
page does.
"""

import ast
import doctest
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import onserver
from onserver import registry
from onserver.cli.command import VERBS
from onserver.cli.command import onserver as command
from onserver.errors import NoWorker, OnServerError
from onserver.lazy import load
from onserver.process.declare import procedure
from onserver.redis.address import Address
from onserver.scaffold import write_project
from onserver.settings import SETTINGS
from onserver.settings import load as load_settings
from onserver.steer.granted import PRIVILEGES
from onserver.testing import wait_for
from scripts import reference
from tests.inline_worker import make_server, working
from tests.leftovers import has_ended
from tests.pages import PAGES, ROOT, Block, blocks
from tests.test_errors import EXAMPLES

#: What goes on until it is told to end, and what it writes when it is there.
SERVES = {
    "onserver dev": " ready",
    "onserver worker": " ready",
    "onserver web": "serving http",
    "celery -A workers worker": " ready.",
    "gunicorn": "Booting worker",
}
#: What is not run here, because it sets up or takes the whole machine: whether it could be is looked at.
LOOKED_AT = {"make", "pip", "docker", "export"}
READY = 30.0


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---- running a page


class Served(NamedTuple):
    """A program that goes on."""

    program: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


class Run:
    """One page being run."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.served: list[Served] = []
        self.programs: dict[str, list[str]] = {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        self.environment = kept | {"PATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}

    def block(self, block: Block) -> None:
        place = f"{named(self.page)}:{block.line}"
        if block.language == "python":
            self.python(block.text, place)
        elif block.language in ("json", "html") and block.file:
            target = self.folder / block.file
            target.parent.mkdir(exist_ok=True)
            target.write_text(block.text)
        elif block.language == "console":
            for typed, expected in commands(block.text):
                self.command(typed, expected, place)

    def python(self, text: str, place: str) -> None:
        file = re.match(r"# (\S+\.py)\n", text)
        if file is None:
            done = self.bash(f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}")
            assert done.returncode == 0, f"{place}\n{done.stdout}"
            compare(expected_of(text), done.stdout, place)
            return
        target = self.folder / file[1]
        before = [served.output.count(": code ") for served in self.served]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        self.programs[file[1]] = expected_of(text)
        if file[1].startswith("tasks/"):
            for served, count in zip(self.served, before, strict=True):
                wait_for(lambda: served.output.count(": code ") > count, READY, f"{place}: new code")  # noqa: B023

    def command(self, typed: str, expected: list[str], place: str) -> None:
        words = typed.split()
        if words[0] in LOOKED_AT or (words[0] == "curl" and shutil.which("curl") is None):
            look_at(words, place)
            return
        output, status = "", 0
        for part in typed.split(" && "):
            if part.startswith("cd "):
                self.folder /= part.removeprefix("cd ").strip()
            elif ready := ready_of(part):
                output += self.serve(part, ready)
            else:
                done = self.bash(part)
                output, status = output + done.stdout, done.returncode
        wanted_failure = any(line.startswith("error ") for line in expected)
        assert (status != 0) == wanted_failure, f"{place}: `{typed}` ended with {status}\n{output}"
        compare(expected, output, f"{place}: `{typed}`")
        if words[0] == "python" and words[1] in self.programs:
            compare(self.programs[words[1]], output, f"{place}: the comments in {words[1]}")

    def bash(self, typed: str) -> "subprocess.CompletedProcess[str]":
        # into a file: whatever goes on behind it, a private Redis say, would keep a pipe open, and its reader waiting
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                ["bash", "-c", typed], cwd=self.folder, env=self.environment, check=False, timeout=60, text=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output.seek(0)
            done.stdout = output.read()
        return done

    def serve(self, typed: str, ready: str) -> str:
        log = self.folder / f"served-{len(self.served)}.log"
        patience = {"ONSERVER_WORKER_GRACE_SECONDS": "2"}  # nobody reads on at the end of a page, whatever runs then
        with log.open("wb") as output:
            program = subprocess.Popen(
                ["bash", "-c", f"exec env {typed}"], cwd=self.folder, env=self.environment | patience, process_group=0,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        served = Served(program, log)
        self.served.append(served)
        wait_for(lambda: ready in served.output or program.poll() is not None, READY, f"`{typed}`")
        assert program.poll() is None, served.output
        return served.output

    def end(self) -> None:
        """End what goes on, and the private Redis of every project that was made."""
        for served in reversed(self.served):
            if served.program.poll() is None:
                served.program.send_signal(signal.SIGTERM)
            try:
                served.program.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(served.program.pid, signal.SIGKILL)
                served.program.wait()
                raise


def ready_of(typed: str) -> str:
    """Answer what a program that goes on writes when it is there; nothing for one that ends."""
    bare = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", typed)
    return next((text for begins, text in SERVES.items() if bare.startswith(begins)), "")


def end_redis(folder: Path) -> None:
    """End the private Redis of every project below a folder, without the pause that it makes by itself."""
    for running in folder.rglob(".onserver/redis/running.json"):
        keeper = psutil.Process(int(re.findall(r"\d+", running.read_text())[0]))
        keeper.terminate()
        wait_for(lambda: has_ended(keeper), 60, f"{keeper} to end")  # noqa: B023


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Answer what is typed in a block, and the lines that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, *expected = part.rstrip("\n").split("\n")
        yield re.sub(r"\s{2,}#\s.*$", "", typed), expected


def expected_of(program: str) -> list[str]:
    """Answer what a program prints, as the comments behind its prints say."""
    return re.findall(r"^\s*print\(.*\)\s+# (.*)$", program, re.MULTILINE)


def compare(expected: list[str], output: str, place: str) -> None:
    """Fail unless the output is what was expected; blanks count as one, and `…` stands for anything."""
    if not expected:
        return
    lines = "".join(".*" if line.strip() == "…" else _line(line) for line in expected)
    plain = "\n".join(" ".join(line.split()) for line in output.splitlines()) + "\n"
    wanted = "\n".join(expected)
    assert re.fullmatch(lines, plain, re.DOTALL), f"{place}\nexpected:\n{wanted}\ngot:\n{output}"


def _line(line: str) -> str:
    return "[^\n]*".join(re.escape(part) for part in " ".join(line.split()).split("…")) + "\n"


def look_at(words: list[str], place: str) -> None:
    """Look whether what is not run could be: the target, the extra, the file is there."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), place
    elif words[0] == "pip":
        extras = re.findall(r"\[(\w+)\]", " ".join(words))
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert set(extras) <= set(project["optional-dependencies"]), place
    elif words[0] == "docker":
        assert (ROOT / "docker-compose.yml").is_file(), place


RUN = [page for page in PAGES if any(block.language in ("python", "console") for block in blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=named)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    found = blocks(page)
    folder = tmp_path
    if "onserver new" not in "".join(block.text for block in found if block.language == "console"):
        folder = tmp_path / "shop"
        write_project("shop", folder)
    run = Run(page, folder)
    try:
        for block in found:
            run.block(block)
    finally:
        run.end()
        end_redis(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_settings_of_a_page_are_settings(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            (tmp_path / "config").mkdir(exist_ok=True)
            (tmp_path / "config" / "onserver.toml").write_text(
                'name = "shop"\n' * ("name =" not in block.text) + block.text
            )
            assert load_settings(tmp_path, {}).name
    text = re.sub(r"^> .*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)  # an error quotes what is wrong
    sections = "|".join({key.partition(".")[0] for key in SETTINGS if "." in key} - {"session"})
    keys = set(re.findall(rf"`((?:{sections})\.(?!py`)[a-z_]+)`", text))  # `web.py` is a file
    assert keys - set(PRIVILEGES) <= SETTINGS.keys()  # `admin.view` is a privilege


# ---- what pages name


def known_verbs() -> set[str]:
    verbs = set(VERBS)
    for verb in VERBS:
        found: Any = load(VERBS[verb][0])
        verbs |= {f"{verb} {name}" for name in getattr(found, "commands", {})}
    return verbs


VERB = re.compile(r"onserver ([a-z]+)(?: ([a-z]+))?(?=[`\s])")


def unknown_verbs(text: str) -> set[str]:
    known, groups = known_verbs(), {verb.partition(" ")[0] for verb in known_verbs() if " " in verb}
    found = set[str]()
    for verb, below in VERB.findall(text):
        named = f"{verb} {below}" if verb in groups and below else verb
        found |= {named} - known
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_only_verbs_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    spans = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^\$ (.*)$", text, re.MULTILINE)]
    reserved = {str(error) for error, _ in EXAMPLES if type(error).__name__ in reference.RESERVED}
    allowed = set[str]().union(*(unknown_verbs(f"{text} ") for text in reserved))
    assert set[str]().union(*(unknown_verbs(f"{span} ") for span in spans)) <= allowed


def test_the_texts_of_errors_name_only_verbs_that_are_there() -> None:
    texts = [str(error) for error, _ in EXAMPLES if type(error).__name__ not in reference.RESERVED]
    spans = re.findall(r"`([^`\n]+)`", "\n".join(texts))
    assert set[str]().union(*(unknown_verbs(f"{span} ") for span in spans)) == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)}: {target}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}, target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_tests_that_a_page_names_are_there(page: Path) -> None:
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), file
        if test:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            assert test in {node.name for node in tree.body if isinstance(node, functions)}, f"{file}::{test}"


# ---- the reference


@pytest.mark.parametrize("name", reference.PARTS)
def test_the_reference_says_what_the_code_does(name: str) -> None:
    path = ROOT / "docs" / "reference" / f"{name}.md"
    assert path.read_text(encoding="utf-8") == reference.page(name), "`python -m scripts.reference` writes it anew"


def test_errors_that_nothing_raises_are_marked_as_such() -> None:
    skipped = {*(ROOT / "src/onserver/errors").iterdir(), ROOT / "src/onserver/cli/exits.py"}
    files = [path for path in (ROOT / "src").rglob("*.py") if path not in skipped]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    concrete = {type(error).__name__ for error, _ in EXAMPLES}
    assert {name for name in concrete if not re.search(rf"\b{name}\b", source)} == set(reference.RESERVED)


def test_every_error_links_to_its_place() -> None:
    for error, _ in EXAMPLES:
        told: OnServerError | NoWorker = error
        path, _, anchor = told.docs.partition("#")
        assert f"### {anchor.upper()}\n" in (ROOT / path).read_text(encoding="utf-8")


def test_every_exit_status_is_explained() -> None:
    exits = importlib.import_module("onserver.cli.exits")
    statuses = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert statuses == {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert command.name


# ---- docstrings


@procedure(name="docs.add")
def add(x: int, y: int) -> int:
    """The procedure of the docstrings."""
    return x + y


def documented() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    for path in sorted((ROOT / "src").rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
            yield from (found for found in finder.find(importlib.import_module(name)) if found.examples)


@pytest.mark.parametrize("example", list(documented()), ids=lambda found: found.name)
def test_an_example_of_a_docstring_runs(
    example: doctest.DocTest, redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # a project
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    declared = registry.kept()
    public = {name: getattr(onserver, name) for name in onserver.__all__}
    example.globs = {**public, "add": add, **example.globs}
    said: list[str] = []
    server = make_server(f"docs{os.urandom(4).hex()}", f"unix://{redis_address.path}")
    try:
        with server, server.as_current(), working(server):
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(example, out=said.append)
    finally:
        registry.keep(declared)
    assert not runner.failures, "".join(said)


@pytest.mark.parametrize("name", sorted(set(onserver.__all__) - {"errors"}))
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(onserver, name).__doc__ or "")
