"""From the feed to the hooks: which `on_system_event` hooks hear an event, and where they run.

    the event is about          run_on="here"             "once"               "every"
    the cluster, or a user's    once, by any worker       once                 on each worker there is
    a machine, or a worker      by the worker that saw    once                 on each worker there is

The leader passes on what is in the feed, in its order: side runs and how far it has come are written in one script, so
that each event is passed on once, whoever leads. A side run gets all that has come meanwhile, up to 100 events, and
the next one is started when it has ended: hooks that run once hear one event after the other, and those that are slower
than events come fall behind, but start no more children. What a worker itself sees it passes on to its own hooks at
once, since it may be about to sleep.

A worker that is killed while its hooks run has heard nothing: the run is delivered again, with all its events. An event
that fell out of the feed before its turn, more than 1,000 later, is heard by no hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from onserver.checkpoint import checkpoint
from onserver.cluster.member import Member
from onserver.life.event_kinds import kind_of
from onserver.life.events import Event
from onserver.life.hook import SYSTEM_EVENT, Hook, hooks_of
from onserver.life.hook_arguments import SystemEvent
from onserver.life.hook_call import call_hooks
from onserver.life.side_runs import side_fields
from onserver.process.age import by_redis_time
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.values import encode

Place = Literal["once", "here", "every"]

#: How many events one look takes, as in `unheard.lua`.
MOST: Final = 100
#: The built-in procedure that calls hooks with events.
LISTENER: Final = "onserver.system_events"


def hear(events: Sequence[Mapping[str, Any]], place: Place) -> int:
    """Call the hooks that are to hear these events in such a place; what a side run does. Returns how many calls."""
    server, count = Server.current(), 0
    hooks = hooks_of(server, SYSTEM_EVENT)
    for event in events:
        chosen = [hook for hook in hooks if listens(hook, str(event["name"]), place)]
        count += len(call_hooks(server, SYSTEM_EVENT, SystemEvent.read(event), hooks=chosen))
        checkpoint()
    return count


def listens(hook: Hook, name: str, place: Place) -> bool:
    """Whether a hook hears an event of that name in such a place."""
    if place == "every" or hook.run_on == "every":
        return hook.run_on == place
    kind = kind_of(name)
    local = kind is not None and kind.scope in ("machine", "worker")
    return place == ("here" if local and hook.run_on == "here" else "once")


class PassingOn:
    """See the top of this module.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
    """

    def __init__(self, server: Server, store: Store) -> None:
        self._server, self._store = server, store

    @property
    def deaf(self) -> bool:
        """Whether no hook of this program listens to any event."""
        return not hooks_of(self._server, SYSTEM_EVENT)

    def of_leader(self, member: Member) -> None:
        """Pass on what is in the feed, unless another leads."""
        while self._pass_some(member):
            pass  # no hook listens to any of these

    def _pass_some(self, member: Member) -> bool:
        """Pass on the next 100. Returns whether to go on: nothing was started, and there may be more."""
        found = self._store.run("unheard", member.number)
        if not found or not found[2]:
            return False
        before, workers, entries = found
        events = [Event.read(identity, fields) for identity, fields in entries]
        places: list[tuple[str, Place]] = []
        if self._listened(events, "once"):
            places.append(("once", "once"))
        if self._listened(events, "every"):
            for worker in sorted(workers):
                places.append((worker.decode(), "every"))  # noqa: PERF401  # pyright wants to see what kind of text it is

        def put() -> None:
            store, nonce = self._store, self._store.nonce()
            words = [word for where, place in places for word in self._side_run(where, events, place, nonce)]
            store.run("pass_on", nonce, member.number, store.now_ms(), before, events[-1].id, *words)

        by_redis_time(self._store, "", put)
        return not places and len(events) == MOST

    def of_worker(self, member: Member, events: Sequence[Event]) -> list[int]:
        """Pass on to its own hooks what this worker has seen. Returns the numbers of the side runs."""
        if not self._listened(events, "here"):
            return []

        def put() -> int:
            nonce = self._store.nonce()
            place, _, *fields = self._side_run(str(member.number), events, "here", nonce)
            put: int = self._store.run("put_side", nonce, "", self._store.now_ms(), place, *fields)
            return put

        number = by_redis_time(self._store, "", put)
        return [number] if number else []

    def _listened(self, events: Iterable[Event], place: Place) -> bool:
        hooks = hooks_of(self._server, SYSTEM_EVENT)
        return any(listens(hook, event.name, place) for event in events for hook in hooks)

    def _side_run(self, where: str, events: Sequence[Event], place: Place, nonce: str) -> list[Word]:
        """Where, how many words, field, value … of a side run."""
        hooks = hooks_of(self._server, SYSTEM_EVENT)
        heard = [_told(event) for event in events if any(listens(hook, event.name, place) for hook in hooks)]
        nothing: dict[str, Any] = {}
        body = encode([[heard, place], nothing])
        fields = side_fields(self._server, LISTENER, body, nonce, self._store.now_ms())
        return [where, len(fields), *fields]


def _told(event: Event) -> dict[str, Any]:
    """An event as hooks are told of it."""
    return {
        "code": event.code,
        "name": event.name,
        "payload": dict(event.payload),
        "at": datetime.fromtimestamp(event.at_ms / 1000, UTC),
        "worker": event.worker,
        "member": event.member,
    }
