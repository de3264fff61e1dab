"""An ordinary Celery task of our project, sent as Celery sends: our transport, our result backend."""

import warnings
from functools import cache
from typing import Any

from benchmarks import clients
from onserver import Server
from onserver.celery_app.app import make_app
from onserver.errors import NoWorker


@cache
def app() -> Any:
    """Return the Celery application of the benchmarks' project."""
    server = Server.current()
    server.load_tasks()
    return make_app(server)


@cache
def task() -> Any:
    """Return the ordinary task."""
    return app().tasks["ordinary"]


def one_by_one(total: int) -> None:
    for number in range(total):
        task().delay(number)


def many(total: int) -> None:
    with app().producer_pool.acquire(block=True) as producer:
        for number in range(total):
            task().apply_async((number,), producer=producer)


def call(number: int) -> int:
    return int(task().delay(number).get(timeout=30))


if __name__ == "__main__":
    warnings.simplefilter("ignore", NoWorker)  # queues are filled before the workers start
    clients.main({"one": one_by_one, "many": many}, {"call": call})
