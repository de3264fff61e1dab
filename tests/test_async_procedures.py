"""`async def` procedures where no async executor is: in a test's own program; and the async forms of what may wait."""

import asyncio
import gc
import inspect
import os
import threading
import weakref
from collections.abc import AsyncIterator
from typing import cast

import pytest

from onserver import Process, Server, as_completed, caller, execute_many, execute_on_server, procedure, process, session
from onserver.checkpoint import acheckpoint, heed_by
from onserver.errors import BadArguments, BadDeclaration, SyncInAsyncError
from onserver.life.code import Code
from onserver.life.worker import Worker
from onserver.process import coroutines
from onserver.process.procedure import AsyncProcedure
from onserver.testing import OnServer


@procedure
async def double(n: int) -> int:
    """Double a number."""
    await asyncio.sleep(0)
    return 2 * n


@procedure(pass_process=True)
async def number(this: Process[int]) -> int:
    await asyncio.sleep(0)
    return this.number


@procedure
async def known() -> list[str]:
    """What is known in the run, in a task and in a thread of it."""

    def here() -> str:
        return f"{process().number} {session().user_name} {caller().user}"

    async def task() -> str:
        return here()

    return sorted({here(), await asyncio.create_task(task()), await asyncio.to_thread(here)})


@procedure
async def nested(depth: int) -> int:
    return 0 if depth == 0 else 1 + await nested.start(depth - 1)


@procedure
async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("on purpose")


@procedure
async def stores(value: int) -> int:
    async with session().storage.use("table") as table:
        table["value"] = value
    return int(await session().storage.counter("count").aadd(value))


@procedure
async def leaves_a_task() -> str:
    task = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)
    left.append(weakref.ref(task))
    return "left"


@procedure
async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


@procedure
async def which_loop() -> int:
    loops.append(asyncio.get_running_loop())
    return threading.get_ident()


@procedure
def plain(n: int) -> int:
    return n


left: list[weakref.ref[asyncio.Task[None]]] = []
loops: list[asyncio.AbstractEventLoop] = []


# ---- declared


def test_a_procedure_is_still_its_coroutine() -> None:
    assert isinstance(double, AsyncProcedure)
    assert asyncio.run(double(3)) == 6
    assert str(inspect.signature(double)) == "(n: int) -> int"
    with pytest.raises(BadArguments):
        double.order.shape.bind((), {})  # type: ignore[union-attr]


def test_a_generator_is_refused() -> None:
    async def generates() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(BadDeclaration, match="generator"):
        procedure(generates)


def test_code_is_parted_by_who_can_run_it(onserver: OnServer) -> None:
    code = Code.of(onserver.server, ("celery.chain",))
    assert code.coroutines is not None
    names = set(code.coroutines.described)
    assert double.name in names
    assert names.isdisjoint(code.plain.described)
    assert names | set(code.plain.described) == set(code.described)
    assert {plain.name, "celery.chain"} <= set(code.plain.described)
    assert len({code.digest, code.plain.digest, code.coroutines.digest}) == 3


def test_a_worker_says_how_many_it_has() -> None:
    assert (Worker().async_executors, Worker().async_slots) == (None, 100)
    changed = Worker(executors=3, async_executors=2, async_slots=7).but(queues=["a"], async_slots=8)
    found = (changed.queues, changed.executors, changed.async_executors, changed.async_slots)
    assert found == (("a",), 3, 2, 8)
    with pytest.raises(BadDeclaration, match="async executors"):
        Worker(async_executors=-1)
    with pytest.raises(BadDeclaration, match="async_slots"):
        Worker(async_slots=0)


# ---- in a test's own program


@pytest.fixture(params=["inline", "live"])
def opened(request: pytest.FixtureRequest) -> OnServer:
    return cast("OnServer", request.getfixturevalue("onserver" if request.param == "inline" else "onserver_live"))


def test_they_run(opened: OnServer) -> None:
    assert double.start(4).result(timeout=20) == 8
    started = number.start()
    assert started.result(timeout=20) == started.number
    (told,) = known.start().result(timeout=20)
    assert told.split()[1] == "server"
    assert [p.result(timeout=20) for p in execute_many(double, range(5))] == [0, 2, 4, 6, 8]
    assert stores.start(5).result(timeout=20) == 5
    assert opened.storage["table"] == {"value": 5}


def test_what_they_raise_is_raised(opened: OnServer) -> None:
    with pytest.raises(LookupError, match="on purpose") as caught:
        fails.start().result(timeout=20)
    trace = str(getattr(caught.value.__cause__, "remote_traceback", ""))
    assert "in fails" in trace
    assert "coroutines.py" not in trace
    with pytest.raises(Exception, match="the coroutine was cancelled"):
        cancels_itself.start().result(timeout=20)


def test_what_they_leave_behind_ends_with_them(opened: OnServer) -> None:
    left.clear()
    assert leaves_a_task.start().result(timeout=20) == "left"
    task = left[0]()
    assert task is None or task.cancelled()


def test_a_thread_keeps_its_loop(onserver: OnServer) -> None:
    loops.clear()
    threads = [which_loop.start().result(timeout=20) for _ in range(3)]
    assert set(threads) == {threading.get_ident()}
    assert len(set(loops)) == 1
    assert not loops[0].is_closed()


def test_inline_in_a_running_loop(onserver: OnServer) -> None:
    async def body() -> list[int]:
        return [await double.start(2), await nested.start(3), *await asyncio.gather(*execute_many(double, [5, 6]))]

    assert asyncio.run(body()) == [4, 3, 10, 12]


def test_a_loop_of_a_thread_that_has_ended_is_closed(onserver: OnServer) -> None:
    loops.clear()
    thread = threading.Thread(target=lambda: coroutines.run(which_loop()))
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert loops[0].is_closed()


def test_a_child_does_not_use_its_parents_loop(onserver: OnServer) -> None:
    loops.clear()
    coroutines.run(which_loop())
    pid = os.fork()
    if pid == 0:
        coroutines.run(which_loop())
        os._exit(0 if len({id(loop) for loop in loops}) == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert coroutines.run(which_loop())
    assert len(set(loops)) == 1


def test_a_coroutine_is_not_run_to_its_end_inside_a_loop() -> None:
    async def body() -> None:
        with pytest.raises(SyncInAsyncError, match="await it"):
            coroutines.run(double(1))

    asyncio.run(body())


def test_an_exception_that_lands_in_the_loop_cancels_the_coroutine(onserver: OnServer) -> None:
    seen: list[str] = []

    async def body() -> None:
        try:
            asyncio.get_running_loop().call_soon(breaks)
            await asyncio.sleep(600)
        finally:
            seen.append("cleaned")

    def breaks() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        coroutines.run(body())
    assert seen == ["cleaned"]
    assert coroutines.run(double(1)) == 2


# ---- the async forms, in a client


async def test_what_may_wait_is_awaited(onserver_live: OnServer) -> None:
    started = [await double.astart(n) for n in range(3)]
    assert await asyncio.gather(*started) == [0, 2, 4]
    assert sorted([await p async for p in as_completed(execute_many(double, [4, 5]))]) == [8, 10]
    storage = Server.current().storage
    async with storage.use("table") as table:
        table["n"] = 1
    assert await storage.aget("table") == {"n": 1}
    assert await storage.counter("n").aadd(2) == 2
    process = await double.astart(1)
    assert await process == 2
    assert (await process.aabort()).level == "ended"
    for wait in (process.result, process.wait):
        assert wait() is not None  # it has ended: nothing is waited for
    slow = plain.start(1)
    if slow.end is None:
        with pytest.raises(SyncInAsyncError, match="await process"):
            slow.wait()
    assert await slow == 1


async def test_a_checkpoint_where_nobody_asks_is_none() -> None:
    await acheckpoint()


async def test_a_checkpoint_where_coroutines_run_alone_is_a_plain_one() -> None:
    heeded: list[str] = []
    heed_by(lambda: True, lambda: heeded.append("heeded"))
    try:
        await acheckpoint()
    finally:
        heed_by(None, None)
    assert heeded == ["heeded"]


def test_a_name_reaches_them(opened: OnServer) -> None:
    assert execute_on_server(double.name, 21).result(timeout=20) == 42


async def test_many_add_at_once(onserver: OnServer) -> None:
    counter = Server.current().storage.counter("many")
    added = await asyncio.gather(*[counter.aadd(1) for _ in range(200)])
    assert sorted(added) == list(range(1, 201))
