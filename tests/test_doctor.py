"""The doctor: each thing that may be wrong is found and named, and what it mends is well at the next look."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from onserver import __version__, begin_maintenance, procedure
from onserver.backup.history import Operation
from onserver.backup.rules import Standing
from onserver.backup.state import State, written
from onserver.doctor.backups import look_at_backups
from onserver.doctor.engine import look_at_redis
from onserver.doctor.findings import Finding
from onserver.doctor.leftovers import look_at_leftovers, look_at_what_is_held
from onserver.doctor.project import look_at_project
from onserver.doctor.roles import look_at_roles
from onserver.doctor.workers import look_at_workers
from onserver.errors import WrongLayout
from onserver.life.code import Code
from onserver.process.gates import pause_queue
from onserver.redis.address import Address, parse
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.settings import Settings, SigningSettings, load
from tests.cluster.redis_program import redis_program
from tests.floor import Floor, open_floor
from tests.test_cli_programs import Project

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="doctors.one", queue="nobodys")
def one() -> int:
    return 1


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with ExitStack() as opened:
        yield opened.enter_context(open_floor(redis_address))


@pytest.fixture
def project(tmp_path: Path, redis_address: Address) -> Iterator[Project]:
    made = Project(tmp_path / "shop", f"unix://{redis_address.path}")
    yield made
    made.end()


def wrong(findings: Iterable[Finding], check: str = "") -> list[Finding]:
    return [one for one in findings if one.level == "wrong" and check in ("", one.check)]


def notes(findings: Iterable[Finding], check: str) -> list[str]:
    return [one.text for one in findings if one.level == "note" and one.check == check]


def mended(finding: Finding) -> str:
    assert finding.mend is not None
    return finding.mend()


# ---- the project


def test_signing_keys_that_others_can_read_are_shut(tmp_path: Path) -> None:
    keys = tmp_path / ".onserver" / "keys.json"
    settings = Settings(name="t", project=tmp_path, redis="redis://127.0.0.1:1/0")
    with Server(settings=settings, project=tmp_path) as server:
        (missing,) = wrong(look_at_project(server, tmp_path), "signing")
        assert missing.cure
    keys.parent.mkdir()
    keys.write_text(json.dumps({"active": "k1", "keys": {"k1": "00" * 32}}))
    keys.chmod(0o644)
    with Server(settings=settings, project=tmp_path) as server:
        (open_to_all,) = wrong(look_at_project(server, tmp_path), "signing")
        assert "mode 644" in open_to_all.text
        mended(open_to_all)
        assert keys.stat().st_mode & 0o777 == 0o600
        assert not wrong(look_at_project(server, tmp_path), "signing")


ROLES: dict[str, Any] = {
    "privileges": [{"privilege": "read", "includes": []}, {"privilege": "write", "includes": ["read"]}],
    "roles": [{"role": "clerk", "privileges": ["write"]}],
    "permissions": {"allowed": [{"applyTo": "shop.add", "type": "method", "execute": ["write"]}]},
    "restrictedByDefault": True,
    "forceLogin": True,
}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (json.dumps(ROLES), ""),
        ("{", "cannot be read"),
        ("[]", "it is no object"),
        (json.dumps(ROLES | {"priviliges": []}), "unknown key `priviliges`"),
        (json.dumps(ROLES | {"roles": [{"role": "clerk", "privileges": ["wirte"]}]}), "role `clerk` names .* `wirte`"),
        (json.dumps(ROLES | {"privileges": []}), "permission of `shop.add` names the privilege `write`"),
        (json.dumps(ROLES | {"privileges": [{"privilege": "read"}] * 2}), "declared twice"),
    ],
)
def test_a_roles_file_names_only_what_it_declares(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "roles.json"
    assert list(look_at_roles(file)) == [], "there need not be one"
    file.write_text(text)
    findings = wrong(look_at_roles(file))
    assert bool(findings) == bool(problem)
    if problem:
        assert any(re.search(problem, one.text) for one in findings)


# ---- Redis


def test_a_redis_that_may_drop_keys_or_keeps_nothing_is_mended(tmp_path: Path) -> None:
    with redis_program(tmp_path / "redis") as program, Store(parse(program.url), "t") as store:
        settings = Settings(name="t", redis=program.url, signing=SigningSettings(key="a key of sixteen or more"))
        store.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        store.command("CONFIG", "SET", "appendonly", "no")
        with Server(settings=settings) as server:
            (policy,) = wrong(look_at_redis(server))
            assert "maxmemory-policy allkeys-lru" in policy.text
            assert "noeviction" in mended(policy)
            (disk,) = wrong(look_at_redis(server))
            assert (disk.check, "keeps nothing on disk" in disk.text) == ("redis.disk", True)
            mended(disk)
            assert not wrong(look_at_redis(server))
            store.command("CONFIG", "SET", "maxmemory", 1_200_000)
            (full,) = wrong(look_at_redis(server))
            assert full.check == "redis.memory"
            store.command("CONFIG", "SET", "maxmemory", 0)


def test_a_clock_that_goes_wrong_is_found(floor: Floor) -> None:
    assert not wrong(look_at_redis(floor.server))
    floor.store.command("INCRBY", floor.store.key("clock"), 60_000)
    floor.store.close()  # each new connection asks for the time
    (found,) = wrong(look_at_redis(floor.server), "clock")
    assert "60 s behind that of Redis" in found.text


def test_keys_of_another_layout_are_refused_by_all_but_the_doctor(floor: Floor) -> None:
    floor.store.command("HSET", floor.store.key("server"), "layout", 99)
    with Store(floor.store.address, floor.store.name) as store:
        with pytest.raises(WrongLayout, match=r"in layout 99; this release works with 1\. Use the onserver"):
            store.command("PING")
        store.any_layout = True
        assert store.command("PING") == b"PONG"
        assert store.layout == 99


# ---- who takes part


def test_members_that_are_well_are_well(floor: Floor) -> None:
    findings = list(look_at_workers(floor.server))
    assert not wrong(findings)
    assert any(one.check == "versions" and __version__ in one.text for one in findings)


def test_versions_clocks_and_codes_that_differ_are_found(floor: Floor) -> None:
    own = floor.store.key(f"member:{floor.member.number}")
    floor.store.command("HSET", own, "code", "aaa")
    other = floor.store.run("join", floor.store.nonce(), "worker", "node", "w2", "version", "0.0.1", "code", "bbb")
    floor.store.command("HSET", floor.store.key(f"member:{other}"), "ahead_ms", -12_000)
    told = {one.check: one.text for one in wrong(look_at_workers(floor.server))}
    assert told == {
        "versions": f"w2 (member {other}) runs onserver 0.0.1, this is {__version__}",
        "code": "test runs code aaa, w2 runs code bbb",
        "clock": f"the clock of w2 (member {other}) is 12 s behind that of Redis",
    }


@pytest.mark.parametrize(("files", "level"), [("the same", "well"), ("others", "note")])
def test_the_task_files_of_workers_are_compared_and_not_the_names_that_only_they_have(
    floor: Floor, files: str, level: str
) -> None:
    code = Code.of(floor.server, ["celery.chord", "celery.group"])
    assert code.digest != Code.of(floor.server).digest
    facts = code.facts if files == "the same" else {**code.facts, "files": files}
    floor.member.note_reload("", facts)
    assert [one.level for one in look_at_workers(floor.server) if one.check == "code"] == [level]


def test_a_beat_tells_of_a_clock_that_goes_wrong(floor: Floor) -> None:
    floor.member.beat()
    own = floor.store.key(f"member:{floor.member.number}")
    assert floor.store.command("HGET", own, "ahead_ms") is None
    floor.store.command("INCRBY", floor.store.key("clock"), 30_000)
    floor.member.beat()
    assert -31_000 < int(floor.store.command("HGET", own, "ahead_ms")) < -28_000


def test_a_silent_member_is_buried_with_all_that_it_held(floor: Floor) -> None:
    holder = floor.member.enlist()
    silent = int(2.5 * floor.server.settings.member.lease_seconds)
    floor.store.command("INCRBY", floor.store.key("clock"), silent * 1000)
    floor.store.close()  # each new connection asks for the time
    (found,) = wrong(look_at_workers(floor.server), "members")
    assert "has been silent for" in found.text
    assert "declared dead" in mended(found)
    assert not wrong(look_at_workers(floor.server), "members")
    assert floor.store.command("SISMEMBER", floor.store.key("live"), holder) == 0


# ---- what is left behind


def test_what_nobody_owns_is_found_and_mended_as_far_as_that_is_safe(floor: Floor) -> None:
    store = floor.store
    assert not wrong(look_at_leftovers(floor.server))
    dead = floor.member.enlist()
    ticket = f"token {dead}/t1 0"
    assert store.run("lock", "st:", "rates", ticket)[0] == b"yours"
    store.command("SREM", store.key("live"), dead)
    store.command("SREM", store.key(f"m:{floor.member.number}"), dead)
    store.command("HSET", store.key("h:9.9"), "member", "9")
    store.command("SADD", store.key("serve:default"), "9.9")
    store.command("HSET", store.key("clients"), "9.9", "desk")
    store.command("SET", store.key("a key of nobody's"), "value")
    store.command("HSET", store.key("p:77"), "s", "done", "t", "jobs.add")
    found = wrong(look_at_leftovers(floor.server))
    assert {one.text.partition(":")[0] for one in found} >= {"key st", "key h", "key a key of nobody's", "key p"}
    assert [one.check for one in found if "st:l:rates" in one.text] == ["locks"]
    for finding in found:
        if finding.mend is not None:
            finding.mend()
    left = wrong(look_at_leftovers(floor.server))
    assert sorted(one.text.split(":")[0] for one in left) == ["key a key of nobody's", "key p"]
    assert all("report" in one.cure for one in left)
    assert store.command("EXISTS", store.key("p:77")) == 1, "no record is ever dropped"


def test_what_is_held_back_is_told(floor: Floor) -> None:
    with floor.server.as_current():
        begin_maintenance("month-end")
    pause_queue(floor.server, "reports", by="ann")
    store = floor.store
    words: list[Word] = ["!", store.now_ms(), "nobodys", 5, 0, "", "", "", "", 0, "t", "doctors.one", "b", b""]
    store.run("put", store.nonce(), *words)
    store.command("ZADD", store.key("dead"), 1, 1)
    findings = list(look_at_what_is_held(floor.server))
    held = notes(findings, "held")
    assert "in maintenance by" in held[0]
    assert "queue `reports` is paused by ann" in held[1]
    assert notes(findings, "queues") == ["1 wait in queue `nobodys`, on which no worker listens"]
    assert notes(findings, "dead") == ["1 process is dead"]
    assert not wrong(findings)


# ---- backups


def test_backups_that_are_overdue_failed_or_given_up_are_found(floor: Floor, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text('backup.schedule = "every day at 02:00"\n')
    server, store = floor.server, floor.store
    assert notes(look_at_backups(server), "backups") == ["no backup was ever made, and none is scheduled"]
    settings = load(tmp_path, {"ONSERVER_NAME": server.name, "ONSERVER_REDIS": f"unix://{store.address.path}"})
    state = State(store)
    with Server(settings=settings) as scheduled:
        text, _ = state.standing()
        assert state.plan(text, Standing(plan="p", next_ms=store.now_ms() - 3_600_000))
        assert {one.text.partition(" at ")[0] for one in wrong(look_at_backups(scheduled))} == {
            "a backup was due", "no backup has ended well",
        }  # fmt: skip
        failed = Operation(run="r", number=4, code=1407, reason="no room")
        store.command(
            "HSET", store.key("backup"), "last", written(failed), "good", written(Operation(run="q", number=3))
        )
        text, _ = state.standing()
        assert state.plan(text, Standing(plan="p", suspended=1, attempts=3))
        assert [one.text for one in wrong(look_at_backups(scheduled))] == [
            "scheduled backups are suspended after 3 failures",
            "the last backup has failed: 1407 no room",
        ]


# ---- the verb


def test_the_verb_tells_everything_and_its_status_is_a_contract(project: Project) -> None:
    first = project.run("doctor", "-q")
    assert (first.returncode, first.stderr) == (0, "")
    assert "✓ key layout 1" in first.stdout
    assert "! no worker is up → onserver worker" in first.stdout
    assert project.run("doctor", "--strict").returncode == 10
    (project.folder / "config" / "roles.json").write_text("[]")
    (project.folder / "tasks" / "broken.py").write_text("import a_module_that_is_not_there\n")
    second = project.run("doctor", "--json", "--fix")
    assert second.returncode == 10
    told = json.loads(second.stdout)["data"]
    assert told["left"] == 2
    found = {one["check"]: one["text"] for one in told["findings"] if one["level"] == "wrong"}
    assert sorted(found) == ["project", "roles"]
    assert "a_module_that_is_not_there" in found["project"]
    away = project.run("doctor", ONSERVER_REDIS="redis://127.0.0.1:1/0")
    assert away.returncode == 6
    assert "✓ settings" in away.stdout, "what needs no Redis was told before"
    assert "ONS-1201" in away.stderr
