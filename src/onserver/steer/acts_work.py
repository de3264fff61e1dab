"""What can be done to workers, hooks, events and schedules."""

from __future__ import annotations

from typing import Final, get_args

from onserver.errors import NotDone
from onserver.life.drain import only_drains, order_drain
from onserver.life.events import tell_own
from onserver.life.resizing import MOST_EXECUTORS, order_executors
from onserver.life.side_runs import start_side
from onserver.process.added import add_schedule, change_schedule, remove_schedule
from onserver.process.control import asked_by
from onserver.process.plan import hold, planned, start_by_hand
from onserver.process.rules import Missed
from onserver.server import Server
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.made import Given, arguments, command, facts, number, seconds
from onserver.views.hook_lanes import find_declared
from onserver.views.hooks_found import marked, trial_argument
from onserver.views.members import MemberRow, members

_MEMBER: Final = Field(name="member", required=True, maximum=200, label="Worker")
_SCHEDULE: Final = Field(name="schedule", required=True, maximum=200, label="Schedule")
_MISSED: Final[tuple[Missed, ...]] = get_args(Missed)
_WHAT_WAS_MISSED: Final = Field(
    name="missed", kind="choice", choices=_MISSED, label="What becomes of times that pass while no worker is up"
)
_ARGUMENTS: Final = (
    Field(name="args", kind="json", label="Arguments, a JSON list"),
    Field(name="kwargs", kind="json", label="Named arguments, a JSON object"),
)
_LAST: Final = "is the only worker that stays: `onserver stop` ends the server"
_SCALES_ITSELF: Final = "is a worker of Celery's: `celery control pool_grow` and `pool_shrink` do it there"


# ---- workers


def _drain(server: Server, given: Given) -> Outcome:
    return _left(server, given, "member.drain", seconds(given, "grace"))


def _stop(server: Server, given: Given) -> Outcome:
    worker = _worker(server, given["member"])
    if only_drains(server.store, worker.number):
        raise NotDone("member.stop", f"`{worker.node}` is a worker of Celery's, which finishes what it runs: drain it")
    return _left(server, given, "member.stop", 0.0)


def _left(server: Server, given: Given, action: str, grace: float | None) -> Outcome:
    worker = _worker(server, given["member"])
    answer = order_drain(server.store, worker.number, grace)
    if answer == "last":
        raise NotDone(action, f"`{worker.node}` {_LAST}")
    said = "Worker {name} is to leave." if answer == "ordered" else "Worker {name} is leaving already."
    return Outcome(said=said, values={"name": worker.node}, target=worker.node, before=f"{worker.runs} running",
                   after="leaving", instead={f"/members/{worker.number}": "/members"})  # fmt: skip


def _resize(server: Server, given: Given) -> Outcome:
    worker, count = _worker(server, given["member"]), number(given, "executors")
    answer = order_executors(server.store, worker.number, count)
    if answer != "ordered":
        problem = "is leaving already" if answer == "gone" else _SCALES_ITSELF
        raise NotDone("member.executors", f"`{worker.node}` {problem}")
    return Outcome(said="Worker {name} is to have {count} executors.", values={"name": worker.node, "count": count},
                   target=worker.node, before=f"{worker.executors} executors", after=f"{count} executors")  # fmt: skip


def _reload(server: Server, given: Given) -> Outcome:
    store, name = server.store, given.get("member", "")
    chosen = [_worker(server, name)] if name else [row for row in members(store) if row.kind == "worker"]
    for worker in chosen:
        store.command("RPUSH", store.key(f"orders:{worker.number}"), "reload")
    return Outcome(said="{count} workers are to take new code.", values={"count": len(chosen)}, target=name)


def _worker(server: Server, name: str) -> MemberRow:
    found = [row for row in members(server.store) if row.kind == "worker" and name in {row.node, str(row.number)}]
    if len(found) != 1:
        numbers = f": give a number, {', '.join(str(row.number) for row in found)}" if found else ""
        raise NotDone("member", f"{len(found) or 'no'} workers are called `{name}`{numbers}")
    return found[0]


# ---- hooks and events


def _run_hook(server: Server, given: Given) -> Outcome:
    hook = find_declared(server.store, given["hook"])
    if not hook.by_hand:
        raise NotDone("hook.run", f"`{hook.name}` does not say that it may be run by hand: {marked(hook.kind)}")
    trial = trial_argument(hook.kind)
    (process,) = start_side(server, hook.side, [] if trial is None else [trial], name=f"{hook.kind} {hook.name}")
    return Outcome(said="Hook {name} runs as process {number}.", values={"name": hook.name, "number": process},
                   target=hook.name, data={"process": process}, page=f"/processes/{process}")  # fmt: skip


def _tell(server: Server, given: Given) -> Outcome:
    told = tell_own(server.store, given["event"], facts("event.send", given, "payload"), who=asked_by(server))
    return Outcome(said="Event {name} is told.", values={"name": given["event"]}, target=given["event"],
                   data={"id": told})  # fmt: skip


# ---- schedules


def _start_schedule(server: Server, given: Given) -> Outcome:
    found = planned(server.store, given["schedule"])
    if found.entry.source == "celery":
        problem = f"`{found.entry.name}` is an entry of Celery's `beat_schedule`: its task is started there"
        raise NotDone("schedule.run", problem)
    process = start_by_hand(server, found)
    return Outcome(said="Schedule {name} has started process {number}.",
                   values={"name": found.entry.name, "number": process.number}, target=found.entry.name,
                   data={"process": process.number}, page=f"/processes/{process.number}")  # fmt: skip


def _pause_schedule(server: Server, given: Given) -> Outcome:
    return _held(server, given, asked_by(server))


def _resume_schedule(server: Server, given: Given) -> Outcome:
    return _held(server, given, "")


def _held(server: Server, given: Given, by: str) -> Outcome:
    name = planned(server.store, given["schedule"]).entry.name
    was = hold(server.store, name, by)
    said = "Schedule {name} is paused." if by else "Schedule {name} goes on."
    before = "paused" if was == bool(by) else "goes on"
    return Outcome(said=said, values={"name": name}, target=name, before=before, after="paused" if by else "goes on")


def _add_schedule(server: Server, given: Given) -> Outcome:
    args, kwargs = arguments("schedule.add", given)
    entry, new = add_schedule(
        server, given["times"], given["procedure"], args, kwargs,
        name=given.get("name", ""), timezone=given.get("timezone", "UTC"), missed=_missed(given) or "once",
        by=asked_by(server),
    )  # fmt: skip
    said = "Schedule {name} is added." if new else "There is a schedule {name} already."
    return Outcome(said=said, values={"name": entry.name}, target=entry.name, after="added" if new else "", data=new)


def _change_schedule(server: Server, given: Given) -> Outcome:
    args, kwargs = arguments("schedule.change", given)
    before = planned(server.store, given["schedule"]).entry
    entry, changed = change_schedule(
        server, given["schedule"], times=given.get("times", ""), timezone=given.get("timezone", ""),
        missed=_missed(given), args=args if "args" in given else None, kwargs=kwargs if "kwargs" in given else None,
        by=asked_by(server),
    )  # fmt: skip
    if not changed:
        problem = f"`{entry.name}` is declared by the project ({entry.source}): change it there"
        raise NotDone("schedule.change", problem)
    values = {"name": entry.name, "times": entry.timing.words}
    return Outcome(said="Schedule {name} is changed: {times}.", values=values,
                   target=entry.name, before=before.timing.name, after=entry.timing.name)  # fmt: skip


def _missed(given: Given) -> Missed | None:
    return next((one for one in _MISSED if one == given.get("missed")), None)


def _remove_schedule(server: Server, given: Given) -> Outcome:
    entry = planned(server.store, given["schedule"]).entry
    gone = remove_schedule(server.store, entry.name)
    said = "Schedule {name} is removed." if gone else "Schedule {name} is declared by the project, and stays."
    return Outcome(
        said=said,
        values={"name": entry.name},
        target=entry.name,
        before=entry.source,
        data=gone,
        instead={f"/schedule/{entry.name}": "/schedule"} if gone else {},
    )


ACTS: Final = (
    Action(
        name="member.drain",
        privilege="admin.worker",
        run=_drain,
        title="Let a worker leave",
        confirm="ask",
        fields=(_MEMBER, Field(name="grace", kind="seconds", maximum=86_400, label="How long what runs may go on")),
        cli=command("onserver drain", "member", grace="--grace"),
    ),
    Action(
        name="member.stop",
        privilege="admin.worker",
        run=_stop,
        title="Stop a worker at once",
        confirm="ask",
        fields=(_MEMBER,),
        cli=command("onserver stop", member="--node"),
    ),
    Action(
        name="member.executors",
        privilege="admin.worker",
        run=_resize,
        title="Give a worker more or fewer executors",
        fields=(
            _MEMBER,
            Field(name="executors", kind="whole", required=True, minimum=0, maximum=MOST_EXECUTORS, label="Executors"),
        ),
        cli=command("onserver scale", "member", "executors"),
    ),
    Action(
        name="member.reload",
        privilege="admin.worker",
        run=_reload,
        title="Have workers take new code",
        fields=(Field(name="member", maximum=200, label="Worker, or nothing for all"),),
        cli=command("onserver reload", "member"),
    ),
    Action(
        name="hook.run",
        privilege="admin.hook",
        run=_run_hook,
        title="Run a hook",
        confirm="ask",
        fields=(Field(name="hook", required=True, maximum=200, label="Hook"),),
        cli=command("onserver hooks run", "hook"),
    ),
    Action(
        name="event.send",
        privilege="admin.hook",
        run=_tell,
        title="Tell an event",
        fields=(
            Field(name="event", required=True, maximum=64, label="Event"),
            Field(name="payload", kind="json", label="Payload, a JSON object"),
        ),
        cli=command("onserver hooks event", "event"),
    ),
    Action(
        name="schedule.run",
        privilege="admin.process",
        run=_start_schedule,
        title="Start what a schedule starts",
        fields=(_SCHEDULE,),
        cli=command("onserver schedule run", "schedule"),
    ),
    Action(
        name="schedule.pause",
        privilege="admin.process",
        run=_pause_schedule,
        title="Pause a schedule",
        fields=(_SCHEDULE,),
        cli=command("onserver schedule pause", "schedule"),
    ),
    Action(
        name="schedule.resume",
        privilege="admin.process",
        run=_resume_schedule,
        title="Let a schedule go on",
        fields=(_SCHEDULE,),
        cli=command("onserver schedule resume", "schedule"),
    ),
    Action(
        name="schedule.add",
        privilege="admin.config",
        run=_add_schedule,
        title="Add a schedule",
        fields=(
            Field(name="times", required=True, maximum=200, label="Times, as `0 2 * * *` or `every 5m`"),
            Field(name="procedure", required=True, maximum=200, label="Procedure"),
            *_ARGUMENTS,
            Field(name="name", maximum=200, label="Name"),
            Field(name="timezone", maximum=60, label="Time zone"),
            _WHAT_WAS_MISSED,
        ),
        cli=command(
            "onserver schedule add", "times", "procedure", name="--name", timezone="--timezone", missed="--missed"
        ),
    ),
    Action(
        name="schedule.change",
        privilege="admin.config",
        run=_change_schedule,
        title="Change a schedule",
        fields=(
            _SCHEDULE,
            Field(name="times", maximum=200, label="Times, as `0 2 * * *` or `every 5m`"),
            Field(name="timezone", maximum=60, label="Time zone"),
            _WHAT_WAS_MISSED,
            *_ARGUMENTS,
        ),
        cli=command("onserver schedule change", "schedule", times="--times", timezone="--timezone", missed="--missed"),
    ),
    Action(
        name="schedule.remove",
        privilege="admin.config",
        run=_remove_schedule,
        title="Remove a schedule",
        confirm="ask",
        fields=(_SCHEDULE,),
        cli=command("onserver schedule rm", "schedule"),
    ),
)
"""Each of them."""
