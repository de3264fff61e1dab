"""The Celery application of a project: `app` in `workers/__init__.py`, and what a procedure's `.delay` goes through."""

from typing import Any

from celery import Celery, _state

from onserver.celery_app import transport
from onserver.celery_app.bootsteps import Membership
from onserver.celery_app.configuring import configuration
from onserver.celery_app.desk import Desk, open_desk
from onserver.celery_app.procedures import register_procedures, task_named
from onserver.celery_app.run_logs import keep_logs
from onserver.celery_app.runs import enter_runs
from onserver.celery_app.task import make_task
from onserver.process.procedure import Procedure
from onserver.server import Server


class Application(Celery):
    """Celery's, at the desk of a server."""

    task_cls = "onserver.celery_app.task:OnServerTask"
    amqp_cls = "onserver.celery_app.sending:NamingAMQP"

    def __init__(self, server: Server, **options: Any) -> None:
        self.desk: Desk = open_desk(server)
        super().__init__(server.name, **options)


def make_app(server: Server) -> Any:
    """The Celery application of a server, its procedures registered; one for each server.

    That is the one that was attached to it. Otherwise one is made, and becomes Celery's current application, which
    `shared_task` uses, unless the program has one already.

    Example:
        In `workers/__init__.py`, for `celery -A workers worker`::

            app = make_app(Server.current())
    """
    app = _apps.get(server.name)
    if app is None or app.desk.server is not server:
        app = Application(server, set_as_current=_state._tls.current_app is None)
        app.config_from_object(configuration(app.desk))
        app.steps["worker"].add(Membership)
        adopt(app)
        enter_runs()
        keep_logs()
    register_procedures(app)
    return app


def adopt(app: Any) -> None:
    """Let this application be the one of the server at whose desk it is."""
    _apps[app.desk.server.name] = app


def task_of(procedure: Procedure[..., Any]) -> Any:
    """The Celery task of a procedure of the current server: what `procedure.s`, `.delay`, `.apply_async` go to."""
    app = make_app(Server.current())
    task = task_named(app, procedure.name)
    if task is None:
        task = app.register_task(make_task(procedure, procedure.name))
    return task


def task_names(app: Celery) -> tuple[str, ...]:
    """Names of all tasks of an application, Celery's own included: what its workers can run."""
    app.finalize(auto=True)
    return tuple(app.tasks)


_apps: dict[str, Any] = {}

__all__ = ["Application", "adopt", "make_app", "task_names", "task_of", "transport"]
