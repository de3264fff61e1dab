"""A small shop with a day behind it: a server with work, sessions, storage, locks, backups and roles to be looked at.

What is on the pictures of the documentation, and what the tests of the admin page look at in a browser. It is a project
of its own in a folder that it is given, with a private Redis, a worker and an admin page, each a program.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from onserver import Process, Server, execute_on_server
from onserver.errors import NoWorker
from onserver.process.record import State
from onserver.testing import wait_for

CONFIG: Final = """\
name = "shop"
redis = "embedded"
process.deliveries = 2
backup.folder = "backups"
storage.keep = false

[schedule.nightly]
procedure = "shop.nightly_invoices"
cron = "0 2 * * *"
timezone = "UTC"
"""
ROLES: Final[dict[str, Any]] = {
    "privileges": [
        {"privilege": "guest", "includes": ["shop.look"]},
        {"privilege": "shop.look"},
        {"privilege": "invoices.read", "includes": ["shop.look"]},
        {"privilege": "invoices.write", "includes": ["invoices.read"]},
        {"privilege": "prices.write"},
    ],
    "roles": [
        {"role": "clerk", "privileges": ["invoices.write"]},
        {"role": "buyer", "privileges": ["prices.write", "invoices.read"]},
    ],
    "permissions": {
        "allowed": [
            {"applyTo": "shop.send_invoice", "type": "method", "execute": ["invoices.write"]},
            {"applyTo": "shop.update_prices", "type": "method", "execute": ["prices.write"]},
        ]
    },
    "restrictedByDefault": False,
}
TASKS: Final = '''\
"""A shop."""

import logging
import time
from pathlib import Path

from onserver import (
    Limit,
    on_backup_shutdown,
    on_backup_startup,
    on_server_startup,
    on_system_event,
    procedure,
    process,
    session,
)

HERE = Path(__file__).parent.parent
log = logging.getLogger("shop")


def closed(name):
    """Wait until the shop closes."""
    while not (HERE / "closed").exists():
        time.sleep(0.05)
        process().report(*name)


@procedure
def nightly_invoices(day: str = "", *, dry_run: bool = False, limit: int = 1000) -> dict[str, int]:
    """Make the invoices of a day.

    Args:
        day: As in 2026-08-01; yesterday by default.
        dry_run: Make them, and keep none.
        limit: How many at most.
    """
    log.info("invoices of %s", day)
    return {"invoices": 212, "errors": 0}


@procedure
def send_invoice(number: int, address: str) -> str:
    """Send one invoice by mail."""
    if number % 7 == 0:
        raise ConnectionError(f"mail.example refused the invoice {number} for {address}")
    return f"invoice {number} sent to {address}"


@procedure
def import_catalogue(file: str, rows: int = 40_000) -> int:
    """Import a catalogue, row by row."""
    for n, part in enumerate(("books", "maps", "globes"), 1):
        log.info("reading %s of %s", part, file)
        process().report(n * 9000, rows, f"{part} of {file}")
    process().variables["rejected"] = 17
    log.warning("17 rows have no price")
    closed((27_000, rows, f"globes of {file}"))
    return rows


@procedure
def update_prices(factor: float) -> None:
    """Change all prices, which nobody else can do meanwhile."""
    with session().storage.use("prices") as prices:
        prices["factor"] = factor
        process().report(1, 3, "waiting for the bank's rates")
        while not (HERE / "closed").exists():
            time.sleep(0.05)


@procedure
def report_sales(region: str) -> str:
    """Count what was sold, with today's prices."""
    with session().storage.use("prices") as prices:
        return f"{region}: {prices['factor']}"


@procedure(redact=True)
def charge_card(card: str, amount: float) -> bool:
    """Charge a card; its number is shown nowhere."""
    return amount < 1000


@procedure(limit=Limit(1), queue="reports")
def yearly_report(year: int) -> int:
    """Write the report of a year: one at a time."""
    closed((year - 2000, 30, f"year {year}"))
    return year


@procedure(dead_letter=True)
def sync_warehouse(name: str) -> None:
    """Bring the stock up to date."""
    raise TimeoutError(f"the warehouse {name} does not answer")


@on_server_startup
def open_shop() -> None:
    """Fill the storage."""
    with session().storage.use() as root:
        root["prices"] = {"factor": 1.0, "currency": "EUR", "rounding": [0.05, 0.1]}
        root["stock"] = {"atlas": 41, "globe": 7, "map of the moon": 120}
        root["mail"] = {"host": "mail.example", "password": "hunter2 is no password", "retries": 3}
    session().storage.counter("orders").add(1283)


@on_backup_startup
def before_backup(backup) -> None:
    """Nothing is in the way."""


@on_backup_shutdown
def after_backup(backup) -> None:
    """Say how it went."""
    log.info("backup ended")


@on_system_event
def heard(event) -> None:
    """Take down what happens."""
'''


@dataclass
class Scene:
    """A shop that is open.

    Attributes:
        folder: of its project.
        server: the project, for this program.
        url: of its admin page.
        admin: the program that serves that page.
        running: a process that goes on until the shop closes.
        waiting: one that waits for a lock.
        failed: one that has failed.
        dead: one that is dead-lettered.
        done: one that has returned.
    """

    folder: Path
    server: Server
    url: str
    admin: subprocess.Popen[bytes]
    running: Process[Any]
    waiting: Process[Any]
    failed: Process[Any]
    dead: Process[Any]
    done: Process[Any]

    def link(self, role: str = "owner", *, read_only: bool = False) -> str:
        """Return a link that lets one browser in."""
        words = ("admin", "link", "--as", role, "--at", self.url, "--json")
        told = run(self.folder, *words, *(["--read-only"] * read_only))
        return str(json.loads(told)["data"]["url"])

    def serve(self) -> None:
        """Serve the page again, where it was, after its program was killed."""
        self.admin = serving(self.folder, int(self.url.rpartition(":")[2]))


@contextmanager
def shop(folder: Path) -> Iterator[Scene]:
    """Open a shop in a folder; it is closed, and every program has ended, when the block ends.

    Args:
        folder: an empty one.
    """
    write(folder)
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)  # of the queue that no worker listens on
        server = stack.enter_context(Server.load(folder))
        stack.enter_context(server.as_current())
        worker = program(folder, "worker", "-c", "4", "-Q", "default", "-n", "worker-1")
        stack.callback(end, worker)
        stack.callback((folder / "closed").touch)
        wait_for(lambda: server.store.command("HGET", server.store.key("server"), "state") == b"running")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        admin = serving(folder, port)
        scene = Scene(folder, server, f"http://127.0.0.1:{port}", admin, *happened(folder, server))
        stack.callback(lambda: end(scene.admin))
        yield scene


def write(folder: Path) -> None:
    """Write the project down."""
    for name, text in (
        ("config/onserver.toml", CONFIG), ("config/roles.json", json.dumps(ROLES, indent=2)),
        ("tasks/__init__.py", ""), ("tasks/shop.py", TASKS), ("workers/__init__.py", ""),
        ("workers/server.py", "from onserver import Worker\n\nworker = Worker()\n"),
    ):  # fmt: skip
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def happened(folder: Path, server: Server) -> tuple[Process[Any], ...]:
    """Let a day go by."""

    def start(name: str, *args: object, **options: Any) -> Process[Any]:
        return execute_on_server(f"shop.{name}", *args, **options)

    done = start("nightly_invoices", "2026-08-01")
    done.result(timeout=60)
    sent = [start("send_invoice", n, f"customer{n}@example.org") for n in range(1, 30)]
    for one in sent:
        one.wait(timeout=60)
    dead = start("sync_warehouse", "north")
    wait_for(lambda: dead.state == State.DEAD)
    start("charge_card", "4111 1111 1111 1111", 30.0).wait(timeout=60)
    running = start("import_catalogue", "autumn.csv")
    start("update_prices", 1.04)
    wait_for(lambda: locked(server))
    waiting = start("report_sales", "north")
    wait_for(lambda: waiting.state == State.WAITING)
    for year in (2023, 2024, 2025):
        start("yearly_report", year)
    paused = start("report_sales", "south")
    paused.pause()
    opened = server.sessions.open("web", user="Bea Smith", login="", ip="192.0.2.17", agent="Mozilla/5.0 Firefox/150.0",
                                  host_type="browser", web="shop")  # fmt: skip
    opened.set_privileges({"roles": ["clerk"]})
    server.sessions.open("web", ip="192.0.2.40", agent="Mozilla/5.0 Safari/605", host_type="browser", web="shop")
    server.sessions.open("remote", user="Cal", machine="desk 3", system_user="cal", ip="192.0.2.61")
    run(folder, "backup", "now", "--label", "before the sale")
    run(folder, "pause", "--queue", "reports", "--for", "2h")
    failed = next(one for one in sent if one.state == State.FAILED)
    return running, waiting, failed, dead, done


def locked(server: Server) -> bool:
    """Tell whether the prices are locked."""
    return bool(server.store.command("EXISTS", server.store.key("st:l:prices")))


# -- programs


def onserver(*words: str) -> list[str]:
    """Return what runs the command."""
    return [sys.executable, "-m", "onserver.cli", *words]


def run(folder: Path, *words: str) -> str:
    """Run a command in the project, and return what it has printed."""
    done = subprocess.run(onserver(*words), cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"onserver {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def program(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a program of the project, in a group of its own; what it writes goes to a file of the folder."""
    with (folder / f"{words[0]}.log").open("ab") as log:
        return subprocess.Popen(
            onserver(*words), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip


def serving(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Serve the admin page, and wait until it answers."""
    made = program(folder, "admin", "--bind", f"127.0.0.1:{port}")

    def answers() -> bool:
        if made.poll() is not None:
            raise RuntimeError((folder / "admin.log").read_text())
        try:
            with urlopen(f"http://127.0.0.1:{port}/login", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError):
            return False

    wait_for(answers)
    return made


def end(one: subprocess.Popen[bytes]) -> None:
    """End a program, and wait for it."""
    if one.poll() is None:
        one.send_signal(signal.SIGTERM)
        try:
            one.wait(30)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait(10)
