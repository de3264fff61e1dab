"""What holds for an application with the broker that it has: the table of `onserver compat`.

Where the message is the record (our transport) everything does. On another broker the record stands beside the message,
and what the broker decides (order, delay, redelivery) is as it decides it.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from onserver.celery_app.app import make_app
from onserver.celery_app.attach import load_application
from onserver.server import Server


class Row(NamedTuple):
    """One promise: whether it holds here, and how it is kept here and with our own transport."""

    what: str
    holds: bool
    here: str
    ours: str


class Report(NamedTuple):
    """What `onserver compat` prints."""

    application: str
    broker: str
    rows: tuple[Row, ...]
    findings: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is to be said against it."""
        return all(row.holds for row in self.rows) and not self.findings


_KEPT: Final = "held while its worker's heart beats"
#: (what, how another broker keeps it or "" where it does not, the same for particular ones, how our transport keeps it)
_PROMISES: Final[tuple[tuple[str, str, dict[str, str], str], ...]] = (
    ("session(), storage, locks, counters", "holds", {}, "holds"),
    ("hooks once per epoch", "holds", {}, "holds"),
    ("number, ps, state, result", "holds", {}, "holds"),
    ("abort, and it is remembered", "holds", {}, "holds"),
    ("a message delivered twice runs once", "holds: its process was taken", {}, "holds"),
    ("higher priority goes first", "", {"redis": "0 goes first, in 4 steps", "amqp": "if the queue says so"}, "0 to 9"),
    ("a delay costs a worker nothing", "", {"": "it waits in a worker's memory"}, "it waits in Redis"),
    ("runs again when its worker dies", "", {
        "redis": "after visibility_timeout, with acks_late only", "": "with acks_late only; LOST until then",
    }, "in lease and beat (12 s)"),
    ("however long it runs, once at a time", "holds", {"redis": "until visibility_timeout"}, _KEPT),
    ("dead letter, and replay", "", {"": "none: it is LOST"}, "after 3 deliveries"),
    ("pause a queue or what waits in it", "", {"": "it is given out again each second"}, "holds"),
    ("a busy worker hoards nothing", "", {"": "worker_prefetch_multiplier"}, "it claims what it can begin"),
)  # fmt: skip


def report_of(server: Server) -> Report:
    """The report on the application of a project: the one that its setting `celery` names, else our own."""
    named = server.settings.celery
    app = load_application(server) if named else make_app(server)
    elsewhere = bool(app.desk.elsewhere)
    kind = _kind(app) if elsewhere else "onserver"
    rows = tuple(_row(promise, kind) for promise in _PROMISES)
    return Report(named or "workers:app", kind, rows, tuple(_findings(app, elsewhere=elsewhere)))


def _kind(app: Any) -> str:
    name = str(app.connection_for_write().transport_cls).rpartition(".")[2]
    return {"pyamqp": "amqp", "rediss": "redis", "redis+socket": "redis"}.get(name, name)


def _row(promise: tuple[str, str, dict[str, str], str], kind: str) -> Row:
    what, kept, particular, ours = promise
    if kind == "onserver":
        return Row(what, True, ours, ours)
    said = particular.get(kind) or (particular.get("") if not kept else None)
    return Row(what, said is None and bool(kept), said or kept or "its broker's", ours)


def _findings(app: Any, *, elsewhere: bool) -> Iterator[str]:
    conf = app.conf
    if conf.task_always_eager:
        yield "task_always_eager: tasks run where they are called, and are no processes"
    pickles = [name for name in ("task_serializer", "result_serializer") if conf[name] == "pickle"]
    if pickles or any("pickle" in str(accepted) for accepted in conf.accept_content or ()):
        yield "pickle is accepted: whoever can send a message can run code. Use json"
    if elsewhere and not conf.task_acks_late:
        yield "task_acks_late is off: the broker forgets a task before it runs; when its worker dies it stays LOST"
    own = sorted(name for name, task in app.tasks.items() if not elsewhere and _early(task))
    if own:
        yield f"acks_late=False says nothing here: {', '.join(own)}"


def _early(task: Any) -> bool:
    return any(vars(kind).get("acks_late") is False for kind in type(task).__mro__[:1])
