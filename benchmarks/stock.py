"""Stock Celery: Redis broker and result backend, everything else as it comes; and its client."""

import os

from celery import Celery

from benchmarks import clients
from benchmarks.counter import tick

URL = os.environ.get("BENCH_URL") or f"redis+socket://{os.environ.get('BENCH_SOCKET', '')}"

app = Celery("stock", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False


@app.task(name="noop")
def noop(number: int) -> int:
    """Count one run."""
    tick()
    return number


def one_by_one(total: int) -> None:
    for number in range(total):
        noop.delay(number)


def many(total: int) -> None:
    """Enqueue as fast as Celery can: Kombu's pipelined batches, a thousand publishes in one trip."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch(1000):
        for number in range(total):
            noop.apply_async((number,), producer=producer)


def call(number: int) -> int:
    return int(noop.delay(number).get(timeout=30))


if __name__ == "__main__":
    clients.main({"one": one_by_one, "many": many}, {"call": call})
