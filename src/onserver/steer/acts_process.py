"""What can be done to processes, and to what was dead-lettered."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from onserver.errors import BadField, NotDone, ProcessNotFound
from onserver.process.control import abort, pause, replay, resume
from onserver.process.execute import order_of
from onserver.process.letters import LETTERS
from onserver.process.put import Sender
from onserver.process.record import read_record
from onserver.process.signals import signal_on
from onserver.process.stack import order_stack
from onserver.server import Server
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.made import PROCESS, REASON, Given, arguments, command, line, number, seconds, state_of
from onserver.views.finding import every, full_name
from onserver.views.parameters import bound
from onserver.views.process_shown import procedure_of
from onserver.views.processes import Seen

_PRIVILEGE: Final = "admin.process"
_MANY: Final = 10_000
#: What the name of a field begins with that is one argument of a start.
_ARGUMENT: Final = "arg."


def _start(server: Server, given: Given) -> Outcome:
    name = full_name(server.store, given["procedure"])
    args, kwargs = _arguments(server, name, given)
    process = server.part(Sender).put(order_of(server, name), args, kwargs)
    said = "Process {number} is started."
    return Outcome(said=said, values={"number": process.number}, after=state_of(server, process.number),
                   target=name, data={"process": process.number}, page=f"/processes/{process.number}")  # fmt: skip


def _arguments(server: Server, name: str, given: Given) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a start: each by the name of its parameter, or all as JSON."""
    texts = {field.removeprefix(_ARGUMENT): text for field, text in given.items() if field.startswith(_ARGUMENT)}
    if not texts:
        return arguments("process.start", given)
    if given.get("args") or given.get("kwargs"):
        raise BadField("process.start", "args", "is given beside arguments by their names: give one or the other")
    try:
        return bound(procedure_of(server.store, name), texts)
    except ValueError as error:
        parameter, problem = error.args
        raise BadField("process.start", f"{_ARGUMENT}{parameter}"[:100], problem) from error


def _call(given: Given) -> str:
    """Write the command line of a start."""
    named = [f"{field.removeprefix(_ARGUMENT)}={text}" for field, text in given.items() if field.startswith(_ARGUMENT)]
    return line("onserver", "call", given.get("procedure", ""), *named)


def _abort(server: Server, given: Given, force_after: float | None) -> Outcome:
    process = number(given)
    before = state_of(server, process)
    answer = abort(server, process, given.get("reason", ""), force_after=force_after)
    return _answered(process, before, answer.state.value, answer.text)


def _answered(process: int, before: str, after: str, text: str) -> Outcome:
    return Outcome(said="Process {number}: {text}.", values={"number": process, "text": text}, before=before,
                   after=after, target=str(process), data={"process": process, "state": after})  # fmt: skip


def _ask(server: Server, given: Given) -> Outcome:
    return _abort(server, given, seconds(given, "force_after"))


def _force(server: Server, given: Given) -> Outcome:
    return _abort(server, given, 0.0)


def _pause(server: Server, given: Given) -> Outcome:
    before = state_of(server, number(given))
    answer = pause(server, number(given))
    return _answered(answer.number, before, answer.state.value, answer.text)


def _resume(server: Server, given: Given) -> Outcome:
    before = state_of(server, number(given))
    answer = resume(server, number(given))
    return _answered(answer.number, before, answer.state.value, answer.text)


def _replay(server: Server, given: Given) -> Outcome:
    before = state_of(server, number(given))
    answer = replay(server, number(given))
    return _answered(answer.number, before, answer.state.value, answer.text)


def _abort_all(server: Server, given: Given) -> Outcome:
    name = full_name(server.store, given["procedure"])
    found = [row.number for row in islice(every(Seen(server.store), name), _MANY + 1)]
    if len(found) > _MANY:
        problem = (
            f"`{name}` has more than {_MANY:,} processes: `onserver abort --all --procedure {name}` takes them all"
        )
        raise NotDone("process.abort_all", problem)
    if len(found) != number(given, "count"):
        problem = f"`{name}` has {len(found)} processes that have not ended, and not {given['count']}"
        raise NotDone("process.abort_all", problem)
    for process in found:
        abort(server, process, given.get("reason", ""))
    said = "{count} processes of {name} are to stop."
    return Outcome(said=said, values={"count": len(found), "name": name}, target=name, before=f"{len(found)} processes",
                   data={"processes": found})  # fmt: skip


def _stack(server: Server, given: Given) -> Outcome:
    process = number(given)
    order_stack(server, process)
    said = "Where process {number} is, it is writing to its log."
    return Outcome(said=said, values={"number": process}, target=str(process), page=f"/processes/{process}")


def _signal(server: Server, given: Given) -> Outcome:
    triggered = signal_on(server, given["signal"]).trigger()
    said = "Signal {name} is triggered." if triggered else "Signal {name} was triggered already."
    return Outcome(said=said, values={"name": given["signal"]}, target=given["signal"])


def _drop(server: Server, given: Given) -> Outcome:
    process = number(given)
    found = read_record(server.store, process)
    if found is None:
        raise ProcessNotFound(process)
    if found.state not in LETTERS or not server.store.run("forget", f"#{process}"):
        raise NotDone("dead.drop", f"process {process} is neither dead nor failed: it is {found.state}")
    return Outcome(said="Process {number} is dropped.", values={"number": process}, target=str(process),
                   before=found.state.value, instead={f"/processes/{process}": "/processes"})  # fmt: skip


ACTS: Final = (
    Action(
        name="process.start",
        privilege=_PRIVILEGE,
        run=_start,
        title="Start a process",
        fields=(
            Field(name="procedure", required=True, maximum=200, label="Procedure"),
            Field(name="args", kind="json", label="Arguments, a JSON list"),
            Field(name="kwargs", kind="json", label="Named arguments, a JSON object"),
        ),
        cli=_call,
        more=_ARGUMENT,
    ),
    Action(
        name="process.abort",
        privilege=_PRIVILEGE,
        run=_ask,
        title="Abort a process",
        confirm="ask",
        fields=(
            PROCESS,
            REASON,
            Field(name="force_after", kind="seconds", maximum=86_400, label="Kill it after"),
        ),
        cli=command("onserver abort", "process", reason="--reason", force_after="--force-after"),
    ),
    Action(
        name="process.force",
        privilege=_PRIVILEGE,
        run=_force,
        title="Kill the executor of a process",
        confirm="ask",
        fields=(PROCESS, REASON),
        cli=command("onserver abort --force", "process", reason="--reason"),
    ),
    Action(
        name="process.pause",
        privilege=_PRIVILEGE,
        run=_pause,
        title="Pause a process",
        fields=(PROCESS,),
        cli=command("onserver pause", "process"),
    ),
    Action(
        name="process.resume",
        privilege=_PRIVILEGE,
        run=_resume,
        title="Let a process go on",
        fields=(PROCESS,),
        cli=command("onserver resume", "process"),
    ),
    Action(
        name="process.replay",
        privilege=_PRIVILEGE,
        run=_replay,
        title="Run a process again",
        fields=(PROCESS,),
        cli=command("onserver dead replay", "process"),
    ),
    Action(
        name="process.stack",
        privilege=_PRIVILEGE,
        run=_stack,
        title="Tell where a process is",
        fields=(PROCESS,),
        cli=command("onserver stack", "process"),
    ),
    Action(
        name="process.abort_all",
        privilege=_PRIVILEGE,
        run=_abort_all,
        title="Abort all processes of a procedure",
        confirm="typed",
        fields=(
            Field(name="procedure", required=True, maximum=200, label="Procedure"),
            Field(name="count", kind="whole", required=True, minimum=0, maximum=_MANY, label="How many there are"),
            REASON,
        ),
        cli=command("onserver abort --all", procedure="--procedure", reason="--reason"),
    ),
    Action(
        name="process.signal",
        privilege=_PRIVILEGE,
        run=_signal,
        title="Trigger a signal",
        fields=(Field(name="signal", required=True, maximum=200, label="Signal"),),
        cli=command("onserver signal", "signal"),
    ),
    Action(
        name="dead.drop",
        privilege=_PRIVILEGE,
        run=_drop,
        title="Drop a dead process for good",
        confirm="ask",
        fields=(PROCESS,),
        cli=command("onserver dead drop --yes", "process"),
    ),
)
"""Each of them."""
