"""Task classes: procedures as Celery tasks, and the class of all other tasks of our application.

A procedure is a task by itself: `.s`, `.delay`, `.apply_async` of a `Procedure` reach the `ProcedureTask` that is made
here for it. Its message is in our own encoding, so that what can be sent is the same as with `execute_on_server`, and a
plain call of it is a lean record, run by the short runner.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject, SoftTimeLimitExceeded, TaskPredicate

from onserver.celery_app import content
from onserver.celery_app.holding import mark_of
from onserver.errors import ProcessTimeout, SessionExpired
from onserver.interrupt import TIME_IS_UP, Interrupted
from onserver.life.async_run import AsyncRun
from onserver.life.driven import here
from onserver.process import coroutines
from onserver.process.procedure import AsyncProcedure, Procedure

#: Under this name a request has why its body must not run, though its run was entered: see `runs`.
REFUSED: Final = "onserver_refused"


class OnServerTask(Task):
    """The base of all tasks of our application."""

    abstract = True
    Request = "onserver.celery_app.request:Request"


class ProcedureTask(OnServerTask):
    """A procedure, for Celery. There is a subclass for each, since Celery keeps the state of a task in its class."""

    abstract = True
    serializer = content.NAME
    procedure: Procedure[..., Any]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body, here and now; what it raises may be retried, by Celery's own retry."""
        refused: SessionExpired | None = self.request.__dict__.get(REFUSED)
        if refused is not None:
            raise refused
        try:
            value = self.procedure(*args, **kwargs)
            return _awaited(value) if isinstance(self.procedure, AsyncProcedure) else value
        except TaskPredicate:  # the body asks Celery for something itself
            raise
        except (Exception, Interrupted) as raised:
            error = self._meant(raised)
            if isinstance(error, Interrupted):
                raise
            retry = self.procedure.rules.retry
            delay = None if retry is None else retry.delay_after(error, self.request.retries + 1)
            if delay is None or self.request.called_directly:
                if error is raised:
                    raise
                raise error from raised
            raise self.retry(exc=error, countdown=delay, max_retries=self.request.retries + 1) from raised

    def _meant(self, raised: BaseException) -> BaseException:
        """What was raised; where it only says that the time limit is reached, what that is called here."""
        out_of_time = isinstance(raised, SoftTimeLimitExceeded) or (
            isinstance(raised, Interrupted) and raised.reason == TIME_IS_UP
        )
        return timeout_of(self.request) or raised if out_of_time else raised

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, *more: Any, **options: Any
    ) -> Any:
        """Celery's, with arguments checked and ordered as `execute_on_server` does it.

        Raises:
            BadArguments: ONS-1105, they do not fit the procedure's signature.
        """
        bound, named = self.procedure.shape.bind(list(args or ()), dict(kwargs or {}))
        return super().apply_async(list(bound), dict(named), *more, **options)


def timeout_of(request: Any) -> ProcessTimeout | None:
    """The error of a run of a procedure that has reached its time limit; None where the request has none."""
    mark, limits = mark_of(request), getattr(request, "timelimit", None)
    seconds = limits[1] if limits else None
    return ProcessTimeout(int(mark["number"]), float(seconds), limit="timeout") if mark and seconds else None


def _awaited(coroutine: Any) -> Any:
    """What a coroutine returns; one that its worker has cancelled goes back to its queue."""
    try:
        return coroutines.run(coroutine)
    except coroutines.Cancelled as error:
        run = here.get()
        if run is not None and run.ended in ("silence", "stop"):
            raise Reject("its worker could not let it run on", requeue=True) from error
        if isinstance(run, AsyncRun) and run.ended == "time":
            raise ProcessTimeout(run.number, run.claim.timeout_ms / 1000, limit="timeout") from error
        raise


def make_task(procedure: Procedure[..., Any], name: str) -> ProcedureTask:
    """Make the task of a procedure under its name or one of its earlier names."""
    function = procedure.function
    attributes = {
        "name": name,
        "procedure": procedure,
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__wrapped__": function,
    }
    task: ProcedureTask = type(function.__name__, (ProcedureTask,), attributes)()
    return task
