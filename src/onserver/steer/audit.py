"""What was done to a server and by whom: one list in Redis, for the page, the HTTP API and the command line.

Logins to the admin page stand in it too, as `login` and `logout`.

A line is written for every action, whatever has come of it, and for one that was refused too. It is written before the
action begins, and another one takes its place when that has ended: one that says `begun` and stays is of a program that
was killed meanwhile. What cannot be written down is not done. What is secret (values, passwords, one-time links) never
stands in it. The last 10,000 are kept, and a restored backup changes none of them: what was done stays done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from onserver.redis.store import Store
from onserver.steer.actor import Actor

#: How many lines are kept: as many, or a few more.
KEPT: Final = 10_000
#: Longest text of a line, in characters.
_LONGEST: Final = 500
_PAGE: Final = 200

Result = Literal["begun", "done", "refused", "failed"]
#: What coming in to the admin page and going out of it are called.
LOGIN: Final = "login"
LOGOUT: Final = "logout"
RESULTS: Final[tuple[Result, ...]] = ("begun", "done", "refused", "failed")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was done, or was not.

    Attributes:
        id: its place in the list; those written later are greater, part by part.
        at_ms: when, milliseconds since 1970 by the clock of Redis.
        user: who; see `Actor.user`.
        origin: from which address or host.
        where: see `Actor.where`.
        action: what, as in `process.abort`.
        target: to what.
        before: what there was; empty where nothing is said of it.
        after: what there was then.
        result: `done`, `refused` before anything was tried, `failed`; `begun` where nothing is known yet.
        why: why it was refused or has failed.
    """

    id: str
    at_ms: int
    user: str
    origin: str
    where: str
    action: str
    target: str
    before: str
    after: str
    result: str
    why: str

    @property
    def at(self) -> datetime:
        """When, in the zone of this machine."""
        return datetime.fromtimestamp(self.at_ms / 1000).astimezone()

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return vars(self) | {"at": self.at.isoformat(timespec="milliseconds")}


_FIELDS: Final = ("user", "origin", "where", "action", "target", "before", "after", "result", "why")


def record(
    store: Store,
    actor: Actor,
    action: str,
    *,
    result: Result,
    target: str = "",
    before: str = "",
    after: str = "",
    why: str = "",
    begun: str = "",
) -> str:
    """Write a line, and return its id.

    Args:
        store: the Redis of the server.
        actor: who.
        action: what, as in `process.abort`.
        result: what has come of it.
        target: to what.
        before: what there was.
        after: what there is.
        why: why it was refused or has failed.
        begun: id of the line that said that it begins, of which this one takes the place.
    """
    facts = {"user": actor.user, "origin": actor.origin, "where": actor.where, "action": action, "target": target,
             "before": before, "after": after, "result": result, "why": why}  # fmt: skip
    words = [word for name, text in facts.items() if text for word in (name, _short(text))]
    written: bytes = store.run("audit", store.nonce(), KEPT, begun, *words)
    return written.decode()


def take_back(store: Store, begun: str) -> None:
    """Take a line away that said that something begins: it was not asked for rightly, or nobody meant it.

    Args:
        store: the Redis of the server.
        begun: its id; empty where there is none.
    """
    if begun:
        store.run("audit", store.nonce(), KEPT, begun)


def lines(
    store: Store,
    *,
    before: str = "",
    since_ms: int = 0,
    until_ms: int | None = None,
    user: str = "",
    action: str = "",
    target: str = "",
    result: str = "",
    where: str = "",
) -> Iterator[Line]:
    """Yield what was done, the last first, in pages.

    Args:
        store: the Redis of the server.
        before: id of a line, above which nothing is told.
        since_ms: nothing older than this, milliseconds since 1970.
        until_ms: nothing younger than this, milliseconds since 1970; None for no end.
        user: only what this one did.
        action: only this action, or with a name like `process`, those that begin so.
        target: only what was done to something that has this in its name, in small letters or capitals.
        result: only what came to this; see `RESULTS`.
        where: only from here; see `Actor.where`.
    """
    end, wanted = f"({before}" if before else "+", target.casefold()
    if until_ms is not None and (not before or until_ms < int(before.partition("-")[0])):
        end = str(max(0, until_ms))
    while True:
        found = store.command("XREVRANGE", store.key("audit"), end, str(since_ms), "COUNT", _PAGE)
        for identity, fields in found:
            line = _read(identity, fields)
            if (
                user in ("", line.user)
                and (action in ("", line.action) or line.action.startswith(f"{action}."))
                and wanted in line.target.casefold()
                and result in ("", line.result)
                and where in ("", line.where)
            ):
                yield line
        if len(found) < _PAGE:
            return
        end = f"({found[-1][0].decode()}"


def _read(identity: bytes, fields: list[bytes]) -> Line:
    facts = {name.decode(): text.decode(errors="replace") for name, text in zip(fields[::2], fields[1::2], strict=True)}
    at_ms = int(identity.partition(b"-")[0])
    return Line(id=identity.decode(), at_ms=at_ms, **{name: facts.get(name, "") for name in _FIELDS})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
