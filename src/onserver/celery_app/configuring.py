"""What a Celery application is configured with, so that its messages are records: ours, or one that is attached.

For a single task there are facts besides: each has a `Request` of ours around its own, and where its message is a
record, it is acknowledged late, whatever the task says of itself. Celery acknowledges before the run unless told
otherwise, and here that would be the end of the process. They are given as annotations, which is Celery's own way of
setting attributes of tasks from the configuration.
"""

from collections.abc import Mapping
from typing import Any, Final

from celery.app import annotations
from kombu.utils.imports import symbol_by_name

from onserver.celery_app import content
from onserver.celery_app.desk import OPTION, Desk
from onserver.celery_app.request import request_class
from onserver.process.procedure import Procedure
from onserver.server import Server

#: How the URL of our transport begins.
SCHEME: Final = "onserver"

#: The queue of procedures that name none.
QUEUE: Final = "default"

#: What has to be so where a message is a record.
_RECORDS: Final[Mapping[str, Any]] = {
    # Celery acknowledges a message before it runs unless told otherwise; here that would be its end
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # our own script is sent again until its deadline; Kombu's policy on top would multiply the deadlines
    "task_publish_retry": False,
    "worker_prefetch_multiplier": 1,
    "worker_detect_quorum_queues": False,
    "worker_enable_prefetch_count_reduction": False,  # the seat counts what the pool has, across connections
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # what runs stays ours while we beat
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
}


def broker_url(server: Server) -> str:
    """The address of our transport; of several nodes, one."""
    return f"{SCHEME}+{server.store.address.celery_url().partition(';')[0]}"


def backend_url(server: Server) -> str:
    """Where results are: in the records."""
    return f"onserver.celery_app.backend:Backend+{SCHEME}://{server.name}"


def configuration(desk: Desk) -> dict[str, Any]:
    """The configuration of an application of our own."""
    server = desk.server
    return {
        **_RECORDS,
        "broker_url": broker_url(server),
        "broker_transport_options": {OPTION: server.name},
        "result_backend": backend_url(server),
        "result_expires": server.settings.process.keep_seconds,
        "accept_content": ["json", content.CONTENT_TYPE],
        "task_default_queue": QUEUE,
        "task_routes": [_router(server)],
        "task_annotations": [Facts(desk, None)],
        "worker_hijack_root_logger": False,
    }


def configure(app: Any, desk: Desk, broker: str) -> None:
    """Configure an application that is attached, once it has read its own configuration.

    Args:
        app: the application.
        desk: of its server.
        broker: `onserver`, its messages become records; `keep`, they do so where its own broker is ours.
    """
    conf, server = app.conf, desk.server
    desk.elsewhere = broker != SCHEME and not str(conf.broker_write_url).startswith(SCHEME)
    conf.task_annotations = [Facts(desk, conf.task_annotations)]
    conf.accept_content = [*(conf.accept_content or ()), content.CONTENT_TYPE]
    routes = conf.task_routes or ()
    conf.task_routes = [
        _router_elsewhere(server) if desk.elsewhere else _router(server),
        *(routes if isinstance(routes, list | tuple) else [routes]),
    ]
    if desk.elsewhere:
        return
    url, results = broker_url(server), conf.result_backend
    conf.update(_RECORDS)
    # all three, since the first two win over the third, and a variable of the environment over that
    conf.update(broker_read_url=url, broker_write_url=url, broker_url=url)
    conf.broker_transport_options = {**(conf.broker_transport_options or {}), OPTION: server.name}
    if results and not str(results).startswith(("disabled", SCHEME)):
        desk.results_also = str(results)
    app.backend_cls = backend_url(server)


class Facts:
    """An annotation that stands before those of the application, and hands on what they say."""

    def __init__(self, desk: Desk, theirs: Any) -> None:
        self._desk = desk
        self._theirs: Any = annotations.prepare(theirs)

    def annotate(self, task: Any) -> dict[str, Any]:
        """Attributes of one task."""
        facts: dict[str, Any] = {}
        for said in annotations.resolve_all(self._theirs, task):
            facts |= said
        asked: Any = facts.get("Request", task.Request)
        facts["Request"] = request_class(symbol_by_name(asked))
        if not self._desk.elsewhere:
            facts |= {"acks_late": True, "reject_on_worker_lost": True}
        return facts

    def annotate_any(self) -> None:
        """Nothing: what holds for any task is in the answer for each."""


def _router(server: Server) -> Any:
    def route(name: str, *_args: Any, **_kwargs: Any) -> dict[str, Any] | None:
        """The queue and priority of a procedure; of other tasks nothing is known."""
        procedure = server.registry.find(name)
        if not isinstance(procedure, Procedure):
            return None
        return {"queue": procedure.queue, "priority": procedure.priority}

    return route


def _router_elsewhere(server: Server) -> Any:
    def route(name: str, *_args: Any, **_kwargs: Any) -> dict[str, Any] | None:
        """The queue of a procedure that names one; else that of the application. Priorities are its broker's."""
        procedure = server.registry.find(name)
        if not isinstance(procedure, Procedure) or procedure.queue == QUEUE:
            return None
        return {"queue": procedure.queue}

    return route
