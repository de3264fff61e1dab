"""Huey. `BENCH_NOTIFY=1`: a result wakes who waits for it (`notify_result`), else who waits looks again and again."""

import os

from huey import RedisHuey

from benchmarks import clients
from benchmarks.counter import tick
from benchmarks.peers.at import PORT

huey = RedisHuey("bench", host="127.0.0.1", port=PORT, notify_result=os.environ.get("BENCH_NOTIFY") == "1")


@huey.task(name="noop")
def noop(number: int) -> int:
    tick()
    return number


def one_by_one(total: int) -> None:
    for number in range(total):
        noop(number)


def call(number: int) -> int:
    return int(noop(number).get(blocking=True, timeout=30))


if __name__ == "__main__":
    from benchmarks.peers.with_huey import call, one_by_one  # a task is named after its module

    clients.main({"one": one_by_one}, {"call": call})
