"""RQ."""

from redis import Redis
from rq import Queue

from benchmarks import clients
from benchmarks.counter import tick
from benchmarks.peers.at import PORT

_CHUNK = 1000
_NOOP = "benchmarks.peers.with_rq.noop"
queue = Queue("default", connection=Redis(port=PORT))


def noop(number: int) -> int:
    tick()
    return number


def one_by_one(total: int) -> None:
    for number in range(total):
        queue.enqueue(_NOOP, number)


def many(total: int) -> None:
    for first in range(0, total, _CHUNK):
        numbers = range(first, min(total, first + _CHUNK))
        queue.enqueue_many([Queue.prepare_data(_NOOP, (number,)) for number in numbers])


def call(number: int) -> int:
    result = queue.enqueue(_NOOP, number).latest_result(timeout=30)
    assert result is not None
    return int(result.return_value)


if __name__ == "__main__":
    clients.main({"one": one_by_one, "many": many}, {"call": call})
