"""What can be done to sessions and users."""

from __future__ import annotations

from typing import Final

from onserver.errors import NotDone, SessionNotFound
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.session.record import SessionRecord
from onserver.session.users import Users
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.granting import granted_as
from onserver.steer.made import REASON, Given, command, line
from onserver.views.session_found import find_session

_PRIVILEGE: Final = "admin.session"
_SESSION: Final = Field(name="session", required=True, maximum=200, label="Session")
_CARRIED: Final = ("web", "remote")
_SHORTEST_MINUTES: Final = 60


def _message(server: Server, given: Given) -> Outcome:
    record = find_session(server, given["session"])
    if not server.sessions.message(record.id, given["text"], by=asked_by(server)):
        raise SessionNotFound(given["session"])
    return Outcome(said="Session {id} has a message.", values={"id": record.id}, target=record.id)


def _drop(server: Server, given: Given) -> Outcome:
    record = find_session(server, given["session"])
    if record.kind == "storedProcedure":
        raise NotDone("session.drop", "this is the session of all procedures, and `onserver stop` ends it")
    if not server.sessions.drop(record.id, by=asked_by(server), reason=given.get("reason", "")):
        raise SessionNotFound(given["session"])
    return Outcome(said="Session {id} is dropped.", values={"id": record.id}, target=record.id,
                   before=f"{record.kind} of {record.user or 'a guest'}", instead=_pages(record.id))  # fmt: skip


def _drop_user(server: Server, given: Given) -> Outcome:
    ended = list(server.sessions.drop_user(given["user"], by=asked_by(server), reason=given.get("reason", "")))
    if not ended:
        raise SessionNotFound(given["user"])
    return Outcome(said="{count} sessions of {user} are dropped.", values={"count": len(ended), "user": given["user"]},
                   target=given["user"], before=f"{len(ended)} sessions", data={"dropped": ended},
                   instead=_pages(*ended))  # fmt: skip


def _revoke(server: Server, given: Given) -> Outcome:
    Users(server.store).revoke(given["user"], by=asked_by(server), reason=given.get("reason", ""))
    return Outcome(said="What {user} has asked for, and has not begun, is refused.", values={"user": given["user"]},
                   target=given["user"], after="revoked")  # fmt: skip


def _link(server: Server, given: Given) -> Outcome:
    record = find_session(server, given["session"])
    if record.kind not in _CARRIED:
        raise NotDone("session.link", "it is no session of the web or of a remote client")
    seconds = float(given.get("seconds", "60"))
    token = server.sessions.records.new_token(record.id, max(1.0, seconds))
    return Outcome(said="A token for session {id}, good once for {seconds} seconds.",
                   values={"id": record.id, "seconds": f"{seconds:g}"}, target=record.id,
                   secret=token)  # fmt: skip


def _set(server: Server, given: Given) -> Outcome:
    record = find_session(server, given["session"])
    facts: dict[str, object] = {}
    if "user_name" in given:
        facts["user"] = given["user_name"]
    if "idle_minutes" in given:
        facts["idle_ms"] = _idle_ms(record, float(given["idle_minutes"]))
    if "privileges" in given:
        names = [name.strip() for name in given["privileges"].split(",") if name.strip()]
        facts |= granted_as(server.require_roles(), names) | {"is_set": True}
    written = server.sessions.records.write(record.id, **facts)
    return Outcome(said="Session {id} is changed.", values={"id": record.id}, target=record.id,
                   before=_said(record), after=_said(written))  # fmt: skip


def _set_line(given: Given) -> str:
    words = [
        f"{word}={given[name]}"
        for name, word in (("user_name", "user_name"), ("idle_minutes", "idle_timeout"), ("privileges", "privileges"))
        if given.get(name)
    ]
    return line("onserver", "session", "set", given.get("session", ""), *words)


def _pages(*sessions: str) -> dict[str, str]:
    """Name the page of all sessions in place of those of these."""
    return {f"/sessions/{one}": "/sessions" for one in sessions}


def _idle_ms(record: SessionRecord, minutes: float) -> int:
    return int((max(minutes, _SHORTEST_MINUTES) if record.kind == "web" else minutes) * 60_000)


def _said(record: SessionRecord) -> str:
    granted = ", ".join((*record.roles, *record.privileges)) or "no privileges"
    return f"{record.user or 'a guest'}, {granted}, idle {record.idle_ms // 60_000} min"


ACTS: Final = (
    Action(
        name="session.message",
        privilege=_PRIVILEGE,
        run=_message,
        title="Send a message",
        fields=(_SESSION, Field(name="text", kind="text_area", required=True, maximum=5000, label="Message")),
        cli=command("onserver session message", "session", "text"),
    ),
    Action(
        name="session.drop",
        privilege=_PRIVILEGE,
        run=_drop,
        title="Drop a session",
        confirm="ask",
        fields=(_SESSION, REASON),
        cli=command("onserver session drop --yes", "session", reason="--reason"),
    ),
    Action(
        name="session.drop_user",
        privilege=_PRIVILEGE,
        run=_drop_user,
        title="Drop all sessions of a user",
        confirm="typed",
        fields=(Field(name="user", required=True, maximum=200, label="User"), REASON),
        cli=command("onserver session drop --all --yes", "user", reason="--reason"),
    ),
    Action(
        name="session.link",
        privilege=_PRIVILEGE,
        run=_link,
        title="Make a one-time token",
        confirm="ask",
        fields=(_SESSION, Field(name="seconds", kind="seconds", maximum=86_400, label="How long it is good for")),
        cli=command("onserver session otp", "session", seconds="--ttl"),
    ),
    Action(
        name="session.set",
        privilege=_PRIVILEGE,
        run=_set,
        title="Change a session",
        fields=(
            _SESSION,
            Field(name="user_name", maximum=200, label="User name"),
            Field(
                name="idle_minutes",
                kind="number",
                minimum=0,
                maximum=10_000_000,
                label="Minutes of idleness that end it",
            ),
            Field(name="privileges", maximum=2000, label="Roles and privileges, with commas"),
        ),
        cli=_set_line,
    ),
    Action(
        name="user.revoke",
        privilege=_PRIVILEGE,
        run=_revoke,
        title="Refuse what a user has asked for",
        confirm="typed",
        fields=(Field(name="user", required=True, maximum=200, label="User"), REASON),
        cli=command("onserver users revoke", "user", reason="--reason"),
    ),
)
"""Each of them."""
