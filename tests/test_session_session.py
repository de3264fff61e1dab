"""Which session is it, and what it says of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from onserver import Server, Session, session
from onserver.errors import NotConnected
from onserver.redis.address import Address
from onserver.session.context import Run, entered


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with Server(f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}") as made:
        opened = ("session", "0123456789ABCDEF" * 2, "opened", 1_795_000_000_000)
        made.store.command("HSET", made.store.key("server"), *opened)
        yield made


def run_in(server: Server) -> Run:
    return Run(
        number=7, delivery=1, holder="1.1", procedure="p", name="p", root=None, session=server.session(), caller=None,
        started=time.time(),
    )  # fmt: skip


def test_what_the_session_says_of_itself(server: Server) -> None:
    found = server.session()
    assert found.id == "0123456789ABCDEF" * 2
    assert found.user_name == found.userName == "server"
    assert found.storage is server.storage
    info = found.info
    assert info["type"] == info.type == "storedProcedure"
    assert info["userName"] == info.user_name == "server"
    assert info["creationDateTime"] == info.creation_date_time == "2026-11-18T11:06:40Z"
    assert info["ID"] == info.id == found.id
    assert info["state"] == "active"
    assert set(info) == {
        "type", "userName", "machineName", "systemUserName", "IPAddress", "hostType", "creationDateTime", "state", "ID",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="nothing"):
        _ = info.nothing


def test_a_client_program_has_no_session(server: Server) -> None:
    assert session() is None
    assert Server.current().storage is server.storage


def test_a_program_without_a_project_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("onserver.server._current", [])
    with pytest.raises(NotConnected, match="not connected"):
        session()


def test_a_run_has_its_session_in_its_threads_and_coroutines(server: Server) -> None:
    seen: list[Session] = []

    async def coroutine() -> None:
        await asyncio.gather(*(asyncio.to_thread(lambda: seen.append(session())) for _ in range(3)))
        seen.append(session())

    with entered(run_in(server)):
        seen.append(session())
        thread = threading.Thread(target=lambda: seen.append(session()))
        thread.start()
        thread.join()
        asyncio.run(coroutine())
    assert len(seen) == 6
    assert {id(found) for found in seen} == {id(server.session())}
    assert session() is None
