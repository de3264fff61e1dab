"""A reply that is lost while servers stop, starts fail, the dead are buried, code is changed, and in Celery's canvas.

What a worker sends in its ordinary life is lost in `test_lost_replies.py`, what a client sends in
`tests/test_process_lost_replies.py`. Here worker and client are both behind the proxy, and the one reply that is lost
is that of whoever sends the script first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord

from onserver import Process, execute_many, execute_on_server
from onserver.celery_app.app import make_app
from onserver.redis.address import parse
from onserver.redis.scripts import script
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.testing.wait import wait_for
from tests.cluster.jobs import TASKS, runs, work

CELERY_TASKS = (Path(__file__).parent / "celery_project.py").read_text()
WAITING = """
from onserver import Process, execute_on_server, procedure, process
from onserver.testing.ledger import note

@procedure
def inner(other: int) -> int:
    note("inner")
    while Process.get(other).state != "waiting":
        process().checkpoint()
    return 1

@procedure
def outer() -> int:
    return execute_on_server(inner, process().number).result() + 1
"""
FAILING = """
from onserver import on_server_startup

@on_server_startup
def broken() -> None:
    raise RuntimeError("no rates today")
"""


class Place:
    """A server behind a proxy, and replies of it to lose."""

    def __init__(self, redis: str, folder: Path, opened: ExitStack) -> None:
        self._redis, self._folder, self._opened = redis, folder, opened
        self.proxy = opened.enter_context(Proxy(parse(redis), folder / "proxy"))

    def cluster(self, tasks: str = TASKS, workers: int = 1, **settings: object) -> Cluster:
        named = {name.replace("__", "."): value for name, value in settings.items()}
        url = f"unix://{self._folder / 'proxy'}"
        cluster = self._opened.enter_context(open_cluster(url, self._folder, tasks=tasks, settings=named))
        cluster.start(workers)
        self._opened.enter_context(cluster.as_current())
        return cluster

    def lose(self, name: str, nth: int = 1) -> None:
        """Lose the nth reply to this script from now on."""
        shas = {script(name, testing=testing).sha for testing in (True, False)}  # a worker's, this program's

        def is_it(words: Words) -> bool:
            return words[0] in RUNS and words[1] in shas

        self.proxy.swallow_reply(nth, matching=is_it)


@pytest.fixture
def place(onserver_redis: str, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(onserver_redis, tmp_path, opened)


def all_done(cluster: Cluster, processes: list[Process[Any]]) -> None:
    cluster.wait_for(lambda: {str(process.state) for process in processes} == {"done"})


def a_stop(place: Place, name: str) -> None:
    """Of a worker that is told to end."""
    cluster = place.cluster()
    processes = execute_many("jobs.work", [(n, 0.05) for n in range(4)])
    place.lose(name)
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert cluster.state() == "stopped"
    assert cluster.ledger.count("shutdown") == cluster.ledger.count("drained") == 1
    cluster.start(1)
    all_done(cluster, processes)
    assert cluster.ledger.count("hook", "first", 2, "clean") == 1
    assert {len(spans) for spans in runs(cluster.ledger).values()} == {1}


def a_stop_that_somebody_asks_for(place: Place, name: str) -> None:
    cluster = place.cluster()
    place.lose(name)
    words = [sys.executable, "-m", "onserver.cli", "stop"]
    stop = subprocess.run(words, env=cluster.environment(), cwd=cluster.project, text=True, capture_output=True)  # noqa: PLW1510
    assert (stop.returncode, stop.stdout) == (0, "epoch 1 closed\n"), stop.stderr
    assert cluster.worker(0).wait() == 0
    assert cluster.ledger.count("shutdown") == cluster.ledger.count("drained") == 1


def a_start_after_a_stop(place: Place, name: str) -> None:
    """Which empties the storage."""
    cluster = place.cluster()
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    place.lose(name)
    cluster.start(1)
    assert cluster.ledger.count("hook", "first", 2, "clean") == 1
    assert cluster.storage["started"] == 1


def a_start_that_fails(place: Place, name: str) -> None:
    cluster = place.cluster(FAILING, workers=0)
    place.lose(name)
    (worker,) = cluster.start(1, ready=False)
    assert worker.wait() == 1
    assert worker.output.rstrip().splitlines()[-1] == "RuntimeError: no rates today"
    assert cluster.state() == "failed"


def a_burial(place: Place, name: str) -> None:
    cluster = place.cluster(workers=2)
    process = execute_on_server("jobs.work", 1, 1.0)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
    group = os.getpgid(int(cluster.ledger.of("started")[0][3]))
    place.lose(name)
    cluster.kill(next(worker for worker in cluster.workers if worker.pid == group))
    assert process.result(timeout=60) == 1
    assert len(runs(cluster.ledger)[process.number]) == 2
    assert process.record().deliveries == 1


def a_history(place: Place, name: str) -> None:
    """That is longer than it may be."""
    cluster = place.cluster(process__keep_count=5)
    place.lose(name)
    processes = execute_many("jobs.quick", range(20))
    ended = cluster.server.store.key("ended")
    cluster.wait_for(lambda: cluster.ledger.count("ended") == 20)
    cluster.wait_for(lambda: cluster.server.store.command("ZCARD", ended) == 5)
    left = records(cluster)
    kept = [n for n, process in enumerate(processes) if process.number in left]
    assert len(kept) == 5
    assert [processes[n].result(timeout=60) for n in kept] == kept


def records(cluster: Cluster) -> set[int]:
    found: list[bytes] = cluster.server.store.command("KEYS", cluster.server.store.prefix + "p:*")
    return {int(key.rpartition(b":")[2]) for key in found}


def a_delay(place: Place, name: str) -> None:
    cluster = place.cluster()
    place.lose(name)
    processes: list[Process[Any]] = [execute_on_server(work.options(delay=0.2), n) for n in range(5)]
    all_done(cluster, processes)
    assert {len(spans) for spans in runs(cluster.ledger).values()} == {1}


def a_reload(place: Place, name: str) -> None:
    cluster = place.cluster()
    before = set(cluster.worker(0).executors)
    processes = execute_many("jobs.work", [(n, 0.1) for n in range(10)])
    place.lose(name)
    cluster.worker(0).signal(signal.SIGUSR2)
    cluster.wait_for(lambda: len(now := set(cluster.worker(0).executors)) == 2 and not now & before)
    all_done(cluster, processes)
    assert {len(spans) for spans in runs(cluster.ledger).values()} == {1}
    assert {process.record().deliveries for process in processes} == {0}


def a_pause(place: Place, name: str) -> None:
    """Of what runs in an executor that has claimed others behind it."""
    cluster = place.cluster(workers=0)
    cluster.start(1, executors=1)
    first = [execute_on_server("jobs.work", 0, 0.5), execute_on_server("jobs.quick", 0)]
    paused = execute_on_server("jobs.work", 1, 1.0)
    others = execute_many("jobs.quick", range(5))
    place.lose(name)
    cluster.wait_for(lambda: cluster.ledger.count("started", paused.number))
    paused.pause()
    cluster.wait_for(lambda: paused.state == "paused")
    all_done(cluster, [*first, *others])
    paused.resume()
    assert paused.result(timeout=60) == 1
    assert {len(spans) for spans in runs(cluster.ledger).values()} == {1}


def an_abort(place: Place, name: str) -> None:
    cluster = place.cluster()
    process = execute_on_server("jobs.work", 1, 600.0)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
    place.lose(name)
    process.abort(force=True)
    assert process.wait(timeout=60) == "aborted"
    assert execute_on_server("jobs.work", 2).result(timeout=60) == 2


def a_wait_for_another(place: Place, name: str) -> None:
    cluster = place.cluster(WAITING)
    place.lose(name)
    assert execute_on_server("jobs.outer").result(timeout=60) == 2
    assert cluster.ledger.count("inner") == 1


def a_place_in_line(place: Place, name: str) -> None:
    """That is given up, and one that comes later."""
    cluster = place.cluster()
    holder = execute_on_server("jobs.hold", 600.0)
    cluster.wait_for(lambda: cluster.ledger.count("holding"))
    place.lose(name)
    with pytest.raises(TimeoutError), cluster.storage.use("y", timeout=0.1):
        raise AssertionError
    holder.abort(force=True)
    with cluster.storage.use("y", timeout=60) as y:
        y["last"] = "me"
    assert cluster.storage["y"]["last"] == "me"


def a_lock_by_force(place: Place, name: str) -> None:
    cluster = place.cluster()
    execute_on_server("jobs.hold", 600.0)
    cluster.wait_for(lambda: cluster.ledger.count("holding"))
    place.lose(name)
    cluster.storage.unlock("y")
    with cluster.storage.use("y", timeout=60) as y:
        y["last"] = "me"
    assert cluster.storage["y"]["last"] == "me"


def a_chord(place: Place, name: str) -> None:
    app: Any = make_app(place.cluster(CELERY_TASKS).server)
    place.lose(name)
    header = [app.signature("plain_add", (i, 1)) for i in range(8)]
    assert chord(header)(app.signature("plain_total")).get(timeout=60) == sum(range(1, 9))


def a_chain_that_fails(place: Place, name: str) -> None:
    app: Any = make_app(place.cluster(CELERY_TASKS).server)
    place.lose(name)
    result = chain(app.signature("fails"), app.signature("plain_add", (1,), immutable=False)).apply_async()
    with pytest.raises(ZeroDivisionError):
        result.parent.get(timeout=60)
    wait_for(lambda: result.state == "FAILURE", 60)


def a_result_that_is_forgotten(place: Place, name: str) -> None:
    app: Any = make_app(place.cluster(CELERY_TASKS).server)
    result = app.send_task("plain_add", (1, 2))
    assert result.get(timeout=60) == 3
    place.lose(name)
    result.forget()
    assert app.AsyncResult(result.id).state == "PENDING"


def a_queue_that_is_purged(place: Place, name: str) -> None:
    app: Any = make_app(place.cluster(CELERY_TASKS, workers=0).server)
    results = [app.send_task("plain_add", (n, n)) for n in range(5)]
    place.lose(name)
    app.control.purge()
    assert {result.state for result in results} == {"REVOKED"}


Scene = Callable[[Place, str], None]
LOST: list[tuple[str, Scene]] = [
    ("leaving", a_stop), ("retire", a_stop), ("drained", a_stop), ("leave", a_stop),
    ("stop_epoch", a_stop_that_somebody_asks_for), ("empty_storage", a_start_after_a_stop),
    ("emptied", a_start_after_a_stop), ("fail_epoch", a_start_that_fails), ("bury_member", a_burial),
    ("trim", a_history), ("due", a_delay), ("give", a_pause), ("pause", a_pause), ("resume", a_pause),
    ("reach", a_pause), ("abort", an_abort),
    ("wait_process", a_wait_for_another), ("wait_over", a_wait_for_another), ("leave_line", a_place_in_line),
    ("unlock_by_force", a_lock_by_force), ("chord_open", a_chord), ("chord_part", a_chord), ("chord_close", a_chord),
    ("celery_results", a_chord), ("note", a_chain_that_fails),
    ("forget", a_result_that_is_forgotten), ("purge", a_queue_that_is_purged),
]  # fmt: skip
#: The same scripts in other places.
MORE: list[tuple[str, Scene]] = [
    ("claim_hook", a_stop), ("bury", a_stop), ("retire", a_reload), ("enlist", a_reload), ("bury", a_reload),
    ("reach", an_abort), ("put", a_chord), ("put", a_chain_that_fails), ("step", a_pause), ("step", a_chord),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scene"), LOST, ids=[f"{name}-{scene.__name__}" for name, scene in LOST])
def test_a_lost_reply(place: Place, name: str, scene: Scene) -> None:
    scene(place, name)
    assert place.proxy.broken == 1


@pytest.mark.long
@pytest.mark.parametrize(("name", "scene"), MORE, ids=[f"{name}-{scene.__name__}" for name, scene in MORE])
def test_a_lost_reply_of_a_script_that_is_sent_elsewhere_too(place: Place, name: str, scene: Scene) -> None:
    scene(place, name)
    assert place.proxy.broken == 1
