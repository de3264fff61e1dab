"""Every action of the admin page, as a table: the state that it needs, where its form is, what is so when it was done.

A row brings the server into the state in which the page offers the action, and puts it back afterwards, so that rows
stand in any order and any of them can be walked alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest

from onserver.backup import restore as restoring
from onserver.backup.catalog import find, listed
from onserver.backup.load import standing
from onserver.errors import LockLost
from onserver.life.events import earlier_events
from onserver.life.log_levels import order, ordered
from onserver.life.log_levels import reset as reset_level
from onserver.process.added import add_schedule, remove_schedule
from onserver.process.control import pause
from onserver.process.gates import (
    pause_all,
    pause_procedure,
    pause_queue,
    paused,
    resume_all,
    resume_procedure,
    resume_queue,
)
from onserver.process.maintenance import end_maintenance_on, maintenance_on
from onserver.process.plan import hold, names_of, planned
from onserver.process.record import State, read_record
from onserver.process.rejecting import connections_rejected_on, reject_connections_on
from onserver.process.signals import signal_on
from onserver.session.context import serving
from onserver.session.roles_noted import noted
from onserver.session.session import Session
from onserver.steer.acts_diagnostics import examined
from onserver.testing import wait_for
from onserver.views.finding import every
from onserver.views.members import MemberRow
from onserver.views.processes import Seen
from onserver.views.stored import FORM, KIND
from tests.admin_walk import BEA, ROLES, Doing, Row, Scene

#: Action, and what of it; to its row.
ROWS: dict[tuple[str, str], Row] = {}


def row(action: str, what: str = "") -> Callable[[Callable[[Scene], Iterator[Doing]]], Row]:
    """Put a row into the table."""

    def put(made: Callable[[Scene], Iterator[Doing]]) -> Row:
        assert (action, what) not in ROWS
        ROWS[action, what] = contextmanager(made)
        return ROWS[action, what]

    return put


# -- processes


@row("process.start")
def process_start(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    before = scene.added()
    yield Doing(
        "/processes", lambda _: scene.added() == before + 7, leads=["Start a process", ("procedure", "jobs.adds")],
        typed={"arg.number": "7"}, lands=r"/processes/\d+",
    )  # fmt: skip


@row("process.abort")
def process_abort(scene: Scene) -> Iterator[Doing]:
    one = scene.running()
    with scene.ends(one):
        yield Doing(f"/processes/{one.number}", lambda _: one.state == State.ABORTED)


@row("process.abort", "rows")
def process_abort_rows(scene: Scene) -> Iterator[Doing]:
    some = [scene.started("held"), scene.started("held")]
    with scene.ends(*some):
        yield Doing("/processes?procedure=jobs.held", lambda _: {one.state for one in some} == {State.ABORTED},
                    boxes=[one.number for one in some])  # fmt: skip


@row("process.force")
def process_force(scene: Scene) -> Iterator[Doing]:
    one = scene.running()
    with scene.ends(one):
        yield Doing(f"/processes/{one.number}", lambda _: one.state == State.ABORTED)


@row("process.pause")
def process_pause(scene: Scene) -> Iterator[Doing]:
    one = scene.running()
    with scene.ends(one):
        yield Doing(f"/processes/{one.number}", lambda _: one.state == State.PAUSED)


@row("process.pause", "rows")
def process_pause_rows(scene: Scene) -> Iterator[Doing]:
    some = [scene.started("held"), scene.started("held")]
    with scene.ends(*some):
        yield Doing("/processes?procedure=jobs.held", lambda _: {one.state for one in some} == {State.PAUSED},
                    boxes=[one.number for one in some])  # fmt: skip


@row("process.resume")
def process_resume(scene: Scene) -> Iterator[Doing]:
    one = scene.running()
    with scene.ends(one):
        pause(scene.server, one.number)
        wait_for(lambda: one.state == State.PAUSED)
        yield Doing(f"/processes/{one.number}", lambda _: one.state == State.RUNNING)


@row("process.replay")
def process_replay(scene: Scene) -> Iterator[Doing]:
    one = scene.failed()
    yield Doing(f"/processes/{one.number}", lambda _: one.state == State.DONE)


@row("process.stack")
def process_stack(scene: Scene) -> Iterator[Doing]:
    one = scene.running()
    with scene.ends(one):
        yield Doing(f"/processes/{one.number}", lambda _: any("waits" in line.text for line in one.log()))


@row("process.abort_all")
def process_abort_all(scene: Scene) -> Iterator[Doing]:
    some = [scene.started("kept"), scene.started("kept")]
    with scene.ends(*some):
        there = len(list(every(Seen(scene.server.store), "jobs.kept")))
        yield Doing("/processes?procedure=jobs.kept", lambda _: {one.state for one in some} == {State.ABORTED},
                    typed={"count": str(there)}, leads=["Abort all that have not ended"])  # fmt: skip


@row("process.signal")
def process_signal(scene: Scene) -> Iterator[Doing]:
    name = scene.name("door")
    yield Doing("/processes", lambda _: signal_on(scene.server, name).signaled, typed={"signal": name},
                opens="Trigger a signal")  # fmt: skip


@row("dead.drop")
def dead_drop(scene: Scene) -> Iterator[Doing]:
    one = scene.failed()
    yield Doing(f"/processes/{one.number}", lambda _: read_record(scene.server.store, one.number) is None,
                lands="/processes")  # fmt: skip


@row("dead.drop", "rows")
def dead_drop_rows(scene: Scene) -> Iterator[Doing]:
    one = scene.failed()
    yield Doing("/processes?state=failed", lambda _: read_record(scene.server.store, one.number) is None,
                boxes=[one.number])  # fmt: skip


# -- queues, procedures, the server


def gates(scene: Scene) -> set[tuple[str, str]]:
    return {(gate.kind, gate.name) for gate in paused(scene.server)}


@row("queue.pause")
def queue_pause(scene: Scene) -> Iterator[Doing]:
    name = scene.name("mail")
    yield Doing("/members", lambda _: ("queue", name) in gates(scene), typed={"queue": name, "seconds": "10m"})
    resume_queue(scene.server, name)


@row("queue.resume")
def queue_resume(scene: Scene) -> Iterator[Doing]:
    name = scene.name("mail")
    pause_queue(scene.server, name)
    yield Doing("/members", lambda _: ("queue", name) not in gates(scene), within=f'tr[data-key="{name}"]')


@row("queue.purge")
def queue_purge(scene: Scene) -> Iterator[Doing]:
    some = [scene.started("held"), scene.started("held")]
    with scene.ends(*some):
        yield Doing("/members", lambda _: all(one.state.ended for one in some), within='tr[data-key="quiet"]')


@row("procedure.pause")
def procedure_pause(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    yield Doing("/processes?procedure=jobs.adds", lambda _: ("procedure", "jobs.adds") in gates(scene))
    resume_procedure(scene.server, "jobs.adds")


@row("procedure.resume")
def procedure_resume(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    pause_procedure(scene.server, "jobs.adds")
    yield Doing("/processes?procedure=jobs.adds", lambda _: ("procedure", "jobs.adds") not in gates(scene))
    resume_procedure(scene.server, "jobs.adds")


@row("server.pause")
def server_pause(scene: Scene) -> Iterator[Doing]:
    yield Doing("/members", lambda _: ("all", "") in gates(scene))
    resume_all(scene.server)


@row("server.resume")
def server_resume(scene: Scene) -> Iterator[Doing]:
    pause_all(scene.server)
    yield Doing("/members", lambda _: ("all", "") not in gates(scene))
    resume_all(scene.server)


@row("maintenance.on")
def maintenance_begins(scene: Scene) -> Iterator[Doing]:
    def so(_: str) -> bool:
        closed = maintenance_on(scene.server.store)
        return closed is not None and (closed.message, closed.rejects_connections) == ("Back at six.", True)

    yield Doing("/", so, typed={"message": "Back at six.", "reject_connections": "true"})
    end_maintenance_on(scene.server)


@row("maintenance.off")
def maintenance_ends(scene: Scene) -> Iterator[Doing]:
    with scene.closed():
        yield Doing("/", lambda _: maintenance_on(scene.server.store) is None)


@row("connections.reject")
def connections_reject(scene: Scene) -> Iterator[Doing]:
    yield Doing("/", lambda _: connections_rejected_on(scene.server) == "ann")
    reject_connections_on(scene.server, False)


@row("connections.accept")
def connections_accept(scene: Scene) -> Iterator[Doing]:
    reject_connections_on(scene.server, True)
    yield Doing("/", lambda _: connections_rejected_on(scene.server) is None)


@row("server.stop")
def server_stop(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    programs = [one for one in scene.cluster.workers if one.alive]
    yield Doing("/members", lambda _: scene.cluster.state() == "stopped" and not any(one.alive for one in programs),
                typed={"grace": "1s"})  # fmt: skip


# -- sessions


def opened(scene: Scene) -> Session:
    return scene.server.sessions.open(
        "web", user="Bea Smith", login=BEA, ip="192.0.2.17", agent="Mozilla/5.0", host_type="browser", web="shop"
    )


@row("session.message")
def session_message(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)
    yield Doing(
        f"/sessions/{bea.id}", lambda _: scene.server.sessions.records.mail(bea.id)[-1].text == "We close at six.",
        typed={"text": "We close at six."},
    )  # fmt: skip


@row("session.set")
def session_set(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)

    def so(_: str) -> bool:
        record = scene.server.sessions.records.read(bea.id)
        return record is not None and (record.user, [*record.roles]) == ("Bea Jones", ["clerk"])

    yield Doing(f"/sessions/{bea.id}", so, typed={"user_name": "Bea Jones", "privileges": "clerk"})


@row("session.set", "how long")
def session_lasts(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)

    def so(_: str) -> bool:
        record = scene.server.sessions.records.read(bea.id)
        return record is not None and record.idle_ms == 90 * 60_000

    yield Doing(f"/sessions/{bea.id}", so, typed={"idle_minutes": "90"})


@row("session.link")
def session_link(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)
    seen: list[str] = []

    def so(secret: str) -> bool:
        record = scene.server.sessions.records.redeem(secret)
        seen.extend([record.id] if record else [])
        return seen == [bea.id]

    yield Doing(f"/sessions/{bea.id}", so, typed={"seconds": "5m"}, secret=True)


@row("session.drop")
def session_drop(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)
    yield Doing(f"/sessions/{bea.id}", lambda _: scene.server.sessions.records.read(bea.id) is None,
                typed={"reason": "the test is over"}, lands="/sessions")  # fmt: skip


@row("session.drop", "rows")
def session_drop_rows(scene: Scene) -> Iterator[Doing]:
    some = [opened(scene), opened(scene)]
    yield Doing("/sessions", lambda _: not any(scene.server.sessions.records.read(one.id) for one in some),
                boxes=[one.id for one in some])  # fmt: skip


@row("session.drop_user")
def session_drop_user(scene: Scene) -> Iterator[Doing]:
    some = [opened(scene), opened(scene)]
    yield Doing(
        f"/sessions/{some[0].id}", lambda _: not any(scene.server.sessions.records.read(one.id) for one in some),
        lands="/sessions",
    )  # fmt: skip


@row("user.revoke")
def user_revoke(scene: Scene) -> Iterator[Doing]:
    bea = opened(scene)
    pause_procedure(scene.server, "jobs.adds")
    with serving(bea):
        one = scene.started("adds")

    def so(_: str) -> bool:
        resume_procedure(scene.server, "jobs.adds")
        return one.state.ended and one.state != State.DONE

    yield Doing(f"/sessions/{bea.id}", so)
    scene.server.sessions.drop(bea.id, by="ann")


# -- storage


@row("storage.set")
def storage_set(scene: Scene) -> Iterator[Doing]:
    key = put(scene, {"atlas": 41})
    yield Doing(f"/storage/server/entry?key={key}", lambda _: scene.server.storage[key] == {"atlas": 40},
                typed={"value": '{"atlas": 40}'})  # fmt: skip


@row("storage.set", "a new one")
def storage_set_new(scene: Scene) -> Iterator[Doing]:
    key = scene.name("stock")
    yield Doing("/storage/server", lambda _: scene.server.storage.get(key) == [1, "globe"],
                typed={"key": key, "value": '[1, "globe"]'})  # fmt: skip


@row("storage.delete")
def storage_delete(scene: Scene) -> Iterator[Doing]:
    key = put(scene, 1)
    yield Doing(f"/storage/server/entry?key={key}", lambda _: key not in scene.server.storage, lands="/storage/server")


@row("storage.delete", "rows")
def storage_delete_rows(scene: Scene) -> Iterator[Doing]:
    keys = [put(scene, 1), put(scene, 2)]
    yield Doing("/storage/server", lambda _: not {*keys} & {*scene.server.storage}, boxes=keys)


@row("storage.increment")
def storage_increment(scene: Scene) -> Iterator[Doing]:
    counter = scene.server.storage.counter(scene.name("visits"))
    counter.add(5)
    yield Doing(f"/storage/server/entry?key={counter.key}", lambda _: counter.value == 2, typed={"amount": "-3"})


@row("storage.unlock")
def storage_unlock(scene: Scene) -> Iterator[Doing]:
    key, store = put(scene, {}), scene.server.store
    with pytest.raises(LockLost), scene.server.storage.use(key) as entry:
        entry["lost"] = True
        yield Doing(f"/storage/server/entry?key={key}", lambda _: not store.command("EXISTS", store.key(f"st:l:{key}")))


@row("storage.unlock", "of what is to be written")
def storage_unlock_new(scene: Scene) -> Iterator[Doing]:
    key, store = scene.name("stock"), scene.server.store
    with pytest.raises(LockLost), scene.server.storage.use(key) as entry:
        entry["lost"] = True
        yield Doing(f"/storage/server/entry?key={key}", lambda _: not store.command("EXISTS", store.key(f"st:l:{key}")),
                    lands="/storage/server")  # fmt: skip


@row("storage.unlock", "of the list of locks")
def storage_unlock_row(scene: Scene) -> Iterator[Doing]:
    key, store = put(scene, {}), scene.server.store
    with pytest.raises(LockLost), scene.server.storage.use(key) as entry:
        entry["lost"] = True
        yield Doing("/locks", lambda _: not store.command("EXISTS", store.key(f"st:l:{key}")),
                    within=f'tr[data-key="st:l:{key}"]')  # fmt: skip


@row("storage.import")
def storage_import(scene: Scene) -> Iterator[Doing]:
    key = scene.name("rates")
    file = {"file": KIND, "v": FORM, "server": scene.server.name, "entries": [{"key": key, "value": 3}]}
    yield Doing("/storage/server", lambda _: scene.server.storage.get(key) == 3, typed={"data": json.dumps(file)})


def put(scene: Scene, value: object) -> str:
    """Put something into the storage of the server; its name."""
    key = scene.name("stock")
    with scene.server.storage.use() as root:
        root[key] = value
    return key


# -- workers


@row("member.executors")
def member_executors(scene: Scene) -> Iterator[Doing]:
    worker = scene.worker()
    wanted = 5 - worker.executors
    yield Doing(
        f"/members/{worker.number}", lambda _: scene.worker().executors == wanted, typed={"executors": str(wanted)}
    )


@row("member.reload")
def member_reload(scene: Scene) -> Iterator[Doing]:
    worker = scene.worker()
    before = reloads(scene, worker)
    yield Doing(f"/members/{worker.number}", lambda _: reloads(scene, worker) > before)


@row("member.reload", "all")
def member_reload_all(scene: Scene) -> Iterator[Doing]:
    worker = scene.worker()
    before = reloads(scene, worker)
    yield Doing("/members", lambda _: reloads(scene, worker) > before)


@row("member.drain")
def member_drain(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    other = scene.another()
    yield Doing(f"/members/{other.number}", lambda _: other.number not in {one.number for one in scene.up()},
                typed={"grace": "5s"}, lands="/members")  # fmt: skip


@row("member.drain", "rows")
def member_drain_rows(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    other = scene.another()
    yield Doing("/members", lambda _: other.number not in {one.number for one in scene.up()}, boxes=[other.number])


@row("member.stop")
def member_stop(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    other = scene.another()
    yield Doing(f"/members/{other.number}", lambda _: other.number not in {one.number for one in scene.up()},
                lands="/members")  # fmt: skip


def reloads(scene: Scene, *workers: MemberRow) -> list[int]:
    """How often each worker has taken new code."""
    store = scene.server.store
    return [int(store.command("HGET", store.key(f"member:{one.number}"), "reloads") or 0) for one in workers]


# -- hooks, events, schedules


@row("hook.run")
def hook_run(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    counter = scene.server.storage.counter("asked")
    before = counter.value
    yield Doing("/hooks", lambda _: counter.value == before + 1, lands=r"/processes/\d+")


@row("event.send")
def event_send(scene: Scene) -> Iterator[Doing]:
    name = scene.name("till.closed")

    def so(_: str) -> bool:
        return any(
            (event.name, dict(event.payload)) == (name, {"sum": 3}) for event in earlier_events(scene.server.store)
        )

    yield Doing("/hooks", so, typed={"event": name, "payload": '{"sum": 3}'})


def schedule(scene: Scene) -> str:
    """Name of a schedule that was added."""
    scene.worker()
    entry, _ = add_schedule(scene.server, "0 4 * * *", "jobs.adds", name=scene.name("nightly"))
    return entry.name


@row("schedule.add")
def schedule_add(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    name = scene.name("nightly")

    def so(_: str) -> bool:
        if name not in names_of(scene.server.store):
            return False
        entry = planned(scene.server.store, name).entry
        return (entry.timing.text, entry.procedure, entry.missed) == ("0 3 * * *", "jobs.adds", "skip")

    yield Doing("/schedule", so, typed={"times": "0 3 * * *", "procedure": "jobs.adds", "name": name, "missed": "skip"})
    remove_schedule(scene.server.store, name)


@row("schedule.run")
def schedule_run(scene: Scene) -> Iterator[Doing]:
    name, before = schedule(scene), scene.added()
    yield Doing(f"/schedule/{name}", lambda _: scene.added() == before + 1, lands=r"/processes/\d+")
    remove_schedule(scene.server.store, name)


@row("schedule.pause")
def schedule_pause(scene: Scene) -> Iterator[Doing]:
    name = schedule(scene)
    yield Doing(f"/schedule/{name}", lambda _: planned(scene.server.store, name).paused)
    remove_schedule(scene.server.store, name)


@row("schedule.resume")
def schedule_resume(scene: Scene) -> Iterator[Doing]:
    name = schedule(scene)
    hold(scene.server.store, name, "ann")
    yield Doing("/schedule", lambda _: not planned(scene.server.store, name).paused, within=f'tr[data-key="{name}"]')
    remove_schedule(scene.server.store, name)


@row("schedule.change")
def schedule_change(scene: Scene) -> Iterator[Doing]:
    name = schedule(scene)
    yield Doing(f"/schedule/{name}", lambda _: planned(scene.server.store, name).entry.timing.text == "0 5 * * *",
                typed={"times": "0 5 * * *"})  # fmt: skip
    remove_schedule(scene.server.store, name)


@row("schedule.remove")
def schedule_remove(scene: Scene) -> Iterator[Doing]:
    name = schedule(scene)
    yield Doing(f"/schedule/{name}", lambda _: name not in names_of(scene.server.store), lands="/schedule")


# -- backups


@row("backup.now")
def backup_now(scene: Scene) -> Iterator[Doing]:
    scene.worker()
    label = scene.name("before the sale")
    yield Doing("/backups", lambda _: label in {one.label for one in listed(scene.server)}, typed={"label": label})


@row("backup.verify")
def backup_verify(scene: Scene) -> Iterator[Doing]:
    name = scene.archive()
    yield Doing(
        f"/backups/{name}", lambda _: next(one for one in listed(scene.server) if one.name == name).verified != ""
    )


@row("backup.prune")
def backup_prune(scene: Scene) -> Iterator[Doing]:
    old, new = scene.archive(), scene.archive()

    def so(_: str) -> bool:
        there = {one.name for one in listed(scene.server)}
        return old not in there and new in there

    yield Doing("/backups", so, leads=[("keep", "1")])


@row("backup.restore")
def backup_restore(scene: Scene) -> Iterator[Doing]:
    key = put(scene, "then")
    name = scene.archive()
    with scene.server.storage.use() as root:
        root[key] = "since"
    with scene.closed(), patch.object(scene.server, "load_tasks"):  # this program has other tasks loaded
        yield Doing(
            f"/backups/{name}", lambda _: scene.server.storage.get(key) == "then",
            leads=["Restore this archive, step by step", *["Next step"] * 3], typed={"no_backup": "true"},
        )  # fmt: skip


@row("backup.finish")
def backup_finish(scene: Scene) -> Iterator[Doing]:
    with interrupted(scene, "after_restore_switch") as key:
        yield Doing(
            "/backups", lambda _: standing(scene.server.store) is None and scene.server.storage.get(key) == "then"
        )


@row("backup.undo")
def backup_undo(scene: Scene) -> Iterator[Doing]:
    with interrupted(scene, "before_restore_switch") as key:
        yield Doing(
            "/backups", lambda _: standing(scene.server.store) is None and scene.server.storage.get(key) == "since"
        )


class Died(BaseException):
    """What a machine does that loses power."""


@contextmanager
def interrupted(scene: Scene, where: str) -> Iterator[str]:
    """Have a restore die; name of an entry that was `then` when the archive was made, and is `since`."""

    def dies(name: str) -> None:
        if name == where:
            raise Died

    key = put(scene, "then")
    name = scene.archive()
    with scene.server.storage.use() as root:
        root[key] = "since"
    with ExitStack() as stack:
        stack.enter_context(scene.closed())
        with (
            patch("onserver.backup.load.crash_point", dies),
            patch("onserver.backup.load._undo", lambda *_: None),  # who is killed takes nothing back
            pytest.raises(Died),
        ):
            restoring.restore(scene.server, find(scene.server, name), restoring.Wish(save=False, by="ann"))
        yield key


# -- roles and diagnostics


@row("roles.reload")
def roles_reload(scene: Scene) -> Iterator[Doing]:
    file = scene.cluster.project / "config" / "roles.json"
    text = json.dumps({**ROLES, "privileges": [*ROLES["privileges"], {"privilege": scene.name("till")}]}).encode()
    file.write_bytes(text)

    def so(_: str) -> bool:
        found = noted(scene.server.store)
        return found is not None and found.text == text

    yield Doing("/roles", so)


@row("server.examine")
def server_examine(scene: Scene) -> Iterator[Doing]:
    before = examined(scene.server.store)

    def so(_: str) -> bool:
        found = examined(scene.server.store)
        return found is not None and found.by == "ann" and (before is None or found.at_ms > before.at_ms)

    yield Doing("/diagnostics", so)


@row("server.mend")
def server_mend(scene: Scene) -> Iterator[Doing]:
    store = scene.server.store
    left = store.key("orders:999999")  # of a worker that nobody knows
    store.command("RPUSH", left, "reload")
    yield Doing("/diagnostics", lambda _: not store.command("EXISTS", left))


@row("log.level")
def log_level(scene: Scene) -> Iterator[Doing]:
    logger = scene.name("shop")
    yield Doing(
        "/diagnostics", lambda _: (logger, "DEBUG") in {(one.logger, one.level) for one in ordered(scene.server.store)},
        typed={"logger": logger, "level": "DEBUG", "seconds": "10m"},
    )  # fmt: skip
    reset_level(scene.server.store, logger)


@row("log.reset")
def log_reset(scene: Scene) -> Iterator[Doing]:
    logger = scene.name("shop")
    order(scene.server.store, logger, "DEBUG", 600, "ann")
    yield Doing("/diagnostics", lambda _: logger not in {one.logger for one in ordered(scene.server.store)},
                within=f'tr[data-key="{logger}"]')  # fmt: skip
