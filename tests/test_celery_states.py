"""The states of a process in the words of Celery's `AsyncResult`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, procedure
from onserver.celery_app.app import make_app
from onserver.errors import ProcessNotFound
from onserver.redis.address import Address
from onserver.testing.wait import wait_for
from tests.inline_worker import make_server, working


@procedure
def stated() -> int:
    """What runs is of no consequence: most records are written by the test."""
    return 1


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


@pytest.fixture
def app(server: Server) -> Any:
    return make_app(server)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("queued", "PENDING"), ("delayed", "PENDING"), ("paused", "PENDING"), ("running", "STARTED"),
        ("waiting", "STARTED"), ("done", "SUCCESS"), ("failed", "FAILURE"), ("lost", "FAILURE"), ("dead", "FAILURE"),
        ("aborted", "REVOKED"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
def test_a_state(server: Server, app: Any, state: str, word: str) -> None:
    result = app.send_task(stated.name)
    number = app.desk.number_of(result.id)
    server.store.command("HSET", server.store.key(f"p:{number}"), "s", state)
    assert Process.get(number).state == state
    assert app.AsyncResult(result.id).state == word


def test_a_result_is_kept_for_a_time(redis_address: Address) -> None:
    name = f"t{uuid4().hex[:8]}"
    with make_server(name, f"unix://{redis_address.path}", keep_seconds=1) as server, working(server):
        result = make_app(server).send_task(stated.name)
        process = Process.get(make_app(server).desk.number_of(result.id))
        assert process.wait(timeout=60) == "done"
        wait_for(lambda: make_app(server).AsyncResult(result.id).state == "PENDING")
        with pytest.raises(ProcessNotFound):
            Process.get(process.number)
