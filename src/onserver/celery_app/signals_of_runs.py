"""Celery's signals for processes that the short runner runs: sent where somebody listens (Django's connections do)."""

from typing import Any

from celery import signals

from onserver.celery_app.procedures import task_named
from onserver.celery_app.runs import OWN_RECEIVERS
from onserver.process import runner
from onserver.process.number import task_id
from onserver.process.runner import Call, Outcome, Returned
from onserver.session.context import Run

_ALL = (signals.task_prerun, signals.task_postrun, signals.task_success, signals.task_failure)


class Signals:
    """Sends what a worker of Celery's would send around a task."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def before(self, run: Run, call: Call) -> None:
        """Send `task_prerun`."""
        task = task_named(self._app, call.name)
        signals.task_prerun.send(
            sender=task, task_id=self._id(run), task=task, args=list(call.args), kwargs=dict(call.kwargs)
        )

    def after(self, run: Run, call: Call, outcome: Outcome) -> None:
        """Send `task_success` or `task_failure`, and `task_postrun`."""
        task, identifier = task_named(self._app, call.name), self._id(run)
        state, value = "SUCCESS", None
        if isinstance(outcome, Returned):
            value = outcome.value
            signals.task_success.send(sender=task, result=value)
        else:
            state = "FAILURE"
            signals.task_failure.send(
                sender=task, task_id=identifier, exception=outcome.error, args=list(call.args),
                kwargs=dict(call.kwargs), traceback=outcome.error.__traceback__, einfo=None,
            )  # fmt: skip
        signals.task_postrun.send(
            sender=task, task_id=identifier, task=task, args=list(call.args), kwargs=dict(call.kwargs), retval=value,
            state=state,
        )  # fmt: skip

    def _id(self, run: Run) -> str:
        return task_id(self._app.desk.store.birth, run.number)


def send_signals(app: Any) -> None:
    """Send Celery's signals from the short runner too, if anybody but us listens; safe to call again."""
    listening = sum(len(signal.receivers or ()) for signal in _ALL) > OWN_RECEIVERS
    if listening and not any(isinstance(observer, Signals) for observer in runner.observers):
        runner.observers.append(Signals(app))
