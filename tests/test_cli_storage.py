"""`onserver storage export`, `import` and `watch`: entries as a file and back, and what is changed meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from onserver.cli import exits
from onserver.errors import LockTimeout, SessionExpired
from onserver.redis.address import Address
from onserver.server import Server
from onserver.steer.importing import put_entries, read_file
from onserver.testing import wait_for
from onserver.values import thaw
from onserver.views.storage_changes import Changed, follow
from tests.commands import Ran, ran, settle_on
from tests.inline_worker import make_server

ODD: dict[str, Any] = {
    "price": Decimal("1.10"), "day": date(2026, 8, 1), "at": datetime(2026, 8, 1, 12, tzinfo=UTC),
    "took": timedelta(seconds=1.5), "raw": b"\x00\xff", "id": UUID(int=7), "large": 2**70,
    "rest": [1, 2.5, None, True, "é"],
}  # fmt: skip
Run = Callable[..., Ran]


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"cs{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def run(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    settle_on(server, monkeypatch)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text("")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        found = ran(capsys, *words)
        server.make_current()
        return found

    return run


def fill(server: Server) -> None:
    with server.storage.use() as root:
        root["odd"] = ODD
        root["plain"] = {"EUR": 1.1, "token": "t-1"}
        root["empty"] = []
    server.storage.counter("visits").add(-41)


def test_what_was_exported_comes_back_as_it_was(server: Server, run: Run) -> None:
    fill(server)
    before = {key: thaw(value) for key, value in server.storage.items()}
    assert run("storage", "export", "all.json").status == exits.DONE
    file = json.loads(Path("all.json").read_text())
    assert (file["file"], file["v"], file["server"], file["session"]) == ("onserver-storage", 1, server.name, None)
    assert [(row["key"], row["kind"]) for row in file["entries"]] == [
        ("empty", "value"), ("odd", "value"), ("plain", "value"), ("visits", "counter"),
    ]  # fmt: skip
    assert file["entries"][2]["value"] == {"EUR": 1.1, "token": "t-1"}
    assert "packed" in file["entries"][1]
    with server.storage.use() as root:
        root.clear()
        root["other"] = 1
    assert run("storage", "import", "all.json").out == "4 entries put, 0 removed\n"
    assert {key: thaw(value) for key, value in server.storage.items()} == before | {"other": 1}
    assert server.storage.counter("visits").add(1) == -40
    assert run("storage", "export").out.startswith("{")
    assert [row["key"] for row in json.loads(run("storage", "export", "--prefix", "p").out)["entries"]] == ["plain"]


def test_what_is_not_in_the_file_goes_where_that_is_said(server: Server, run: Run) -> None:
    fill(server)
    run("storage", "export", "all.json")
    with server.storage.use() as root:
        root["later"], root["visits"] = 1, "no counter any more"
    dry = run("storage", "import", "all.json", "--replace", "--dry-run", "--json")
    assert dry.data == {"written": ["empty", "odd", "plain", "visits"], "removed": ["later"]}
    assert server.storage["later"] == 1
    assert run("storage", "import", "all.json", "--replace").status == exits.USAGE  # nobody can be asked
    assert run("storage", "import", "all.json", "--replace", "--yes", "--json").data["removed"] == ["later"]
    assert sorted(server.storage) == ["empty", "odd", "plain", "visits"]
    assert server.storage.counter("visits").add(0) == -41


def test_the_storage_of_a_session_goes_into_that_of_another(server: Server, run: Run) -> None:
    ann, bob = server.sessions.open("web", user="ann"), server.sessions.open("web", user="bob")
    with ann.storage.use("cart") as cart:
        cart["shoes"] = 2
    run("storage", "export", "ann.json", "--session", "ann")
    assert json.loads(Path("ann.json").read_text())["session"] == ann.id
    assert run("storage", "import", "ann.json", "--session", "bob").status == exits.DONE
    assert bob.storage["cart"] == {"shoes": 2}
    assert "cart" not in server.storage
    assert run("storage", "import", "ann.json", "--session", "eve").status == exits.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no export"), ("[]", "no export"), ('{"file": "x", "v": 1, "entries": []}', "it says that it is `x`"),
        ('{"file": "onserver-storage", "v": 2, "entries": []}', "a newer version"),
        ('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a"}]}', "no value for 'a'"),
        ('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a", "packed": "?"}]}', "cannot be read"),
        ('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a", "packed": "wQ=="}]}', "cannot be read"),
        ('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]}',
         "twice"),
        ('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a", "kind": "counter", "value": "x"}]}',
         "no whole"),
    ],
)  # fmt: skip
def test_another_file_is_refused_and_changes_nothing(server: Server, run: Run, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_file(text)
    Path("bad.json").write_text(text)
    refused = run("storage", "import", "bad.json", "--replace", "--yes")
    assert refused.status == exits.USAGE
    assert problem in refused.err
    assert run("storage", "import", "none.json").status == exits.USAGE
    assert list(server.storage) == []


def test_all_values_are_put_or_none(server: Server) -> None:
    entries = read_file(json.dumps({
        "file": "onserver-storage", "v": 1, "entries": [{"key": "a", "value": 1}, {"key": "b", "value": "x" * 2**24}],
    }))  # fmt: skip
    with pytest.raises(ValueError, match=r"b") as refused:
        put_entries(server.storage, entries, timeout=1)
    assert refused.type.__name__ == "TooLarge"
    assert list(server.storage) == []
    gone = server.sessions.open("web")
    server.sessions.close(gone.id)
    small = read_file('{"file": "onserver-storage", "v": 1, "entries": [{"key": "a", "value": 1}]}')
    with pytest.raises(SessionExpired):
        put_entries(gone.storage, small, timeout=1)

    def late() -> None:
        with pytest.raises(LockTimeout):
            put_entries(server.storage, small, timeout=0.05)

    with server.storage.use():
        other = threading.Thread(target=late)
        other.start()
        other.join()
    assert list(server.storage) == []


def test_what_changes_is_told_as_it_is_committed(server: Server) -> None:
    found: list[Changed] = []
    ready, done = threading.Event(), threading.Event()

    def watch() -> None:
        for changes in follow(server.store, "st:", ["rates", "new"], 0.05):
            ready.set()
            found.extend(changes)
            if done.is_set():
                return

    with server.storage.use("rates") as rates:
        rates["EUR"] = 1
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        assert ready.wait(20)
        with server.storage.use("rates") as rates:
            rates["EUR"] = 2
        wait_for(lambda: Changed("rates", 2, {"EUR": 2}) in found, 20)
        server.store.command("CLIENT", "KILL", "TYPE", "pubsub")
        with server.storage.use() as root:
            root["other"], root["new"] = 1, "here"
            del root["rates"]
        wait_for(lambda: len(found) == 3, 20)
        assert set(map(repr, found[1:])) == {repr(Changed("new", 1, "here")), repr(Changed("rates", 0, None))}
    finally:
        done.set()
        watching.join()


def test_watch_prints_what_changes(server: Server, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(*_args: object) -> Iterator[list[Changed]]:
        yield []
        yield [Changed("rates", 2, {"day": date(2026, 8, 1)}), Changed("old", 0, None)]

    monkeypatch.setattr("onserver.cli.storage.follow", two)
    assert run("storage", "watch").out.splitlines() == ['rates version=2 {"day":"2026-08-01"}', "old is removed"]
    lines = run("storage", "watch", "rates", "--json").out.splitlines()
    assert [json.loads(one) for one in lines] == [
        {"v": 1, "key": "rates", "version": 2, "value": {"day": "2026-08-01"}},
        {"v": 1, "key": "old", "version": 0, "value": None},
    ]
    assert run("storage", "watch", "--session", "eve").status == exits.NOT_FOUND
