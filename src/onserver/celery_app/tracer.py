"""Celery's tracer in our own executor: for ordinary tasks, and for procedures that came with canvas around them.

The executor has claimed the process and settles it; in between, Celery does all that it promises a task: retries,
links, chords, signals, custom states, `task.request`. What the tracer stores is the settlement (see `backend`); what it
leaves open is released here when it has returned, which is when a message would be acknowledged.
"""

from datetime import UTC, datetime
from typing import Any, Protocol

from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded
from celery import signals, states
from celery.app import trace
from celery.exceptions import Reject
from kombu.serialization import loads, prepare_accept_content

from onserver.celery_app.app import make_app, task_names
from onserver.celery_app.holding import held_here
from onserver.celery_app.message import rebuild
from onserver.celery_app.procedures import register_procedures
from onserver.celery_app.qos import REFUSED
from onserver.celery_app.signals_of_runs import send_signals
from onserver.celery_app.time_limit import soft_time_limit
from onserver.celery_app.wrapping import wrapped_by
from onserver.interrupt import TIME_IS_UP, Interrupted
from onserver.process.claim import Claim
from onserver.server import Server


class Settles(Protocol):
    """The executor, as this module knows it."""

    holder: str

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands."""
        ...


class _Held:
    """One process while the tracer has it: remembers whether it was ended, or given away."""

    def __init__(self, executor: Settles) -> None:
        self.holder = executor.holder
        self.ended = self.gone = False
        self._executor = executor

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str) -> None:
        """Pass it on."""
        self.ended = self.ended or kind == "end"
        self.gone = self.gone or kind == "back"
        self._executor.settle(number, kind, state, payload, extra)


class Tracer:
    """Runs claims through Celery, one at a time."""

    def __init__(self, server: Server) -> None:
        self.app: Any = make_app(server)
        trace.setup_worker_optimizations(self.app)
        self._accept = prepare_accept_content(self.app.conf.accept_content)
        self._started = False
        send_signals(self.app)

    def begin(self) -> bool:
        """An executor begins. Returns whether procedures are to be run here too: somebody has wrapped the tracer."""
        if not self._started:
            self._started = True
            register_procedures(self.app)
            signals.worker_process_init.send(sender=None)
        return bool(wrapped_by())

    def run(self, claim: Claim, holding: Settles) -> None:
        """Run one claim and settle it through `holding`."""
        if not self._started:
            self.begin()
        desk, held = self.app.desk, _Held(holding)
        caller = desk.caller_of(claim, held)
        if caller is None or desk.handed_back(claim, holding):
            return
        task = self.app.tasks.get(claim.procedure)
        if task is None:  # the code has changed since this worker said what it can run
            holding.settle(claim.number, "back", "", b"")
            return
        task_id = desk.task_id(claim)
        request = self._request(claim, rebuild(claim, task_id, holding.holder, caller))
        with held_here(claim.number, held):
            if _has_expired(request):
                self.app.backend.mark_as_revoked(task_id, "expired", self._context(task, request), store_result=True)
            else:
                self._trace_in_time(task, task_id, request, claim, held)
        if not held.gone and (claim.call or not held.ended):  # the end of a call is only stored: see `lua/step.lua`
            holding.settle(claim.number, "free", "", b"", claim.mark)

    def _trace_in_time(self, task: Any, task_id: str, request: dict[str, Any], claim: Claim, held: _Held) -> None:
        """Trace it within its time limits. Of a procedure the supervisor keeps both; of another task the hard one."""
        soft = None if claim.grace_ms else (request["timelimit"] or (None, None))[1]
        try:
            with soft_time_limit(soft):
                self._trace(task, task_id, request, claim, held)
        except Interrupted as cut:
            if cut.reason != TIME_IS_UP or held.ended:
                raise
            error = TimeLimitExceeded(claim.timeout_ms / 1000)
            self.app.backend.mark_as_failure(task_id, error, request=self._context(task, request))

    def _trace(self, task: Any, task_id: str, request: dict[str, Any], claim: Claim, held: _Held) -> None:
        if task.__trace__ is None:
            # looked up each time: whoever wraps it may come after us
            task.__trace__ = trace.build_tracer(task.name, task, self.app.loader, app=self.app)
        returned, info, _, _ = task.__trace__(task_id, request["args"], request["kwargs"], request)
        if info is not None and info.state == states.REJECTED:
            reject = info.retval
            if isinstance(reject, Reject) and reject.requeue:
                held.settle(claim.number, "back", "", b"", "begun")
            else:
                held.settle(claim.number, "end", "failed", REFUSED, "{}")
            held.ended = True
        elif info is None and isinstance(returned, ExceptionInfo):
            held.settle(claim.number, "back", "", b"", "counted")
            held.ended = True

    def _request(self, claim: Claim, message: dict[str, Any]) -> dict[str, Any]:
        """The request of a task, as a child of Celery's own pool gets it."""
        decoded: Any = loads(message["body"], message["content-type"], message["content-encoding"], accept=self._accept)
        args, kwargs, embed = decoded
        properties = message["properties"]
        return {
            **message["headers"],
            "args": args,
            "kwargs": kwargs,
            "hostname": claim.queue,
            "is_eager": False,
            "reply_to": properties["reply_to"],
            "correlation_id": properties["correlation_id"],
            "properties": properties,
            "delivery_info": {**properties["delivery_info"], "priority": properties["priority"]},
            **(embed or {}),
        }

    def _context(self, task: Any, request: dict[str, Any]) -> Any:
        return task.request_stack.top or type(task.request)(request)


def _has_expired(request: dict[str, Any]) -> bool:
    expires = request.get("expires")
    if not expires:
        return False
    when = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
    return bool((when if when.tzinfo else when.replace(tzinfo=UTC)) < datetime.now(UTC))


_tracers: dict[Server, Tracer] = {}


def tracer_of(server: Server) -> Tracer:
    """The tracer of a server, made once in each worker."""
    found = _tracers.get(server)
    if found is None:
        found = _tracers[server] = Tracer(server)
    return found


def task_names_of(server: Server) -> tuple[str, ...]:
    """Names of all tasks that this program has for a server."""
    return tuple(task_names(make_app(server)))
