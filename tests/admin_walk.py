"""A server with workers, on which every action of the admin page is carried out, and what is to be known of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from onserver import Process, Server, execute_on_server
from onserver.backup.catalog import listed
from onserver.backup.run import backup_here
from onserver.backup.state import Ask
from onserver.process.control import abort
from onserver.process.maintenance import begin_maintenance_on, end_maintenance_on
from onserver.process.record import State
from onserver.session.users import Users
from onserver.testing import Cluster, wait_for
from onserver.testing.cluster import open_cluster
from onserver.views.members import MemberRow, members

TASKS = '''
"""What the actions are done to."""

import time

from onserver import on_backup_startup, procedure, process, session


@procedure
def adds(number: int = 1) -> int:
    """Add to a counter."""
    return session().storage.counter("added").add(number)


@procedure
def waits() -> None:
    """Go on until somebody ends it."""
    while True:
        process().report(1)
        time.sleep(0.02)


@procedure
def fails_once(name: str) -> None:
    """Fail the first time."""
    if session().storage.counter(name).add(1) == 1:
        raise ValueError("not the first time")


@procedure(queue="quiet")
def held() -> None:
    """Wait in a queue on which no worker listens."""


@procedure(queue="quiet")
def kept() -> None:
    """Likewise."""


@on_backup_startup(by_hand=True)
def asked(backup) -> None:
    """Count how often it was asked."""
    session().storage.counter("asked").add(1)
'''
ROLES: Mapping[str, Any] = {
    "privileges": [{"privilege": "till.open"}],
    "roles": [{"role": "clerk", "privileges": ["till.open"]}],
    "permissions": {"allowed": []},
}
#: A lease that no test waits for, though the machine is busy; archives are in the project, and are not looked at twice.
SETTINGS = {"member.lease_seconds": 30, "backup.verify": "false", "backup.keep": 1000}
#: A user whose sessions of the web rows are about; one who logs in to the page, and how.
BEA, CAL, PASSWORD = "bea", "cal", "a password of nobody"


@dataclass
class Scene:
    """A server with workers, each a program, and what rows need to change there.

    Attributes:
        cluster: of it.
    """

    cluster: Cluster
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def server(self) -> Server:
        return self.cluster.server

    def name(self, what: str) -> str:
        """A name that nothing has."""
        return f"{what}-{next(self._numbers)}"

    # -- workers

    def worker(self) -> MemberRow:
        """A worker that is up, and stays."""
        up = self.up()
        return up[0] if up else self.another()

    def another(self) -> MemberRow:
        """One more worker."""
        known = {row.number for row in self.up()}
        self.cluster.start(executors=3, options=("-Q", "default"))
        return wait_for(lambda: next((row for row in self.up() if row.number not in known), None))

    def up(self) -> list[MemberRow]:
        """The workers that take work."""
        store = self.server.store
        working = store.command("SMEMBERS", store.key("workers"))
        leaving = store.command("SMEMBERS", store.key("leaving"))
        return [row for row in members(store) if str(row.number).encode() in {*working} - {*leaving}]

    # -- processes

    def started(self, name: str, *args: object) -> Process[Any]:
        self.worker()
        return execute_on_server(f"jobs.{name}", *args)

    def running(self) -> Process[Any]:
        """A process that goes on until it is ended."""
        one = self.started("waits")
        wait_for(lambda: one.state == State.RUNNING)
        return one

    def failed(self) -> Process[Any]:
        one = self.started("fails_once", self.name("failures"))
        wait_for(lambda: one.state == State.FAILED)
        return one

    def added(self) -> int:
        return self.server.storage.counter("added").value

    @contextmanager
    def ends(self, *some: Process[Any]) -> Iterator[None]:
        """End these processes after the block."""
        try:
            yield
        finally:
            for one in some:
                if not one.state.ended:
                    abort(self.server, one.number, "the test is over", force_after=0)
                    one.wait(timeout=30)

    # -- backups

    def archive(self) -> str:
        """Name of a fresh archive."""
        known = {one.name for one in listed(self.server)}
        backup_here(self.server, Ask(asked_by="ann"))
        return next(one.name for one in listed(self.server) if one.name not in known)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Take no new work until the block ends."""
        begin_maintenance_on(self.server, "restoring")
        try:
            yield
        finally:
            end_maintenance_on(self.server)


@contextmanager
def scene_of(redis: str, folder: Path) -> Iterator[Scene]:
    """Open one; everything has ended when the block ends.

    Args:
        redis: address of the Redis.
        folder: an empty one.
    """
    with open_cluster(redis, folder, tasks=TASKS, settings=SETTINGS) as cluster, cluster.as_current():
        roles = cluster.project / "config" / "roles.json"
        roles.write_text(json.dumps(ROLES))
        Users(cluster.server.store).add(BEA, PASSWORD)
        Users(cluster.server.store).add(CAL, PASSWORD, ["owner"])
        scene = Scene(cluster)
        scene.worker()
        yield scene


@dataclass
class Doing:
    """One action as the page has it.

    Attributes:
        at: the address of the page.
        so: whether it was done; asked again and again. Given what the page has said.
        typed: what is filled in, by name of the field.
        within: what of the page its form is in, as CSS.
        boxes: of the rows that are chosen, in place of a form.
        leads: names of links that lead on from there, or the name of a field that is searched by and what for.
        opens: the summary behind which the form is.
        lands: path of the page that is shown then, as a pattern; the same page by default.
        secret: whether something is shown this once.
    """

    at: str
    so: Callable[[str], object]
    typed: Mapping[str, str] = field(default_factory=dict[str, str])
    within: str = "main"
    boxes: Sequence[object] = ()
    leads: Sequence[str | tuple[str, str]] = ()
    opens: str = ""
    lands: str = ""
    secret: bool = False


Row = Callable[[Scene], AbstractContextManager[Doing]]
