"""A backup from its beginning to its close, in one program: what refuses it, what fails, what is kept, who is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from onserver import Backup, BackupResult, Server, backup, backup_info, execute_on_server, procedure
from onserver.backup import history
from onserver.backup.catalog import find, listed
from onserver.backup.folder import Folder
from onserver.backup.journal_text import JournalText
from onserver.backup.keeper import Keeper
from onserver.backup.load import undo
from onserver.backup.restore import Wish, prospect
from onserver.backup.rules import Standing
from onserver.backup.run import backup_here
from onserver.backup.state import Ask, State
from onserver.cluster.member import Beat, Member
from onserver.errors import ArchiveNotFound, BackupRunning
from onserver.life.epoch import open_epoch, run_epoch
from onserver.life.hook import BACKUP_SHUTDOWN, BACKUP_STARTUP, Hook
from onserver.process.record import read_record
from onserver.redis.address import Address
from onserver.registry import declare, keep, kept
from onserver.settings import Settings, load
from onserver.testing import OnServer
from onserver.values import decode

HOUR = 3_600_000


class Shop:
    """A server with a project folder, and what its hooks heard."""

    def __init__(self, server: Server, project: Path) -> None:
        self.server, self.project = server, project
        self.told: list[BackupResult] = []
        self.state = State(server.store)

    @property
    def folder(self) -> Path:
        return self.project / "backups"

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    @property
    def numbers(self) -> list[int]:
        return [one.number for one in listed(self.server)]

    @property
    def journal(self) -> str:
        return JournalText(self.project / self.server.settings.backup.journal_folder).path.read_text()

    def set(self, **settings: Any) -> None:
        """Change settings of backups."""
        own = msgspec.structs.replace(self.server.settings.backup, **settings)
        self.server.settings = msgspec.structs.replace(self.server.settings, backup=own)

    def backup(self, **ask: Any) -> BackupResult:
        return backup_here(self.server, Ask(asked_by="ann", **ask))


@pytest.fixture
def shop(redis_address: Address, tmp_path: Path) -> Iterator[Shop]:
    before = kept()
    project = tmp_path / "shop"
    (project / "config").mkdir(parents=True)
    (project / "config" / "onserver.toml").write_text("")
    (project / "tasks").mkdir()
    variables = {"ONSERVER_NAME": f"t{uuid4().hex[:8]}", "ONSERVER_REDIS": f"unix://{redis_address.path}",
                 "ONSERVER_SIGNING_KEY": "k" * 32, "ONSERVER_BACKUP_VERIFY": "false"}  # fmt: skip
    settings: Settings = load(project, variables)
    with Server(project=project, settings=settings) as server:
        made = Shop(server, project)
        hook(BACKUP_SHUTDOWN, made.told.append, "shop.after")
        yield made
    keep(before)


def hook(kind: str, function: Callable[..., Any], name: str, **options: Any) -> None:
    declare(kind, Hook(kind, function, name, None, **options))


def test_it_ends_well_and_everybody_hears_of_it(shop: Shop) -> None:
    result = shop.backup(label="first")
    assert (result.code, result.number, result.reason) == (0, 1, "")
    assert shop.told == [result]
    (archive,) = listed(shop.server)
    assert (archive.path, archive.label, archive.known) == (result.path, "first", True)
    last = backup_info()
    assert (last.code, last.number, last.path, last.process) == (0, 1, result.path, None)
    assert last.last == last.good
    assert shop.state.going() is None


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [(201, 201, ""), (-1, -1, ""), (None, 0, ""), (0, 0, ""), (True, 5301, "TypeError: it answered True")],
)
def test_what_a_hook_answers(shop: Shop, answer: object, code: int, reason: str) -> None:
    def guard(_: Backup) -> object:
        return answer

    hook(BACKUP_STARTUP, guard, "shop.guard")
    result = shop.backup()
    assert result.code == code
    assert result.reason.startswith(reason)
    assert [heard.code for heard in shop.told] == [code]
    assert shop.numbers == ([] if code else [1])


def test_the_first_refusal_counts_and_nothing_is_written(shop: Shop) -> None:
    asked: list[str] = []

    def refusing(name: str, code: int, reason: str) -> Callable[[Backup], int]:
        def refuse(backup: Backup) -> int:
            asked.append(name)
            return backup.veto(code, reason)

        return refuse

    hook(BACKUP_STARTUP, refusing("one", 201, "month-end close"), "shop.one")
    hook(BACKUP_STARTUP, refusing("two", 202, "moving"), "shop.two")
    result = shop.backup()
    assert (result.code, result.reason, result.path) == (201, "month-end close", None)
    assert asked == ["one"]
    assert shop.files == ["backupHistory.json"]
    forced = shop.backup(forced_by="bob@host")
    assert (forced.code, forced.number, asked) == (0, 1, ["one", "one", "two"])
    last = shop.state.last()
    assert last is not None
    assert (last.forced_by, last.hook, last.asked_by) == ("bob@host", "shop.one", "ann")
    assert "forced by bob@host against shop.one: 201 month-end close" in shop.journal


def test_a_hook_that_raises_refuses_and_one_that_hears_it_badly_stops_nobody(shop: Shop) -> None:
    def raises(*_: object) -> None:
        raise ValueError("no idea")

    hook(BACKUP_STARTUP, raises, "shop.guard")
    hook(BACKUP_SHUTDOWN, raises, "shop.before", before="shop.after")
    result = shop.backup()
    assert (result.code, result.reason) == (5301, "ValueError: no idea")
    assert [heard.code for heard in shop.told] == [5301]
    assert "on_backup_shutdown hook shop.before: ValueError: no idea" in shop.journal


def test_a_backup_hook_cannot_ask_for_another(shop: Shop) -> None:
    refused: list[BackupRunning] = []

    def ask(_: object) -> None:
        try:
            shop.backup()
        except BackupRunning as error:
            refused.append(error)

    hook(BACKUP_STARTUP, ask, "shop.guard")
    with shop.server.client.holding():
        assert shop.state.begin(shop.server.client.holder(), "other", 0, Ask()) is not None
        with pytest.raises(BackupRunning):
            backup_by_another(shop)
    assert refused == []


def backup_by_another(shop: Shop) -> None:
    """Ask for one as another program would: with a holder of its own."""
    with Server(project=shop.project, settings=shop.server.settings) as other:
        backup_here(other, Ask())


# -- what fails


@pytest.mark.parametrize("folder", ["/nowhere/at/all", "/proc/self", "{file}"])
def test_a_folder_that_cannot_be_used_is_1407(shop: Shop, folder: str) -> None:
    file = shop.project / "file"
    file.write_text("")
    shop.set(folder=folder.format(file=file))
    result = shop.backup()
    assert (result.code, result.path) == (1407, None)
    assert [heard.code for heard in shop.told] == [1407]
    assert "the history was not written" in shop.journal


def test_the_folder_of_another_server_is_1407(shop: Shop) -> None:
    shop.folder.mkdir()
    (shop.folder / history.FILE).write_text('{"version":1,"server":"other","last_number":7}')
    result = shop.backup()
    assert result.code == 1407
    assert "server `other`" in result.reason
    assert shop.files == [history.FILE]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_1409_and_the_last_good_archive_stays(shop: Shop) -> None:
    disk = shop.project / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        shop.set(folder=str(disk), compression="none")
        assert shop.backup().code == 0
        good = (disk / f"{shop.server.name}[0001].onsb").read_bytes()
        with shop.server.storage.use() as root:
            root["large"] = os.urandom(2_000_000)
        result = shop.backup()
        assert (result.code, result.path) == (1409, None)
        assert "no space left" in result.reason
        assert (disk / f"{shop.server.name}[0001].onsb").read_bytes() == good
        assert sorted(path.name for path in disk.iterdir()) == sorted([f"{shop.server.name}[0001].onsb", history.FILE])
        assert [heard.code for heard in shop.told] == [0, 1409]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_missing_file_makes_it_partial_which_is_1409_with_an_archive(shop: Shop) -> None:
    shop.set(files=("uploads",), keep=1)
    result = shop.backup()
    assert (result.code, result.number) == (1409, 1)
    assert "partial" in result.reason
    assert "uploads" in result.reason
    assert shop.numbers == [1]
    assert shop.backup().code == 1409
    assert shop.numbers == [1, 2]  # only one that ended well removes others
    (shop.project / "uploads").mkdir()
    assert shop.backup().code == 0
    assert shop.numbers == [3]


def test_an_archive_that_could_not_be_verified_stays_and_is_said_to_be_unverified(shop: Shop) -> None:
    shop.set(verify=True)
    shop.server.settings = msgspec.structs.replace(shop.server.settings, redis_server="/no/such/redis")
    result = shop.backup()
    assert (result.code, result.number) == (1411, 1)
    (archive,) = listed(shop.server)
    assert archive.verified == ""
    shop.server.settings = msgspec.structs.replace(shop.server.settings, redis_server="")
    assert shop.backup().code == 0
    assert listed(shop.server)[1].verified


def test_while_a_restore_has_not_ended_no_backup_is_made(shop: Shop) -> None:
    shop.server.store.run("restore_begin", "token", '{"path":"a.onsb","parts":[],"run":false,"by":"ann","at":1}')
    result = shop.backup()
    assert (result.code, result.path) == (1417, None)
    assert "a.onsb (staging)" in result.reason
    undo(shop.server.store)
    assert shop.backup().code == 0


def test_a_restore_up_to_a_time_wants_a_log(shop: Shop) -> None:
    shop.backup()
    meant = find(shop.server, "latest")
    assert prospect(shop.server, meant, Wish()).refusal == ""
    assert "1403: there is no log" in prospect(shop.server, meant, Wish(replay=True)).refusal
    processes = Wish(only=frozenset({"processes"}), replay=True)
    assert "storage, which is not restored" in prospect(shop.server, meant, processes).refusal


def test_a_sealed_archive_is_verified_only_where_there_is_a_key(shop: Shop) -> None:
    pyrage = pytest.importorskip("pyrage", reason="sealing needs the extra `backup`")
    identity = pyrage.x25519.Identity.generate()
    shop.set(verify=True, seal_to=(str(identity.to_public()),))
    assert shop.backup().code == 0
    assert "it is sealed and `backup.identities` names no key here" in shop.journal
    (shop.project / "key.txt").write_text(str(identity))
    shop.set(identities=("key.txt",))
    assert shop.backup().code == 0
    assert [bool(one.verified) for one in listed(shop.server)] == [False, True]


# -- what is kept


def test_older_ones_are_removed_before_where_the_settings_say_so_but_never_the_last(shop: Shop) -> None:
    shop.set(keep=2, remove="before")
    for _ in range(3):
        assert shop.backup().code == 0
    assert shop.numbers == [2, 3]
    shop.set(keep=1, remove="before", files=("missing",))
    assert shop.backup().code == 1409
    assert shop.numbers == [3, 4]


def test_all_are_kept_with_0(shop: Shop) -> None:
    shop.set(keep=0)
    for _ in range(5):
        assert shop.backup().code == 0
    assert shop.numbers == [1, 2, 3, 4, 5]


def test_archives_are_found_by_number_name_path_and_as_the_latest(shop: Shop) -> None:
    shop.backup()
    shop.backup()
    name = f"{shop.server.name}[0002].onsb"
    for text in ("latest", "2", "0002", "[0002]", name, str(shop.folder / name)):
        assert find(shop.server, text).path == str(shop.folder / name), text
    elsewhere = shop.project / "mine.onsb"
    elsewhere.write_bytes((shop.folder / name).read_bytes())
    assert find(shop.server, str(elsewhere)).name == "mine.onsb"
    for text in ("3", "nothing.onsb", "/no/such/file"):
        with pytest.raises(ArchiveNotFound):
            find(shop.server, text)


# -- scheduled ones


def test_one_that_failed_is_tried_again_and_one_that_failed_too_often_suspends_the_schedule(shop: Shop) -> None:
    shop.set(retry_seconds=60, attempts=2, files=("missing",), schedule="every hour")
    shop.state.plan("", Standing(plan="every hour", next_ms=HOUR))
    assert shop.backup(trigger="schedule", date_ms=1).code == 1409
    _, standing = shop.state.standing()
    assert (standing.attempts, bool(standing.retry_ms), standing.suspended) == (1, True, 0)
    assert shop.backup(trigger="retry", date_ms=2, attempt=2).attempt == 2
    _, standing = shop.state.standing()
    assert (standing.attempts, standing.retry_ms) == (2, 0)
    assert "1401: so many attempts in a row failed" in shop.journal


def test_nothing_is_made_while_nothing_has_changed(shop: Shop) -> None:
    shop.set(only_if_changed=True)
    assert shop.backup(trigger="schedule", date_ms=1).number == 1
    skipped = shop.backup(trigger="schedule", date_ms=2)
    assert (skipped.code, skipped.path, skipped.reason) == (0, None, "nothing has changed since the last one")
    assert (shop.numbers, len(shop.told)) == ([1], 1)
    with shop.server.storage.use() as root:
        root["rates"] = 1
    assert shop.backup(trigger="schedule", date_ms=3).number == 2
    assert shop.backup(trigger="schedule", date_ms=4).path is None
    assert shop.backup().number == 3  # by hand it is always made


def test_a_date_that_was_missed_is_a_failure_of_which_no_hook_is_told(shop: Shop) -> None:
    shop.set(retry_seconds=60)
    missed = shop.backup(trigger="missed", date_ms=HOUR)
    assert (missed.code, missed.reason) == (5211, "no worker was up at its date, 1970-01-01 01:00 UTC")
    assert shop.told == []
    _, standing = shop.state.standing()
    assert (standing.attempts, bool(standing.retry_ms)) == (1, True)


def test_a_date_begins_one_backup(shop: Shop) -> None:
    assert shop.backup(trigger="schedule", date_ms=HOUR).number == 1
    assert shop.backup(trigger="schedule", date_ms=HOUR).path is None
    assert shop.numbers == [1]


def beat(shop: Shop, *, leader: bool = True, state: str = "running") -> Beat:
    """What the only worker learns from its beat."""
    member = Member.join(shop.server.store, shop.server.settings, "worker", "test")
    run_epoch(shop.server.store, open_epoch(member, keep_storage=True).epoch.number)
    told = member.beat()
    member.leave()
    return replace(told, leader=leader, state=state)


def started(shop: Shop) -> list[Ask]:
    """What the keeper has started and nobody has taken."""
    store = shop.server.store
    numbers = range(1, int(store.command("HGET", store.key("numbers"), "process") or 0) + 1)
    return [Ask.read(decode(store.command("HGET", store.key(f"p:{number}"), "b"))[0][0]) for number in numbers]


def said(text: str) -> None:
    raise AssertionError(text)


def test_the_leader_starts_what_is_due_and_moves_the_date(shop: Shop) -> None:
    shop.set(schedule="every hour")
    keeper = Keeper(shop.server, shop.server.store, said)
    keeper.heard(beat(shop, leader=False))
    keeper.heard(beat(shop, state="starting"))
    assert shop.state.standing()[0] == ""
    keeper.heard(beat(shop))
    text, standing = shop.state.standing()
    assert standing.next_ms > shop.server.store.now_ms()
    due = shop.server.store.now_ms() - 1000
    shop.state.plan(text, Standing(plan="every hour", next_ms=due))
    Keeper(shop.server, shop.server.store, said).heard(beat(shop))  # another leader
    assert [(ask.trigger, ask.date_ms) for ask in started(shop)] == [("schedule", due)]
    assert shop.state.standing()[1].next_ms > due
    text, standing = shop.state.standing()
    shop.state.plan(text, Standing(plan="every hour", next_ms=standing.next_ms, retry_ms=due, attempts=1))
    Keeper(shop.server, shop.server.store, said).heard(beat(shop))
    assert asdict(started(shop)[1]) == asdict(Ask(trigger="retry", date_ms=due, attempt=2))


def test_the_leader_tells_a_date_that_was_missed_from_one_that_is_late(shop: Shop) -> None:
    shop.set(schedule="every hour")
    store, now = shop.server.store, shop.server.store.now_ms()
    long_ago, told, server = now - 10 * HOUR, beat(shop), store.key("server")
    for opened, trigger in ((long_ago - 1, "schedule"), (now, "missed")):
        store.command("HSET", server, "opened", opened)  # when this life began: it is late, or nobody was there
        shop.state.plan(shop.state.standing()[0], Standing(plan="every hour", next_ms=long_ago))
        Keeper(shop.server, store, said).heard(told)
        assert started(shop)[-1].trigger == trigger


def test_the_leader_has_one_ended_whose_program_is_gone(shop: Shop) -> None:
    with Server(project=shop.project, settings=shop.server.settings) as other:
        with other.client.holding() as holder:
            assert State(other.store).begin(holder, "h1", 0, Ask()) is not None
        keeper = Keeper(shop.server, shop.server.store, said)
        keeper.heard(beat(shop))
        assert started(shop) == []
    keeper.heard(beat(shop))
    keeper.heard(beat(shop))
    assert [ask.trigger for ask in started(shop)] == ["close"]
    record = read_record(shop.server.store, 1)
    assert record is not None
    assert record.procedure == "onserver.backup"
    shop.server.make_current()
    result = shop.backup(trigger="close")
    assert (result.code, result.reason) == (1409, "the program that made it was killed while it began")
    assert shop.told == [result]
    assert shop.backup(trigger="close").reason == "there was nothing to do"
    assert shop.numbers == []


def test_what_a_dead_program_left_unfinished_is_removed(shop: Shop) -> None:
    shop.folder.mkdir()
    (shop.folder / f".{shop.server.name}[0001].onsb.12345678.part").write_bytes(b"half")
    assert shop.backup().number == 1
    assert shop.files == sorted([history.FILE, f"{shop.server.name}[0001].onsb"])
    assert Folder(shop.folder).clear() == []


def test_the_fixture_of_tests_makes_backups_where_they_run(onserver: OnServer) -> None:
    before = kept()
    try:

        def guard(one: Backup) -> int | None:
            return one.veto(201, "month-end close") if onserver.storage.get("closing") else None

        hook(BACKUP_STARTUP, guard, "shop.guard")

        @procedure(name="shop.save")
        def save() -> int:
            return backup(label="from a procedure").code

        with onserver.storage.use() as root:
            root["closing"] = True
        result = onserver.backup()
        assert (result.code, result.reason) == (201, "month-end close")
        assert onserver.backup(force=True).number == 1
        assert execute_on_server(save).result() == 201
        assert backup(force=True).number == 2
    finally:
        keep(before)
