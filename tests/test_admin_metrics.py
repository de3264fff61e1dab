"""`/metrics`: what there is, to whom it is given, and how many lines it has at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from onserver import execute_on_server, procedure
from onserver.admin import Admin
from onserver.admin.metrics import METRICS, QUEUES
from onserver.admin.tokens import Tokens
from onserver.redis.address import Address
from onserver.server import Server
from onserver.settings import Settings
from tests.admin_browser import program, stranger
from tests.inline_worker import make_server, working


@procedure(name="measured.fails")
def fails() -> None:
    raise ValueError("so it does")


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"am{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


def opened(server: Server) -> Settings:
    return replace(server.settings, admin=replace(server.settings.admin, open_metrics=True))


def read(client: TestClient, **headers: str) -> dict[str, list[Any]]:
    answer = client.get("/metrics", headers={"accept": "text/plain", **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def with_token(server: Server, *privileges: str) -> TestClient:
    return program(server, Tokens(server.store).make("prometheus", privileges, 600, by="test")[0])


def test_it_says_how_the_server_stands_under_the_names_that_are_documented(server: Server) -> None:
    with working(server) as worker:
        one, other = execute_on_server(fails), execute_on_server(fails)
        for started in (one, other):
            with pytest.raises(ValueError, match="so it does"):
                started.result(timeout=10)
        store = server.store
        now = store.now_ms() // 10_000 * 10_000
        store.command("ZADD", store.key("failed"), now - 5000, one.number, now - 5000, other.number)
        store.run("silent", worker.engine.member.number, 10**9, 0, 0)
        found = read(with_token(server, "admin.view"))
    samples = {sample.name: sample for family in found.values() for sample in family}
    assert set(samples) <= set(METRICS)
    assert set(METRICS) - set(samples) <= {"onserver_memory_bytes"}
    for name, sample in samples.items():
        assert set(sample.labels) == {"server", *METRICS[name].labels}
        assert sample.labels["server"] == server.name
    assert samples["onserver_processes_failed_total"].value == 2
    assert samples["onserver_processes_ended_total"].value >= 2
    assert samples["onserver_slots"].value == 1
    assert {sample.labels["state"] for sample in found["onserver_state"] if sample.value} == {"running"}


def test_the_number_of_its_lines_is_bounded(server: Server) -> None:
    store = server.store
    for n in range(QUEUES + 10):
        store.command("SADD", store.key("queues"), f"q{n:03}")
        store.command("ZADD", store.key(f"q:q{n:03}"), 1, "t")
        store.command("ZADD", store.key(f"line:q q{n:03} t"), *(word for k in range(n + 1) for word in (k, k)))
    waiting = read(with_token(server, "admin.view"))["onserver_queue_waiting"]
    assert len(waiting) == QUEUES + 1
    assert {sample.labels["queue"]: sample.value for sample in waiting}["other"] == sum(range(1, 11))


def test_it_is_given_to_who_may_look(server: Server) -> None:
    assert stranger(Admin(server)).get("/metrics").status_code == 303
    assert program(server, "ons_wrong").get("/metrics").status_code == 401
    assert with_token(server, "admin.audit").get("/metrics").status_code == 403
    assert with_token(server, "admin.view").get("/metrics").status_code == 200


def test_where_that_is_set_this_machine_needs_no_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "settings", opened(server))
    app = Admin(server)
    assert read(stranger(app))
    for headers in ({"x-forwarded-for": "10.0.0.9"}, {"forwarded": "for=10.0.0.9"}, {"host": "shop.example"}):
        assert stranger(app).get("/metrics", headers=headers).status_code == 303, headers
    far = TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False, client=("10.0.0.9", 5))
    assert far.get("/metrics").status_code in (303, 401)
    mounted = Admin(server, login=lambda _request: None)
    assert stranger(mounted).get("/metrics").status_code == 403


def test_it_speaks_openmetrics_where_that_is_asked_for(server: Server) -> None:
    answer = with_token(server, "admin.view").get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
