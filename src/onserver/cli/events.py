"""`onserver events`: what happened to machines, Redis and the cluster, and what users told; and what comes."""

import click
import msgspec

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import Screen, readable
from onserver.life.events import KEPT, Event, follow_events, read_events


@click.command()
@click.argument("name", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on with the events that come.")
@click.option("-n", "count", type=click.IntRange(0, KEPT), default=100, show_default=True, help="How many at most.")
@click.option("--since", type=SECONDS, metavar="D", help="Only events that are not older.")
@common_options
@pass_invocation
def events(invocation: Invocation, name: str, follow: bool, count: int, since: float | None) -> int:
    """Print what happened, the last of it, or only events whose name begins with NAME.

    The last 1,000 are kept, whether a hook listens or not. With --follow and --json, each event is an object.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    screen, store = invocation.screen, invocation.server().store
    oldest = None if since is None else store.now_ms() - int(since * 1000)
    kept = read_events(store)
    found = [event for event in kept if event.name.startswith(name) and (oldest is None or event.at_ms >= oldest)]
    shown = found[-count:] if count else []
    if not follow:
        screen.result([event.as_dict() for event in shown], "\n".join(map(line, shown)) or "no event")
        return exits.DONE
    for event in shown:
        _print(screen, event)
    for coming in follow_events(store, kept[-1].id if kept else "0"):
        for event in coming:
            if event.name.startswith(name):
                _print(screen, event)
    return exits.DONE


def line(event: Event) -> str:
    """Lay out an event for people."""
    facts = " ".join(f"{field}={_value(value)}" for field, value in event.payload.items() if value not in ("", None))
    where = f" · {event.worker}" if event.worker and event.payload.get("worker") != event.worker else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S} {event.name} {facts}".rstrip() + where


def _value(value: object) -> str:
    text = readable(value)
    return f'"{text}"' if isinstance(value, str) and (" " in text or "=" in text) else text


def _print(screen: Screen, event: Event) -> None:
    click.echo(msgspec.json.encode({"v": 1} | event.as_dict()).decode() if screen.json else line(event))
