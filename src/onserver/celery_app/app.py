"""The Celery application of a project: `app` in `workers/__init__.py`, and what a procedure's `.delay` goes through."""

from typing import Any

from celery import Celery, _state

from onserver.celery_app import content, transport
from onserver.celery_app.bootsteps import Membership
from onserver.celery_app.desk import OPTION, Desk, open_desk
from onserver.celery_app.runs import enter_runs
from onserver.celery_app.task import ProcedureTask, make_task
from onserver.process.procedure import Procedure
from onserver.server import Server

#: The queue of what names none.
QUEUE = "default"


class Application(Celery):
    """Celery's, at the desk of a server."""

    task_cls = "onserver.celery_app.task:OnServerTask"
    amqp_cls = "onserver.celery_app.sending:NamingAMQP"

    def __init__(self, server: Server, **options: Any) -> None:
        self.desk: Desk = open_desk(server)
        super().__init__(server.name, **options)

    @property
    def server(self) -> Server:
        """The server that this application belongs to."""
        return self.desk.server

    def register_procedures(self) -> None:
        """Make tasks of the procedures that were loaded since the last call."""
        for name in self.server.registry.names():
            self.task_named(name)

    def task_named(self, name: str) -> ProcedureTask | None:
        """The task of the procedure of this name; None where there is no such procedure."""
        procedure = self.server.registry.find(name)
        if not isinstance(procedure, Procedure):
            return None
        task: Any = self.tasks.get(name)
        if not (isinstance(task, ProcedureTask) and task.procedure is procedure):
            self.tasks.pop(name, None)
            task = self.register_task(make_task(procedure, name))
        made: ProcedureTask = task
        return made


def make_app(server: Server) -> Application:
    """The Celery application of a server, its procedures registered; one for each server.

    It becomes Celery's current application, which `shared_task` uses, unless the program has one already.

    Example:
        In `workers/__init__.py`, for `celery -A workers worker`::

            app = make_app(Server.current())
    """
    app = _apps.get(server.name)
    if app is None or app.server is not server:
        app = _apps[server.name] = Application(server, set_as_current=_state._tls.current_app is None)
        app.config_from_object(_configuration(server))
        app.steps["worker"].add(Membership)
        enter_runs()
    app.register_procedures()
    return app


def task_of(procedure: Procedure[..., Any]) -> Any:
    """The Celery task of a procedure of the current server: what `procedure.s`, `.delay`, `.apply_async` go to."""
    app = make_app(Server.current())
    task = app.task_named(procedure.name)
    if task is None:
        task = app.register_task(make_task(procedure, procedure.name))
    return task


def task_names(app: Celery) -> tuple[str, ...]:
    """Names of all tasks of an application, Celery's own included: what its workers can run."""
    app.finalize(auto=True)
    return tuple(app.tasks)


_apps: dict[str, Application] = {}


def _configuration(server: Server) -> dict[str, Any]:
    process = server.settings.process
    return {
        "broker_url": f"onserver+{server.store.address.celery_url().partition(chr(59))[0]}",  # of several nodes, one
        "broker_transport_options": {OPTION: server.name},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "result_backend": f"onserver.celery_app.backend:Backend+onserver://{server.name}",
        "result_expires": process.keep_seconds,
        "accept_content": ["json", content.CONTENT_TYPE],
        "task_default_queue": QUEUE,
        "task_routes": [lambda name, *_args, **_kwargs: _route(server, name)],
        # Celery acknowledges a message before it runs unless told otherwise; here that would be its end
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # our own script is sent again until its deadline; Kombu's policy on top would multiply the deadlines
        "task_publish_retry": False,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_detect_quorum_queues": False,
        "worker_enable_prefetch_count_reduction": False,  # the seat counts what the pool has, across connections
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # what runs stays ours while we beat
    }


def _route(server: Server, name: str) -> dict[str, Any] | None:
    procedure = server.registry.find(name)
    if not isinstance(procedure, Procedure):
        return None
    return {"queue": procedure.queue, "priority": procedure.priority}


__all__ = ["Application", "make_app", "task_names", "task_of", "transport"]
