"""An existing Celery application joins a server: what `Server.attach` does, on Celery's public extension points.

    classes         its `amqp_cls` and `control_cls` are ours, which are Celery's with records beside
    configuration   changed once it was read (`on_after_configure`); see `configuring`
    annotations     the `Request` of its tasks; see `configuring`
    bootstep        its workers are members; see `bootsteps`
    signals         a run is entered and left around each task; see `runs`

Nothing of Celery's is replaced and nothing is written anywhere: without the call the application is what it was.
"""

from typing import Any, Final, Literal

from celery import signals
from celery.app.utils import find_app
from celery.concurrency.solo import TaskPool

from onserver.celery_app import transport
from onserver.celery_app.app import adopt
from onserver.celery_app.bootsteps import Membership
from onserver.celery_app.configuring import configure
from onserver.celery_app.desk import open_desk
from onserver.celery_app.run_logs import keep_logs
from onserver.celery_app.runs import enter_runs
from onserver.errors import BadDeclaration, ImportFailed
from onserver.process.signing import Signer
from onserver.server import Server

Broker = Literal["keep", "onserver"]
_BROKERS: Final = ("keep", "onserver")


def attach(server: Server, app: Any, broker: Broker = "keep") -> None:
    """Let an application be that of a server; see `Server.attach`. Done once."""
    app = getattr(app, "_get_current_object", lambda: app)()
    if broker not in _BROKERS:
        raise BadDeclaration("Server.attach", f"has broker={broker!r}", "It is `keep` or `onserver`.")
    if getattr(getattr(app, "desk", None), "server", None) is server:
        return
    server.part(Signer)  # a project without a signing key could not send anything
    app.desk = desk = open_desk(server)
    desk.attached = True
    app.amqp_cls = "onserver.celery_app.sending:AttachedAMQP"
    app.control_cls = "onserver.celery_app.revoking:RecordControl"
    for made in ("amqp", "control", "annotations"):  # made anew when they are next asked for
        app.__dict__.pop(made, None)
    app.steps["worker"].add(Membership)
    adopt(app)
    enter_runs()
    keep_logs()
    app.on_after_configure.connect(lambda **_: configure(app, desk, broker), weak=False)
    if app.configured:
        configure(app, desk, broker)
        for task in app.tasks.values() if app.finalized else ():
            type(task).annotate()


def load_application(server: Server) -> Any:
    """Import the application that the setting `celery` names, with its tasks, as a worker of Celery's does.

    Raises:
        ImportFailed: ONS-1002, it is not there, or raised.
    """
    named = server.settings.celery
    try:
        app = find_app(named)
    except (ImportError, AttributeError) as error:
        raise ImportFailed(named, str(error), "the setting `celery`") from error
    attach(server, app)
    signals.worker_init.send(sender=_Worker(app))
    app.loader.init_worker()
    app.finalize()
    return app


def described(app: Any) -> tuple[tuple[str, ...], str]:
    """The queues of an application whose tasks our executors run, and what is to be said of it in one line."""
    if app.desk.elsewhere:
        broker = app.connection_for_write().as_uri()
        return (), f"keeps its broker {broker}: its own workers run its tasks"
    count = sum(1 for name in app.tasks if not name.startswith("celery."))
    return tuple(app.amqp.queues), f"has joined: {count} tasks, each message a record"


class _Worker:
    """What Celery's fix-ups want to know of a worker: for Django, its application and what kind of pool it has."""

    pool_cls = TaskPool

    def __init__(self, app: Any) -> None:
        self.app = app


__all__ = ["attach", "load_application", "transport"]
