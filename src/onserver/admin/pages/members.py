"""Members and queues: who takes part, and how each is; where processes wait, for whom, and what holds them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from onserver.admin.page import MOST_ROWS, Look, NotThere, Page, View, cursor_of
from onserver.admin.rendering import looking, span
from onserver.server import Server
from onserver.views.queues import Queue, queues
from onserver.views.taking_part import ORDERS, STATES, Part, TakingPart

_ROWS: Final = 100
_KINDS: Final = ("worker", "client")


def members(asked: Look) -> View:
    """Show members and queues."""
    limit, order = asked.number("limit", _ROWS, 1, MOST_ROWS), asked.word("sort", ORDERS, "number")
    there = TakingPart(asked.server)
    parts = there.page(
        kind=asked.word("kind", _KINDS), state=asked.word("state", STATES), word=asked.text("q", 100),
        order=next(one for one in ORDERS if one == order), after=asked.number("cursor"), limit=limit,
    )  # fmt: skip
    waits = queues(asked.server, _listened(asked.server), word=asked.text("queue", 200), after=asked.text("after", 200),
                   limit=limit)  # fmt: skip
    cursor, after = cursor_of(parts, limit, lambda part: part.number), cursor_of(waits, limit, lambda queue: queue.name)
    with looking(asked):
        known = {
            "there": there, "parts": parts, "waits": waits, "cursor": cursor, "after": after, "kinds": _KINDS,
            "states": STATES, "sentence": _sentence(asked, there, waits), "concerns": _concerns(asked, parts),
            "filtered": any(asked.query.get(name) for name in ("kind", "state", "q", "cursor")),
            "held": {queue.name: _held(asked, queue) for queue in waits},
            "all_paused": next((gate for queue in waits for gate in queue.gates if gate.kind == "all"), None),
        }  # fmt: skip
    data = {
        "members": [part.as_dict() for part in parts], "cursor": cursor or None,
        "queues": [queue.as_dict() for queue in waits], "after": after or None,
    }  # fmt: skip
    return View("members.html", known, data=data)


def member(asked: Look) -> View:
    """Show one member."""
    number = asked.numbered("number")
    there = TakingPart(asked.server)
    part = there.of(number)
    if part is None:
        raise NotThere(asked._("There is no member {number}: it has left, or was declared dead.", number=number))
    with looking(asked):
        known = {"part": part, "why": _why(asked, there, part)}
    return View("members_one.html", known, data=part.as_dict())


PAGES: Final = [
    Page("/members", "members", "Members and queues", "m", members, live=("member", "queue", "process")),
    Page("/members/{number}", "member", "Member", "", member, nav=False, under="members", live=("member", "process")),
]


def _listened(server: Server) -> Sequence[str]:
    """The queues that executors of now listen on, by their holders."""
    store = server.store
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    found = store.pipeline([("HGET", store.key(f"h:{holder}"), "queues") for holder in holders]) if holders else []
    return sorted({name for names in found if names for name in names.decode().split()})


def _sentence(asked: Look, there: TakingPart, waits: Sequence[Queue]) -> str:
    waiting = sum(queue.waiting for queue in waits)
    return " ".join(
        [
            asked.plural("One worker is up.", "{n} workers are up.", there.workers),
            asked.plural("One process waits in the queues.", "{n} processes wait in the queues.", waiting)
            if waiting
            else asked._("Nothing waits in the queues."),
        ]
    )


def _concerns(asked: Look, parts: Sequence[Part]) -> list[tuple[str, str]]:
    """What somebody should look at, as level and sentence."""
    told = [
        ("bad", asked._("Worker {node} (member {member}) has been silent for {span}.", node=part.node,
                        member=part.number, span=span(part.silence)))
        for part in parts if part.state == "silent" and part.kind == "worker"
    ]  # fmt: skip
    codes = {part.code for part in parts if part.kind == "worker" and not part.pool and part.code}
    if len(codes) > 1:
        told.append(("warn", asked._("The workers have {n} versions of the code.", n=len(codes))))
    return told


def _held(asked: Look, queue: Queue) -> str:
    """Why what waits in a queue does not begin; empty where executors take it."""
    for gate in queue.gates:
        facts: dict[str, Any] = {"name": queue.name, "by": gate.by}
        if gate.until_ms:
            facts["until"] = asked.zone.exact(gate.until_ms)
        if gate.kind == "all":
            return asked._("Everything is paused by {by}, until {until}.", **facts) if gate.until_ms else asked._(
                "Everything is paused by {by}.", **facts)  # fmt: skip
        return asked._("It is paused by {by}, until {until}.", **facts) if gate.until_ms else asked._(
            "It is paused by {by}.", **facts)  # fmt: skip
    return asked._("No worker listens on it: start one that does.") if queue.unserved else ""


def _why(asked: Look, there: TakingPart, part: Part) -> str:
    """Why a member is in its state; empty where that needs no words."""
    lease = asked.server.settings.member.lease_seconds
    if part.state == "silent":
        return asked._(
            "It has not been heard for {span}. After {lease} it is declared dead, and what it runs is given to others.",
            span=span(part.silence), lease=span(lease),
        )  # fmt: skip
    if part.state == "draining" and there.epoch.state == "stopping":
        return asked._("The server stops: it takes no more work, and leaves when what it runs has ended.")
    if part.state == "draining":
        return asked._("It was told to leave: it takes no more work, and leaves when what it runs has ended.")
    if part.state == "waiting":
        return asked._("The server stops just now: this worker begins with the next epoch.")
    if part.state == "starting":
        return asked._("Start-up hooks run: it takes work when they have ended well.")
    return ""
