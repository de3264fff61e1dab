"""Signing keys: made, used at once by all who run, and retired when nothing names them; signed again by who may."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from onserver import Process, Server, mailbox, procedure
from onserver.errors import BadSetting, KeyInUse, KeyNotFound, ProcessDead
from onserver.process import key_file, key_use, signing
from onserver.process.key_file import make_first_key, make_key, read_keys
from onserver.process.key_use import naming, resign, retire_key
from onserver.process.signing import Signer
from onserver.redis.address import Address
from onserver.settings import Settings, SigningSettings
from onserver.testing import OnServer
from onserver.values import decode, encode
from tests.commands import Ran, ran
from tests.inline_worker import working

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")

DAY = 86_400.0


@procedure
def keyed(n: int) -> int:
    return n


class Clock:
    """The time by which keys begin to sign."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Ours for key files, and no waiting between two looks at them."""
    clock = Clock()
    monkeypatch.setattr(key_file, "time", clock)
    monkeypatch.setattr(key_use, "time", clock)
    monkeypatch.setattr(signing, "LOOK_SECONDS", 0.0)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


class Project(NamedTuple):
    """A server whose clock can be moved, with keys in a file; `server()` makes one more program of it."""

    settings: Settings
    path: Path
    server: Server

    def program(self) -> Server:
        return Server(self.settings.name, settings=self.settings)


@pytest.fixture
def project(redis_address: Address, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    make_key(path)
    url = f"unix://{redis_address.path}"
    settings = Settings(name=f"t{uuid4().hex[:8]}", redis=url, signing=SigningSettings(key_file=str(path)))
    with Server(settings.name, settings=settings) as server:
        server.make_current()
        yield Project(settings, path, server)


@pytest.fixture
def worker(project: Project) -> Iterator[OnServer]:
    with working(project.server) as worker:
        yield worker


def key_of(server: Server, process: Process[Any]) -> str:
    """The key that its record names."""
    envelope = server.store.command("HGET", server.store.key(f"p:{process.number}"), "c")
    return str(decode(envelope[:-32])[1])


# ---- the file


def test_the_newest_key_signs_and_all_verify(project: Project, worker: OnServer, clock: Clock) -> None:
    first, second = keyed.options(delay=30).start(1), None
    made = make_key(project.path)
    second = keyed.options(delay=30).start(2)
    assert key_of(project.server, first) != key_of(project.server, second) == made
    worker.advance(31)
    assert [one.result(timeout=60) for one in (first, second)] == [1, 2]


def test_a_key_file_is_for_its_owner_only_and_replaced_as_a_whole(path: Path) -> None:
    first = make_key(path, by="ann@desk")
    before = path.stat().st_ino
    second = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    keys = read_keys(path)
    assert (list(keys.keys), keys.keys[first].by, keys.active()) == ([first, second], "ann@desk", second)
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_keys_that_are_made_at_once_are_all_kept(path: Path) -> None:
    made: list[str] = []
    threads = [Thread(target=lambda: made.append(make_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(read_keys(path).keys) == sorted(made)
    assert len(made) == 8


def test_the_first_key_is_made_once(path: Path) -> None:
    threads = [Thread(target=make_first_key, args=[path]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(read_keys(path).keys) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_a_key_may_begin_to_sign_later(path: Path, clock: Clock) -> None:
    first = make_key(path)
    clock.now += 10
    second = make_key(path, after=600)
    keys = read_keys(path)
    assert keys.active() == first
    assert keys.active(clock.now + 601) == second
    clock.now += 601
    assert keys.active() == second


def test_a_file_that_was_written_by_hand(path: Path, clock: Clock) -> None:
    path.write_text(json.dumps({"active": "a", "keys": {"a": "00" * 32, "b": "11" * 32}}))
    assert read_keys(path).active() == "a"
    made = make_key(path)
    assert read_keys(path).active() == made
    assert {*read_keys(path).keys} == {"a", "b", made}


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"active": "a", "keys": {}}', '{"keys": {"a": "zz"}}',
                                  '{"keys": {"a": "00"}}', '{"keys": {"a": {}}}', '{"keys": {"a": {"secret": 7}}}',
                                  '{"active": "b", "keys": {"a": "00000000000000000000000000000000"}}'])  # fmt: skip
def test_a_key_file_that_is_none_is_told(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadSetting, match=r"signing\.key_file"):
        read_keys(path)


def test_a_file_that_is_broken_while_programs_run_changes_nothing(
    project: Project, worker: OnServer, caplog: pytest.LogCaptureFixture
) -> None:
    whole = project.path.read_text()
    for broken in ("", whole[:40]):
        project.path.write_text(broken)
        assert keyed.start(1).result(timeout=60) == 1
    project.path.unlink()
    assert keyed.start(2).result(timeout=60) == 2
    assert "stay in force" in caplog.text
    project.path.write_text(whole)
    assert keyed.start(3).result(timeout=60) == 3


# ---- rotation


def test_rotation_with_processes_delayed_for_weeks_refuses_none(
    project: Project, worker: OnServer, clock: Clock
) -> None:
    waiting: list[Process[int]] = []
    keys: list[str] = []
    for week in range(4):  # a new key each week, and the old ones retired as soon as that is possible
        keys.append(read_keys(project.path).active())
        waiting += [keyed.options(delay=days * DAY).start(len(waiting) + at) for at, days in enumerate((1, 8, 22))]
        clock.now += 7 * DAY
        worker.advance(7 * DAY)
        make_key(project.path)
        clock.now += 60
        oldest = next(iter(read_keys(project.path).keys))
        if week < 3:
            with pytest.raises(KeyInUse):
                retire_key(project.server, oldest)
    worker.advance(30 * DAY)
    assert [one.result(timeout=60) for one in waiting] == list(range(12))
    for key in keys:
        assert retire_key(project.server, key) == 0
    assert len(read_keys(project.path).keys) == 1
    assert keyed.start(7).result(timeout=60) == 7


def test_programs_that_run_use_a_new_key_without_a_restart(project: Project, worker: OnServer, clock: Clock) -> None:
    assert keyed.start(0).result(timeout=60) == 0  # the worker has read the file
    with project.program() as other:
        clock.now += 1
        make_key(project.path)
        other.make_current()
        started = keyed.start(1)
        project.server.make_current()
        assert key_of(other, started) == read_keys(project.path).active()
        assert started.result(timeout=60) == 1
        assert keyed.start(2).result(timeout=60) == 2


def test_a_key_that_is_not_known_makes_the_file_be_read_at_once(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "LOOK_SECONDS", 3600.0)
    with project.program() as slow, project.program() as quick:
        signer = slow.part(Signer)
        clock.now += 1
        made = make_key(project.path)
        now, body = quick.store.now_ms(), encode([[1], {}])
        envelope = signing.sign_now(quick, keyed.name, body, quick.store.nonce(), now)
        assert decode(envelope[:-32])[1] == made
        assert signer.verify(envelope, keyed.name, body, now)["user"] == "server"


# ---- retiring


def test_a_key_is_retired_only_when_no_record_names_it(project: Project, clock: Clock) -> None:
    server, old = project.server, read_keys(project.path).active()
    with pytest.raises(KeyInUse, match="new messages are signed with it"):
        retire_key(server, old)
    with pytest.raises(KeyNotFound, match="no signing key `nope`"):
        retire_key(server, "nope")
    queued, delayed, paused = keyed.start(1), keyed.options(delay=DAY).start(2), keyed.start(3)
    paused.pause()
    mailbox("box").call(keyed, 4)
    mailbox("box").call(keyed, 5)
    box = int(server.store.command("HGET", server.store.key("boxes"), "box"))
    made = make_key(project.path)
    clock.now += 5
    with pytest.raises(KeyInUse, match=rf"`{made}` signs since 5 s, and .* for another 26 s"):
        retire_key(server, old)
    clock.now += 30
    with pytest.raises(KeyInUse) as raised:
        retire_key(server, old)
    numbers = [queued.number, delayed.number, paused.number, box]
    assert (raised.value.total, list(raised.value.processes)) == (4, numbers)
    assert len(naming(server, old)) == 5  # the box has two: what it works at, and what waits
    for number in numbers:
        assert resign(server, number).outcome == "signed"
    assert retire_key(server, old) == 0
    with working(server):
        assert (queued.result(timeout=60), delayed.state) == (1, "delayed")
        paused.resume()
        assert paused.result(timeout=60) == 3
        mailbox("box").kill()
        assert Process.get(box).wait(timeout=60) == "done"
        assert server.store.command("HGET", server.store.key(f"p:{box}"), "mf") is None  # none of its calls has failed


def test_what_has_failed_or_is_dead_names_its_key_and_what_ended_well_does_not(
    project: Project, worker: OnServer, clock: Clock
) -> None:
    done = keyed.start(1)
    failed = keyed.start("x")  # type: ignore[arg-type]
    assert done.result(timeout=60) == 1
    assert failed.wait(timeout=60) == "done"
    aborted = keyed.options(delay=DAY).start(3)
    aborted.abort()
    old = read_keys(project.path).active()
    make_key(project.path)
    clock.now += 60
    assert retire_key(project.server, old) == 0


def test_a_process_whose_key_is_gone_is_a_dead_letter_until_it_is_signed_again(
    project: Project, worker: OnServer, clock: Clock
) -> None:
    server, old = project.server, read_keys(project.path).active()
    started = keyed.options(delay=DAY).start(7)
    clock.now += 1
    made = make_key(project.path)
    assert retire_key(server, old, force=True) == 1
    worker.advance(DAY + 1)
    with pytest.raises(ProcessDead, match=f"BadSignature: .* signed with key `{old}`, which this project does not"):
        started.result(timeout=60)
    assert [one.number for one in worker.dead] == [started.number]
    started.replay()
    with pytest.raises(ProcessDead):
        started.result(timeout=60)
    refused = resign(server, started.number)
    assert refused.outcome == "unsure"
    assert resign(server, started.number, unverified=True).text == f"signed with key `{made}`"
    assert resign(server, started.number).outcome == "already"
    started.replay()
    assert started.result(timeout=60) == 7
    record = started.record()
    assert "@" in record.signed_by
    assert record.signed_ms > record.accepted_ms
    assert resign(server, started.number).outcome == "ended"


def test_what_was_altered_is_never_signed_again(project: Project, clock: Clock) -> None:
    server = project.server
    store = server.store
    altered, unsigned, copied = (keyed.options(delay=DAY).start(n) for n in range(3))
    store.command("HSET", store.key(f"p:{altered.number}"), "b", encode([[99], {}]))
    store.command("HSET", store.key(f"p:{unsigned.number}"), "c", b"")
    envelope = store.command("HGET", store.key(f"p:{copied.number}"), "c")
    store.command("HSET", store.key(f"p:{copied.number}"), "c", signing.COPIED + envelope)
    make_key(project.path)
    for one in (altered, unsigned, copied):
        answer = resign(server, one.number, unverified=True)
        assert answer.outcome == "refused", answer
    # without its key nobody can tell, but the time of its making still can
    retire_key(server, next(iter(read_keys(project.path).keys)), force=True)
    store.command("HSET", store.key(f"p:{altered.number}"), "a", store.now_ms() + 60_000)
    assert resign(server, altered.number, unverified=True).outcome == "refused"


# ---- the command line


@pytest.fixture
def run(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    (tmp_path / "config").mkdir()
    lines = (f'name = "{project.settings.name}"', f'redis = "{project.settings.redis}"',
             f'signing.key_file = "{project.path}"')  # fmt: skip
    (tmp_path / "config/onserver.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        found = ran(capsys, "keys", *words)
        project.server.make_current()
        return found

    return run


Run = Callable[..., Ran]


def test_keys_are_listed_made_and_retired(run: Run, project: Project, clock: Clock) -> None:
    (old,) = read_keys(project.path).keys
    assert run("ls").out.splitlines()[1].split()[:2] == [old, "now"]
    clock.now += 1
    made = run("new", "--json").data["key"]
    rows = run("ls", "--json").data
    assert [(row["key"], row["signs"]) for row in rows] == [(old, False), (made, True)]
    assert "@" in rows[1]["by"]
    later = run("new", "--after", "10m")
    assert later.status == 0
    assert "copy" in later.out
    assert len(read_keys(project.path).keys) == 3
    clock.now += 300
    assert (run("retire", "nope").status, run("retire", made).status) == (4, 8)
    waiting = keyed.options(delay=DAY).start(1)
    assert run("retire", old).status == 0
    assert waiting.number  # it was signed with the new one
    assert old not in read_keys(project.path).keys


def test_which_processes_name_a_key_is_told(run: Run, project: Project, clock: Clock) -> None:
    (old,) = read_keys(project.path).keys
    numbers = [keyed.options(delay=DAY).start(n).number for n in range(3)]
    clock.now += 1
    run("new")
    clock.now += 60
    assert [row["processes"] for row in run("ls", "--used", "--json").data] == [3, 0]
    refused = run("retire", old)
    assert refused.status == 8
    assert "ONS-1014" in refused.err
    assert f"3 processes name it: {', '.join(f'#{n}' for n in numbers)}" in refused.err
    facts = json.loads(run("retire", old, "--json").out)["error"]["facts"]
    assert (facts["total"], facts["processes"]) == (3, numbers)
    assert run("resign").status == 2
    assert run("resign", "--key", "nope").status == 4
    assert run("resign", "999").status == 4
    assert [row["process"] for row in run("resign", "--key", old, "--dry-run", "--json").data] == numbers
    signed = run("resign", "--key", old, "--json")
    assert signed.status == 0
    assert [row["outcome"] for row in signed.data] == ["signed"] * 3
    assert run("retire", old).status == 0


def test_a_process_whose_key_is_gone_is_signed_only_when_somebody_says_so(
    run: Run, project: Project, clock: Clock
) -> None:
    (old,) = read_keys(project.path).keys
    number = str(keyed.options(delay=DAY).start(1).number)
    clock.now += 1
    run("new")
    assert run("retire", old, "--force").status == 2  # there is no terminal that could be asked
    assert run("retire", old, "--force", "--yes").status == 0
    assert run("resign", number).status == 2
    assert run("resign", number, "--yes").status == 0
    store = project.server.store
    store.command("HSET", store.key(f"p:{number}"), "b", encode([[2], {}]))
    assert run("resign", number, "--yes").status == 3  # it was altered since


def test_a_key_of_the_environment_is_kept_as_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a secret of sixteen or more")
    rows = run("ls", "--json").data
    assert [(row["signs"], row["from"]) for row in rows] == [(True, None)]
    assert run("new").status == 3
    assert run("retire", rows[0]["key"]).status == 8


def test_who_may_not_read_the_key_file_does_nothing(run: Run, project: Project) -> None:
    number = str(keyed.options(delay=DAY).start(1).number)
    hidden = project.path.with_name("hidden")
    project.path.rename(hidden)
    project.path.mkdir()  # nobody can read it, not even who may read everything
    for words in (("ls",), ("new",), ("resign", number)):
        refused = run(*words)
        assert refused.status == 2
        assert "signing.key_file" in refused.err
    project.path.rmdir()
    hidden.rename(project.path)
