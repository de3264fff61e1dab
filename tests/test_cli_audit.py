"""What the command changes is written down and can be forbidden; `onserver audit` shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import pytest

from onserver.cli import exits
from onserver.cli.audited import CHANGES, READS
from onserver.cli.command import VERBS
from onserver.lazy import load
from onserver.server import Server
from onserver.steer.actions import ACTIONS
from onserver.steer.audit import lines
from onserver.testing.inline import OnServer
from tests.commands import Ran, ran, settle_on


@pytest.fixture
def run(onserver: OnServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    settle_on(onserver.server, monkeypatch)

    def run(*words: str) -> Ran:
        found = ran(capsys, *words)
        onserver.server.make_current()
        return found

    return run


def leaves(one: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(one, click.Group):
        for name, below in one.commands.items():
            yield from leaves(below, f"{path} {name}")
        if not one.invoke_without_command:
            return
    yield path, one


ALL = dict(pair for verb, (target, _) in VERBS.items() for pair in leaves(load(target), verb))


def test_every_verb_is_said_to_change_something_or_to_read_only() -> None:
    assert CHANGES.keys() | READS == ALL.keys()
    assert not CHANGES.keys() & READS


@pytest.mark.parametrize("path", sorted(CHANGES))
def test_what_is_said_of_a_verb_are_its_parameters(path: str) -> None:
    known = {str(parameter.name) for parameter in ALL[path].params} | {"dry_run", "assigns"}
    change = CHANGES[path]
    assert {*change.target, *change.when, *change.unless, *dict(change.instead)} <= known


def test_what_the_page_can_do_has_the_same_name_here() -> None:
    names = {name for change in CHANGES.values() for name in (change.action, *dict(change.instead).values())}
    assert ACTIONS.keys() - names == {"queue.purge", "server.examine"}  # Celery's command; doctor, which only reads


def written(server: Server) -> list[tuple[str, str, str]]:
    return [(line.action, line.target, line.result) for line in lines(server.store, where="cli")]


def test_what_was_done_is_written_down(onserver: OnServer, run: Callable[..., Ran]) -> None:
    assert run("storage", "set", "rates", "1").status == exits.DONE
    assert run("storage", "get", "rates").status == exits.DONE
    assert run("storage", "rm", "none").status == exits.NOT_FOUND
    assert run("pause", "--queue", "mail").status == exits.DONE
    assert run("abort", "7").status == exits.NOT_FOUND
    assert run("abort").status == exits.USAGE
    assert run("users", "roles", "nobody").status == exits.NOT_FOUND
    assert written(onserver.server) == [
        ("process.abort", "7", "failed"),
        ("queue.pause", "mail", "done"),
        ("storage.delete", "none", "failed"),
        ("storage.set", "rates", "done"),
    ]


def test_what_raises_is_written_down_with_why(onserver: OnServer, run: Callable[..., Ran]) -> None:
    assert run("schedule", "pause", "nightly").status == exits.NOT_FOUND
    (line,) = lines(onserver.server.store)
    assert (line.action, line.result) == ("schedule.pause", "failed")
    assert "nightly" in line.why
    assert "@" in line.user


def test_nothing_is_done_where_nothing_can_be_changed(
    onserver: OnServer, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONSERVER_ADMIN_READ_ONLY", "1")
    refused = run("abort", "7")
    assert refused.status == exits.REFUSED
    assert "read-only" in refused.err
    assert run("storage", "set", "rates", "1").status == exits.REFUSED
    assert "rates" not in onserver.server.storage
    assert run("ps").status == exits.DONE
    assert run("abort", "7", "--dry-run").status == exits.NOT_FOUND  # which only reads
    assert written(onserver.server) == [("storage.set", "rates", "refused"), ("process.abort", "7", "refused")]


@pytest.mark.parametrize("path", sorted(path for path, change in CHANGES.items() if not change.harmless))
def test_every_verb_that_changes_something_is_refused_there(
    path: str, onserver: OnServer, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONSERVER_ADMIN_READ_ONLY", "1")
    words = [word for parameter in ALL[path].params for word in typed(parameter, CHANGES[path].when)]
    ran = run(*path.split(), *words)
    assert ran.status == exits.REFUSED, ran.err
    assert [(action, result) for action, _, result in written(onserver.server)] == [(CHANGES[path].action, "refused")]


def typed(parameter: click.Parameter, when: tuple[str, ...]) -> list[str]:
    """What is typed for a parameter: what is required, and what makes the verb one that changes something."""
    if parameter.name in when or (parameter.required and isinstance(parameter, click.Option)):
        if isinstance(parameter, click.Argument):
            return ["1"]
        flag = isinstance(parameter, click.Option) and parameter.is_flag
        return [parameter.opts[0]] if flag else [parameter.opts[0], "1h"]
    if isinstance(parameter, click.Argument) and when == ("assigns",):
        return ["1"] if parameter.name == "process" else ["a=1"]
    return ["1"] if isinstance(parameter, click.Argument) and parameter.required else []


def test_it_is_listed(run: Callable[..., Ran]) -> None:
    assert run("audit").out.strip() == "no change has been made yet"
    run("storage", "set", "rates", "1")
    run("pause", "--queue", "mail")
    shown = run("audit")
    assert [word in shown.out for word in ("storage.set", "rates", "queue.pause", "mail", "cli ")] == [True] * 5
    assert "queue.pause" not in run("audit", "--action", "storage").out
    (line,) = run("audit", "--json", "--action", "storage", "--since", "1h").data
    assert (line["action"], line["target"], line["result"]) == ("storage.set", "rates", "done")
    assert run("audit", "--user", "nobody").out.strip() == "no change has been made yet"
    assert {one["action"] for one in run("audit", "--json", "--actions").data} >= {"process.abort", "backup.restore"}
