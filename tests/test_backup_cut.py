"""The copy of a server's keys is of one instant, whatever is written meanwhile, and nobody is held up for it."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

import onserver
from onserver.backup import cut as cuts
from onserver.backup.cut import Cut, CutFacts
from onserver.backup.stream import Entry, read
from onserver.errors import BackupCorrupt, CutLost, CutNeverEnds
from onserver.redis.address import Address
from onserver.redis.catalogue import CATALOGUE
from onserver.redis.embedded import Embedded
from onserver.redis.keys import find_orphans, key_of, scan
from onserver.redis.saved import part_of, words
from onserver.redis.scripts import read_fragment
from onserver.redis.store import Store
from onserver.server import Server
from onserver.testing import wait_for
from onserver.values import decode
from tests.cut_writers import SUM, settings_of, writers

CUTS = 4
OTHERS = 2_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A Redis that does not wait for the disk at each write, so that more is written while it is copied."""
    with Embedded(tmp_path_factory.mktemp("redis"), linger_seconds=0) as embedded:
        yield embedded.start()


@pytest.fixture
def server(address: Address) -> Iterator[Server]:
    with Server(settings=settings_of(address.path, f"t{uuid4().hex[:8]}")) as server, server.as_current():
        with server.storage.use() as root:
            root["a"], root["b"] = SUM, 0
        yield server


def cut(store: Store) -> tuple[dict[str, Entry], CutFacts]:
    """The keys of a cut, and what it was like."""
    with Cut(store) as one:
        return contents(list(one.entries())), one.facts


def contents(pieces: list[bytes]) -> dict[str, Entry]:
    found = {entry.key: entry for entry in read(pieces)}
    return {key: entry for key, entry in found.items() if entry.type != "none"}


def fields(entry: Entry) -> dict[str, bytes]:
    return {entry.texts[i].decode(): entry.texts[i + 1] for i in range(0, len(entry.texts), 2)}


def check_instant(keys: dict[str, Entry]) -> None:
    """Each transfer and each pair is there as a whole, or not at all."""
    a, b, facts = fields(keys["st:e:a"]), fields(keys["st:e:b"]), fields(keys["server"])
    assert decode(a["v"]) + decode(b["v"]) == SUM
    assert a["ch"] == b["ch"] == facts["change"], "another transfer than the last one was seen"
    records = {int(key[2:]): fields(entry) for key, entry in keys.items() if key.startswith("p:")}
    assert max(records) == int(fields(keys["numbers"])["process"])
    for number, record in records.items():
        twin = number + 1 if number % 2 else number - 1
        # the history is trimmed by number, so the other of the oldest pair may be gone
        assert twin in records or number == min(records)
        assert twin not in records or records[twin]["s"] == record["s"]
        assert record["s"] in (b"queued", b"running", b"done")
        assert (record["s"] == b"running") == ("o" in record)
        assert (record["s"] == b"done") == ("r" in record) == ("f" in record)


@pytest.mark.parametrize("cuts", [CUTS, pytest.param(30, marks=pytest.mark.long)])
def test_a_copy_is_of_one_instant_while_four_programs_write(
    server: Server, address: Address, record_property: Callable[[str, object], None], cuts: int
) -> None:
    with server.storage.use() as root:
        root.update({f"other {number}": "x" * 1000 for number in range(OTHERS)})  # a cut is to last a while
    with writers(address.path, server.name, 4) as written:
        found = [cut(server.store) for _ in range(cuts)]
    for keys, facts in found:
        check_instant(keys)
        assert facts.last_keys <= 10_000
    transfers = [decode(fields(keys["st:e:b"])["v"]) for keys, _ in found]
    assert len(set(transfers)) > cuts // 2, "hardly anybody wrote between two cuts"
    assert any(facts.last_keys > 2 for _, facts in found), "nobody wrote during the cuts"
    held = max(facts.held_seconds for _, facts in found)
    record_property("longest wait of a writer, seconds", written.longest_wait)
    record_property("longest instant, seconds", held)
    print(f"{written}; the instant took {held * 1000:.1f} ms at most; {[facts for _, facts in found]}")
    assert not [str(orphan) for orphan in find_orphans(server.store) if "cut" in orphan.key]


def test_what_expires_is_saved_with_its_time_and_what_lives_is_not_saved(server: Server) -> None:
    server.store.command("SET", server.store.key("key:order-7"), "1", "PX", 60_000)
    server.store.command("SADD", server.store.key("live"), "1.1")
    keys, facts = cut(server.store)
    assert facts.at_ms < keys["key:order-7"].expires_ms <= facts.at_ms + 60_000
    assert keys["st:e:a"].expires_ms == 0
    assert "live" not in keys
    assert "st:index" not in keys  # derived


def test_what_is_removed_during_a_cut_is_not_in_it(server: Server) -> None:
    with Cut(server.store) as one:
        pieces = one.entries()
        first: list[bytes] = []
        while "st:e:a" not in {entry.key for entry in _begun(first)}:
            first.append(next(pieces))
        with server.storage.use() as root:
            del root["a"]
        keys = contents([*first, *pieces])
    assert "st:e:a" not in keys
    assert decode(fields(keys["st:e:b"])["v"]) == 0


def _begun(pieces: list[bytes]) -> list[Entry]:
    found: list[Entry] = []
    with suppress(BackupCorrupt):  # its end is missing yet
        for entry in read(pieces):
            found.append(entry)  # noqa: PERF402 - what came before the error counts
    return found


def test_a_cut_that_another_one_took_over_is_lost_and_leaves_nothing(server: Server) -> None:
    with Cut(server.store) as first:
        pieces = first.entries()
        next(pieces)
        with Cut(server.store) as second:
            keys = contents(list(second.entries()))
            with pytest.raises(CutLost, match="another backup began"):
                list(pieces)
    assert decode(fields(keys["st:e:a"])["v"]) == SUM
    with pytest.raises(CutLost, match="not read to its end"):
        _ = first.facts
    assert [name for names in scan(server.store, "cut") for name in names] == []


def test_what_a_dead_program_left_of_its_cut_does_not_hold_up_the_next(server: Server) -> None:
    """Its keys are there until they expire; what they say is of no use to anybody."""
    dead = Cut(server.store)
    server.store.run("cut_begin", "dead:1", 10_000)
    for name in ("cut", "cut:dirty"):
        assert 0 < server.store.command("PTTL", server.store.key(name)) <= 100_000
    with server.storage.use() as root:
        root["a"] = SUM - 1
    assert server.store.run("cut_end", "dead:1", 1000, 0)[0] == b"cut"  # it died right behind its instant
    copies = [name for names in scan(server.store, "cut") for name in names]
    assert server.store.key("cut:c:st:e:a") in copies
    assert all(0 < server.store.command("PTTL", name) <= 600_000 for name in copies)
    del dead
    keys, _ = cut(server.store)
    assert decode(fields(keys["st:e:a"])["v"]) == SUM - 1
    assert [name for names in scan(server.store, "cut") for name in names] == []


def test_a_cut_lasts_while_its_reader_takes_his_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "_LASTS_MS", 2_000)
    monkeypatch.setattr(cuts, "_RENEW_SECONDS", 0.02)
    with Cut(server.store) as one:
        pieces = one.entries()
        begun = [next(pieces)]
        until = server.store.now_ms() + 2_500
        wait_for(lambda: server.store.now_ms() > until)
        assert "st:e:a" in contents([*begun, *pieces])


def test_a_program_that_stood_still_gives_its_cut_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not the one who cuts for a while, and what was written in that time was not noted."""
    monkeypatch.setattr(cuts, "_LASTS_MS", 100)
    monkeypatch.setattr(cuts, "_RENEW_SECONDS", 3600.0)
    with Cut(server.store) as one:
        pieces = one.entries()
        next(pieces)
        wait_for(lambda: not server.store.command("EXISTS", server.store.key("cut")))
        with pytest.raises(CutLost, match="stood still"):
            list(pieces)


def test_what_is_written_faster_than_it_is_copied_is_not_copied_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "_LIMITS", ((0, 0, 0),))
    monkeypatch.setattr(cuts, "_PASSES", 3)
    with Cut(server.store) as one, pytest.raises(CutNeverEnds) as never:
        for _ in one.entries():
            server.storage.counter("hits").add(1)
    assert (never.value.passes, never.value.keys > 0) == (3, True)


def test_large_values_that_change_all_the_time_are_copied_when_they_are_few(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last script copies is bounded by bytes too, as they were at the pass before."""
    monkeypatch.setattr(cuts, "_LIMITS", ((0, 100, 50_000),))
    monkeypatch.setattr(cuts, "_PASSES", 4)

    def change() -> None:
        with server.storage.use() as root:
            root.update({f"large {number}": "x" * 20_000 for number in range(3)})

    change()
    with Cut(server.store) as one, pytest.raises(CutNeverEnds) as never:
        for _ in one.entries():
            change()
    assert never.value.bytes > 50_000


def test_the_instant_is_told_once_more_when_its_answer_is_lost(server: Server) -> None:
    server.store.run("cut_begin", "c:1", 10_000)
    with server.storage.use() as root:
        root["a"] = 5
    first = server.store.run("cut_end", "c:1", 1000, 0)
    with server.storage.use() as root:
        root["a"] = 6
    again = server.store.run("cut_end", "c:1", 1000, 0)
    assert again == first
    server.store.run("cut_drop", "c:1")


def test_too_much_to_copy_at_once_is_not_copied(server: Server) -> None:
    server.store.run("cut_begin", "c:1", 10_000)
    with server.storage.use() as root:
        root["a"], root["big"] = 5, "x" * 100_000
    assert server.store.run("cut_end", "c:1", 1, 0)[0] == b"more"
    assert server.store.run("cut_end", "c:1", 1000, 0)[0] == b"cut"
    assert server.store.run("cut_end", "c:2", 1000, 0) == [b"lost"]
    server.store.run("cut_drop", "c:1")


_EXAMPLES = {"HOLDER": "1.1", "ID": "A" * 32, "CALL": "a" * 32}


def test_scripts_know_the_words_with_which_saved_keys_begin() -> None:
    text = read_fragment("mark")
    listed = "".join(re.findall(r"'([^']*)'", text[text.index("local SAVED =") : text.index("local READS =")]))
    assert set(listed.split()) == set(words())
    frozen = "".join(
        re.findall(r"'([^']*)'", read_fragment("freeze").partition("local FROZEN =")[2].partition("-- ")[0])
    )
    restored = {key.pattern.split(":")[0] for key in CATALOGUE if key.saved not in ("server", "live")}
    assert restored <= set(frozen.split()), "while it is restored, anybody may write it"
    for key in CATALOGUE:
        example = re.sub(r"[A-Z]+", lambda word: _EXAMPLES.get(word[0], "1"), key.pattern)
        found = key_of(example)
        assert found is not None
        assert part_of(example) == (None if found[0].saved in ("derived", "live") else found[0].saved), example


#: Where commands that write are sent by themselves: of keys that no backup has.
PLAIN = {
    "admin/logins.py",
    "admin/tokens.py",
    "steer/acts_diagnostics.py",
    "steer/acts_work.py",
    "steer/audit.py",
    "steer/background.py",
    "alone/keeper.py",
    "alone/place.py",
    "backup/load.py",
    "backup/placing.py",
    "backup/replay.py",
    "backup/restore.py",
    "celery_app/channel.py",
    "cli/reload.py",
    "cluster/member.py",
    "connections/requests.py",
    "doctor/engine.py",
    "doctor/leftovers.py",
    "life/log_levels.py",
    "process/clients.py",
    "session/attempts.py",
    "session/roles_noted.py",
    "process/following.py",
    "process/stack.py",
    "process/twin.py",
}
WRITES = r"""["'](SET|HSET|HDEL|HINCRBY|DEL|UNLINK|SADD|SREM|ZADD|ZREM|[LR]PUSH|[LR]POP|XADD|XTRIM|P?EXPIRE)["'], """


def test_what_a_backup_has_is_written_by_scripts() -> None:
    """They note it; a command by itself does not. Whoever adds a file here says that its keys are not saved."""
    package = Path(onserver.__file__).parent
    files = [path for path in package.rglob("*.py") if "testing" not in path.parts]
    found = {str(path.relative_to(package)) for path in files if re.search(WRITES, path.read_text(encoding="utf-8"))}
    assert found <= PLAIN
