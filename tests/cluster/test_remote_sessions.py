"""Remote clients and real workers: whoever dies while a session ends, and a server that stops with clients."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from onserver.connections.desk import Desk
from onserver.connections.facts import Opened, Opening
from onserver.connections.records import Connections
from onserver.errors import ConnectionsRejected, ProcessAborted
from onserver.process.twin import drop_twin
from onserver.testing.cluster import Cluster, open_cluster

TASKS = """
import os
import time

from onserver import Connection, process, session
from onserver import on_server_close_connection, on_server_open_connection, on_server_shutdown
from onserver.testing.ledger import note


@on_server_open_connection
def opens(connection: Connection) -> None:
    note("open", session().id, connection.user, connection.connection, process().deliveries)
    while session().user_name == "stuck":
        time.sleep(0.01)


@on_server_close_connection
def closes(connection: Connection) -> None:
    note("close", session().id, connection.user, connection.connection, process().deliveries)
    if session().user_name == "fatal" and process().deliveries == 1:
        os.kill(os.getpid(), 9)


@on_server_shutdown
def ends() -> None:
    note("shutdown", session().info.type)
"""


#: Clients that are told that the server stops have a second.
SETTINGS = {"remote.leave_seconds": 1}


@pytest.fixture(scope="module")
def cluster(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("connections"), tasks=TASKS, settings=SETTINGS) as opened:
        opened.start(1)
        yield opened


@pytest.fixture
def desk(cluster: Cluster) -> Iterator[Desk]:
    with cluster.as_current() as server:
        yield server.part(Desk)


def connected(desk: Desk, user: str) -> tuple[Opened, int]:
    client = desk.open(Opening(attempt=uuid4().hex, user=user))
    return client, desk.connect(client.session, "main", uuid4().hex, 60)


def gone(cluster: Cluster, client: Opened) -> bool:
    store = cluster.server.store
    return not store.command("EXISTS", store.key(f"s:{client.session}"))


def test_the_leader_tells_the_hooks_of_what_was_dropped(cluster: Cluster, desk: Desk) -> None:
    client, connection = connected(desk, "ann")
    assert cluster.server.sessions.drop(client.session, by="root")
    cluster.wait_for(lambda: gone(cluster, client))
    facts = [client.session, str(client.number), str(connection), "1"]
    assert [row[1:] for row in cluster.ledger if row[1] == client.session] == [facts, facts]


def test_a_worker_killed_in_the_hook_tells_it_again_and_the_session_is_gone(cluster: Cluster, desk: Desk) -> None:
    client, connection = connected(desk, "fatal")
    desk.end(client.session)
    cluster.wait_for(lambda: gone(cluster, client))
    told = [row for row in cluster.ledger.of("close") if row[1] == client.session]
    assert [(row[3], row[4]) for row in told] == [(str(connection), "1"), (str(connection), "2")]


def test_a_connection_whose_hooks_are_aborted_is_not_there(cluster: Cluster, desk: Desk) -> None:
    client, failed = desk.open(Opening(attempt=uuid4().hex, user="stuck")), list[BaseException]()

    def connects() -> None:
        try:
            desk.connect(client.session, "main", uuid4().hex, 60)
        except ProcessAborted as error:
            failed.append(error)

    thread = threading.Thread(target=connects)
    thread.start()
    cluster.wait_for(lambda: cluster.ledger.count("open", client.session))
    [link] = cluster.server.part(Connections).links(client.session)
    assert drop_twin(cluster.server, client.session, link.number)
    thread.join(60)
    assert failed
    assert gone(cluster, client)
    assert cluster.ledger.count("close", client.session) == 0


def test_a_server_that_stops_ends_the_sessions_of_its_clients_before_its_hooks_run(
    cluster: Cluster, desk: Desk
) -> None:
    (ann, _), (bob, _) = connected(desk, "ann"), connected(desk, "bob")
    told: list[str] = []

    def leaves() -> None:
        told.extend(event.kind for event in desk.wait(ann.session, 60))
        desk.end(ann.session)  # bob does not hear, and is made to leave

    thread = threading.Thread(target=leaves)
    thread.start()
    store = cluster.server.store
    cluster.wait_for(lambda: store.command("EXISTS", store.key(f"rw:{ann.session}")))
    cluster.worker(0).signal(signal.SIGTERM)
    cluster.wait_for(lambda: cluster.state() == "stopped")
    thread.join(60)
    assert told == ["stopping"]
    assert gone(cluster, ann)
    assert gone(cluster, bob)
    rows = [row[:2] for row in cluster.ledger]
    ends = [rows.index(["close", client.session]) for client in (ann, bob)]
    assert rows.index(["shutdown", "storedProcedure"]) > max(ends)
    assert "2 remote clients are told that the server stops" in cluster.worker(0).output
    with pytest.raises(ConnectionsRejected, match="it is stopped"):
        connected(desk, "late")
