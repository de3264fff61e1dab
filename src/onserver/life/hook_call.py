"""Running the hooks of one kind in place, one after the other, and what their answers mean.

The conventions are the original's (specification 6.12), and closed where it says nothing:

    hook                         goes on          refuses                     raises, its time is up, no number
    on_backup_startup            None or 0        any other whole number      refuses, with `FAILED_CODE`
    on_server_open_connection    None or 0        any other whole number      refuses, with `FAILED_CODE`
    all others                   whatever they return                         is recorded and shown; nothing else

The first refusal is the one that counts, and the hooks behind it are not asked. True and False are no numbers: what
they mean here would be the opposite of what they mean for a web log-in.

Each hook has its own time limit (see `in_place`), runs in the stored-procedure session, and leaves a record (see
`hook_records`). What ends the run around it (an abort, a stop, Ctrl-C) passes through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import Any, Final

from onserver.errors import HookFailed, ProcedureNotFound
from onserver.interrupt import Interrupted
from onserver.life.hook import ARGUMENTS, REFUSING, Hook, RunOn, hooks_of
from onserver.life.hook_arguments import HookArgument, Refusable
from onserver.life.hook_records import Noting, Outcome
from onserver.life.in_place import TimeIsUp, run_within
from onserver.process import coroutines
from onserver.process.failure import error_of
from onserver.server import Server
from onserver.session.context import Run, current_run, entered

#: The code of a refusal by a hook that raised, hung, or answered what is no number.
FAILED_CODE: Final = HookFailed.code


@dataclass(frozen=True, kw_only=True)
class HookOutcome:
    """How one hook ended.

    Attributes:
        name: of the hook.
        outcome: `ok`, `veto`, `failed` or `timeout`.
        code: of a hook that may refuse: 0 where it does not; of any other 0.
        value: what it returned; None where it did not.
        reason: of a refusal what was given with it; else what it raised, in one line; "" where it ended well.
        seconds: that it took.
        error: what it raised, None if nothing.
    """

    name: str
    outcome: Outcome
    code: int = 0
    value: Any = None
    reason: str = ""
    seconds: float = 0.0
    error: BaseException | None = field(default=None, compare=False)

    @property
    def refuses(self) -> bool:
        """Whether it says no."""
        return self.code != 0


def call_hooks(
    server: Server,
    kind: str,
    argument: HookArgument | None = None,
    *,
    hooks: Sequence[Hook] | None = None,
    run_on: RunOn | None = None,
    ask_all: bool = False,
) -> list[HookOutcome]:
    """Run the hooks of a kind here and now, in their order.

    Args:
        server: the loaded project.
        kind: one of `hook.KINDS`.
        argument: what they are called with.
        hooks: these, instead of all of the kind.
        run_on: only those that are to run there.
        ask_all: go on after one that refuses.

    Returns:
        One outcome for each that was run; a refusal is the last, unless all are asked.

    Raises:
        Interrupted: what this is a part of is ended; the hooks behind were not run.
        BrokerUnavailable: ONS-1201, the record of a run could not be written.
    """
    chosen = hooks_of(server, kind) if hooks is None else hooks
    outcomes: list[HookOutcome] = []
    for hook in chosen:
        if run_on is None or hook.run_on == run_on:
            outcomes.append(call_hook(server, hook, argument))
            if outcomes[-1].refuses and not ask_all:
                break
    return outcomes


def refusal(outcomes: Sequence[HookOutcome]) -> HookOutcome | None:
    """The first that refuses, or None."""
    return next((outcome for outcome in outcomes if outcome.refuses), None)


def call_hook(server: Server, hook: Hook, argument: HookArgument | None = None) -> HookOutcome:
    """Run one hook here and now, and write its record. See `call_hooks`."""
    noting, began = Noting(server, hook.kind, hook), monotonic()
    noting.begins()
    seconds = hook.seconds(server)
    try:
        value = run_within(seconds, _body(server, hook, argument))
    except (KeyboardInterrupt, Interrupted):
        raise
    except TimeIsUp as late:
        outcome = _failed(hook, f"it ran for more than {seconds:g} s", late.__cause__ or late, "timeout")
    except BaseException as error:  # noqa: BLE001  # SystemExit too: what a hook raises is how it ends
        outcome = _failed(hook, _line(error), _from_hook(error, hook), "failed")
    else:
        outcome = _answered(hook, value, argument)
    took = monotonic() - began
    trace = error_of(outcome.error) if outcome.error is not None else b""
    noting.ended(outcome.outcome, took, value=outcome.value, reason=outcome.reason, error=trace)
    if outcome.error is not None:
        _show(hook, outcome)
    return replace(outcome, seconds=took)


def run_side_hook(side: str, *args: Any) -> dict[str, Any]:
    """Run one hook as a side run. Returns its outcome as a value.

    Args:
        side: the hook's name as a side run; see `hook.side_name`.
        args: what it is called with, as it has travelled.

    Raises:
        ProcedureNotFound: ONS-1104, this worker has no such hook.
        HookFailed: ONS-5301, its time was up; what it raises otherwise is raised.
    """
    server = Server.current()
    kind, _, name = side.partition(":")
    hook = server.registry.find(name, kind.replace("-", " "))
    if not isinstance(hook, Hook):
        raise ProcedureNotFound(side, (), len(server.registry.names(kind)))
    outcome = call_hook(server, hook, _argument(hook, args))
    if outcome.outcome == "timeout":
        raise HookFailed(hook.kind, hook.name, f"ProcessTimeout: {outcome.reason}", "") from outcome.error
    if outcome.error is not None and outcome.value is None:
        raise outcome.error
    return {name: fact for name, fact in vars(outcome).items() if name != "error"}


def _argument(hook: Hook, args: Sequence[Mapping[str, Any]]) -> HookArgument | None:
    made = ARGUMENTS.get(hook.kind)
    return made.read(args[0]) if made is not None and args else None


def _body(server: Server, hook: Hook, argument: HookArgument | None) -> Callable[[], Any]:
    """What is run within the limit: the hook, in a run of its own where no process is running."""
    args = () if argument is None else (argument,)

    def body() -> Any:
        with nullcontext() if current_run() is not None else _outside(server, hook):
            return coroutines.run(hook.function(*args)) if hook.awaited else hook.function(*args)

    return body


@contextmanager
def _outside(server: Server, hook: Hook) -> Generator[None]:
    """The stored-procedure session, for a program that runs no process: a member, as long as the hook may lock."""
    with server.client.holding() as holder:
        run = Run(
            number=0,
            delivery=1,
            holder=holder,
            procedure=hook.name,
            name=hook.name,
            root=0,
            session=server.session(),
            caller=None,
            started=time(),
        )
        with entered(run):
            yield


def _answered(hook: Hook, value: Any, argument: HookArgument | None) -> HookOutcome:
    if hook.kind not in REFUSING or value is None:
        return HookOutcome(name=hook.name, outcome="ok", value=value)
    if isinstance(value, bool) or not isinstance(value, int):
        error = TypeError(f"it answered {value!r}, which is neither None nor a whole number")
        return _failed(hook, _line(error), error, "failed")
    reason = argument.reason_of(int(value)) if isinstance(argument, Refusable) and value else ""
    outcome: Outcome = "veto" if value else "ok"
    return HookOutcome(name=hook.name, outcome=outcome, code=int(value), value=int(value), reason=reason)


def _failed(hook: Hook, reason: str, error: BaseException, outcome: Outcome) -> HookOutcome:
    code = FAILED_CODE if hook.kind in REFUSING else 0
    return HookOutcome(name=hook.name, outcome=outcome, code=code, reason=reason, error=error)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _from_hook(error: BaseException, hook: Hook) -> BaseException:
    """The same without our frames above those of the hook."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not getattr(hook.function, "__code__", None):
        trace = trace.tb_next
    return error if trace is None else error.with_traceback(trace)


def _show(hook: Hook, outcome: HookOutcome) -> None:
    """What a hook raised is told where it ran: on the screen, and in the log of its process."""
    sys.stderr.write(f"{hook.kind} hook {hook.name} {outcome.outcome}: {outcome.reason}\n")
