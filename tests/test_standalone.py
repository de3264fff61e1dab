"""A program without a server: what it starts runs in itself, hooks by hand, and the web beside it (rows 24 to 26)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver import (
    Backup,
    Connection,
    Server,
    SystemEvent,
    backup,
    execute_many,
    execute_on_server,
    mailbox,
    on_backup_startup,
    on_server_close_connection,
    on_server_open_connection,
    on_server_startup,
    procedure,
    process,
    remote,
    server_epoch,
    server_method,
    session,
)
from onserver.alone.engine import Engine
from onserver.alone.here import SenderHere
from onserver.cluster.sweep import bury_member
from onserver.errors import BadArguments, DeadlockDetected, NotStandalone, ProcessAborted, ProcessTimeout
from onserver.process.put import Sender
from onserver.redis.address import Address
from onserver.registry import PROCEDURE, keep, kept
from onserver.testing import wait_for
from onserver.web import Gateway
from tests.inline_worker import make_server
from tests.web_project import browser, declaring, make_project

SECONDS = 30.0


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One opening for the file, since each starts a Redis."""
    project = make_project(tmp_path_factory.mktemp("alone") / "shop", settings="[backup]\nverify = false")
    with declaring(), Server.standalone(project, {}) as server:
        yield server


@pytest.fixture
def alone(application: Server) -> Iterator[Server]:
    with declaring(), application.as_current():
        keep({key: one for key, one in kept().items() if key[0] == PROCEDURE})  # not the hooks of other files
        yield application


# -- processes (row 24)


def test_a_process_runs_in_a_thread_of_this_program_in_the_standalone_session(alone: Server) -> None:
    @procedure
    def where() -> list[Any]:
        return [os.getpid(), threading.current_thread() is threading.main_thread(), session().id, session().info.type]

    assert execute_on_server(where).result(SECONDS) == [os.getpid(), False, session().id, "standalone"]
    assert where() == [os.getpid(), True, session().id, "standalone"]
    assert server_epoch().state == "running"


def test_a_process_may_wait_for_others_however_deep(alone: Server) -> None:
    @procedure
    def deep(n: int) -> int:
        return 0 if n == 0 else 1 + execute_on_server(deep, n - 1).result(SECONDS)

    assert execute_on_server(deep, 20).result(SECONDS) == 20


def test_as_many_as_there_are_run_at_a_time(alone: Server) -> None:
    meeting = threading.Barrier(12)

    @procedure
    def meets(n: int) -> int:
        meeting.wait(SECONDS)
        return n

    assert sorted(process.result(SECONDS) for process in execute_many(meets, range(12))) == list(range(12))


def test_any_queue_any_time_and_what_is_declared_later(alone: Server) -> None:
    @procedure
    def first() -> str:
        return process().name

    assert execute_on_server(first.options(queue="nobody-else-has-it", name="named")).result(SECONDS) == "named"

    @procedure(queue="letters")
    async def second(n: int) -> int:
        return n + 1

    assert execute_on_server(second.options(delay=0.1), 1).result(SECONDS) == 2
    assert second.start(2).result(SECONDS) == 3


def test_a_mailbox_has_its_calls_one_at_a_time(alone: Server) -> None:
    @procedure
    def adds(n: int) -> None:
        variables = process().variables
        variables["sum"] = variables.get("sum", 0) + n

    box = mailbox("sums")
    for n in range(10):
        box.call(adds, n)
    assert box.process is not None
    assert box.process.variables.wait_for("sum", lambda found: found == 45, timeout=SECONDS) == 45
    assert box.kill()


def test_a_backup_is_made_here(alone: Server) -> None:
    assert backup(label="by hand").code == 0


# -- what is asked of processes


def test_a_process_that_never_looks_up_is_aborted(alone: Server) -> None:
    began = threading.Event()

    @procedure
    def spins() -> None:
        began.set()
        while True:
            sum(range(100))

    running = execute_on_server(spins)
    assert began.wait(SECONDS)
    running.abort(reason="enough")
    assert running.wait(SECONDS) == "aborted"
    with pytest.raises(ProcessAborted, match="enough"):
        running.result(SECONDS)


def test_a_coroutine_is_aborted(alone: Server) -> None:
    began = threading.Event()

    @procedure
    async def sleeps() -> None:
        began.set()
        await asyncio.sleep(3600)

    running = execute_on_server(sleeps)
    assert began.wait(SECONDS)
    running.abort()
    assert running.wait(SECONDS) == "aborted"


def test_a_pause_is_heeded_at_a_checkpoint(alone: Server) -> None:
    began, go_on = threading.Event(), threading.Event()

    @procedure
    def reports() -> int:
        n = 0
        while not go_on.is_set():
            n += 1
            process().report(n)
            began.set()
            time.sleep(0.01)
        return n

    running = execute_on_server(reports)
    assert began.wait(SECONDS)
    running.pause()
    wait_for(lambda: running.state == "paused", SECONDS)
    go_on.set()
    assert running.state == "paused"
    running.resume()
    assert running.result(SECONDS) > 0


def test_a_time_limit_holds(alone: Server) -> None:
    @procedure(timeout=0.2)
    def slow() -> None:
        while True:
            time.sleep(0.01)

    with pytest.raises(ProcessTimeout):
        execute_on_server(slow).result(SECONDS)


def test_an_engine_that_is_full_says_so_instead_of_waiting_for_ever(redis_address: Address) -> None:
    with declaring(), make_server("full", f"unix://{redis_address.path}") as server:

        @procedure
        def deep(n: int) -> int:
            return 0 if n == 0 else 1 + execute_on_server(deep, n - 1).result(SECONDS)

        engine = Engine(server, "test", seats=3)
        engine.open()
        server.replace_part(Sender, SenderHere(server, engine.take_place, None))
        try:
            assert execute_on_server(deep, 2).result(SECONDS) == 2
            with pytest.raises(DeadlockDetected, match="every executor there waits as well"):
                execute_on_server(deep, 3).result(SECONDS)
        finally:
            assert engine.close(SECONDS) == ""


def test_an_engine_that_was_declared_dead_joins_anew(redis_address: Address) -> None:
    with declaring(), make_server("fenced", f"unix://{redis_address.path}") as server:

        @procedure
        def answers(n: int) -> int:
            return n

        engine = Engine(server, "test", seats=3, kept=True)
        engine.open()
        server.replace_part(Sender, SenderHere(server, engine.take_place, None))
        try:
            assert execute_on_server(answers, 1).result(SECONDS) == 1
            before = engine.member.number
            assert bury_member(server.store, server.settings, before, "for a test")
            server.store.command("RPUSH", server.store.key(f"orders:{before}"), "look")
            wait_for(lambda: engine.member.number > before, SECONDS)
            assert [process.result(SECONDS) for process in execute_many(answers, range(9))] == list(range(9))
        finally:
            assert engine.close(SECONDS) == ""


# -- the end


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = make_project(tmp_path / "shop")
    (project / "tasks").mkdir()
    (project / "tasks/__init__.py").touch()
    (project / "tasks/work.py").write_text(
        textwrap.dedent("""
        import os
        from pathlib import Path
        from time import sleep
        from onserver import procedure, process

        @procedure
        def note(text: str) -> int:
            with Path("notes").open("a") as notes:
                notes.write(text + "\\n")
            return os.getpid()

        @procedure
        def hangs() -> None:
            note(f"run {process().deliveries}")
            while not Path("enough").exists():
                sleep(0.01)
        """)
    )
    return project


def program(project: Path, text: str, **variables: str) -> str:
    """Run a program of a project, in its folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")} | variables
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=project, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def notes(project: Path) -> list[str]:
    return (project / "notes").read_text().split("\n")[:-1]


def test_a_program_ends_when_what_it_has_started_has(folder: Path) -> None:
    program(
        folder,
        """
        from onserver import Server, execute_many
        Server.standalone()
        execute_many("work.note", [str(n) for n in range(100)])
        """,  # and no word of an end
    )
    assert sorted(notes(folder), key=int) == [str(n) for n in range(100)]


def test_what_was_interrupted_and_what_was_not_due_is_run_by_the_next_opening(folder: Path) -> None:
    start = """
        from onserver import Server, execute_on_server
        from onserver.testing import wait_for
        from pathlib import Path
        with Server.standalone() as server:
            execute_on_server("work.hangs")
            server.registry.find("work.note").options(delay=3600)("later")
            wait_for(Path("notes").exists, 30)
        """
    program(folder, start, ONSERVER_WORKER_GRACE_SECONDS="0")
    assert notes(folder) == ["run 1"]
    (folder / "enough").touch()
    again = """
        from onserver import Server, execute_on_server, server_epoch
        from onserver.testing import wait_for
        from pathlib import Path
        with Server.standalone() as server:
            execute_on_server("work.note", "again").result(30)
            wait_for(lambda: "run 1\\nrun" in Path("notes").read_text().replace("again\\n", ""), 30)
            print(server_epoch().previous, server.store.command("ZCARD", server.store.key("due")))
        """
    assert program(folder, again).split() == ["clean", "1"]


def test_a_forked_child_is_a_program_of_the_application_too(folder: Path) -> None:
    text = """
        import os
        from onserver import Server, execute_on_server, session
        server = Server.standalone()
        mine = execute_on_server("work.note", "parent").result(30)
        pid = os.fork()
        if pid == 0:
            theirs = execute_on_server("work.note", "child").result(30)
            with open("child", "w") as child:
                child.write(f"{theirs in (os.getpid(), os.getppid())} {session().id}")
            server.close()
            os._exit(0)
        os.waitpid(pid, 0)
        print(mine == os.getpid(), session().id)
        server.close()
        """
    parent = program(folder, text).split()
    assert (folder / "child").read_text().split() == parent
    assert parent[0] == "True"
    assert notes(folder) == ["parent", "child"]


# -- hooks by hand


def test_hooks_run_when_they_are_fired(alone: Server) -> None:
    told: list[Any] = []

    @on_server_startup
    def opens() -> str:
        told.append(session().info.type)
        return "opened"

    @on_backup_startup
    def refuses(backup: Backup) -> int:
        told.append(backup.number)
        return backup.veto(201, "month-end close")

    @on_server_open_connection
    async def welcome(connection: Connection) -> int:
        told.append((connection.user, connection.connection))
        return 22000

    assert [(one.outcome, one.value) for one in alone.fire("server_startup")] == [("ok", "opened")]
    refused = alone.fire("backup_startup", Backup(number=7))
    assert [(one.code, one.reason) for one in refused] == [(201, "month-end close")]
    assert [one.code for one in alone.fire("server_open_connection", Connection(user=1, connection=2))] == [22000]
    assert told == ["standalone", 7, (1, 2)]
    assert alone.fire("system_event", SystemEvent(code=1, name="background")) == []


def test_the_hooks_of_connections_run_by_themselves_when_a_client_comes_and_goes(alone: Server) -> None:
    told: list[Any] = []

    @on_server_open_connection
    def welcome(connection: Connection) -> None:
        told.append(("open", connection.connection, session().info.type))

    @on_server_close_connection
    def farewell(connection: Connection) -> None:
        told.append(("close", connection.connection, session().info.type))

    with remote.connect(alone) as client:
        kind: str = json.loads(client.call(whose))[1]
        assert kind == "remote"
        assert json.loads(whose())[1] == "remote"  # the program is a client meanwhile: what it calls goes to the server
    assert json.loads(whose())[1] == "standalone"
    wait_for(lambda: len(told) == 2, SECONDS)  # the close hook is a process: the client does not wait for it
    assert [what for what, *_ in told] == ["open", "close"]
    assert told[0][1:] == (told[1][1], "remote")


def test_what_a_start_up_hook_raises_comes_out(alone: Server) -> None:
    @on_server_startup
    def broken() -> None:
        raise OSError("rates.example")

    with pytest.raises(OSError, match=r"rates\.example"):
        alone.fire("server_startup")


@pytest.mark.parametrize(
    ("event", "argument", "problem"),
    [
        ("server_start", None, "has event='server_start'"),
        ("server_startup", Backup(number=1), "are told nothing"),
        ("backup_startup", None, r"needs argument=Backup\(…\)"),
    ],
)
def test_an_event_that_is_none_is_refused(alone: Server, event: str, argument: Any, problem: str) -> None:
    with pytest.raises(BadArguments, match=problem):
        alone.fire(event, argument)


def test_a_server_with_workers_fires_its_hooks_itself(redis_address: Address) -> None:
    with make_server("busy", f"unix://{redis_address.path}") as server, pytest.raises(NotStandalone, match="busy"):
        server.fire("server_startup")


# -- the web beside it


@server_method(published=True, name="alone.whose")
def whose() -> str:
    kept = session().storage.get("basket")
    return json.dumps([session().id, session().info.type, list(kept["items"]) if kept else None])


async def test_rows_24_to_26_the_web_has_its_session_and_by_a_token_the_standalone_one(alone: Server) -> None:
    own = session()
    async with own.storage.use() as root:
        root["basket"] = {"items": ["apple"]}
    assert json.loads(whose()) == [own.id, "standalone", ["apple"]]  # row 24: in place
    assert json.loads(await execute_on_server(whose)) == [own.id, "standalone", ["apple"]]
    async with browser(Gateway()) as guest, browser(Gateway()) as shared:
        identity, kind, items = (await guest.get("/action/alone.whose")).json()
        assert identity != own.id  # row 25
        assert (kind, items) == ("web", None)
        page = await shared.get("/action/alone.whose", params={"$4DSID": own.create_otp()})
        assert page.json() == [own.id, "standalone", ["apple"]]  # row 26
        again = await shared.get("/action/alone.whose")
        assert again.json() == [own.id, "standalone", ["apple"]]  # its cookie goes on
        spent = await guest.get("/action/alone.whose", params={"$4DSID": page.request.url.params["$4DSID"]})
        assert spent.json()[0] == identity
    assert session() is own
