"""`rediss://`: the same through TLS, which ends at a small proxy, since not every Redis is built with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver import execute_on_server
from onserver.celery_app.app import make_app
from onserver.redis.address import Address, parse
from onserver.redis.answers import LinkError, Unreachable
from onserver.redis.link import Link
from onserver.testing.cluster import open_cluster
from tests.cluster.jobs import TASKS
from tests.terminator import TLS, Terminator


@pytest.fixture
def terminator(redis_address: Address) -> Iterator[Terminator]:
    with Terminator(redis_address.path) as made:
        yield made


def test_commands_and_large_answers(terminator: Terminator) -> None:
    address = parse(f"rediss://localhost:{terminator.port}?ssl_ca_certs={TLS / 'certificate.pem'}")
    with Link(address, command_seconds=60) as link:
        assert link.command("PING") == b"PONG"
        large = os.urandom(5_000_000)
        assert link.command("ECHO", large) == large
        assert link.pipeline([("ECHO", n) for n in range(5000)]) == [b"%d" % n for n in range(5000)]


def test_a_certificate_that_nobody_vouches_for_is_refused(terminator: Terminator) -> None:
    with Link(parse(f"rediss://localhost:{terminator.port}")) as link, pytest.raises(Unreachable) as refused:
        link.command("PING")
    assert "certificate" in str(refused.value).lower()
    with Link(parse(f"rediss://localhost:{terminator.port}?ssl_cert_reqs=none")) as link:
        assert link.command("PING") == b"PONG"


def test_no_tls_where_tls_is_spoken_ends_in_a_named_error(terminator: Terminator) -> None:
    with Link(parse(f"redis://localhost:{terminator.port}"), command_seconds=1) as link, pytest.raises(LinkError):
        link.command("PING")


def test_a_worker_and_celery_through_tls(onserver_redis: str, tmp_path: Path) -> None:
    with Terminator(parse(onserver_redis).path) as terminator:
        url = f"rediss://localhost:{terminator.port}?ssl_ca_certs={TLS / 'certificate.pem'}"
        with open_cluster(url, tmp_path, tasks=TASKS) as cluster, cluster.as_current():
            cluster.start(1)
            assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
            assert cluster.storage["started"] == 1
            app = make_app(cluster.server)
            assert app.send_task("jobs.work", (2,)).get(timeout=60) == 2
