"""`onserver dead`: what is listed, what is shown, what runs again, what is dropped, and with which exit statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from onserver import Process, Retry, execute_on_server, procedure, process, session
from onserver.errors import ProcessNotFound
from onserver.testing.inline import OnServer
from tests.commands import Ran, ran, settle_on


@procedure(name="shop.needs", dead_letter=True, retry=Retry(times=2, delay=0))
def needs(entry: str) -> str:
    print("looking for", entry)
    return str(session().storage[entry]["is"])


@procedure(name="shop.fails")
def fails(text: str) -> None:
    raise ValueError(text)


@procedure(name="shop.secret", dead_letter=True, redact=True)
def secret(word: str) -> None:
    raise ValueError(process().number)


@pytest.fixture
def run(onserver: OnServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    settle_on(onserver.server, monkeypatch)

    def run(*words: str) -> Ran:
        found = ran(capsys, "dead", *words)
        onserver.server.make_current()
        return found

    return run


Run = Callable[..., Ran]


def ended(started: Process[Any]) -> int:
    assert started.wait(timeout=10).ended
    return started.number


def test_what_is_dead_is_listed_the_last_first(run: Run) -> None:
    assert run("ls").out == "nothing is dead; what has failed: `onserver dead ls --failed`\n"
    first, second = ended(execute_on_server(needs, "a")), ended(needs.options(name="mine").start("b"))
    failed = ended(execute_on_server(fails, "no\nreally"))
    listed = run("ls")
    assert listed.status == 0
    head, *lines = listed.out.splitlines()
    assert head.split() == ["#", "NAME", "STATE", "RUNS", "LAST", "WORKER", "ERROR"]
    assert [line.split()[:5] for line in lines] == [
        [str(second), "mine", "dead", "3", "attempts"], [str(first), "shop.needs", "dead", "3", "attempts"],
    ]  # fmt: skip
    assert lines[0].split()[7:] == ["test", "KeyError:", "'b'"]
    rows = run("ls", "--failed", "--json").data
    assert [row["process"] for row in rows] == [second, first, failed]
    assert (rows[2]["state"], rows[2]["error"], rows[2]["message"]) == ("failed", "ValueError", "no\nreally")
    assert (rows[0]["attempts"], rows[0]["deliveries"], rows[0]["replayed_by"]) == (3, 0, None)
    assert run("ls", "--failed").out.splitlines()[-1].endswith("ValueError: no")
    limited = run("ls", "--limit", "1")
    assert len(limited.out.splitlines()) == 2
    assert "there are more" in limited.err


def test_one_whose_worker_died_tells_so(run: Run, onserver: OnServer) -> None:
    store, member = onserver.server.store, onserver.engine.member
    member.register("c1", {"shop.kills": ""})
    start = ("apart", 5, 0, "", "", "", "", 0, "t", "shop.kills", "b", b"\x92\x90\x80")
    number, _, _ = store.run("put", store.nonce(), "", store.now_ms(), *start)
    for _ in range(3):
        holder = member.enlist("c1", ["apart"])
        store.run("step", holder, 1, 0, 60, 120, 3, "c1", 1, "apart")
        member.bury(holder, number)
    (row,) = run("ls", "--json").data
    assert (row["deliveries"], row["attempts"], row["error"]) == (3, 0, "ProcessDead")
    assert run("ls").out.splitlines()[1].endswith("its worker died 3 times while it ran")
    assert "3 deliveries" in run("show", str(number)).out


def test_one_is_shown_with_all_that_is_known(run: Run) -> None:
    number = ended(execute_on_server(needs, "a"))
    shown = run("show", f"#{number}")
    assert shown.status == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith(f"#{number} shop.needs is dead since 20")
    assert "  arguments     'a'" in lines
    assert sum(line.startswith("  attempt ") for line in lines) == 2
    assert "  error         KeyError: 'a'" in lines
    assert any("return str(session().storage[entry]" in line for line in lines)
    assert lines[-1] == f"run again: onserver dead replay {number}"
    data = run("show", str(number), "--json").data
    assert [one["attempt"] for one in data["history"]] == [1, 2]
    assert "KeyError" in data["traceback"]


def test_arguments_that_are_redacted_are_not_shown(run: Run) -> None:
    number = ended(execute_on_server(secret, "hush"))
    shown = run("show", str(number)).out
    assert "<redacted>" in shown
    assert "hush" not in shown


def test_what_is_neither_dead_nor_failed_is_refused(run: Run, onserver: OnServer) -> None:
    waiting = needs.options(delay=100)("a")
    for verb in ("show", "replay", "drop"):
        words = (verb, str(waiting.number), *(["--yes"] if verb == "drop" else []))
        assert run(*words).status == 3
        assert run(verb, "999999", *words[2:]).status == 4
    assert "it is delayed" in run("show", str(waiting.number)).err
    assert waiting.state == "delayed"
    for words in ((), ("1", "--all"), ("1", "--failed"), ("one",)):
        assert run("replay", *words).status == 2
    waiting.abort()


def test_replay(run: Run, onserver: OnServer) -> None:
    one, two = execute_on_server(needs, "a"), execute_on_server(needs, "b")
    with onserver.storage.use() as root:
        root["a"] = {"is": "here"}
    would = run("replay", str(one.number), "--dry-run")
    assert (would.status, would.out) == (0, f"{one.number} shop.needs: would be replayed (dead)\n")
    assert one.record().replays == 0
    replayed = run("replay", str(one.number), str(two.number), "999999")
    assert replayed.status == 4
    assert replayed.out.splitlines()[:2] == [f"{n.number}: waits for its turn again" for n in (one, two)]
    onserver.run_waiting()
    assert (Process.get(one.number).state, Process.get(two.number).state) == ("done", "dead")
    assert "@" in run("ls", "--json").data[0]["replayed_by"]
    assert run("replay", str(one.number), "--json").data[0]["level"] == "ended"


def test_replay_of_all(run: Run, onserver: OnServer) -> None:
    dead = [ended(execute_on_server(needs, "a")) for _ in range(3)]
    failed = ended(execute_on_server(fails, "a"))
    asked = run("replay", "--all")
    assert asked.status == 2
    assert "--yes says so" in asked.err
    assert [row["process"] for row in run("replay", "--all", "--dry-run", "--json").data] == dead[::-1]
    all_of_them = run("replay", "--all", "--failed", "--yes", "--json")
    assert [row["process"] for row in all_of_them.data] == [*dead[::-1], failed]
    assert {row["level"] for row in all_of_them.data} == {"queued"}
    onserver.run_waiting()
    assert run("replay", "--all", "--yes").status == 0


def test_drop(run: Run) -> None:
    one, two, failed = (ended(execute_on_server(p, "a")) for p in (needs, needs, fails))
    assert run("drop", str(one)).status == 2
    assert run("drop", str(one), "--dry-run").out == f"{one} shop.needs: would be dropped (dead)\n"
    assert run("drop", str(one), "--yes").out == f"{one}: dropped\n"
    with pytest.raises(ProcessNotFound):
        Process.get(one)
    assert [row["process"] for row in run("ls", "--failed", "--json").data] == [two, failed]
    assert run("drop", "--all", "--failed", "--yes").status == 0
    assert run("ls", "--failed").out == "nothing is dead\n"
    assert run("drop", "--all", "--yes").out == "nothing is dead\n"
