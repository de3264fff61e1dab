"""`onserver config`: which settings hold, where each comes from, and whether the files are right."""

import click
import msgspec

from onserver.cli import exits
from onserver.cli.celery_side import task_names
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.process.schedule import schedules_of
from onserver.settings import SETTINGS, Explanation, load


@click.group()
@common_options
def config() -> None:
    """Show settings and where they come from. Exit status: 0 done, 2 a setting is wrong."""


@config.command()
@common_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """List every setting with its value and where that is from."""
    settings = load(invocation.project)
    found = [settings.explain(key) for key in SETTINGS]
    rows = [{"setting": each.key, "value": _value(each.value), "from": each.source} for each in found]
    invocation.screen.result([_data(each) for each in found], columns(("setting", "value", "from"), rows))


@config.command()
@click.argument("key")
@common_options
@pass_invocation
def explain(invocation: Invocation, key: str) -> None:
    """Tell what one setting means, its value, and where that is from."""
    found = load(invocation.project).explain(key)
    shown = (
        f"{found.key} = {_value(found.value)}   from: {found.source} (the default is {_value(found.default)})\n"
        f"{found.meaning}; set it in config/onserver.toml or by {found.variable}"
    )
    invocation.screen.result(_data(found), shown)


@config.command()
@common_options
@pass_invocation
def check(invocation: Invocation) -> int:
    """Read the settings as a worker would, and say whether they are right."""
    settings = load(invocation.project)
    if settings.schedule:  # these name procedures, so the project's code is asked
        server = invocation.server()
        server.load_tasks()
        schedules_of(server, task_names(server))
    set_here = sum(1 for key in SETTINGS if key in settings.sources)
    invocation.screen.result({"settings": set_here}, f"config/onserver.toml: {set_here} settings, all of them right")
    return exits.DONE


def _value(value: object) -> str:
    return msgspec.json.encode(value).decode() if value is not None else "(none)"


def _data(found: Explanation) -> dict[str, object]:
    return {name: getattr(found, name) for name in Explanation.__struct_fields__}
