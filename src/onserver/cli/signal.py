"""`onserver signal`: trigger a named signal, wait for it, or reset it."""

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.process.signals import signal as signal_of


@click.command()
@click.argument("name")
@click.option("--wait", type=SECONDS, metavar="S", help="Wait for it, at most so long, instead of triggering it.")
@click.option("--reset", is_flag=True, help="Let it be as if it had never been triggered.")
@common_options
@pass_invocation
def signal(invocation: Invocation, name: str, wait: float | None, reset: bool) -> int:
    """Trigger the signal NAME: whoever waits for it goes on, and so do those who will.

    Exit status: 0 done, 2 it cannot be named so, 5 it was not triggered in time.
    """
    if reset and wait is not None:
        raise click.UsageError("Either --wait or --reset.")
    invocation.server()
    named = signal_of(name)
    if reset:
        named.reset()
        invocation.screen.result({"signal": name, "signaled": False}, f"{name}: reset")
        return exits.DONE
    if wait is not None:
        came = named.wait(wait)
        invocation.screen.result(
            {"signal": name, "signaled": came}, f"{name}: {'triggered' if came else 'nothing yet'}"
        )
        return exits.DONE if came else exits.TIMED_OUT
    first = named.trigger()
    told = "triggered" if first else "was triggered before"
    invocation.screen.result({"signal": name, "signaled": True, "first": first}, f"{name}: {told}")
    return exits.DONE
