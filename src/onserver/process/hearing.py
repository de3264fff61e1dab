"""Waiting for what Redis tells: a signal, a semaphore, a variable, a call that wakes a sleeper.

What is waited for is a `Told`: a script that answers how things stand now, or registers the address under which the
inbox of this program will be told. It is asked when the wait begins, again after each reconnect, and every
`LOOK_SECONDS`; between that nothing is sent. Everything else is the inbox's, so a message that is lost is only late.

`heard` is the wait itself, written as steps: blocking and in a running loop it is the same conversation. In a process
it is said in the record, from the fiftieth millisecond on, and goes on in slices, so that it heeds what is asked of the
process meanwhile.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from onserver.checkpoint import SLICE_SECONDS, asked
from onserver.errors import BrokerUnavailable
from onserver.process.inbox import LOOK_SECONDS, PATIENCE_SECONDS, Awaited, End, Inbox, Watch
from onserver.process.pump import Pump
from onserver.process.record import State
from onserver.process.waits import say
from onserver.server import Server
from onserver.session.context import current_run
from onserver.session.steps import HEED, Step, Steps

#: How long a process waits before it says so: shorter waits are not worth two round trips.
_UNSAID_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.1


class Told(Awaited):
    """Something that is told once.

    Args:
        ask: given an address, answers {word, payload} if it has happened, or else registers the address and answers
            nothing. May be called again and again.
    """

    __slots__ = ("_ask",)

    def __init__(self, ask: Callable[[str], Sequence[Any] | None]) -> None:
        super().__init__()
        self._ask = ask

    def look(self, address: str) -> End | None:
        """Ask Redis."""
        answer = self._ask(address)
        return None if answer is None else End(answer[0].decode(), bytes(answer[1]))


def heard(server: Server, told: Told, timeout: float | None, what: str = "") -> Steps[End | None]:
    """Wait until it is told; None when it was not within `timeout` seconds.

    Args:
        server: whose Redis tells it.
        told: what is waited for.
        timeout: seconds; None waits as long as it takes.
        what: how the record of the process that waits names it; empty where the script says it.
    """
    run, until = current_run(), None if timeout is None else monotonic() + timeout
    if run is None or not what:
        end = yield from _until(server, told, until)
        return end
    quick = monotonic() + _UNSAID_SECONDS
    end = yield from _until(server, told, quick if until is None else min(until, quick))
    if end is not None or _over(until):
        return end
    yield Step(lambda: say(server, run, State.WAITING, what))
    try:
        end = yield from _until(server, told, until)
    except GeneratorExit:
        raise
    except BaseException:
        yield Step(lambda: say(server, run, State.RUNNING, ""))
        raise
    yield Step(lambda: say(server, run, State.RUNNING, ""))
    return end


def _until(server: Server, told: Told, until: float | None) -> Steps[End | None]:
    """Wait, and heed meanwhile what is asked of the process that waits."""
    while True:
        yield HEED
        end: End | None = yield hear(server, told, None if until is None else until - monotonic())
        if end is not None or _over(until):
            return end


def hear(server: Server, told: Told, seconds: float | None) -> Step:
    """Wait until it is told, `seconds` are over, or something is asked of the process that waits; answers the end."""
    return Step(lambda: _hear(server, told, seconds), idle=True, acall=lambda: _ahear(server, told, seconds))


def _over(until: float | None) -> bool:
    return until is not None and monotonic() >= until


def _hear(server: Server, told: Told, seconds: float | None) -> End | None:
    inbox, watch = server.part(Inbox), Watch()
    until = None if seconds is None else monotonic() + seconds
    patience, looked = monotonic() + PATIENCE_SECONDS, False
    slice_seconds = LOOK_SECONDS if current_run() is None else SLICE_SECONDS
    inbox.attach(told, watch)
    try:
        while told.end is None and not (looked and (_over(until) or asked())):
            try:
                if inbox._link is None:
                    inbox.connect()
                inbox.look_up((told,))
                looked = True
                if told.end is None:
                    inbox.wait(watch, slice_seconds if until is None else min(slice_seconds, until - monotonic()))
                patience = monotonic() + PATIENCE_SECONDS
            except BrokerUnavailable:
                if monotonic() >= patience:
                    raise
                watch.sleep(_PAUSE_SECONDS)
    finally:
        inbox.detach(told, watch)
    return told.end


async def _ahear(server: Server, told: Told, seconds: float | None) -> End | None:
    await server.part(Pump).end_or_call(told, seconds)
    return told.end
