"""The short runner: one lean process, from its claim to what is said of it.

Everything is decided by what is in the claim and in this program: nothing here talks to Redis. The one who claimed
sends the settlement, together with the next claim.

An outcome is a value, not an exception, from the moment that the body has returned or raised; so what may go wrong
after the run (a result that cannot be sent, or is too large) ends the process as `FAILED` and nothing else. What is
raised to end the run from outside (`Interrupted`, Ctrl-C) is no outcome and passes through: the process is not settled
here.

The body of an `async def` procedure is awaited where a loop runs many of them (`aperform`), and else run on the loop of
this thread (see `coroutines`).
"""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time
from typing import Any, NamedTuple, Protocol, TypeAlias

from onserver.errors import BadSignature, BrokerUnavailable, NotSendable, ProcedureNotFound, ProcessTimeout
from onserver.interrupt import Interrupted
from onserver.process import coroutines
from onserver.process.admission import admitted, resource_of
from onserver.process.attempts import next_attempt
from onserver.process.claim import Claim, Settlement
from onserver.process.current import ThisProcess
from onserver.process.failure import error_of
from onserver.process.in_session import IN_CALLERS_SESSION, InSession, session_of_run
from onserver.process.procedure import AsyncProcedure, Procedure
from onserver.process.record import State
from onserver.process.side import BUILT_INS, find_side
from onserver.process.signing import Signer
from onserver.process.tracing import tracing
from onserver.registry import PROCEDURE, Declared
from onserver.server import Server
from onserver.session.context import Run, entered
from onserver.session.promotions import Scope
from onserver.values import decode, encode

#: Frames of ours above the body's in a traceback.
_OUR_FRAMES = 1

Arguments: TypeAlias = tuple[Sequence[Any], Mapping[str, Any]]


class Call(NamedTuple):
    """What is to be run: a function of the project, its arguments, and under which name and snapshot."""

    name: str
    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    caller: Mapping[str, Any]
    #: The session in which it runs.
    where: InSession
    #: Whether the body wants its process as first argument.
    pass_process: bool
    #: Whether the body is a coroutine.
    coroutine: bool = False


class Returned(NamedTuple):
    """The body returned."""

    value: Any


class Raised(NamedTuple):
    """The body raised, or there was nothing to run; `skip` frames of the traceback are ours."""

    error: BaseException
    skip: int = 0
    #: Whether the body raised it: then its procedure's `retry` is asked.
    by_body: bool = False


class Uncounted(NamedTuple):
    """Nothing was run, and it is handed back: its limit counts by a key that only this code could work out.

    Without a key: Redis gave no answer to what had to be known first.
    """

    key: str


Outcome: TypeAlias = Returned | Raised


class Observer(Protocol):
    """Told of each run; Celery's signals are sent by one."""

    def before(self, run: Run, call: Call) -> None:
        """The body is about to begin."""
        ...

    def after(self, run: Run, call: Call, outcome: Outcome) -> None:
        """The body has ended."""
        ...


#: Who is told. What one of them raises ends the process as `FAILED`, where it is seen.
observers: list[Observer] = []


def run(claim: Claim, server: Server, holder: str) -> Settlement:
    """Run one lean process, and say how it ended.

    Args:
        claim: what was claimed, or handed over.
        server: the loaded project.
        holder: in whose name it is held, "member.incarnation".

    Returns:
        The settlement: number, `end`, `retry` or `back`, state, result or error, and which call of a mailbox it was.
    """
    prepared = prepare(claim, server)
    outcome = perform(prepared, claim, server, holder) if isinstance(prepared, Call) else prepared
    return settlement(claim, server, outcome)


def prepare(claim: Claim, server: Server) -> Call | Raised | Uncounted:
    """Verify who asked for it and still may, find the function and decode the arguments."""
    try:
        number = 0 if claim.begun else claim.number
        signer = server.part(Signer)
        asked = signer.verify(claim.caller, claim.procedure, claim.body, claim.accepted_ms, number=number)
        found = _found(claim, server)
        caller = admitted(server, claim, asked, found)
        args, kwargs = decode(claim.body)
        key = missing_key(claim, server, args, kwargs)
        if key:
            return Uncounted(key)
        where = session_of_run(server, claim.flags, caller, found.name, resource_of(found))
    except BrokerUnavailable:
        return Uncounted("")
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a message is how its process ends
        return Raised(error)
    pass_process = isinstance(found, Procedure) and found.pass_process
    hook = claim.hook and inspect.iscoroutinefunction(found.function)
    coroutine = isinstance(found, AsyncProcedure) or bool(hook)
    return Call(found.name, found.function, args, kwargs, caller, where, pass_process, coroutine)


def missing_key(claim: Claim, server: Server, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Answer the key of its limit, where whoever started it could not tell; empty where nothing is missing."""
    found = None if claim.limit else server.registry.find(claim.procedure)
    return found.order.key_in_limit(args, kwargs) if isinstance(found, Procedure) else ""


def perform(call: Call, claim: Claim, server: Server, holder: str) -> Outcome:
    """Call the body inside its run: from here on `session()`, `process()` and `caller()` answer."""
    this, traced = _run_of(call, claim, holder), tracing()
    with entered(this):
        if traced is None:
            return _observed(call, this, server) if observers else _called(call, this, server)
        with traced.running(this, claim) as span:
            outcome = _observed(call, this, server)
            if isinstance(outcome, Raised):
                traced.failed(span, claim, outcome.error)
            return outcome


def _observed(call: Call, this: Run, server: Server) -> Outcome:
    try:
        for observer in observers:
            observer.before(this, call)
        outcome = _called(call, this, server)
        for observer in observers:
            observer.after(this, call, outcome)
    except Exception as error:  # noqa: BLE001  # of an observer: the body's own are an outcome already
        return Raised(error)
    return outcome


async def aperform(
    call: Call, claim: Claim, server: Server, holder: str, end_tasks: Callable[[], Awaitable[None]]
) -> Outcome:
    """`perform` on a loop that runs others as well. A cancellation passes through.

    Args:
        call: what is to be run.
        claim: what was claimed.
        server: the loaded project.
        holder: in whose name it is held.
        end_tasks: ends what the body leaves behind, before its locks fall.
    """
    this, traced = _run_of(call, claim, holder), tracing()
    with entered(this, alone=False):
        if traced is None:
            return await _aobserved(call, this, server, end_tasks)
        with traced.running(this, claim) as span:
            outcome = await _aobserved(call, this, server, end_tasks)
            if isinstance(outcome, Raised):
                traced.failed(span, claim, outcome.error)
            return outcome


async def _aobserved(call: Call, this: Run, server: Server, end_tasks: Callable[[], Awaitable[None]]) -> Outcome:
    try:
        for observer in observers:
            observer.before(this, call)
        outcome = await _closed(call, this, server, end_tasks)
        for observer in observers:
            observer.after(this, call, outcome)
    except Exception as error:  # noqa: BLE001  # as above
        return Raised(error)
    return outcome


def settlement(claim: Claim, server: Server, outcome: Outcome | Uncounted) -> Settlement:
    """Say an outcome in the words of the record."""
    if isinstance(outcome, Returned):
        try:
            return (claim.number, "end", State.DONE, _result(server, outcome.value), claim.call)
        except NotSendable as error:
            outcome = Raised(error)
    if isinstance(outcome, Uncounted):
        return (claim.number, "back", "", outcome.key.encode(), "key" if outcome.key else "")
    failure = error_of(outcome.error, outcome.skip)
    again = _next_attempt(claim, server, outcome)
    if again:
        return (claim.number, "retry", again, failure, claim.call)
    if claim.call and IN_CALLERS_SESSION not in claim.flags:  # who calls a twin hears of it
        _show(claim, failure)
    retired = isinstance(outcome.error, BadSignature) and outcome.error.key and not claim.call
    return (claim.number, "end", State.DEAD if retired else State.FAILED, failure, claim.call)


def out_of_time(claim: Claim, server: Server, cut: BaseException | None = None) -> Settlement:
    """Say that a run has reached its time limit: however it has ended then, its time was up.

    Args:
        claim: what ran.
        server: the loaded project.
        cut: what was raised in it for that: its traceback tells where it was; None where it said nothing of it.
    """
    error = ProcessTimeout(claim.number, claim.timeout_ms / 1000, limit="timeout")
    error.__cause__ = cut
    return settlement(claim, server, Raised(error, by_body=True))


def _next_attempt(claim: Claim, server: Server, outcome: Raised) -> str:
    """Answer what is said of it if it is run again because of what it raised, else nothing."""
    found = server.registry.find(claim.procedure) if outcome.by_body and not (claim.hook or claim.side) else None
    if not isinstance(found, Procedure):
        return ""
    return next_attempt(found.rules.retry, claim.attempts, outcome.error)


def _show(claim: Claim, error: bytes) -> None:
    """Nobody waits for a call of a mailbox: what it raised is told on the screen, and in the log of its process."""
    trace = decode(error)["traceback"]
    sys.stderr.write(f"#{claim.number} {claim.name}: a call of {claim.procedure} failed\n{trace}")


def _run_of(call: Call, claim: Claim, holder: str) -> Run:
    return Run(
        number=claim.number,
        delivery=claim.deliveries + 1,
        holder=holder,
        procedure=call.name,
        name=claim.name or call.name,
        root=claim.root,
        session=call.where.session,
        caller=call.caller,
        started=time(),
        attempt=claim.attempts + 1,
        web=call.where.web,
        scope=Scope(call.where.promoted),
    )


def _found(claim: Claim, server: Server) -> Declared:
    if claim.side:
        side = find_side(claim.procedure)
        if side is None:
            raise ProcedureNotFound(claim.procedure, (), len(BUILT_INS))
        return side
    if claim.hook:
        kind, _, name = claim.hook.partition(" ")[2].rpartition(" ")
        if name != claim.procedure or kind == PROCEDURE:  # what is signed is the name alone
            raise BadSignature(claim.procedure, "it was signed for another process")
    else:
        kind, name = PROCEDURE, claim.procedure
    found = server.registry.find(name, kind)
    if found is None:
        raise ProcedureNotFound(name, (), len(server.registry.names(kind)))
    return found


def _called(call: Call, this: Run, server: Server) -> Outcome:
    try:
        if call.coroutine:
            return coroutines.run(_awaited(call, this, server))
        return Returned(call.function(*_given(call, this, server), **call.kwargs))
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # noqa: BLE001  # SystemExit too: it ends the process, not its executor
        return Raised(error, _OUR_FRAMES, by_body=True)


async def _closed(call: Call, this: Run, server: Server, end_tasks: Callable[[], Awaitable[None]]) -> Outcome:
    try:
        return await _awaited(call, this, server)
    finally:
        await end_tasks()


async def _awaited(call: Call, this: Run, server: Server) -> Outcome:
    try:
        return Returned(await call.function(*_given(call, this, server), **call.kwargs))
    except (Interrupted, asyncio.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001  # as above
        return Raised(error, _OUR_FRAMES, by_body=True)


def _given(call: Call, this: Run, server: Server) -> Sequence[Any]:
    return (ThisProcess(server, this), *call.args) if call.pass_process else call.args


def _result(server: Server, value: Any) -> bytes:
    payload = encode(value, "result")
    limit = server.settings.process.max_result_bytes
    if len(payload) > limit:
        problem = f"is {len(payload):,} bytes; at most {limit:,} can be kept"
        advice = "Put it in the storage or a file and return its name, or raise `process.max_result_bytes`."
        raise NotSendable("The result", problem=problem, advice=advice)
    return payload
