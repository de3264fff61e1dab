"""`onserver vars`: read and write the variables of a process."""

import difflib
from collections.abc import Sequence

import click

from onserver.cli import exits, words
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, readable
from onserver.process.handle import Process
from onserver.views.finding import named
from onserver.views.processes import Seen


@click.command("vars")
@click.argument("process", metavar="PROC")
@click.argument("names", nargs=-1, metavar="[NAME[=JSON]]…")
@common_options
@pass_invocation
def variables(invocation: Invocation, process: str, names: Sequence[str]) -> int:
    """Read the variables of a process, all or those that are named, and write those that are given a value.

    PROC is a number, or the name of a process that lives. A value is read as JSON where it is JSON, else as text; all
    that are given are written at once.

    Exit status: 0 done, 2 a value cannot be sent, 4 there is no such process or variable.
    """
    server = invocation.server()
    found: Process[object] = Process(server, named(Seen(server.store), process))
    found.record()
    given = {name: words.value(value) for name, is_given, value in map(_parted, names) if is_given}
    if given:
        found.variables.update(given)
    known = found.variables.copy()
    asked = [name for name, is_given, _ in map(_parted, names) if not is_given]
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"It has {', '.join(sorted(known)) or 'none'}."
            invocation.screen.complaint(f"#{found.number} has no variable `{name}`.", hint)
            return exits.NOT_FOUND
    shown = {name: known[name] for name in (asked or ([] if given else sorted(known)))}
    rows = [{"name": name, "value": readable(value)} for name, value in shown.items()]
    text = readable(shown[asked[0]]) if len(asked) == 1 else columns(("name", "value"), rows) if rows else ""
    invocation.screen.result(shown or given, text or ("no variable" if not names else ""))
    return exits.DONE


def _parted(word: str) -> tuple[str, bool, str]:
    name, is_given, value = word.partition("=")
    return name, bool(is_given), value
