"""Diagnostics: what the doctor has found, Redis and what was slow there, versions, settings; all of it as a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import msgspec

from onserver.admin.page import Look, Page, View
from onserver.admin.rendering import looking, span
from onserver.life.log_levels import ordered
from onserver.steer.acts_diagnostics import Examined, examined
from onserver.steer.background import jobs
from onserver.views import diagnostics as views
from onserver.views.standing import look as standing
from onserver.views.versions import machine, versions

_NOUN: Final = "server"


def diagnostics(asked: Look) -> View:
    """Show what somebody needs who finds out what is wrong."""
    word, which = asked.text("q", 200).casefold(), asked.word("which", ("all",))
    store = asked.server.store
    found, going = examined(store), jobs(store, _NOUN)
    every = views.settings_of(asked.server)
    rows = [row for row in every if word in f"{row.key} {row.meaning}".casefold() and (row.given or word or which)]
    facts, (slow, why) = views.redis_facts(store), views.slow(store)
    known = {
        "sentence": _sentence(asked, found), "found": found, "jobs": [(job, _told(asked, job)) for job in going],
        "facts": facts, "slow": slow, "why": why, "versions": versions(), "machine": machine(), "settings": rows,
        "levels": ordered(store), "counts": (len(every), sum(row.given for row in every)),
    }  # fmt: skip
    data = {
        "examined": msgspec.to_builtins(found), "redis": facts, "slow": [asdict(one) for one in slow],
        "versions": versions(), "machine": machine(), "settings": [asdict(row) for row in rows],
        "levels": msgspec.to_builtins(list(ordered(store))), "doing": msgspec.to_builtins(list(going)),
    }  # fmt: skip
    return View("diagnostics.html", known, data=data)


def snapshot(asked: Look) -> View:
    """Answer all of it as a file that can be sent to somebody: no secret and no value is in it."""
    told = _snapshot(asked)
    name = f"onserver-{asked.server.name}-{asked.now_ms // 1000}.json"
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    body = msgspec.json.format(msgspec.json.encode(told, enc_hook=str), indent=1)
    return View(data=told, headers=headers, body=body)


PAGES: Final = [
    Page("/diagnostics", "diagnostics", "Diagnostics", "d", diagnostics, live=("audit", "member")),
    Page("/diagnostics/snapshot", "snapshot", "Diagnostics", "", snapshot, nav=False, under="diagnostics"),
]


def _sentence(asked: Look, found: Examined | None) -> str:
    if found is None:
        return asked._("Nobody has examined the server within a day.")
    left = sum(one.left for one in found.findings)
    with looking(asked):
        ago = span(max(0, asked.now_ms - found.at_ms) / 1000)
    if not left:
        return asked._("Examined {span} ago by {user}: nothing is to be done.", span=ago, user=found.by)
    return asked.plural(
        "Examined {span} ago by {user}: one thing is to be done.",
        "Examined {span} ago by {user}: {n} things are to be done.", left, span=ago, user=found.by,
    )  # fmt: skip


def _told(asked: Look, job: Any) -> str:
    if job.state == "done":
        return asked._(job.said, **job.values)
    return asked._("The program that did it was killed.") if job.state == "lost" else job.why


def _snapshot(asked: Look) -> dict[str, Any]:
    server = asked.server
    slow, why = views.slow(server.store)
    seen = standing(server).as_dict()
    given = [row for row in views.settings_of(server) if row.given]
    return {
        "server": server.name, "at": asked.zone.at(asked.now_ms).isoformat(timespec="seconds"),
        "versions": versions(), "machine": machine(), "redis": views.redis_facts(server.store),
        "standing": {**seen, "maintenance": bool(seen.get("maintenance"))},
        "settings": {row.key: {"value": row.value, "from": row.source} for row in given},
        "levels": msgspec.to_builtins(list(ordered(server.store))),
        "slow": [asdict(one) for one in slow], "slow_unknown": why or None,
        "findings": msgspec.to_builtins(examined(server.store)),
    }  # fmt: skip
