"""`onserver.web` as a user imports it, and a WSGI answer that nobody closes."""

import gc
import importlib
import inspect
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, session, web
from onserver.redis.address import Address
from onserver.session.context import served
from tests.inline_worker import make_server


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"wf{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


def test_a_name_is_not_hidden_by_the_module_that_has_it() -> None:
    importlib.import_module("onserver.web.web_session")
    assert inspect.iscoroutinefunction(web.web_session)
    assert all(not inspect.ismodule(getattr(web, name)) for name in web.__all__)


def test_an_answer_that_nobody_closes_leaves_nothing_served(server: Server) -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        yield session().id.encode()

    dropped = web.WSGISessionMiddleware(app)({"QUERY_STRING": ""}, lambda *_: lambda _: None)
    assert len(next(iter(dropped))) == 32
    del dropped
    gc.collect()  # the settings of pytest let what is raised here fail
    assert served() is None
