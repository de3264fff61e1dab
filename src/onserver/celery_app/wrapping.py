"""Whether somebody has wrapped Celery's tracer, as error and trace collectors do (Sentry, New Relic), and who.

What they do around a task they would miss around a procedure that the short runner runs. So where the tracer is not as
Celery made it, or tasks have a `Request` or a trace function of somebody's own, procedures go through the tracer too.
Whoever only listens to Celery's signals (OpenTelemetry) is told by the short runner as well; see `signals_of_runs`.
"""

from types import FunctionType
from typing import Any, Final

from celery import Task
from celery.app import trace

from onserver.celery_app.task import OnServerTask, ProcedureTask

_CELERYS: Final = "celery.worker.request:Request"
_OURS: Final = str(OnServerTask.Request)


def wrapped_by() -> str:
    """Name the module that has wrapped the tracing of tasks; empty where nobody did."""
    maker: Any = trace.build_tracer
    if not (
        isinstance(maker, FunctionType) and maker.__code__.co_filename == trace.get_log_policy.__code__.co_filename
    ):
        return _home(maker)
    if ProcedureTask.__trace__ is not None:
        return _home(ProcedureTask.__trace__)
    requests: list[tuple[Any, str]] = [(Task.Request, _CELERYS), (ProcedureTask.Request, _OURS)]
    for request, usual in requests:
        if request != usual:
            return str(request).partition(":")[0] if isinstance(request, str) else _home(request)
    return ""


def _home(made: Any) -> str:
    """Where something was defined; a wrapper often says the name of what it wraps, and not its own."""
    inside = getattr(made, "__globals__", None) or {}
    return str(inside.get("__name__") or type(made).__module__ if not isinstance(made, type) else made.__module__)
