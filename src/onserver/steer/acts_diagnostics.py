"""Looking whether all is well, mending what can be mended safely, and logging more for a while.

What the doctor found is kept in Redis for a day, so that everybody sees it: looking reads every key, and is not done
anew by each who looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct, json

from onserver.doctor.examination import examine
from onserver.doctor.findings import Finding, wrong
from onserver.errors import NotDone, OnServerError
from onserver.life.log_levels import LONGEST_SECONDS, order, ordered, reset
from onserver.process.control import asked_by
from onserver.process.log import LEVELS
from onserver.redis.store import Store
from onserver.server import Server
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.made import Given, command

_KEY: Final = "admin:findings"
_KEPT_SECONDS: Final = 86_400
#: What the root logger is called, for people.
ROOT: Final = "root"
#: Findings that are kept.
_MOST: Final = 500


class Told(Struct, frozen=True, kw_only=True):
    """A finding, as it is kept.

    Attributes:
        check: what was looked at.
        level: `well`, `note` or `wrong`.
        text: what was found.
        cure: what to do.
        can_mend: whether `server.mend` does it.
        done: what was mended; empty for nothing.
    """

    check: str
    level: str
    text: str
    cure: str = ""
    can_mend: bool = False
    done: str = ""

    @property
    def left(self) -> bool:
        """Whether something is to be done."""
        return self.level == "wrong" and not self.done


class Examined(Struct, frozen=True, kw_only=True):
    """What an examination has found.

    Attributes:
        at_ms: when it ended, milliseconds since 1970 by the clock of Redis.
        by: who asked for it.
        findings: in the order in which they were made.
        more: how many were made besides, and are not kept.
    """

    at_ms: int
    by: str
    findings: tuple[Told, ...]
    more: int = 0


def examined(store: Store) -> Examined | None:
    """Return what the last examination has found; None where there was none within a day."""
    value: bytes | None = store.command("GET", store.key(_KEY))
    return json.decode(value, type=Examined) if value else None


def _examine(server: Server, _given: Given) -> Outcome:
    found = _kept(server, mend=False)
    left = sum(one.left for one in found.findings)
    return Outcome(said="Examined: {left} things are to be done.", values={"left": left}, after=f"{left} to be done",
                   data={"left": left})  # fmt: skip


def _mend(server: Server, _given: Given) -> Outcome:
    found = _kept(server, mend=True)
    done = [one.done for one in found.findings if one.done]
    left = sum(one.left for one in found.findings)
    return Outcome(said="{done} things are mended, {left} are left.", values={"done": len(done), "left": left},
                   after="; ".join(done), data={"done": done, "left": left})  # fmt: skip


def _kept(server: Server, *, mend: bool) -> Examined:
    """Examine a server, and keep what was found."""
    told = [_told(finding, mend=mend) for finding in _findings(server)]
    store = server.store
    found = Examined(
        at_ms=store.now_ms(), by=asked_by(server), findings=tuple(told[:_MOST]), more=max(0, len(told) - _MOST)
    )
    store.command("SET", store.key(_KEY), json.encode(found), "EX", _KEPT_SECONDS)
    return found


def _findings(server: Server) -> Iterator[Finding]:
    if server.project is None:
        yield wrong("project", "this program has no project", "Start the page where the project is.")
        return
    yield from examine(server, server.project)


def _told(finding: Finding, *, mend: bool) -> Told:
    done, cure = "", finding.cure
    if mend and finding.mend is not None and finding.level != "well":
        try:
            done = finding.mend()
        except (OnServerError, OSError) as error:
            cure = f"{finding.cure} ({error})".strip()
    return Told(check=finding.check, level=finding.level, text=finding.text, cure=cure,
                can_mend=finding.mend is not None, done=done)  # fmt: skip


def _level(server: Server, given: Given) -> Outcome:
    logger, level, lasts = given.get("logger", ""), given["level"], float(given["seconds"])
    before = next((one.level for one in ordered(server.store) if one.logger == logger), "")
    try:
        told = order(server.store, logger, level, lasts, asked_by(server))
    except ValueError as error:
        raise NotDone("log.level", str(error)) from error
    return Outcome(said="{logger} logs from {level} on, in {workers} workers; what runs goes on as it began.",
                   values={"logger": logger or ROOT, "level": level, "workers": told}, target=logger or ROOT,
                   before=before, after=level, data={"workers": told})  # fmt: skip


def _reset(server: Server, given: Given) -> Outcome:
    logger = given.get("logger", "")
    before = next((one.level for one in ordered(server.store) if one.logger == logger), "")
    told = reset(server.store, logger)
    if told is None:
        raise NotDone("log.reset", f"`{logger or ROOT}` has no other level")
    return Outcome(said="{logger} logs as before, in {workers} workers.",
                   values={"logger": logger or ROOT, "workers": told}, target=logger or ROOT, before=before,
                   data={"workers": told})  # fmt: skip


_LOGGER: Final = Field(name="logger", maximum=200, label="Logger, or nothing for all")

ACTS: Final = (
    Action(
        name="server.examine",
        privilege="admin.worker",
        run=_examine,
        title="Examine the server",
        fields=(),
        cli=command("onserver doctor"),
        later="The server is being examined.",
    ),
    Action(
        name="server.mend",
        privilege="admin.config",
        run=_mend,
        title="Mend what can be mended safely",
        confirm="ask",
        fields=(),
        cli=command("onserver doctor --fix"),
        later="The server is being examined and mended.",
    ),
    Action(
        name="log.level",
        privilege="admin.config",
        run=_level,
        title="Log from another level on, for a while",
        fields=(
            _LOGGER,
            Field(name="level", kind="choice", required=True, choices=LEVELS, label="Level"),
            Field(
                name="seconds", kind="seconds", required=True, minimum=1, maximum=LONGEST_SECONDS, label="For how long"
            ),
        ),
        target=lambda given: given.get("logger", "") or ROOT,
        cli=command("onserver levels set", "level", logger="--logger", seconds="--for"),
    ),
    Action(
        name="log.reset",
        privilege="admin.config",
        run=_reset,
        title="Log as before",
        fields=(_LOGGER,),
        target=lambda given: given.get("logger", "") or ROOT,
        cli=command("onserver levels reset", logger="--logger"),
    ),
)
"""Each of them."""
