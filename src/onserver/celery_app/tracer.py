"""Celery's tracer in our executors: what came through Celery, run as a child of Celery's prefork pool would run it.

An executor has no Celery worker in it: it claims, and settles, by itself. What it gets from Celery is the tracer of a
task (`Task.__trace__`), which knows retries, `Ignore` and `Reject`, callbacks, chains, chords and signals. The backend
says the end through the executor (`holding`); what the tracer leaves open is said here when it has returned:

| the run | what is said |
|---|---|
| has ended, nothing followed its end | nothing: the end was the release |
| has ended and was counted for its chord, or its errbacks were called | `free` |
| is to be retried | `free`: it is queued again, when its time has come |
| raised `Ignore` | `free` |
| raised `Reject(requeue=True)`, or Redis could not be reached for what follows | `back`: it runs again |
| raised `Reject` | failed |
| raised `SystemExit` | failed |
"""

import socket
from datetime import UTC, datetime
from typing import Any

from celery import signals, states
from celery._state import _set_task_join_will_block
from celery.app.task import Context
from celery.app.trace import build_tracer, setup_worker_optimizations
from celery.exceptions import Ignore, NotRegistered, Reject, Retry
from kombu.serialization import loads as loads_message
from kombu.serialization import prepare_accept_content

from onserver.celery_app.app import Application, make_app, task_names
from onserver.celery_app.events import Events
from onserver.celery_app.failures import stored_error
from onserver.celery_app.holding import Holding, held_here
from onserver.celery_app.message import rebuild
from onserver.celery_app.runs import run_of
from onserver.celery_app.time_limit import soft_time_limit
from onserver.process.claim import Claim
from onserver.server import Server
from onserver.session.context import entered


class _Said:
    """Passes on what is said of one process, and remembers what was said last."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self.last = ""

    @property
    def holder(self) -> str:
        return self._holding.holder

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str) -> None:
        self.last = kind
        self._holding.settle(number, kind, state, payload, extra)


class Tracer:
    """See the top of this module.

    Args:
        app: the application whose tasks are run.
        node: name of the worker, for `task.request.hostname` and events.
    """

    def __init__(self, app: Application, node: str = "") -> None:
        self._app = app
        self._node = node or f"celery@{socket.gethostname()}"
        self._accept = prepare_accept_content(app.conf.accept_content)
        self._events = Events(app, self._node)
        self._started = False

    def start(self) -> None:
        """Make this program a child that runs tasks, as Celery's pools do; done by the first run if not before."""
        if self._started:
            return
        self._started = True
        setup_worker_optimizations(self._app, self._node)
        _set_task_join_will_block(True)
        signals.worker_process_init.send(sender=None)

    def stop(self) -> None:
        """Say to receivers that this program ends."""
        if self._started:
            signals.worker_process_shutdown.send(sender=None, pid=0, exitcode=0)

    def run(self, claim: Claim, holding: Holding) -> None:
        """Run one claimed process and settle it."""
        self.start()
        desk = self._app.desk
        said = _Said(holding)
        caller = desk.caller_of(claim, said)
        if caller is None:
            return
        message = rebuild(claim, desk.task_id(claim), holding.holder, caller)
        with held_here(claim.number, said):
            task = self._app.tasks.get(claim.procedure)
            if task is None:
                error = stored_error(NotRegistered(claim.procedure))
                said.settle(claim.number, "end", "failed", error, "{}")
            else:
                self._run(claim, task, message, said)

    def _run(self, claim: Claim, task: Any, message: dict[str, Any], said: _Said) -> None:
        try:
            request = self._request(message)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a message is how its process ends
            said.settle(claim.number, "end", "failed", stored_error(error), "{}")
            return
        context = Context(request)
        if _expired(context.expires):
            task.backend.mark_as_revoked(context.id, "expired", request=context)
            signals.task_revoked.send(sender=task, request=context, terminated=False, signum=None, expired=True)
            self._events.send("task-revoked", context.id, terminated=False, signum=None, expired=True)
        else:
            self._trace(claim, task, context, request, said)
        if said.last not in {"end", "back", "free"}:
            said.settle(claim.number, "free", "", b"", "")

    def _trace(self, claim: Claim, task: Any, context: Context, request: dict[str, Any], said: _Said) -> None:
        run = run_of(self._app.server, context)
        assert run is not None
        if task.__trace__ is None:
            task.__trace__ = build_tracer(task.name, task, self._app.loader, self._node, app=self._app)
        self._events.send("task-started", context.id)
        limit = context.soft_time_limit or task.soft_time_limit
        try:
            with entered(run), soft_time_limit(limit):
                traced = task.__trace__(context.id, context.args, context.kwargs, request)
        except Reject as rejected:
            self._reject(claim, task, context, rejected, said)
        except SystemExit as error:
            task.backend.mark_as_failure(context.id, error, request=context)
        else:
            self._conclude(claim, task, context, traced, said)

    def _conclude(self, claim: Claim, task: Any, context: Context, traced: Any, said: _Said) -> None:
        """Say of a traced task what Celery's main process would say."""
        if traced.info is None:
            self._events.send("task-succeeded", context.id, result=traced.retstr, runtime=traced.runtime)
            return
        error = getattr(traced.info.retval, "exc", None) if traced.info.state == states.RETRY else traced.info.retval
        if isinstance(traced.info.retval, Reject):
            self._reject(claim, task, context, traced.info.retval, said)
        elif isinstance(traced.info.retval, Retry):
            self._events.send("task-retried", context.id, exception=repr(error), traceback="")
        elif not isinstance(traced.info.retval, Ignore):
            self._events.send("task-failed", context.id, exception=repr(error), traceback="")

    def _reject(self, claim: Claim, task: Any, context: Context, rejected: Reject, said: _Said) -> None:
        self._events.send("task-rejected", context.id, requeue=bool(rejected.requeue))
        if rejected.requeue:
            said.settle(claim.number, "back", "", b"", "begun")
        elif said.last != "end":
            task.backend.mark_as_failure(context.id, rejected, request=context)

    def _request(self, message: dict[str, Any]) -> dict[str, Any]:
        """The request of a message, as `celery.worker.request` makes it."""
        args, kwargs, embed = loads_message(
            message["body"], message["content-type"], message["content-encoding"], accept=self._accept
        )
        properties = message["properties"]
        info = properties["delivery_info"]
        return {
            **message["headers"],
            "properties": properties,
            "reply_to": properties["reply_to"],
            "correlation_id": properties["correlation_id"],
            "hostname": self._node,
            "delivery_info": {**info, "priority": properties["priority"]},
            "args": args,
            "kwargs": kwargs,
            "is_eager": False,
            **(embed or {}),
        }


def tracer_of(server: Server, node: str = "") -> Tracer:
    """The tracer for the executors of a server's worker."""
    return Tracer(make_app(server), node)


def task_names_of(server: Server) -> tuple[str, ...]:
    """Names of all tasks that a worker of this server can run, Celery's own included."""
    return task_names(make_app(server))


def _expired(expires: str | datetime | None) -> bool:
    if not expires:
        return False
    when = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
    return datetime.now(UTC) > (when if when.tzinfo else when.replace(tzinfo=UTC))


