"""What waits for its time waits in Redis: ten thousand delayed processes are nothing to an idle worker."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import psutil

from onserver import execute_on_server
from onserver.process.put import Order, Sender
from onserver.redis.address import parse
from onserver.redis.scripts import assemble
from onserver.server import Server
from onserver.testing.cluster import open_cluster
from onserver.testing.programs import WorkerProgram
from onserver.testing.proxy import Proxy
from onserver.testing.wait import wait_for
from tests.cluster.jobs import TASKS, work

DELAYED, SECONDS = 10_000, 8.0
MEGABYTE = 1 << 20

#: Copies of a delayed process, each a second later than the one before.
_COPIES = assemble(
    "copies",
    """-- include: prefix accept
local model, count = ARGV[1], tonumber(ARGV[2])
local record = redis.call('HGETALL', T .. 'p:' .. model)
local last = redis.call('HINCRBY', T .. 'numbers', 'process', count)
for n = last - count + 1, last do
  redis.call('HSET', T .. 'p:' .. n, unpack(record))
  delay(n, now() + 3600000 + n * 1000)
end
return last""",
)


def delay_many(server: Server, order: Order, count: int) -> None:
    first = Sender(server).put(order, [1], {})
    for _ in range(count // 1000):
        server.store.run(_COPIES, first.number, 1000)
    assert server.store.command("ZCARD", server.store.key("due")) >= count


def memory(worker: WorkerProgram) -> int:
    """Bytes of a worker and its executors that are theirs alone."""
    programs = [psutil.Process(pid) for pid in (worker.pid, *worker.executors)]
    return sum(program.memory_full_info().uss for program in programs)


def test_ten_thousand_delayed_processes_cost_an_idle_worker_nothing(onserver_redis: str, tmp_path: Path) -> None:
    ordinary = {"member.lease_seconds": 10, "member.beat_seconds": 2}
    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=TASKS, settings=ordinary) as cluster,
    ):
        (worker,) = cluster.start(1, executors=2, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        with cluster.as_current():
            for n in range(20):
                assert execute_on_server("jobs.work", n).result(timeout=10) == n
            before = memory(worker)
            delay_many(cluster.server, work.options(delay=3600).order, DELAYED)
            trips, began = len(proxy.commands), monotonic()
            wait_for(lambda: monotonic() - began > SECONDS, SECONDS + 5)
            assert (len(proxy.commands) - trips) / SECONDS <= 2.0
            assert memory(worker) - before < MEGABYTE
            began = monotonic()  # and what is due before all of them is not late for that
            assert execute_on_server(work.options(delay=0.3), 3).result(timeout=10) == 3
            assert monotonic() - began >= 0.25, "its time is reckoned by the clock of Redis, as this program knows it"
