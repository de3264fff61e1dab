"""What a program that uses onserver looks like to type checkers. Only checked, by mypy and pyright, both strict."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypedDict, assert_type

from onserver import (
    Backup,
    BackupResult,
    Connection,
    Process,
    Server,
    Session,
    Storage,
    SystemEvent,
    Worker,
    as_completed,
    backup,
    backup_info,
    execute_many,
    execute_on_server,
    on_backup_shutdown,
    on_backup_startup,
    on_server_close_connection,
    on_server_open_connection,
    on_server_shutdown,
    on_server_startup,
    on_system_event,
    procedure,
    process,
    restore_info,
    server_method,
    session,
)
from onserver.process.current import ThisProcess


class Rates(TypedDict, total=False):
    """The shape of an entry."""

    EUR: float


@procedure
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@procedure(name="shop.total", rerun=False, priority=7)
def total(values: list[float]) -> float:
    """Sum up."""
    return sum(values)


@server_method(published=True, requires="invoices.read")
def whoami(prefix: str) -> str:
    """Say who asks."""
    return prefix + session().user_name


@server_method
async def looked_up(key: int) -> list[str]:
    """Look up."""
    return [str(key)]


def call_server_methods() -> None:
    """Called they answer what their functions do; started they are processes."""
    assert_type(whoami("I am "), str)
    assert_type(execute_on_server(whoami, "I am "), Process[str])
    assert_type(whoami.published, bool)
    assert_type(looked_up.start(1), Process[list[str]])


async def await_server_method() -> None:
    """An `async def` one is awaited."""
    assert_type(await looked_up(1), list[str])


@procedure
async def fetch(url: str) -> bytes:
    """Fetch."""
    return url.encode()


@procedure(pass_process=True, pause="checkpoint")
async def crawl(this: ThisProcess, depth: int) -> list[str]:
    """Crawl."""
    await this.acheckpoint()
    return [str(depth)]


@on_backup_startup
def guard(backup: Backup) -> int | None:
    """Refuse one."""
    return backup.veto(201, "month-end close") if backup.label else None


@on_backup_startup(before=guard, timeout=2)
async def ask(backup: Backup) -> int:
    """Refuse none."""
    return backup.number * 0


@on_backup_shutdown
def told(result: BackupResult) -> str:
    """Answer what means nothing."""
    assert_type(result.path, str | None)
    return result.reason


@on_system_event(run_on="every", after=["shop.first"])
async def heard(event: SystemEvent) -> None:
    """Hear of something."""
    print(event.code, event.name, event.payload["by"])


@on_server_open_connection(name="door")
def admit(connection: Connection) -> None:
    """Let all in."""
    print(connection.user + connection.connection + connection.zero)


@on_server_close_connection
def left(connection: Connection) -> None:
    """Let all out."""
    admit(connection)


def call_hooks() -> None:
    """A hook is still a function of its own type."""
    assert_type(guard(Backup(number=1)), int | None)
    assert_type(told(BackupResult(code=0)), str)


def make_backups() -> None:
    """And look how they ended."""
    assert_type(backup(label="nightly", force=True, timeout=60), BackupResult)
    assert_type(backup_info().next, datetime | None)
    assert_type(restore_info().code, int)


@on_server_startup
def load() -> None:
    """Fill the storage."""
    with session().storage.use("rates", Rates) as rates:
        assert_type(rates, Rates)
        rates["EUR"] = 1.1


@on_server_shutdown(when="drained", timeout=5)
def report() -> None:
    """Say goodbye."""


def consume() -> None:
    """Every public shape once."""
    assert_type(add(1, 2), int)
    assert_type(execute_on_server(add, 1, y=2), Process[int])
    assert_type(execute_on_server(add, 1, 2).result(timeout=1.0), int)
    assert_type(execute_on_server("shop.add", 1), Process[Any])
    assert_type(execute_many(total, [[1.0], [2.0]]), list[Process[float]])
    assert_type(add.options(name="totals", unique=True, delay=60).start(1, 2), Process[int])
    assert_type(session(), Session)
    assert_type(session().storage, Storage)
    assert_type(session().storage.read("rates", Rates), Rates)
    assert_type(session().storage.counter("n").add(1), int)
    assert_type(Server.current().storage.version("rates"), int)
    assert_type(process().deliveries, int)
    assert_type(execute_on_server(fetch, "x"), Process[bytes])
    assert_type(execute_on_server(fetch, "x").result(), bytes)
    assert_type(fetch.start("x"), Process[bytes])
    assert_type(fetch("x"), Coroutine[Any, Any, bytes]).close()
    assert_type(fetch.options(priority=9).start("x"), Process[bytes])
    assert_type(execute_on_server(crawl, 2), Process[list[str]])
    Worker(queues=["default"], executors=4)
    Worker(async_executors=1, async_slots=500)


async def wait() -> None:
    """Awaiting gives what the procedure returns."""
    assert_type(await execute_on_server(add, 1, 2), int)
    assert_type(await execute_on_server(fetch, "x"), bytes)
    assert_type(await fetch("x"), bytes)
    assert_type(await fetch.astart("x"), Process[bytes])
    assert_type(await asyncio.gather(fetch.start("x"), fetch.start("y")), tuple[bytes, bytes])
    async for page in as_completed([fetch.start("x")]):
        assert_type(page, Process[bytes])
    assert_type(await process().asleep(1.0), bool)
    assert_type(await session().storage.counter("n").aadd(1), int)
    async with session().storage.use("rates", Rates) as rates:
        assert_type(rates, Rates)
