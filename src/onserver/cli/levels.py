"""`onserver levels`: other log levels in the workers, for a while."""

from datetime import datetime

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.life.log_levels import LONGEST_SECONDS, order, ordered, reset
from onserver.process.control import asked_by


@click.group()
@common_options
def levels() -> None:
    """Have workers log more, or less, for a while.

    Handlers are the project's; where it has set up none, the records stand in the logs of the processes.
    """


@levels.command()
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the levels that hold for a while, and until when.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    found = ordered(invocation.server().store)
    rows = [
        {"logger": one.logger or "(all)", "level": one.level, "by": one.by,
         "until": f"{datetime.fromtimestamp(one.until_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"}
        for one in found
    ]  # fmt: skip
    data = [{"logger": one.logger, "level": one.level, "until_ms": one.until_ms, "by": one.by} for one in found]
    text = columns(("logger", "level", "until", "by"), rows) if rows else "every logger has its own level"
    invocation.screen.result(data, text)
    return exits.DONE


@levels.command("set")
@click.argument("level")
@click.option("--logger", default="", metavar="L", help="Only this one and those below it; all by default.")
@click.option("--for", "seconds", type=SECONDS, default="10m", metavar="D", show_default=True, help="How long.")
@common_options
@pass_invocation
def set_level(invocation: Invocation, level: str, logger: str, seconds: float) -> int:
    """Log from LEVEL on: DEBUG, INFO, WARNING, ERROR or CRITICAL. What runs goes on as it began.

    Exit status: 0 done, 2 there is no such level, 6 cannot reach Redis.
    """
    server = invocation.server()
    if not 0 < seconds <= LONGEST_SECONDS:
        raise click.UsageError("A level lasts a day at most.")
    try:
        told = order(server.store, logger, level.upper(), seconds, asked_by(server))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    invocation.screen.result({"workers": told}, f"{logger or 'all'}: {level.upper()}, in {told} workers")
    return exits.DONE


@levels.command("reset")
@click.option("--logger", default="", metavar="L", help="This one; the root by default.")
@common_options
@pass_invocation
def reset_level(invocation: Invocation, logger: str) -> int:
    """Let a logger have the level again that it had.

    Exit status: 0 done, 4 it has no other, 6 cannot reach Redis.
    """
    told = reset(invocation.server().store, logger)
    if told is None:
        invocation.screen.complaint(f"`{logger or 'all'}` has no other level.", "See `onserver levels ls`.")
        return exits.NOT_FOUND
    invocation.screen.result({"workers": told}, f"{logger or 'all'}: as before, in {told} workers")
    return exits.DONE
