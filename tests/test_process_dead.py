"""Dead letters: what is kept of them, and running them again under their numbers."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from uuid import uuid4

import pytest

from onserver import Process, Retry, execute_on_server, mailbox, procedure, process, session
from onserver.celery_app.message import rebuild
from onserver.errors import NoWorker, ProcessDead, ProcessNotFound, ProcessTimeout
from onserver.process.caller import caller
from onserver.process.claim import Claim
from onserver.redis.address import Address
from onserver.redis.scripts import script
from onserver.testing.inline import OnServer
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.inline_worker import make_server, working

seen: list[tuple[int, int, int, str]] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    seen.clear()


@procedure(dead_letter=True, retry=Retry(times=1, delay=0))
def needs(entry: str, *, loud: bool = False) -> str:
    this = process()
    seen.append((this.number, this.attempt, this.deliveries, caller().user))
    if loud:
        print("looking for", entry)
    return str(session().storage[entry]["is"])


@procedure
def fails(entry: str) -> str:
    seen.append((process().number, process().attempt, process().deliveries, ""))
    return str(session().storage[entry]["is"])


@procedure(expires=5)
def soon() -> str:
    return "began"


def put(opened: OnServer, entry: str) -> None:
    with opened.storage.use() as root:
        root[entry] = {"is": "there"}


def test_a_dead_letter_runs_again_under_its_number(onserver: OnServer) -> None:
    dead = execute_on_server(needs, "x")
    assert dead.wait(timeout=10) == "dead"
    with pytest.raises(ProcessDead, match="KeyError"):
        dead.result()
    put(onserver, "x")
    answer = dead.replay()
    assert (answer.number, answer.level, answer.text) == (dead.number, "queued", "waits for its turn again")
    onserver.run_waiting()
    assert dead.result(timeout=10) == "there"
    assert [(number, attempt, delivery) for number, attempt, delivery, _ in seen] == [
        (dead.number, 1, 1), (dead.number, 2, 1), (dead.number, 1, 1),
    ]  # fmt: skip
    assert len({user for *_, user in seen}) == 1
    record = dead.record()
    assert (record.state, record.attempts, record.replays) == ("done", (), 1)
    assert "@" in record.replayed_by
    assert record.replayed_ms >= record.accepted_ms
    assert onserver.dead == []


def test_one_that_fails_again_is_dead_again_and_can_be_asked_for_again(onserver: OnServer) -> None:
    dead = execute_on_server(needs, "y")
    for times in (1, 2):
        assert dead.replay().level == "queued"
        onserver.run_waiting()
        assert dead.wait(timeout=10) == "dead"
        assert dead.record().replays == times
        assert [attempt.number for attempt in dead.record().attempts] == [1]
    assert [one.number for one in onserver.dead] == [dead.number]
    assert len(seen) == 6


def test_what_has_failed_and_what_was_lost(onserver: OnServer) -> None:
    failed = execute_on_server(fails, "z")
    assert failed.wait(timeout=10) == "failed"
    store, member = onserver.server.store, onserver.engine.member
    member.register("c1", {"tests.lost": ""})
    holder = member.enlist("c1", ["apart"])
    start = ("apart", 5, 0, "", "", "", "", 0, "t", "tests.lost", "b", b"\x92\x90\x80", "v", "R")
    number, _, _ = store.run("put", store.nonce(), "", store.now_ms(), *start)
    store.run("step", holder, 1, 0, 60, 120, 3, "c1", 1, "apart")
    member.bury(holder, number)
    lost = Process.get(number)
    assert lost.state == "lost"
    put(onserver, "z")
    assert [failed.replay().level, lost.replay().level] == ["queued", "queued"]
    onserver.run_waiting()
    assert failed.result(timeout=10) == "there"
    assert lost.state == "queued"
    assert lost.record().deliveries == 0
    lost.abort()


def test_nothing_happens_to_any_other(onserver: OnServer) -> None:
    put(onserver, "x")
    done = execute_on_server(needs, "x")
    waiting = needs.options(delay=100)("x")
    gone = needs.options(delay=100)("x")
    gone.abort()
    answers = [one.replay() for one in (done, waiting, gone)]
    assert [(answer.level, answer.text) for answer in answers] == [
        ("ended", "has ended already: done"), ("running", "has not ended: it is delayed"),
        ("ended", "has ended already: aborted"),
    ]  # fmt: skip
    assert done.result(timeout=0) == "there"
    with pytest.raises(ProcessNotFound):
        Process(onserver.server, 999_999).replay()
    assert asyncio.run(done.areplay()).level == "ended"


def test_a_unique_name_is_one_process_at_a_time(onserver: OnServer) -> None:
    first = needs.options(name="only", unique=True)("x")
    second = needs.options(name="only", unique=True, delay=100)("x")
    assert (first.state, second.state) == ("dead", "delayed")
    refused = first.replay()
    assert (refused.level, refused.text) == ("live", f"has a unique name, and #{second.number} of that name lives")
    second.abort()
    put(onserver, "x")
    assert first.replay().level == "queued"
    assert needs.options(name="only", unique=True)("x").number == first.number
    assert first.result(timeout=10) == "there"


def test_what_has_expired_may_begin_when_it_is_asked_for(onserver: OnServer) -> None:
    late = soon.options(delay=60)()
    onserver.advance(6)
    with pytest.raises(ProcessTimeout, match=r"never began: nobody could run it within its expires of 5 s"):
        late.result(timeout=0)
    assert late.replay().level == "queued"
    onserver.run_waiting()
    assert late.result(timeout=10) == "began"


def test_its_record_is_kept_until_it_has_ended_again(onserver: OnServer) -> None:
    dead = execute_on_server(needs, "x", loud=True)
    dead.variables["found"] = 1
    store = onserver.server.store
    keys = [store.key(f"{kind}:{dead.number}") for kind in ("p", "vars")]
    assert all(store.command("TTL", key) > 0 for key in keys)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        store.command("HSET", keys[0], "q", "apart")
        dead.replay()
    assert [store.command("TTL", key) for key in keys] == [-1, -1]
    assert dead.variables["found"] == 1
    dead.abort()
    assert all(store.command("TTL", key) > 0 for key in keys)


def test_a_call_of_a_mailbox_runs_by_itself(onserver: OnServer) -> None:
    store, member = onserver.server.store, onserver.engine.member
    box = mailbox("calls")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        box.call(needs.options(queue="apart"), "x")
    working = box.process
    assert working is not None
    code = onserver.engine.place.code
    for _ in range(3):
        holder = member.enlist(code, ["apart"])
        store.run("step", holder, 1, 0, 60, 120, 3, code, 1, "apart")
        member.bury(holder, working.number)
    assert working.state == "dead"
    put(onserver, "x")
    store.command("HSET", store.key(f"p:{working.number}"), "q", "default")
    assert working.replay().level == "queued"
    onserver.run_waiting()
    assert Process.get(working.number).result(timeout=10) == "there"


@pytest.mark.parametrize(("flags", "retries"), [("EY", 0), ("", 3)])
def test_celerys_count_of_retries_begins_anew(flags: str, retries: int) -> None:
    headers = json.dumps({"retries": 3, "as": ""}).encode()
    facts = {"number": 7, "procedure": "t", "body": b"[[], {}, {}]", "headers": headers, "task_id": "u", "flags": flags}
    none = dict.fromkeys(("deliveries", "accepted_ms", "timeout_ms", "grace_ms", "attempts"), 0)
    empty = {**dict.fromkeys(Claim._fields, ""), **none, "caller": b"", "root": None}
    claim = Claim(**{**empty, **facts})  # type: ignore[arg-type]
    assert rebuild(claim, "u", "1.1")["headers"]["retries"] == retries


def test_a_lost_reply_replays_once(redis_address: Address, tmp_path: Path) -> None:
    name = f"t{uuid4().hex[:8]}"
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(name, f"unix://{proxy.address.path}") as server,
        working(server),
    ):
        dead = execute_on_server(needs, "x")
        assert dead.wait(timeout=10) == "dead"
        sha = script("replay").sha

        def is_it(words: Words) -> bool:
            return words[0] in RUNS and words[1] == sha

        proxy.swallow_reply(1, matching=is_it)
        assert dead.replay().level == "queued"
        assert proxy.broken == 1
        assert dead.wait(timeout=10) == "dead"
        assert dead.record().replays == 1
        assert len(seen) == 4
