"""A request is served in a context: `session()` answers its session there, in its threads and coroutines, nowhere else.

The decision's three steps (specification 1.2): a request of the web, a remote client's call, the rest.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import uuid4

import pytest

from onserver import Server, Session, session
from onserver.redis.address import Address
from onserver.session.context import Run, current_run, entered, in_web, served, serving
from onserver.session.record import SessionRecord
from onserver.session.running import running

T = TypeVar("T")


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with Server(f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}") as made:
        yield made


def session_of(server: Server, identity: str, user: str) -> Session:
    return server.sessions.of(SessionRecord(id=identity, kind="web", user=user))


@pytest.fixture
def web(server: Server) -> Session:
    """A session that is not the server's."""
    return session_of(server, "A" * 32, "ann")


def run_in(server: Server, number: int = 7) -> Run:
    return Run(
        number=number, delivery=1, holder="1.1", procedure="p", name="p", root=None, session=server.session(),
        caller=None, started=time.time(),
    )  # fmt: skip


def in_thread(body: Callable[[], T]) -> T:
    """What a thread answers that is started without a context."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(body()))
    thread.start()
    thread.join()
    return found[0]


def test_a_request_of_the_web_comes_before_the_process_in_which_it_is_served(server: Server, web: Session) -> None:
    assert session() is None
    with entered(run_in(server)) as run:
        assert session() is run.session
        assert not in_web()
        with serving(web) as request:
            assert session() is web
            assert in_web()
            assert served() is request
            assert current_run() is run, "locks are still taken in the name of the process"
        assert session() is run.session
    assert session() is None


def test_the_web_comes_before_a_remote_client_and_that_before_the_server(server: Server, web: Session) -> None:
    remote = session_of(server, "B" * 32, "bob")
    with serving(remote, remote=True):
        assert session() is remote
        assert not in_web()
        with serving(web, web="shop") as request:
            assert session() is web
            with serving(remote, remote=True) as inner:
                assert inner is request
                assert session() is web
        assert session() is remote
    with entered(run_in(server)) as run, serving(remote, remote=True):
        assert session() is remote is not run.session


def test_a_process_that_runs_inside_a_request_has_a_session_of_its_own(server: Server, web: Session) -> None:
    with serving(web):
        with entered(run_in(server)) as run:
            assert session() is run.session
            assert served() is None
            assert not in_web()
        assert session() is web


def test_without_sessions_a_request_has_none_even_inside_a_process(server: Server) -> None:
    with entered(run_in(server)), serving(None):
        assert session() is None
        assert in_web()


def test_what_a_request_is_given_all_of_it_see(server: Server, web: Session) -> None:
    other = session_of(server, "C" * 32, "ann")

    async def request() -> tuple[Session, Session]:
        with serving(web) as here:

            def of_thread() -> None:
                here.session = other  # what a one-time token does

            await asyncio.to_thread(of_thread)
            return session(), await asyncio.to_thread(session)

    assert asyncio.run(request()) == (other, other)


def test_requests_on_one_loop_and_in_the_threads_of_a_pool_see_their_own(server: Server) -> None:
    opened = [session_of(server, f"{number:032X}", "") for number in range(8)]

    async def request(mine: Session, pool: ThreadPoolExecutor) -> bool:
        with serving(mine):
            seen: list[Session] = []
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(session())
                copied = contextvars.copy_context()
                seen.append(await asyncio.get_running_loop().run_in_executor(pool, copied.run, session))
                seen.append(await asyncio.to_thread(session))
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(asyncio.to_thread(session))
                seen.append(task.result())
            return all(found is mine for found in seen)

    async def main() -> list[bool]:
        with ThreadPoolExecutor(3) as pool:
            return await asyncio.gather(*(request(mine, pool) for mine in opened))

    assert asyncio.run(main()) == [True] * len(opened)


def test_a_thread_without_a_context_serves_nothing(server: Server, web: Session) -> None:
    with serving(web):
        assert in_thread(session) is None
        assert in_thread(served) is None


def test_a_request_in_a_thread_does_not_take_the_process_of_the_main_thread_for_its_own(
    server: Server, web: Session
) -> None:
    def request() -> tuple[object, object, object]:
        before = running()  # the guess for threads that a body starts
        with serving(web):
            return before, running(), session()

    with entered(run_in(server)) as run:
        assert in_thread(request) == (run, None, web)


def test_what_fails_while_it_is_served_ends_it(server: Server, web: Session) -> None:
    with pytest.raises(ValueError, match="wrong"), serving(web):
        raise ValueError("wrong")
    assert session() is None
    assert served() is None


def test_a_request_opens_its_session_when_that_is_first_asked_for(server: Server) -> None:
    opened: list[str] = []

    def opens() -> Session:
        opened.append("once")
        return server.session()

    with serving(None, opens=opens) as request:
        assert not opened
        assert session() is request.session is session()
        assert opened == ["once"]
        request.session = None  # it has ended: what asks now has another one
        assert session() is not None
        assert opened == ["once"] * 2
    with serving(None):
        assert session() is None
