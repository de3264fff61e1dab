"""`onserver call`: start a procedure from the command line, and print what it returns."""

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import click

from onserver.cli import exits, words
from onserver.cli.bar import Bar
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.patience import wait_telling
from onserver.cli.screen import readable
from onserver.process.execute import order_of
from onserver.process.put import Order, Sender
from onserver.server import Server
from onserver.session.context import serving
from onserver.views.members import members
from onserver.views.session_found import find_session


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("procedure")
@click.argument("arguments", nargs=-1, metavar="[ARG…] [key=value…]")
@click.option("--args-json", metavar="JSON", help="All arguments as one JSON list or object; `-` reads it from stdin.")
@click.option("--name", metavar="N", help="Name of the process.")
@click.option("--unique", is_flag=True, help="If a process of that name lives, wait for that one instead.")
@click.option("--queue", metavar="Q", help="The queue it waits in.")
@click.option("--priority", type=click.IntRange(0, 9), help="9 goes first.")
@click.option("--delay", type=SECONDS, metavar="D", help="Run it not before this time has passed.")
@click.option("--timeout", type=SECONDS, metavar="S", help="How long to wait for the result.")
@click.option("--progress", "show_progress", is_flag=True, help="Show on the standard error how far it is.")
@click.option("--as", "session", metavar="SESSION", help="Ask as this session: what it may not start is refused.")
@click.option("--detach", is_flag=True, help="Print the number of the process and do not wait.")
@common_options
@pass_invocation
def call(
    invocation: Invocation,
    *,
    procedure: str,
    arguments: tuple[str, ...],
    args_json: str | None,
    name: str | None,
    unique: bool,
    queue: str | None,
    priority: int | None,
    delay: float | None,
    timeout: float | None,
    show_progress: bool,
    session: str | None,
    detach: bool,
) -> int:
    """Run a procedure on the server and print its result.

    Each ARG is read as JSON where it is JSON, else as text; `key=value` is passed by name. On a terminal, or with -v,
    it tells after some seconds what it waits for.

    Exit status: 0 done, 1 it raised, 2 wrong arguments, 3 refused, 4 no such procedure or session, 5 no result in time,
    7 no worker is up.
    """
    server = invocation.server()
    if unique and not name:
        raise click.UsageError("--unique needs --name: it is the name that is unique.")
    args, kwargs = _arguments(arguments, args_json)
    if not server.store.command("EXISTS", server.store.key("procedures")):
        server.load_tasks()  # no worker has ever come to say what there is: the project's files do
    order = _with_options(order_of(server, procedure), name, unique, queue, priority, delay)
    with _asking_as(server, session):
        process = server.part(Sender).put(order, args, kwargs)
    if detach:
        invocation.screen.result({"process": process.number, "state": process.state}, str(process.number))
        return exits.DONE
    if not any(member.kind == "worker" for member in members(server.store)):
        invocation.screen.complaint(
            f"No worker is up: #{process.number} is kept and waits.",
            "`onserver worker` starts one; --detach does not wait.",
        )
        return exits.NO_WORKER
    until = None if timeout is None else monotonic() + timeout
    if show_progress:
        with Bar(invocation.screen) as bar:
            for progress in process.progress(timeout=timeout):
                bar.show(progress)
    else:
        wait_telling(invocation, process, until)
    result = process.result(timeout=None if until is None else max(0.0, until - monotonic()))
    invocation.screen.result({"process": process.number, "state": process.state, "result": result}, _text(result))
    return exits.DONE


def _asking_as(server: Server, session: str | None) -> AbstractContextManager[object]:
    """Ask in the name of a session.

    Raises:
        SessionNotFound: ONS-4108, there is none, or there are several.
    """
    if session is None:
        return nullcontext()
    found = server.sessions.of(find_session(server, session))
    if found.record.kind == "storedProcedure":
        return nullcontext()  # it is in this one's name that a program outside of every session asks
    return serving(found, web=found.record.web, remote=found.record.kind != "web")


def _arguments(given: tuple[str, ...], args_json: str | None) -> tuple[list[Any], dict[str, Any]]:
    if args_json is None:
        return words.arguments(given)
    if given:
        raise click.UsageError("Give the arguments one by one, or all in --args-json, not both.")
    text = sys.stdin.read() if args_json == "-" else args_json
    try:
        return words.from_json(text)
    except ValueError as error:
        raise click.UsageError(f"--args-json: {error}") from error


def _with_options(
    order: Order, name: str | None, unique: bool, queue: str | None, priority: int | None, delay: float | None
) -> Order:
    changed: dict[str, Any] = {}
    if name is not None:
        changed["name"] = name
    if unique:
        changed["unique"] = True
    if queue is not None:
        changed["queue"] = queue
    if priority is not None:
        changed["priority"] = priority
    if delay is not None:
        changed["delay"] = timedelta(seconds=delay)
    return replace(order, **changed)


def _text(result: Any) -> str:
    return result.hex() if isinstance(result, bytes) else readable(result)
