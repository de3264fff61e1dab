"""`options(after_commit=…)`: put once the transaction has committed, and never after a rollback.

The server of the fixture runs a process before its start returns: one that is put too early finds no row.
"""

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections, transaction
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from onserver import Process, Server, as_server, caller, execute_many, execute_on_server, procedure
from onserver.errors import AlreadyRunning, BadArguments, BadDeclaration, ProcessNotStarted
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.session.context import Run, entered
from onserver.testing import OnServer
from tests import django_site
from tests.inline_worker import make_server

django_site.set_up()


@procedure(name="commits.rows")
def rows(path: str) -> int:
    """How many rows anybody sees."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM bills").fetchone()[0])


@procedure(name="commits.note")
def note(what: Any) -> Any:
    return what


@procedure(name="commits.who")
def who() -> str:
    return caller().user


@pytest.fixture
def worker(redis_address: Address) -> Iterator[OnServer]:
    """Processes run before their start returns."""
    made = make_server(f"ac{uuid4().hex[:8]}", f"unix://{redis_address.path}")
    with made, made.as_current():
        worker = OnServer(made, live=False)
        worker.open()
        try:
            yield worker
        finally:
            worker.close()


@pytest.fixture
def server(worker: OnServer) -> Server:
    return worker.server


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "bills.sqlite3")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bills (id INTEGER PRIMARY KEY)")
    return path


@pytest.fixture
def database(path: str) -> Iterator[Session]:
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        yield session
    engine.dispose()


def add_row(session: Session) -> None:
    session.execute(text("INSERT INTO bills DEFAULT VALUES"))


def started(server: Server) -> int:
    """How many processes this server has ever had."""
    number = server.store.command("HGET", server.store.key("numbers"), "process")
    return int(number or 0)


def is_waiting(handle: Process[Any]) -> bool:
    with pytest.raises(ProcessNotStarted):
        _ = handle.number
    return True


# ---- SQLAlchemy


def test_a_process_is_put_once_the_session_has_committed(server: Server, database: Session, path: str) -> None:
    add_row(database)
    handle = execute_on_server(rows.options(after_commit=database), path)
    assert is_waiting(handle)
    database.commit()
    assert handle.number > 0
    assert handle.result(timeout=10) == 1
    assert Process.get(handle.number).state is State.DONE


def test_nothing_is_put_after_a_rollback(server: Server, database: Session, path: str) -> None:
    add_row(database)
    handle = execute_on_server(rows.options(after_commit=database), path)
    database.rollback()
    add_row(database)
    database.commit()
    assert is_waiting(handle)
    assert started(server) == 0


def test_nothing_is_put_when_the_session_is_closed_or_its_block_raises(server: Server, database: Session) -> None:
    note.options(after_commit=database)(1)
    database.close()
    with pytest.raises(ZeroDivisionError), database.begin():
        note.options(after_commit=database)(2)
        add_row(database)
        _ = 1 / 0
    with database.begin():
        add_row(database)
    assert started(server) == 0


def test_a_savepoint_takes_its_starts_along(server: Server, database: Session) -> None:
    outer = note.options(after_commit=database)("outer")
    with database.begin_nested():
        kept = note.options(after_commit=database)("kept")
        add_row(database)
    assert is_waiting(kept)
    undone = database.begin_nested()
    lost = note.options(after_commit=database)("lost")
    with database.begin_nested():
        deeper = note.options(after_commit=database)("deeper")
    undone.rollback()
    database.commit()
    assert (outer.number, kept.number) == (1, 2)
    assert is_waiting(lost)
    assert is_waiting(deeper)
    assert started(server) == 2


def test_a_released_savepoint_is_undone_with_the_transaction_around_it(server: Server, database: Session) -> None:
    with database.begin_nested():
        note.options(after_commit=database)(1)
    database.rollback()
    add_row(database)
    database.commit()
    assert started(server) == 0


def test_what_comes_after_the_commit_is_a_transaction_of_its_own(server: Server, database: Session) -> None:
    handles = [note.options(after_commit=database)(0)]
    database.commit()
    handles.append(note.options(after_commit=database)(1))
    assert is_waiting(handles[1])
    database.commit()
    assert [handle.result(timeout=10) for handle in handles] == [0, 1]
    assert started(server) == 2


def test_many_are_put_in_their_order(server: Server, database: Session) -> None:
    handles = execute_many(note.options(after_commit=database), range(5))
    assert all(is_waiting(handle) for handle in handles)
    database.commit()
    assert [handle.number for handle in handles] == [1, 2, 3, 4, 5]
    assert [handle.result(timeout=10) for handle in handles] == [0, 1, 2, 3, 4]


def test_arguments_are_checked_and_copied_by_the_call(server: Server, database: Session) -> None:
    items = [1]
    handle = note.options(after_commit=database)(items)
    items.append(2)
    with pytest.raises(BadArguments):
        execute_on_server(note.options(after_commit=database), 1, 2)
    database.commit()
    assert handle.result(timeout=10) == [1]
    assert started(server) == 1


def test_who_asks_is_who_called_and_not_who_commits(server: Server, worker: OnServer, database: Session) -> None:
    run = Run(
        number=0,
        delivery=1,
        holder=worker.engine.place.holder,
        procedure="asks",
        name="asks",
        root=0,
        session=server.session(),
        caller={"user": "ann", "kind": "remote", "session": "AB"},
        started=time(),
    )
    with entered(run):
        anns = who.options(after_commit=database)()
        with as_server():
            servers = who.options(after_commit=database)()
    database.commit()
    assert anns.result(timeout=10) == "ann"
    assert servers.result(timeout=10) == server.settings.session.user_name


def test_a_put_that_fails_comes_out_of_the_commit_and_spares_the_others(
    server: Server, database: Session, path: str
) -> None:
    add_row(database)
    late = note.options(name="one", unique=True, delay=3600)(0)
    refused = note.options(name="one", unique="error", after_commit=database)(1)
    other = rows.options(after_commit=database)(path)
    with pytest.raises(AlreadyRunning):
        database.commit()
    assert late.abort().level == "removed"
    with pytest.raises(ProcessNotStarted, match="has committed, and then AlreadyRunning"):
        _ = refused.state
    assert other.result(timeout=10) == 1
    add_row(database)
    database.commit()
    assert rows.start(path).result(timeout=10) == 2


def test_a_handle_that_waits_can_be_shown_and_answers_nothing(server: Server, database: Session) -> None:
    handle = note.options(after_commit=database, name="bill")(1)
    assert repr(handle) == "<Process, not started, bill>"
    for ask in (handle.result, handle.abort, handle.record, handle.wait, handle.log, lambda: handle.state):
        with pytest.raises(ProcessNotStarted, match="note` has not been"):
            ask()
    database.commit()
    assert repr(handle) == "<Process #1 bill>"


def test_the_same_key_gives_the_same_process(server: Server, database: Session) -> None:
    first = note.options(after_commit=database, key="bill 7")(1)
    database.commit()
    again = note.options(after_commit=database, key="bill 7")(1)
    database.commit()
    assert (again.number, again.how) == (first.number, "key")


def test_a_scoped_session_is_its_present_session(server: Server, path: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    scoped = scoped_session(sessionmaker(engine))
    add_row(scoped())
    handle = rows.options(after_commit=scoped)(path)
    assert is_waiting(handle)
    scoped.commit()
    assert handle.result(timeout=10) == 1
    scoped.remove()
    engine.dispose()


async def test_an_asynchronous_session_is_waited_for_as_well(server: Server, path: str) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with AsyncSession(engine) as database:
        await database.execute(text("INSERT INTO bills DEFAULT VALUES"))
        handle = await rows.options(after_commit=database).astart(path)
        undone = note.options(after_commit=database)
        assert is_waiting(handle)
        await database.commit()
        assert await handle == 1
        await undone.astart(1)
        await database.rollback()
        with pytest.raises(ProcessNotStarted):
            await (await undone.astart(2))
    await engine.dispose()
    assert started(server) == 1


# ---- Django


def test_a_process_is_put_once_the_database_of_django_has_committed(server: Server) -> None:
    with transaction.atomic():
        handle = execute_on_server(note.options(after_commit="default"), 1)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            note.options(after_commit="default")(2)
            _ = 1 / 0
        with transaction.atomic():
            inner = note.options(after_commit="default")(3)
        assert is_waiting(inner)
    assert (handle.result(timeout=10), inner.result(timeout=10)) == (1, 3)
    assert started(server) == 2


def test_nothing_is_put_after_a_rollback_of_django(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        handle = note.options(after_commit="default")(1)
        _ = 1 / 0
    with transaction.atomic():
        pass
    assert is_waiting(handle)
    assert started(server) == 0


def test_the_other_databases_of_django_do_not_count(server: Server) -> None:
    with transaction.atomic("archive"):
        with transaction.atomic():
            handle = note.options(after_commit="archive")(1)
        assert is_waiting(handle)
    assert handle.result(timeout=10) == 1


def test_without_a_transaction_django_has_committed_already(server: Server) -> None:
    assert not connections["default"].in_atomic_block
    assert note.options(after_commit="default")(1).result(timeout=10) == 1


# ---- what cannot be waited for, and what a crash loses


@pytest.mark.parametrize("wrong", ["", 7, object(), True])
def test_what_is_no_transaction_is_refused(wrong: object) -> None:
    with pytest.raises(BadDeclaration):
        note.options(after_commit=wrong)


def run(program: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_program_without_django_is_told_so() -> None:
    done = run("""
        from onserver import procedure
        procedure(name="x")(lambda: None).options(after_commit="default")
    """)
    assert "BadDeclaration" in done.stderr
    assert "which this program does not use" in done.stderr


def test_a_crash_between_commit_and_put_loses_the_start_and_its_key_finds_it_again(
    server: Server, database: Session, path: str
) -> None:
    killed = run(
        """
        import os, signal, sys
        from sqlalchemy import create_engine, event, text
        from sqlalchemy.orm import Session
        from onserver import procedure
        from tests.inline_worker import make_server

        @procedure(name="commits.rows")
        def rows(path: str) -> int: ...

        engine = create_engine(f"sqlite:///{sys.argv[3]}")
        with make_server(sys.argv[1], sys.argv[2]).as_current(), Session(engine) as s:
            event.listen(s, "after_commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
            s.execute(text("INSERT INTO bills DEFAULT VALUES"))
            rows.options(after_commit=s, key="bill 1")(sys.argv[3])
            s.commit()
        """,
        server.settings.name,
        str(server.settings.redis),
        path,
    )
    assert killed.returncode == -9, killed.stderr
    assert started(server) == 0
    again = rows.options(after_commit=database, key="bill 1")(path)
    database.commit()
    assert again.result(timeout=10) == 1  # the row that the killed program had committed
    assert started(server) == 1
