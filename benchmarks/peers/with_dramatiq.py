"""Dramatiq, with the broker and the results in Redis."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import clients
from benchmarks.counter import tick
from benchmarks.peers.at import URL

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop(number: int) -> int:
    tick()
    return number


def one_by_one(total: int) -> None:
    for number in range(total):
        noop.send(number)


def call(number: int) -> int:
    return int(noop.send(number).get_result(block=True, timeout=30_000))


if __name__ == "__main__":
    clients.main({"one": one_by_one}, {"call": call})
