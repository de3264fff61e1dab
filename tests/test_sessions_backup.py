"""A backup has the sessions, with their storages; a restore brings them back, but for those that were dropped since."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver.backup.change_log import LogWriter
from onserver.backup.cut import Cut
from onserver.backup.load import load
from onserver.backup.replay import replay
from onserver.connections.ending import Closer
from onserver.connections.records import Connections
from onserver.errors import MaintenanceMode
from onserver.process.maintenance import begin_maintenance
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.session import Session
from onserver.testing import wait_for
from tests.cut_writers import settings_of
from tests.floor import Floor, open_floor


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


@pytest.fixture
def other(redis_address: Address) -> Iterator[Server]:
    with Server(settings=settings_of(redis_address.path, f"t{uuid4().hex[:8]}")) as server:
        yield server


def saved(store: Store, number: int = 0) -> list[bytes]:
    with Cut(store, number) as cut:
        return list(cut.entries())


def put(session: Session, **entries: Any) -> None:
    with session.storage.use() as root:
        root.update(entries)


def found(server: Server, identity: str) -> Session:
    session = server.sessions.find(identity)
    assert session is not None
    return session


def test_what_is_written_while_a_backup_is_cut_is_in_it(floor: Floor, other: Server) -> None:
    sessions = floor.server.sessions
    first = sessions.open("web", user="ann")
    put(first, cart={"chair": 1})
    with Cut(floor.store) as cut:
        pieces = cut.entries()
        read = [next(pieces), next(pieces)]
        put(first, cart={"chair": 2})
        sessions.records.write(first.id, privileges=("pay",))
        late = sessions.open("web", user="bob")
        put(late, cart={"table": 1})
        read += pieces
    load(other.store, read, path="a.onsb")
    assert found(other, first.id).record.privileges == ("pay",)
    assert found(other, first.id).storage["cart"] == {"chair": 2}
    assert found(other, late.id).storage["cart"] == {"table": 1}
    assert [str(orphan) for orphan in find_orphans(other.store)] == []


def test_a_restore_leaves_the_session_of_procedures_and_what_was_dropped_since(floor: Floor) -> None:
    sessions = floor.server.sessions
    kept, dropped, closed = (sessions.open("web", login="ann") for _ in range(3))
    put(kept, cart=1)
    put(dropped, cart=1)
    own = floor.server.session()
    pieces = saved(floor.store)
    assert sessions.drop(dropped.id, by="root")
    assert sessions.close(closed.id)
    put(kept, cart=2)
    since = sessions.open("web")
    put(since, cart=1)
    sessions.records.write(own.id, privileges=("read",))
    begin_maintenance()
    load(floor.store, pieces, path="a.onsb", by="root")
    assert found(floor.server, kept.id).storage["cart"] == 1
    assert sessions.find(dropped.id) is None
    assert sessions.dropped(dropped.id) is not None
    assert sessions.find(closed.id) is not None
    assert sessions.find(since.id) is None
    assert found(floor.server, own.id).record.privileges == ("read",)
    assert {one.id for one in sessions.listed(login="ann")} == {kept.id, closed.id}
    assert sessions.counts() == {"web": 2, "remote": 0, "storedProcedure": 1, "standalone": 0}
    assert floor.orphans() == []


def test_sessions_stay_where_only_another_part_is_restored(floor: Floor) -> None:
    sessions = floor.server.sessions
    pieces = saved(floor.store)
    session = sessions.open("web")
    put(session, cart=1)
    begin_maintenance()
    load(floor.store, pieces, path="a.onsb", only=["storage"])
    assert found(floor.server, session.id).storage["cart"] == 1


def test_nobody_changes_a_session_while_keys_go_to_their_place(floor: Floor) -> None:
    session = floor.server.sessions.open("web")
    floor.restoring("another")
    with pytest.raises(MaintenanceMode):
        floor.server.sessions.records.write(session.id, user="ann")
    with pytest.raises(MaintenanceMode):
        floor.server.sessions.open("web")
    assert floor.server.sessions.take(session.id) is not None
    floor.store.command("DEL", floor.store.key("cut"))


def test_the_log_leads_on_in_the_storages_of_sessions_that_the_archive_has(
    floor: Floor, other: Server, tmp_path: Path
) -> None:
    sessions = floor.server.sessions
    old = sessions.open("web")
    put(old, cart={"chair": 1}, gone=1)
    stop = threading.Event()
    writer = threading.Thread(target=LogWriter(floor.store, tmp_path, "commit", print).run, args=(stop,))
    writer.start()
    try:
        wait_for(lambda: journal(floor.store), what="logging has begun")
        pieces = saved(floor.store, 1)
        rotated = sessions.rotate(old.id)
        put(rotated, cart={"chair": 2})
        with rotated.storage.use() as root:
            del root["gone"]
        rotated.storage.counter("seen").add(3)
        new = sessions.open("web")
        put(new, cart={"table": 1})
        sessions.close(new.id)
        wait_for(lambda: journal(floor.store) == 1, what="all is in files")
    finally:
        stop.set()
        writer.join(30)
    load(
        other.store,
        pieces,
        path="a.onsb",
        amend=lambda prefix: replay(other.store, prefix, tmp_path, floor.server.name),
    )
    assert dict(found(other, old.id).storage) == {"cart": {"chair": 2}, "seen": 3}
    assert other.sessions.find(new.id) is None
    assert [str(orphan) for orphan in find_orphans(other.store)] == []


def journal(store: Store) -> int:
    return int(store.command("XLEN", store.key("journal")))


def test_the_sessions_of_clients_come_back_with_their_connections_and_what_they_are_to_be_told(
    floor: Floor, other: Server
) -> None:
    connections, sessions = floor.server.part(Connections), floor.server.sessions
    here, leaving = (connections.open(uuid4().hex, "", user=user) for user in ("ann", "bob"))
    number, _, _ = connections.connect(here.id, "main", uuid4().hex)
    last, _, _ = connections.connect(leaving.id, "main", uuid4().hex)
    for client, connection in ((here, number), (leaving, last)):
        assert connections.decided(client.id, connection, True)
    sessions.message(here.id, "backup at six")
    connections.beat(here.id, 0)
    connections.end(leaving.id, "closed")
    load(other.store, saved(floor.store), path="a.onsb")
    there = other.part(Connections)
    assert [(link.number, link.state) for link in there.links(here.id)] == [(number, "open")]
    assert len(there.beat(here.id, 0).events) == 1
    assert found(other, leaving.id).record.state == "closing"
    assert there.ending(10) == [leaving.id]
    assert [str(orphan) for orphan in find_orphans(other.store)] == []


def test_the_session_of_a_client_that_was_dropped_since_leaves_nothing(floor: Floor) -> None:
    connections = floor.server.part(Connections)
    client = connections.open(uuid4().hex, "", user="ann")
    connections.connect(client.id, "main", uuid4().hex)
    pieces = saved(floor.store)
    connections.end(client.id, "dropped", '{"by":"root","reason":""}')
    connections.decided(client.id, connections.links(client.id)[0].number, False)
    assert floor.server.sessions.dropped(client.id) is not None
    begin_maintenance()
    load(floor.store, pieces, path="a.onsb", by="root")
    assert floor.server.sessions.find(client.id) is None
    assert floor.orphans() == []


def test_an_end_that_is_restored_of_a_session_that_is_not_is_forgotten(floor: Floor) -> None:
    floor.store.command("ZADD", floor.store.key("closing"), 1, "F" * 32)
    Closer(floor.server, floor.store, print).work()
    assert floor.server.part(Connections).ending(10) == []
