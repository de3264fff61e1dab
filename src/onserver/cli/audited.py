"""Which verbs change something, and under which name that is written down: one table, and one place that heeds it.

A verb that changes something is refused where nothing can be changed (`admin.read_only`), and whatever comes of it is
written into the audit, with the name that the action has on the admin page. What only reads costs no trip more. A verb
that is in neither list does not run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation
from onserver.errors import ActionRefused, OnServerError, ReachError
from onserver.steer.actor import whoever_runs_this
from onserver.steer.audit import Result, record, take_back


class Change(NamedTuple):
    """What a verb does: the name of the action, and those parameters of the verb that name what it is done to."""

    action: str
    target: tuple[str, ...] = ()
    #: Parameters without all of which the verb only reads.
    when: tuple[str, ...] = ()
    #: Parameters with one of which it only reads.
    unless: tuple[str, ...] = ("dry_run",)
    #: Whether it goes where nothing can be changed.
    harmless: bool = False
    #: Whether nothing can be written down before it: the keys are in a layout that nobody else works with.
    later: bool = False
    #: Parameter to action, the first that is given: what the verb is then.
    instead: tuple[tuple[str, str], ...] = ()

    def named(self, given: Mapping[str, Any]) -> str:
        """Name the action that is asked for with these parameters."""
        return next((action for parameter, action in self.instead if given.get(parameter)), self.action)


CHANGES: Final[Mapping[str, Change]] = {
    "reload": Change("member.reload", ("node",)),
    "stop": Change("server.stop", ("node",), instead=(("node", "member.stop"),)),
    "drain": Change("member.drain", ("node",)),
    "scale": Change("member.executors", ("node", "executors")),
    "maintenance on": Change("maintenance.on", ("message",)),
    "maintenance off": Change("maintenance.off"),
    "connections tell": Change("session.message"),
    "connections reject": Change("connections.reject"),
    "connections accept": Change("connections.accept"),
    "call": Change("process.start", ("procedure",)),
    "abort": Change(
        "process.abort",
        ("processes", "procedure"),
        instead=(("every_one", "process.abort_all"), ("force", "process.force")),
    ),
    "stack": Change("process.stack", ("process",)),
    "pause": Change(
        "process.pause",
        ("processes", "queue", "procedure"),
        instead=(("queue", "queue.pause"), ("procedure", "procedure.pause"), ("everything", "server.pause")),
    ),
    "resume": Change(
        "process.resume",
        ("processes", "queue", "procedure"),
        instead=(("queue", "queue.resume"), ("procedure", "procedure.resume"), ("everything", "server.resume")),
    ),
    "dead replay": Change("process.replay", ("numbers",)),
    "dead drop": Change("dead.drop", ("numbers",)),
    "levels set": Change("log.level", ("logger", "level")),
    "levels reset": Change("log.reset", ("logger",)),
    "signal": Change("process.signal", ("name",), unless=("wait",)),
    "vars": Change("process.set", ("process",), when=("assigns",)),
    "storage set": Change("storage.set", ("identity", "key")),
    "storage incr": Change("storage.increment", ("identity", "key")),
    "storage rm": Change("storage.delete", ("identity", "key")),
    "storage unlock": Change("storage.unlock", ("identity", "key")),
    "storage import": Change("storage.import", ("identity",)),
    "schedule add": Change("schedule.add", ("name", "procedure")),
    "schedule change": Change("schedule.change", ("name",)),
    "schedule rm": Change("schedule.remove", ("name",)),
    "schedule run": Change("schedule.run", ("name",)),
    "schedule pause": Change("schedule.pause", ("name",)),
    "schedule resume": Change("schedule.resume", ("name",)),
    "backup now": Change("backup.now", ("label",)),
    "backup verify": Change("backup.verify", ("archive",)),
    "backup prune": Change("backup.prune", ("keep",)),
    "backup restore": Change(
        "backup.restore", ("archive", "to"), instead=(("finish", "backup.finish"), ("back", "backup.undo"))
    ),
    "hooks event": Change("event.send", ("name",)),
    "hooks run": Change("hook.run", ("hook",)),
    "session set": Change("session.set", ("identity",)),
    "session message": Change("session.message", ("identity",)),
    "session drop": Change("session.drop", ("identity",), instead=(("whole", "session.drop_user"),)),
    "session otp": Change("session.link", ("identity",)),
    "session roles": Change("session.set", ("identity",), when=("more", "less")),
    "roles reload": Change("roles.reload"),
    "users add": Change("user.add", ("name",)),
    "users rm": Change("user.remove", ("name",)),
    "users passwd": Change("user.password", ("name",)),
    "users roles": Change("user.roles", ("name",), when=("more", "without")),
    "users revoke": Change("user.revoke", ("name",)),
    "keys new": Change("key.new"),
    "keys retire": Change("key.retire", ("key",)),
    "keys resign": Change("key.resign", ("processes", "key")),
    "admin link": Change("admin.link", ("role",), harmless=True),
    "admin token new": Change("admin.token", ("name",)),
    "admin token rm": Change("admin.untoken", ("name",)),
    "migrate": Change("server.migrate", unless=("check",), later=True),
    "doctor": Change("server.mend", when=("fix",)),
}
READS: Final = frozenset(
    {"new", "init", "dev", "worker", "web", "admin", "maintenance status", "connections ls", "connections status", "ps",
     "top", "series", "logs", "levels ls", "dead ls", "dead show",
     "storage ls", "storage get", "storage locks", "storage export",
     "storage watch", "schedule ls",
     "schedule next", "events", "backup ls", "backup show", "backup info", "hooks ls", "hooks history", "session ls",
     "session show", "session can", "roles check", "roles show", "roles can", "roles schema", "users ls", "keys ls",
     "admin token ls", "audit", "compat", "config show", "config explain", "config check", "version"}
)  # fmt: skip


def audited(command: click.Command, path: str) -> click.Command:
    """Have a command, and all below it, heed the table.

    Args:
        command: as it was loaded.
        path: its words.
    """
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            audited(below, f"{path} {name}")
        if not command.invoke_without_command:
            return command
    if command.callback is not None and not hasattr(command.callback, "__wrapped_by_audit__"):
        command.callback = _heeding(command.callback, path)
    return command


def _heeding(callback: Callable[..., Any], path: str) -> Callable[..., Any]:
    change = CHANGES.get(path)

    @functools.wraps(callback)
    def run(*args: Any, **kwargs: Any) -> Any:
        if change is None:
            if path not in READS:
                raise click.UsageError(f"`{path}` is in no list of what changes something, and of what only reads.")
            return callback(*args, **kwargs)
        if _only_reads(change, kwargs):
            return callback(*args, **kwargs)
        return _written_down(change, callback, args, kwargs)

    run.__wrapped_by_audit__ = True  # type: ignore[attr-defined]
    return run


def _only_reads(change: Change, given: Mapping[str, Any]) -> bool:
    if change.when == ("assigns",):
        return not any("=" in word for word in given.get("names", ()))
    if any(given.get(name) not in (None, False, "", ()) for name in change.unless):
        return True
    return bool(change.when) and not any(given.get(name) for name in change.when)


def _written_down(change: Change, callback: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    invocation = click.get_current_context().ensure_object(Invocation)
    server = invocation.server()
    actor, action, target = whoever_runs_this(server, "cli"), change.named(given), _target(change, given)

    def write(result: Result, why: str = "") -> str:
        return record(server.store, actor, action, result=result, target=target, why=why, begun=begun)

    begun = ""
    if actor.read_only and not change.harmless:
        error = ActionRefused(action, "nothing can be changed here, it is read-only")
        write("refused", error.message)
        raise error
    begun = "" if change.later else write("begun")
    try:
        status = callback(*args, **given)
    except (click.ClickException, click.Abort):
        take_back(server.store, begun)  # it was not asked for rightly, or not meant
        raise
    except Exception as error:
        with suppress(ReachError):  # what went wrong is told, whether that can be written down or not
            write("failed", error.message if isinstance(error, OnServerError) else str(error))
        raise
    if status == exits.USAGE:
        take_back(server.store, begun)
    elif status in (exits.DONE, None):
        write("done")
    else:
        write("refused" if status == exits.REFUSED else "failed", f"exit status {status}")
    return status


def _target(change: Change, given: Mapping[str, Any]) -> str:
    words: list[str] = []
    for name in change.target:
        value: Any = given.get(name)
        if isinstance(value, list | tuple):
            words += [str(one) for one in cast("Sequence[Any]", value)]
        elif value:
            words.append(str(value))
    return " ".join(words)
