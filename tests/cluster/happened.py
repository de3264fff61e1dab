"""What the tests of events look for: what is in the feed, and what hooks of `events_project.py` have noted of it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from onserver.life.event_kinds import checked
from onserver.life.events import Event, read_events
from onserver.testing.cluster import Cluster

TASKS = (Path(__file__).parent / "events_project.py").read_text()


def events(cluster: Cluster, name: str) -> list[Event]:
    """What was told under this name, each as the catalogue has it."""
    found = [event for event in read_events(cluster.server.store) if event.name == name]
    for event in found:
        assert checked(event.name, event.payload) == event.code
    return found


def heard(cluster: Cluster, place: str, name: str) -> list[dict[str, Any]]:
    """What hooks of that place have noted of such events."""
    return [
        {"code": int(code), "member": int(member), "run": int(run), "payload": ast.literal_eval(payload)}
        for _, event, code, member, run, payload in cluster.ledger.of(place)
        if event == name
    ]


def runner(cluster: Cluster, run: int) -> int:
    """The member that ran a side run, once it has ended."""
    store = cluster.server.store
    last: bytes = cluster.wait_for(lambda: store.command("HGET", store.key(f"p:{run}"), "l"))
    return int(last.partition(b".")[0])
