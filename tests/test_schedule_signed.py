"""A schedule starts something in the name of who has planned it, and nothing where nobody of the project has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, caller, procedure
from onserver.errors import BadSignature, CallerRevoked
from onserver.process import key_file, key_use, signing
from onserver.process.added import add_schedule
from onserver.process.caller import Caller
from onserver.process.key_file import make_key, read_keys
from onserver.process.key_use import retire_key
from onserver.process.plan import planned, start_by_hand
from onserver.process.schedule import Entry
from onserver.process.signed_schedule import sign_schedule
from onserver.process.timetable import Timetable
from onserver.process.timing import Timing
from onserver.redis.address import Address
from onserver.session.context import serving
from onserver.settings import Settings, SigningSettings
from onserver.testing import OnServer
from tests.inline_worker import working

HOUR = 3600.0


@procedure
def planned_for(word: str = "") -> str:
    return f"{word} for {caller().user}"


class Plans:
    """A server with a timetable, and what the timetable said."""

    def __init__(self, server: Server, path: Path, worker: OnServer) -> None:
        self.server, self.path, self._worker = server, path, worker
        self.said: list[str] = []
        self.table = Timetable(server, server.store, self.said.append)

    def hour(self) -> list[Process[Any]]:
        """Let an hour pass, and start what is due."""
        store = self.server.store
        before = int(store.command("HGET", store.key("numbers"), "process") or 0)
        self._worker.advance(HOUR)
        self.table.turn()
        after = int(store.command("HGET", store.key("numbers"), "process") or 0)
        return [Process.get(number) for number in range(before + 1, after + 1)]

    def kept(self, name: str) -> tuple[bytes, bytes]:
        what, signed = self.server.store.command("HMGET", self.server.store.key(f"schedule:{name}"), "what", "c")
        return what, signed

    def write(self, name: str, what: bytes, signed: bytes) -> None:
        """What somebody can do who may write to Redis."""
        store = self.server.store
        store.command("SADD", store.key("schedules"), name)
        store.command("HSET", store.key(f"schedule:{name}"), "what", what, "c", signed, "codes", "+", "last", "1")


@pytest.fixture
def plans(redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plans]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    monkeypatch.setattr(signing, "LOOK_SECONDS", 0.0)
    path = tmp_path / "keys.json"
    make_key(path)
    url = f"unix://{redis_address.path}"
    settings = Settings(name=f"t{uuid4().hex[:8]}", redis=url, signing=SigningSettings(key_file=str(path)))
    with Server(settings.name, settings=settings) as server, working(server) as worker:
        yield Plans(server, path, worker)


def entry(name: str, word: str = "") -> Entry:
    return Entry(name=name, procedure=planned_for.name, timing=Timing.read("0 * * * *"), args=[word])


def test_what_a_worker_planned_is_the_servers(plans: Plans) -> None:
    plans.table.plan("code", [entry("hourly", "planned")])
    started = plans.hour()
    assert [one.result(timeout=60) for one in started] == ["planned for server"]
    other = Timetable(plans.server, plans.server.store, plans.said.append)  # of a leader that has it from Redis
    plans.table = other
    plans.server.store.command("HSET", plans.server.store.key("schedule:hourly"), "codes", "+")
    assert [one.result(timeout=60) for one in plans.hour()] == ["planned for server"]
    assert plans.said == []


def test_what_nobody_has_signed_starts_nothing(plans: Plans) -> None:
    add_schedule(plans.server, "every 1h", planned_for.name, ["added"], name="mine")
    what, signed = plans.kept("mine")
    forged = replace(entry("mine", "forged")).written()
    plans.write("unsigned", forged, b"")
    plans.write("noise", forged, b"x" * 100)
    plans.write("copied", what, signed)  # of another schedule
    plans.write("mine", forged, signed)  # altered
    assert plans.hour() == []
    assert sorted(said.split()[1] for said in plans.said) == ["copied", "mine", "noise", "unsigned"]
    assert plans.hour() == []
    assert len(plans.said) == 4  # said once
    for name in ("unsigned", "mine"):
        with pytest.raises(BadSignature):
            start_by_hand(plans.server, planned(plans.server.store, name))
    plans.write("mine", what, signed)
    assert [one.result(timeout=60) for one in plans.hour()] == ["added for server"]


def test_a_program_with_another_key_plans_nothing(plans: Plans, redis_address: Address) -> None:
    url = f"unix://{redis_address.path}"
    settings = Settings(name=plans.server.name, redis=url, signing=SigningSettings(key="a stranger's own key"))
    with Server(settings.name, settings=settings) as stranger:
        written = entry("theirs").written()
        plans.write("theirs", written, sign_schedule(stranger, "theirs", written))
    plans.server.make_current()
    assert plans.hour() == []
    assert "does not have" in plans.said[0]


def test_what_a_session_has_added_is_its_callers(plans: Plans) -> None:
    store = plans.server.store
    ann = Caller(user="ann", session="A" * 32, kind="remote", asked_ms=store.now_ms()).snapshot()
    with serving(None, remote=True, caller=ann):
        add_schedule(plans.server, "every 1h", planned_for.name, ["added"], name="hers")
    assert [one.result(timeout=60) for one in plans.hour()] == ["added for ann"]
    store.command("HSET", store.key("dropped"), "A" * 32, '{"at": 1, "by": "eve", "reason": "theft"}')
    refused = plans.hour()
    assert len(refused) == 1
    with pytest.raises(CallerRevoked, match="theft"):
        refused[0].result(timeout=60)


def test_a_retired_key_takes_no_schedule_with_it(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    add_schedule(plans.server, "every 1h", planned_for.name, ["added"], name="mine")
    old, what = read_keys(plans.path).active(), plans.kept("mine")[0]
    plans.write("forged", what, plans.kept("mine")[1])

    class Later:
        """The clock of key files, a minute on."""

        def __call__(self) -> float:
            return read_keys(plans.path).keys[made].starts + 60

    made = make_key(plans.path)
    monkeypatch.setattr(key_file, "time", Later())
    monkeypatch.setattr(key_use, "time", Later())
    assert retire_key(plans.server, old) == 0
    assert list(read_keys(plans.path).keys) == [made]
    started = plans.hour()
    assert [one.result(timeout=60) for one in started] == ["added for server"]
    assert [said.split()[1] for said in plans.said] == ["forged"]
