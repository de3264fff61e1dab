"""`onserver session`: who is there, and what may they do; change sessions, tell, hand over and drop them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration, readable
from onserver.cli.session_changes import changed, without
from onserver.errors import RoleNotFound, SessionNotFound
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.session.record import KINDS, SessionRecord
from onserver.session.roles_resources import GUEST, key_of
from onserver.session.users import Users
from onserver.steer.granting import declared, granted_as
from onserver.values import thaw
from onserver.views.session_found import find_session, pages
from onserver.views.sessions import as_dict, state_of

_HELP = "ID is an id of a session or the beginning of one, or the user's name where only one session is of that user."


@click.group(epilog=_HELP)
@common_options
def session() -> None:
    """List and show sessions; change them, send them messages, hand them over, drop them; tell what they may do.

    Exit status: 0 done, 3 refused, 4 there is no such session, privilege or role.
    """


@session.command()
@click.option("--kind", type=click.Choice(KINDS, case_sensitive=False), help="Only those of this kind.")
@click.option("--user", metavar="LOGIN", default="", help="Only those of this user of `onserver users`.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@common_options
@pass_invocation
def ls(invocation: Invocation, kind: str | None, user: str, limit: int) -> int:
    """List sessions, those opened last first.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    server = invocation.server()
    found = list(pages(server, kind=kind or "", login=user, most=limit + 1))
    if len(found) > limit:
        counts = ", ".join(f"{number} {name}" for name, number in server.sessions.counts().items() if number)
        invocation.screen.say(f"these are {limit}; there are {counts}: --limit, --kind or --user shows others")
    rows = [as_dict(record) for record in found[:limit]]
    heads = ("id", "kind", "user", "from", "roles", "seen", "ends", "state")
    shown = columns(heads, [_cells(record) for record in found[:limit]], right=("seen", "ends"))
    invocation.screen.result(rows, shown if rows else _nobody(kind, user))
    return exits.DONE


@session.command()
@click.argument("identity", metavar="ID")
@common_options
@pass_invocation
def show(invocation: Invocation, identity: str) -> int:
    """Show a session: where it is from, what it may do and why, what is in its storage.

    Exit status: 0 done, 4 there is no such session.
    """
    server = invocation.server()
    record = find_session(server, identity)
    known, storage = server.require_roles(), server.sessions.storage_of(record)
    privileges = [
        {"privilege": name, "why": known.holds(record.granted, name).why} for name in known.listed(record.granted)
    ]
    stored = {key: thaw(storage[key]) for key in sorted(storage)}
    row = as_dict(record)
    facts = "\n".join(
        f"{name:<14}  {readable(fact)}" for name, fact in row.items() if fact not in ("", [], {}, None, 0)
    )
    parts = [facts, columns(("privilege", "why"), privileges) if privileges else "no privileges"]
    parts.append("\n".join(f"{key} = {readable(value)}" for key, value in stored.items()) or "the storage is empty")
    invocation.screen.result({**row, "privileges": privileges, "storage": stored}, "\n\n".join(parts))
    return exits.DONE


@session.command("set")
@click.argument("identity", metavar="ID")
@click.argument("facts", nargs=-1, required=True, metavar="key=value…")
@common_options
@pass_invocation
def put(invocation: Invocation, identity: str, facts: Sequence[str]) -> int:
    """Change a session: `user_name=ann`, `idle_timeout=90` (minutes), `privileges=a,b`, `quotas.nbEntitySets=20`.

    Nothing behind the `=` takes a fact away. What the session gets counts from its next request on.

    Exit status: 0 done, 2 wrong usage, 4 there is no such session or privilege.
    """
    server = invocation.server()
    record = find_session(server, identity)
    written = server.sessions.records.write(record.id, **changed(server, record, facts))
    invocation.screen.result(as_dict(written), f"session {record.id} is changed: {', '.join(facts)}")
    return exits.DONE


@session.command()
@click.argument("identity", metavar="ID")
@click.argument("text")
@common_options
@pass_invocation
def message(invocation: Invocation, identity: str, text: str) -> int:
    """Leave a message for a session; it is read with `session().messages()`.

    Exit status: 0 done, 2 the text is too long, 4 there is no such session.
    """
    server = invocation.server()
    record = find_session(server, identity)
    try:
        there = server.sessions.message(record.id, text, by=asked_by(server))
    except ValueError as error:
        raise click.UsageError(f"TEXT: {error}") from error
    if not there:
        raise SessionNotFound(identity)  # it has ended since it was found
    invocation.screen.result({"id": record.id}, f"session {record.id} has a message")
    return exits.DONE


@session.command()
@click.argument("identity", metavar="ID")
@click.option("--reason", default="", help="Why, for those who see what was refused.")
@click.option("--all", "whole", is_flag=True, help="ID is a user of `onserver users`: drop all sessions of this user.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def drop(invocation: Invocation, identity: str, reason: str, whole: bool, yes: bool) -> int:
    """End a session against its will; what it has asked for, and has not begun, is refused.

    Exit status: 0 done, 3 it is the server's own, 4 there is no such session.
    """
    server = invocation.server()
    if whole:
        if not yes:
            confirm(f"Drop all sessions of {identity}?")
        ended = list(server.sessions.drop_user(identity, by=asked_by(server), reason=reason))
        if not ended:
            raise SessionNotFound(identity)
    else:
        record = find_session(server, identity)
        if record.kind == "storedProcedure":
            invocation.screen.complaint("This is the session of all procedures.", "`onserver stop` ends it.")
            return exits.REFUSED
        if not yes:
            confirm(f"Drop session {record.id} of {record.user or 'a guest'}?")
        if not server.sessions.drop(record.id, by=asked_by(server), reason=reason):
            raise SessionNotFound(identity)  # it has ended since it was found
        ended = [record.id]
    invocation.screen.result({"dropped": ended}, "\n".join(f"session {one} is dropped" for one in ended))
    return exits.DONE


@session.command()
@click.argument("identity", metavar="ID")
@click.option("--ttl", type=SECONDS, default=60.0, show_default=True, help="How long the token is good for.")
@common_options
@pass_invocation
def otp(invocation: Invocation, identity: str, ttl: float) -> int:
    """Print a token by which a browser continues a session, once: `https://…/?$4DSID=TOKEN`.

    Whoever has the token has the session. It is shown here only.

    Exit status: 0 done, 2 wrong usage, 3 it is no session of the web, 4 there is no such session.
    """
    if ttl < 1:
        raise click.UsageError("--ttl: a token lasts a second at least.")
    server = invocation.server()
    record = find_session(server, identity)
    if record.kind not in ("web", "remote"):
        invocation.screen.complaint("A token leads to sessions of the web and of remote clients only.")
        return exits.REFUSED
    token = server.sessions.records.new_token(record.id, ttl)
    invocation.screen.say(f"good once, for {duration(ttl)}")
    invocation.screen.result({"id": record.id, "token": token, "seconds": ttl}, token)
    return exits.DONE


class _WithRoles(click.Command):
    """A command in which `-clerk` takes a role away and is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, without(args))


@session.command(cls=_WithRoles)
@click.argument("identity", metavar="ID")
@click.argument("more", nargs=-1, metavar="[+ROLE]… [-ROLE]…")
@click.option("--without", "less", multiple=True, hidden=True)
@common_options
@pass_invocation
def roles(invocation: Invocation, identity: str, more: Sequence[str], less: Sequence[str]) -> int:
    """Give a session roles or privileges, or take some away; without any, show those it has.

    Exit status: 0 done, 2 wrong usage, 4 there is no such session or role.
    """
    server = invocation.server()
    record = find_session(server, identity)
    for word in more:
        if not word.startswith("+"):
            raise click.UsageError(f"`{word}` is no role: write it as `+{word}`, or `-{word}`.")
    if more or less:
        known = server.require_roles()
        taken = {key_of(declared(known, name)) for name in less}
        kept = [name for name in record.granted if key_of(name) not in taken]
        given = granted_as(known, [*kept, *(word[1:] for word in more)])
        record = server.sessions.records.write(record.id, **given, is_set=True)
    shown = " ".join(f"+{name}" for name in record.granted) or "no roles"
    invocation.screen.result(as_dict(record), f"{record.user or record.id}: {shown}")
    return exits.DONE


@session.command()
@click.argument("identity", metavar="ID")
@click.argument("privilege")
@common_options
@pass_invocation
def can(invocation: Invocation, identity: str, privilege: str) -> int:
    """Tell whether a session has a privilege, and why; a user without session is taken with the roles of that user.

    Exit status: 0 it has, 3 it has not, 4 there is no such session or privilege.
    """
    server = invocation.server()
    known = server.require_roles()
    if known.spelled(privilege) is None and key_of(privilege) != GUEST:
        raise RoleNotFound(privilege, list(known.privileges))
    who, granted = _granted(server, identity)
    verdict = known.holds(granted, privilege)
    if verdict:
        text = f"yes: {verdict.why}"
    else:
        givers = ", ".join(known.givers(privilege))
        has = f"{who} has roles {', '.join(granted)}" if granted else f"{who} has no roles"
        text = f"no: {has}; {privilege} is granted by {givers or 'no role'}"
    invocation.screen.result({"user": who, "privilege": privilege, "allowed": bool(verdict), "why": verdict.why}, text)
    return exits.DONE if verdict else exits.REFUSED


def _granted(server: Server, identity: str) -> tuple[str, Sequence[str]]:
    try:
        record = find_session(server, identity)
    except SessionNotFound as missing:
        user = next((one for one in Users(server.store).listed() if one.name.casefold() == identity.casefold()), None)
        if user is None or missing.several:
            raise
        return user.name, user.roles
    return record.user or "a guest", record.granted


def _nobody(kind: str | None, user: str) -> str:
    if kind or user:
        return f"no session{f' of kind {kind}' if kind else ''}{f' of {user}' if user else ''}"
    return "no session. Web sessions appear with the first request through the middleware."


def _cells(record: SessionRecord) -> Mapping[str, str]:
    def away(since_ms: int) -> str:
        return duration(max(0, record.read_ms - since_ms) / 1000)

    return {
        "id": record.id,
        "kind": record.type or record.kind,
        "user": record.user or "-",
        "from": record.ip or record.machine or "-",
        "roles": " ".join(f"+{name}" for name in record.granted) or "-",
        "seen": away(record.seen_ms or record.created_ms),
        "ends": duration(max(0, record.until_ms - record.read_ms) / 1000) if record.until_ms else "-",
        "state": state_of(record),
    }
