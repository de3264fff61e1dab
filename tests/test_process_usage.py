"""What runs have used: looked at by their supervisor, told by its beat where it has changed, shown while they run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from onserver import procedure
from onserver.cli.invocation import Invocation
from onserver.cli.ps import ps
from onserver.life.page import Page
from onserver.life.usage import usage_of
from onserver.redis.address import Address
from onserver.server import Server
from onserver.views.processes import Row, Seen
from tests.admin_browser import browser
from tests.commandstats import commands
from tests.floor import Floor, open_floor

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="usage.noop")
def noop() -> None: ...


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


def child(number: int, pid: int = 0, role: str = "executor") -> Any:
    """As the supervisor sees one: this program in its place."""
    page = Page()
    if number:
        page.begin(number)
    return SimpleNamespace(role=role, pid=pid or os.getpid(), page=page)


def seen(floor: Floor, number: int) -> Row:
    return next(iter(Seen(floor.store).rows([number])))


# -- looking


def test_of_what_runs_for_a_while_it_is_looked_what_it_uses() -> None:
    told = usage_of([child(7), child(0), child(8)], 0)
    first, second = (one.split() for one in told.split(","))
    assert (first[0], second[0]) == ("7", "8")
    assert int(first[1]) > 0  # this program has used some
    assert int(first[2]) > 1_000_000


def test_what_the_runs_before_have_used_is_not_counted() -> None:
    one = child(7)
    one.page.end()
    assert 0 < one.page.cpu_before <= sum(os.times()[:2]) + 0.02
    one.page.begin(8)
    assert int(usage_of([one], 0).split()[1]) < 1000 * one.page.cpu_before


def test_nothing_is_said_of_short_runs_of_loops_and_of_the_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert usage_of([child(7)], 60) == ""
    assert usage_of([child(7, role="async"), child(8, ended.pid), child(0)], 0) == ""


# -- telling


def test_a_beat_writes_it_where_it_has_changed(floor: Floor) -> None:
    def written(usage: str) -> int:
        before = commands(floor.store)
        floor.member.beat(usage=usage)
        return (commands(floor.store) - before)["hset"]

    written("")  # the first one says more
    plain = written("")
    assert written("7 1500 2000000") == plain + 1
    assert written("7 1500 2000000") == plain
    assert written("") == plain + 1  # it has ended
    assert written("") == plain
    assert floor.store.command("HGET", floor.store.key(f"member:{floor.member.number}"), "usage") == b"-"


# -- showing


def test_it_is_shown_while_it_runs(floor: Floor) -> None:
    executor, number = floor.executor(), floor.put(noop)
    assert executor.claim() == number
    assert (seen(floor, number).cpu_seconds, seen(floor, number).memory) == (None, None)
    floor.member.beat(usage=f"{number} 1500 52428800,99 1 1")
    assert (seen(floor, number).cpu_seconds, seen(floor, number).memory) == (1.5, 52428800)
    ann = browser(floor.server)
    page = ann.get(f"/processes/{number}").text
    assert "<dt>CPU</dt>" in page
    assert "<dt>Memory</dt>" in page
    listed = ann.get("/processes").text
    for head in ("CPU", "Memory"):
        assert f'<th scope="col" class="right roomy">{head}</th>' in listed
    assert ann.get("/processes", headers={"accept": "application/json"}).json()["data"]["rows"][0]["memory"] == 52428800
    executor.end(number)
    assert (seen(floor, number).cpu_seconds, seen(floor, number).memory) == (None, None)
    assert "<dt>CPU</dt>" not in ann.get(f"/processes/{number}").text


def test_the_command_shows_it_where_that_is_asked(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(_: Invocation) -> Server:
        return floor.server

    monkeypatch.setattr(Invocation, "server", found)
    executor, number = floor.executor(), floor.put(noop)
    assert executor.claim() == number
    floor.member.beat(usage=f"{number} 1500 52428800")
    wide, plain = (CliRunner().invoke(ps, words).stdout for words in (["--wide"], []))
    assert re.search(r" CPU +MEMORY .*\n.* 1\.5 s +52 MB ", wide), wide
    assert "MEMORY" not in plain
