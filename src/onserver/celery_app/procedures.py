"""The procedures of a server as tasks of a Celery application."""

from typing import Any

from onserver.celery_app.task import ProcedureTask, make_task
from onserver.process.procedure import Procedure


def register_procedures(app: Any) -> None:
    """Make tasks of the procedures that were loaded since the last call."""
    for name in app.desk.server.registry.names():
        task_named(app, name)


def task_named(app: Any, name: str) -> ProcedureTask | None:
    """The task of the procedure of this name; None where there is no such procedure."""
    procedure = app.desk.server.registry.find(name)
    if not isinstance(procedure, Procedure):
        return None
    task: Any = app.tasks.get(name)
    if not (isinstance(task, ProcedureTask) and task.procedure is procedure):
        app.tasks.pop(name, None)
        task = app.register_task(make_task(procedure, name))
    made: ProcedureTask = task
    return made
