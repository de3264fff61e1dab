"""Who may is decided in every pool: in executors, on their loops, and in those of Celery, by what is so at the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver import Process, execute_on_server
from onserver.errors import CallerRevoked, PrivilegeDenied
from onserver.process.gates import pause_all, resume_all
from onserver.session.context import serving
from onserver.testing.cluster import Cluster, open_cluster

TASKS = """
from onserver import caller, procedure


@procedure(requires="invoices.read")
def plain() -> str:
    return caller().user


@procedure(requires="invoices.read")
async def on_a_loop() -> str:
    return caller().user
"""

ROLES = {
    "privileges": [{"privilege": "invoices.read"}],
    "roles": [{"role": "clerk", "privileges": ["invoices.read"]}],
    "permissions": {"allowed": []},
    "restrictedByDefault": True,
}


@pytest.fixture
def cluster(onserver_redis: str, tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path, tasks=TASKS) as opened, opened.as_current():
        write(opened, ROLES)
        yield opened


def write(cluster: Cluster, roles: object) -> None:
    new = cluster.project / "config/new"
    new.parent.mkdir(exist_ok=True)
    new.write_text(json.dumps(roles))
    new.replace(cluster.project / "config/roles.json")


@pytest.mark.parametrize("pool", ["", "prefork"])
def test_a_run_is_refused_by_what_is_so_by_then(cluster: Cluster, pool: str) -> None:
    sessions = cluster.server.sessions
    ann, bob = (sessions.open("web", user=name) for name in ("ann", "bob"))
    cluster.start(pool=pool)
    pause_all(cluster.server)
    early: list[Process[str]] = []
    for web in (ann, bob):
        web.set_privileges({"roles": ["clerk"]})
        with serving(web):
            early += [execute_on_server(f"jobs.{name}") for name in ("plain", "on_a_loop")]
    sessions.drop(bob.id, by="eve@desk", reason="theft")
    resume_all(cluster.server)
    assert [one.result(timeout=60) for one in early[:2]] == ["ann", "ann"]
    for refused in early[2:]:
        with pytest.raises(CallerRevoked, match="theft"):
            refused.result(timeout=60)
    with serving(ann):
        later = [execute_on_server(f"jobs.{name}") for name in ("plain", "on_a_loop")]
        assert [one.result(timeout=60) for one in later] == ["ann", "ann"]
    write(cluster, ROLES | {"roles": []})
    with serving(ann), pytest.raises(PrivilegeDenied):
        execute_on_server("jobs.plain")
