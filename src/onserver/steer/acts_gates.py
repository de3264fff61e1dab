"""What can be done to queues, procedures and the server as a whole: pauses, maintenance, connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from onserver.life.epoch import stop_epoch
from onserver.process.control import keep_seconds
from onserver.process.gates import (
    pause_all,
    pause_procedure,
    pause_queue,
    resume_all,
    resume_procedure,
    resume_queue,
)
from onserver.process.maintenance import begin_maintenance_on, end_maintenance_on
from onserver.process.rejecting import reject_connections_on
from onserver.server import Server
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.made import FOR, Given, command, seconds, yes

_QUEUE: Final = Field(name="queue", required=True, maximum=200, label="Queue")
_PROCEDURE: Final = Field(name="procedure", required=True, maximum=200, label="Procedure")
_RUNNING: Final = Field(name="running", kind="bool", label="What runs as well")
_SERVER: Final = Field(name="server", required=True, maximum=200, label="Server")
_PAUSED, _GOES_ON, _WAS_NOT = "{what} is paused.", "{what} goes on.", "{what} was not paused."
_ALL: Final = "Everything"


def _pausing(field: str, pause: Callable[..., object]) -> Callable[[Server, Given], Outcome]:
    """Pause what a field names."""

    def run(server: Server, given: Given) -> Outcome:
        name = given[field]
        pause(server, name, for_seconds=seconds(given, "seconds"), running=yes(given, "running"))
        return Outcome(said=_PAUSED, values={"what": name}, target=name, after="paused")

    return run


def _resuming(field: str, resume: Callable[..., bool]) -> Callable[[Server, Given], Outcome]:
    """Let what a field names go on."""

    def run(server: Server, given: Given) -> Outcome:
        return _went_on(given[field], was=resume(server, given[field], running=yes(given, "running")))

    return run


def _purge_queue(server: Server, given: Given) -> Outcome:
    name, gone = given["queue"], 0
    while count := int(server.store.run("purge", name, keep_seconds(server))):
        gone += count
    return Outcome(said="{count} processes of {what} are dropped.", values={"count": gone, "what": name}, target=name,
                   before=f"{gone} queued", data={"dropped": gone})  # fmt: skip


def _pause_all(server: Server, given: Given) -> Outcome:
    pause_all(server, for_seconds=seconds(given, "seconds"), running=yes(given, "running"))
    return Outcome(said=_PAUSED, values={"what": _ALL}, target=server.name, after="paused")


def _resume_all(server: Server, given: Given) -> Outcome:
    return _went_on(_ALL, was=resume_all(server, running=yes(given, "running")), target=server.name)


def _went_on(what: str, *, was: bool, target: str = "") -> Outcome:
    said = _GOES_ON if was else _WAS_NOT
    return Outcome(said=said, values={"what": what}, target=target or what, before="paused" if was else "", data=was)


def _close(server: Server, given: Given) -> Outcome:
    message, rejects = given.get("message", ""), yes(given, "reject_connections")
    closed = begin_maintenance_on(server, message, for_seconds=seconds(given, "seconds"), reject_connections=rejects)
    return Outcome(said="New work is refused: {text}.", values={"text": closed.text}, target=server.name,
                   after="maintenance")  # fmt: skip


def _open(server: Server, given: Given) -> Outcome:  # noqa: ARG001  # as every act
    was = end_maintenance_on(server)
    said = "New work is taken again." if was else "New work was taken already."
    return Outcome(said=said, target=server.name, before="maintenance" if was else "", data=was)


def _reject(server: Server, given: Given) -> Outcome:  # noqa: ARG001
    was = reject_connections_on(server, True)
    said = "New connections were rejected already." if was else "New connections are rejected."
    return Outcome(said=said, target=server.name, after="rejected")


def _accept(server: Server, given: Given) -> Outcome:  # noqa: ARG001
    was = reject_connections_on(server, False)
    said = "New connections are taken again." if was else "New connections were taken already."
    return Outcome(said=said, target=server.name, before="rejected" if was else "")


def _stop(server: Server, given: Given) -> Outcome:
    state, workers = stop_epoch(server.store, seconds(given, "grace"))
    return Outcome(said="The server is to stop; {count} workers are told.", values={"count": workers},
                   target=server.name, after=state)  # fmt: skip


ACTS: Final = (
    Action(
        name="queue.pause",
        privilege="admin.process",
        run=_pausing("queue", pause_queue),
        title="Pause a queue",
        fields=(_QUEUE, FOR, _RUNNING),
        cli=command("onserver pause", queue="--queue", seconds="--for", running="--running"),
    ),
    Action(
        name="queue.resume",
        privilege="admin.process",
        run=_resuming("queue", resume_queue),
        title="Let a queue go on",
        fields=(_QUEUE, _RUNNING),
        cli=command("onserver resume", queue="--queue", running="--running"),
    ),
    Action(
        name="queue.purge",
        privilege="admin.process",
        run=_purge_queue,
        title="Drop what waits in a queue",
        confirm="typed",
        fields=(_QUEUE,),
        cli=command("celery -A workers purge -f", queue="-Q"),
    ),
    Action(
        name="procedure.pause",
        privilege="admin.process",
        run=_pausing("procedure", pause_procedure),
        title="Pause a procedure",
        fields=(_PROCEDURE, FOR, _RUNNING),
        cli=command("onserver pause", procedure="--procedure", seconds="--for", running="--running"),
    ),
    Action(
        name="procedure.resume",
        privilege="admin.process",
        run=_resuming("procedure", resume_procedure),
        title="Let a procedure go on",
        fields=(_PROCEDURE, _RUNNING),
        cli=command("onserver resume", procedure="--procedure", running="--running"),
    ),
    Action(
        name="server.pause",
        privilege="admin.process",
        run=_pause_all,
        title="Pause everything",
        confirm="ask",
        fields=(FOR, _RUNNING),
        cli=command("onserver pause --all", seconds="--for", running="--running"),
        target=lambda _given: _ALL,
    ),
    Action(
        name="server.resume",
        privilege="admin.process",
        run=_resume_all,
        title="Let everything go on",
        fields=(_RUNNING,),
        cli=command("onserver resume --all", running="--running"),
        target=lambda _given: _ALL,
    ),
    Action(
        name="maintenance.on",
        privilege="admin.worker",
        run=_close,
        title="Refuse new work",
        confirm="ask",
        fields=(
            Field(name="message", maximum=500, label="What those are told who are refused"),
            FOR,
            Field(name="reject_connections", kind="bool", label="New clients as well"),
        ),
        cli=command(
            "onserver maintenance on",
            message="--message",
            seconds="--for",
            reject_connections="--reject-connections",
        ),
        target=lambda _given: "",
    ),
    Action(
        name="maintenance.off",
        privilege="admin.worker",
        run=_open,
        title="Take new work again",
        fields=(),
        cli=command("onserver maintenance off"),
    ),
    Action(
        name="connections.reject",
        privilege="admin.session",
        run=_reject,
        title="Reject new connections",
        confirm="ask",
        fields=(),
        cli=command("onserver connections reject"),
    ),
    Action(
        name="connections.accept",
        privilege="admin.session",
        run=_accept,
        title="Take new connections again",
        fields=(),
        cli=command("onserver connections accept"),
    ),
    Action(
        name="server.stop",
        privilege="admin.worker",
        run=_stop,
        title="Stop the server",
        confirm="typed",
        fields=(_SERVER, Field(name="grace", kind="seconds", maximum=86_400, label="How long what runs may go on")),
        cli=command("onserver stop", grace="--grace"),
    ),
)
"""Each of them."""
