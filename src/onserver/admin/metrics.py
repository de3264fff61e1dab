"""`/metrics`: how the server stands, for Prometheus. What there is, and what it means, is `METRICS`.

Nothing is kept here and nothing is read but when somebody asks: one answer is two pipelines and a few small scripts,
however many processes there are. How many lines an answer has is bounded: `QUEUES` queues have lines of their own, the
rest is together under `other`. No label has the name of a procedure, a session or a user.

It is given to whoever has the privilege `admin.view`, by `Authorization: Bearer`, and with the setting
`admin.open_metrics` to every program of this machine, as long as no proxy and no other application stands in between.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver import __version__
from onserver.admin.replies import Replies
from onserver.server import Server
from onserver.views.series import read
from onserver.web.threads import Threads

#: How many queues have lines of their own: those with the longest lines first.
QUEUES: Final = 50
_STATES: Final = ("none", "starting", "running", "stopping", "stopped", "failed")
_PRIVILEGE: Final = "admin.view"


class Told(NamedTuple):
    """One metric: what it counts, of which type, and by which labels."""

    type: str
    text: str
    labels: tuple[str, ...] = ()


#: All metrics, by their names; each has the label `server` besides.
METRICS: Final[Mapping[str, Told]] = {
    "onserver_info": Told("gauge", "1; the release of the admin page.", ("version",)),
    "onserver_state": Told("gauge", "1 for the state that the server is in, 0 for all others.", ("state",)),
    "onserver_epoch": Told("gauge", "The number of the server's present life."),
    "onserver_workers": Told("gauge", "Workers that beat."),
    "onserver_clients": Told("gauge", "Other programs that hold something."),
    "onserver_sessions": Told("gauge", "Sessions of all kinds that are kept."),
    "onserver_processes_ended_total": Told("counter", "Processes that ended, however they did."),
    "onserver_processes_failed_total": Told("counter", "Of these, those that failed, were lost, or are dead."),
    "onserver_processes_delayed": Told("gauge", "Processes that wait for their time."),
    "onserver_processes_dead": Told("gauge", "Dead-lettered processes that are kept."),
    "onserver_processes_resting": Told("gauge", "Processes that were paused before they began."),
    "onserver_queue_waiting": Told("gauge", "Processes that wait in a queue.", ("queue",)),
    "onserver_queue_executors": Told("gauge", "Executors that take from a queue.", ("queue",)),
    "onserver_slots": Told("gauge", "How many processes can run at once."),
    "onserver_slots_busy": Told("gauge", "How many do."),
    "onserver_wait_p95_seconds": Told("gauge", "How long 95 of 100 of those that ended last had waited, at most."),
    "onserver_memory_bytes": Told("gauge", "Memory of Redis, and of the workers with their executors.", ("of",)),
    "onserver_sample_age_seconds": Told("gauge", "How old slots, waits, memory and the counters are."),
}


class Standing(Collector):
    """Reads how a server stands when it is collected, and at no other time.

    Args:
        server: the server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterable[Metric]:
        """Read, and answer all metrics of which anything is known."""
        found: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for name, labels, value in (*self._told(), *self._of_queues(), *self._sampled()):
            if value is not None:
                found.setdefault(name, []).append((labels, value))
        for name, values in found.items():
            told = METRICS[name]
            family = CounterMetricFamily if told.type == "counter" else GaugeMetricFamily
            metric = family(name, told.text, labels=("server", *told.labels))
            for labels, value in values:
                metric.add_metric((self._server.name, *labels), value)
            yield metric

    def _told(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        store = self._server.store
        server, totals, members, workers, *counts = store.pipeline(
            [
                ("HMGET", store.key("server"), "state", "epoch"),
                ("HMGET", store.key("series:total"), "ended", "failed"),
                ("ZCARD", store.key("members")),
                ("SCARD", store.key("workers")),
                *(("ZCARD", store.key(key)) for key in ("sessions", "due", "dead", "resting")),
            ]
        )
        state = (server[0] or b"none").decode()
        yield "onserver_info", (__version__,), 1
        yield from (("onserver_state", (one,), float(one == state)) for one in _STATES)
        yield "onserver_epoch", (), float(server[1] or 0)
        yield "onserver_workers", (), workers
        yield "onserver_clients", (), max(0, members - workers)
        yield "onserver_processes_ended_total", (), float(totals[0] or 0)
        yield "onserver_processes_failed_total", (), float(totals[1] or 0)
        names = ("sessions", "processes_delayed", "processes_dead", "processes_resting")
        yield from ((f"onserver_{name}", (), count) for name, count in zip(names, counts, strict=True))

    def _of_queues(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        store = self._server.store
        holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
        served = store.pipeline([("HGET", store.key(f"h:{holder}"), "queues") for holder in holders]) if holders else []
        executors: dict[str, int] = {}
        for queues in served:
            for queue in (queues or b"").decode().split():
                executors[queue] = executors.get(queue, 0) + 1
        names = {name.decode() for name in store.command("SMEMBERS", store.key("queues"))} | set(executors)
        waiting = {name: int(store.run("depth", name)) for name in names}
        ordered = sorted(names, key=lambda name: (-waiting[name], name))
        for name in ordered[:QUEUES]:
            yield "onserver_queue_waiting", (name,), waiting[name]
            yield "onserver_queue_executors", (name,), executors.get(name, 0)
        if ordered[QUEUES:]:
            yield "onserver_queue_waiting", ("other",), sum(waiting[name] for name in ordered[QUEUES:])
            yield "onserver_queue_executors", ("other",), sum(executors.get(name, 0) for name in ordered[QUEUES:])

    def _sampled(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        series = read(self._server, "15m")
        known = [at for at, slots in zip(series.times_ms, series.values["slots"], strict=True) if slots is not None]
        if not known:
            return
        at = series.times_ms.index(known[-1])
        yield "onserver_slots", (), series.values["slots"][at]
        yield "onserver_slots_busy", (), series.values["busy"][at]
        yield "onserver_wait_p95_seconds", (), series.values["wait_p95"][at]
        yield "onserver_memory_bytes", ("redis",), series.values["memory"][at]
        yield "onserver_memory_bytes", ("workers",), series.values["worker_memory"][at]
        yield "onserver_sample_age_seconds", (), max(0.0, (self._server.store.now_ms() - known[-1]) / 1000)


class Metrics:
    """The route of `/metrics`.

    Args:
        replies: of the admin page.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Standing(replies.server))

    def routes(self) -> list[Route]:
        """Answer the route."""
        return [Route("/metrics", self._answer, methods=["GET"], name="metrics")]

    async def _answer(self, request: Request) -> Response:
        return await self._replies.server.part(Threads).run(self._told, request)

    def _told(self, request: Request) -> Response:
        if not self._is_open_to(request):
            asker = self._replies.identity.who(request)
            if asker is None:
                return self._replies.nobody(request)
            if not asker.actor.may(_PRIVILEGE):
                raise HTTPException(403, f"The privilege {_PRIVILEGE} is missing.")
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": kind, "Cache-Control": "no-store"})

    def _is_open_to(self, request: Request) -> bool:
        identity, headers = self._replies.identity, request.headers
        between = identity.proxy is not None or not identity.has_own_logins
        if not self._replies.server.settings.admin.open_metrics or between:
            return False
        if "forwarded" in headers or any(name.startswith("x-forwarded") for name in headers):
            return False
        return _is_loopback(request.client.host if request.client else "") and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
