"""The command `onserver`: finds the verb, runs it, turns whatever it raised into a line and an exit status."""

import difflib
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import click

from onserver import lazy
from onserver.cli import exits
from onserver.cli.audited import audited
from onserver.cli.invocation import Invocation, common_options
from onserver.errors import NoWorker, OnServerError, ProcedureFailed

#: Every verb: where it is, and what it does. The table is read for `--help`, so that no verb is loaded for it.
VERBS = {
    "new": ("onserver.cli.new:new", "Make a new project."),
    "init": ("onserver.cli.init:init", "Let the Celery application of this folder join a server."),
    "dev": ("onserver.cli.dev:dev", "Serve the project here, with a private Redis, and reload on change."),
    "worker": ("onserver.cli.worker:worker", "Run a worker of the project."),
    "web": ("onserver.cli.web:web", "Serve published methods, pages and REST over HTTP."),
    "admin": ("onserver.cli.admin:admin", "Serve the admin page; make login links and tokens."),
    "reload": ("onserver.cli.reload:reload", "Have workers take new code; the epoch goes on."),
    "stop": ("onserver.cli.stop:stop", "Stop the whole server, drained."),
    "drain": ("onserver.cli.drain:drain", "Let one worker leave; the epoch goes on."),
    "scale": ("onserver.cli.scale:scale", "Give one worker more or fewer executors."),
    "maintenance": ("onserver.cli.maintenance:maintenance", "Close the server for new work, and open it again."),
    "connections": ("onserver.cli.connections:connections", "List connections of remote clients; reject new ones."),
    "call": ("onserver.cli.call:call", "Run a procedure on the server and print its result."),
    "ps": ("onserver.cli.ps:ps", "List processes, procedures or members."),
    "top": ("onserver.cli.top:top", "Show processes, queues and workers on a live screen."),
    "series": ("onserver.cli.series:series", "Print throughput, waits, queues and memory over time."),
    "logs": ("onserver.cli.logs:logs", "Print what processes have printed and logged."),
    "levels": ("onserver.cli.levels:levels", "Have workers log more, or less, for a while."),
    "abort": ("onserver.cli.abort:abort", "Stop processes for good."),
    "stack": ("onserver.cli.stack:stack", "Tell where a run is, line by line."),
    "pause": ("onserver.cli.pause:pause", "Pause processes, until they are resumed."),
    "resume": ("onserver.cli.pause:resume", "Let paused processes go on."),
    "dead": ("onserver.cli.dead:dead", "Look at dead processes, run them again, drop them."),
    "signal": ("onserver.cli.signal:signal", "Trigger a signal, or wait for it."),
    "vars": ("onserver.cli.vars:variables", "Read and write the variables of a process."),
    "storage": ("onserver.cli.storage:storage", "Read and change the server's storage."),
    "schedule": ("onserver.cli.schedule:schedule", "List schedules, start, pause and resume them."),
    "events": ("onserver.cli.events:events", "Print what happened to machines, Redis and the cluster."),
    "audit": ("onserver.cli.audit:audit", "List what was done to the server, and by whom."),
    "backup": ("onserver.cli.backup:backup", "Make backups, verify and restore them."),
    "hooks": ("onserver.cli.hooks:hooks", "List hooks and their runs, and run one."),
    "session": ("onserver.cli.session:session", "List and show sessions; change, tell, hand over, drop them."),
    "roles": ("onserver.cli.roles:roles", "Check, show and ask privileges and roles."),
    "users": ("onserver.cli.users:users", "List, make and remove users; give them passwords."),
    "keys": ("onserver.cli.keys:keys", "List signing keys, make, retire and renew them."),
    "migrate": ("onserver.cli.migrate:migrate", "Bring the keys of the server into the layout of this release."),
    "doctor": ("onserver.cli.doctor:doctor", "Look whether all is well, and mend what can be mended."),
    "compat": ("onserver.cli.compat:compat", "Tell what holds with the Celery broker in use."),
    "config": ("onserver.cli.config:config", "Show settings and where they come from."),
    "version": ("onserver.cli.version:version", "Print the version."),
}


class Verbs(click.Group):
    """A group whose commands are loaded when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature, here and below
        """Name the verbs, in the order in which a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load a verb."""
        if cmd_name not in VERBS:
            return None
        return audited(lazy.load(VERBS[cmd_name][0]), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one was probably meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"The verbs are {', '.join(VERBS)}."
            raise click.UsageError(f"There is no verb `{args[0]}`. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs for `--help` from the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_target, text) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@common_options
def onserver() -> None:
    """Serve stored procedures, and work with a server that does.

    Exit status: 0 done, 1 the remote code failed, 2 usage or configuration, 3 refused, 4 not found, 5 timed out,
    6 cannot reach Redis, 7 no worker, 8 conflict, 9 integrity, 10 findings, 130 interrupted.
    """


def main() -> None:
    """Run the command with the words of the command line, and end the program with its status."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    invocation = Invocation()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _shown_by(invocation)
            status = onserver.main(list(words), "onserver", standalone_mode=False, obj=invocation)
        return status if isinstance(status, int) else exits.DONE
    except (click.Abort, KeyboardInterrupt):
        invocation.screen.say("interrupted")
        return exits.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        invocation.screen.say(error.format_message())
        return exits.USAGE
    except click.ClickException as error:
        invocation.screen.json |= "--json" in words  # it may stand behind the word that was wrong
        _usage(invocation, error)
        return error.exit_code
    except OnServerError as error:
        _explain(invocation, error)
        return exits.status_of(error)
    except Exception as error:
        if not isinstance(error.__cause__, ProcedureFailed):
            raise  # a defect of ours, or of the project's code that runs in this program: its traceback is wanted
        _explain(invocation, error.__cause__)
        return exits.FAILED


def _usage(invocation: Invocation, error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    if context is not None and not invocation.screen.json:
        invocation.screen.say(context.get_usage())
    invocation.screen.complaint(error.format_message())


def _explain(invocation: Invocation, error: OnServerError) -> None:
    if isinstance(error, ProcedureFailed) and not invocation.screen.json:
        invocation.screen.say(error.remote_traceback.rstrip())
    invocation.screen.error(error)


def _shown_by(invocation: Invocation) -> Any:
    shown_by_python = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int,
             file: TextIO | None = None, line: str | None = None) -> None:  # fmt: skip
        if isinstance(message, NoWorker):
            invocation.screen.warn(message)
        else:
            shown_by_python(message, category, filename, lineno, file, line)

    return show
