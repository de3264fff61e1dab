"""What becomes of backups that failed and of archives that are too old, the history, and the journal."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onserver.backup import history
from onserver.backup.codes import Code
from onserver.backup.dates import Dates
from onserver.backup.folder import Folder
from onserver.backup.history import Archive, History, Operation, archive_name
from onserver.backup.journal_text import JournalText
from onserver.backup.rules import Standing, too_old
from onserver.backup_settings import BackupSettings
from onserver.errors import BackupFailed

HOUR = 3_600_000
DAILY = Dates.read("every day at 02:00")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = at("2026-11-26 12:00")
TWO = at("2026-11-27 02:00")


def failed(
    standing: Standing, trigger: str, settings: BackupSettings, now: int, code: int = Code.NOT_SAVED
) -> Standing:
    return standing.ended(trigger, code, settings, now, epoch=7)  # type: ignore[arg-type]


def test_a_schedule_begins_with_its_next_date() -> None:
    standing = Standing().planned(DAILY, NOON)
    assert standing == Standing(plan="every day at 02:00", next_ms=TWO)
    assert standing.planned(DAILY, TWO + 1) is standing
    assert (standing.due(TWO - 1), standing.due(TWO)) == (None, "schedule")


def test_another_schedule_forgets_the_dates_of_the_one_before() -> None:
    standing = Standing().planned(DAILY, NOON)
    assert standing.planned(Dates.read("every hour"), TWO + 1).next_ms == TWO + HOUR
    assert standing.planned(Dates.read("never"), TWO + 1) == Standing(plan="never")


def test_what_failed_is_dropped_until_the_next_date_by_default() -> None:
    standing = Standing().planned(DAILY, NOON).begun("schedule", DAILY, TWO)
    after = failed(standing, "schedule", BackupSettings(), TWO)
    assert after == Standing(plan=DAILY.text, next_ms=TWO + 24 * HOUR, attempts=1)


def test_what_failed_is_tried_once_more_after_the_wait() -> None:
    settings = BackupSettings(retry_seconds=600)
    standing = Standing().planned(DAILY, NOON).begun("schedule", DAILY, TWO)
    waiting = failed(standing, "schedule", settings, TWO)
    assert (waiting.due(TWO + 599_000), waiting.due(TWO + 600_000)) == (None, "retry")
    again = waiting.begun("retry", DAILY, TWO + 600_000)
    assert again.due(TWO + 10 * HOUR) is None
    dropped = failed(again, "retry", settings, TWO + 600_000)
    assert (dropped.retry_ms, dropped.attempts, dropped.due(TWO + 24 * HOUR)) == (0, 2, "schedule")


def test_after_so_many_attempts_none_is_started_until_a_restart() -> None:
    settings = BackupSettings(retry_seconds=600, attempts=3)
    standing = Standing().planned(DAILY, NOON).begun("schedule", DAILY, TWO)
    now = TWO
    standing = failed(standing, "schedule", settings, now)
    for _ in range(2):
        now = standing.retry_ms
        assert standing.due(now) == "retry"
        standing = failed(standing.begun("retry", DAILY, now), "retry", settings, now)
    assert (standing.suspended, standing.attempts, standing.retry_ms) == (7, 3, 0)
    assert standing.due(TWO + 24 * HOUR) is None
    assert standing.resumed(7).due(TWO + 24 * HOUR) is None
    assert standing.resumed(8).due(TWO + 24 * HOUR) == "schedule"


def test_a_backup_by_hand_that_ends_well_ends_waiting_counting_and_suspension() -> None:
    settings = BackupSettings(retry_seconds=600, attempts=2)
    standing = Standing(plan=DAILY.text, next_ms=TWO, retry_ms=NOON, attempts=2, suspended=7)
    assert standing.ended("hand", Code.DONE, settings, NOON, 7) == Standing(plan=DAILY.text, next_ms=TWO)
    assert standing.ended("hand", Code.NOT_SAVED, settings, NOON, 7) is standing
    assert standing.ended("schedule", Code.CANCELLED, settings, NOON, 7) is standing


def test_a_refusal_counts_as_a_failure_like_others() -> None:
    standing = failed(Standing(next_ms=TWO), "schedule", BackupSettings(retry_seconds=60), NOON, code=201)
    assert (standing.attempts, standing.retry_ms) == (1, NOON + 60_000)


def test_a_date_that_begins_late_uses_up_those_that_passed_meanwhile() -> None:
    standing = Standing(plan=DAILY.text, next_ms=TWO).begun("schedule", DAILY, TWO + 50 * HOUR)
    assert standing.next_ms == TWO + 72 * HOUR


# -- retention


def kept(*numbers: int) -> list[Archive]:
    return [Archive(number=number, name=archive_name("Shop", number)) for number in numbers]


def test_the_fourth_archive_removes_the_first() -> None:
    archives = kept(1, 2, 3, 4)
    there = {archive.name for archive in archives}
    assert [archive.number for archive in too_old(archives, 3, there)] == [1]
    assert too_old(archives, 0, there) == []
    assert too_old(archives[:3], 3, there) == []


def test_an_archive_that_is_not_in_its_place_is_neither_counted_nor_removed() -> None:
    archives = kept(1, 2, 3, 4)
    assert too_old(archives, 3, {"Shop[0002].onsb", "Shop[0003].onsb", "Shop[0004].onsb"}) == []


# -- history


def test_the_history_keeps_as_many_operations_as_archives_and_each_run_once() -> None:
    found = History(server="Shop")
    for run in ("a", "b", "c", "c", "d"):
        found = found.with_operation(Operation(run=run), keep=3)
    assert [operation.run for operation in found.operations] == ["b", "c", "d"]


def test_numbers_rise_and_begin_anew_without_the_file(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    found = history.read(place, "Shop")
    assert found.next_number(()) == 1
    history.write(place, found.with_archive(kept(1)[0]).with_archive(kept(2)[0]))
    assert history.read(place, "Shop").next_number(("Shop[0001].onsb", "Shop[0002].onsb")) == 3
    (tmp_path / "backupHistory.json").unlink()
    again = history.read(place, "Shop")
    assert again.next_number(()) == 1
    assert again.next_number(("Shop[0001].onsb", "Shop[0002].onsb")) == 3  # never over an archive that is there


def test_a_removed_archive_does_not_give_its_number_back() -> None:
    found = History(server="Shop").with_archive(kept(1)[0]).without(["Shop[0001].onsb"])
    assert (found.archives, found.next_number(())) == ((), 2)


@pytest.mark.parametrize("text", ['{"version":1,"server":"Other"}', "{", "[]"])
def test_a_history_of_others_or_a_damaged_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "backupHistory.json").write_text(text)
    with pytest.raises(BackupFailed) as refused:
        history.read(Folder(tmp_path), "Shop")
    assert refused.value.number == Code.BAD_DESTINATION
    assert "backupHistory.json" in str(refused.value)


def test_numbers_are_in_the_names_of_files() -> None:
    assert archive_name("Shop", 12345) == "Shop[12345].onsb"
    assert history.number_in("Shop", "Shop[0012].onsb") == 12
    assert history.number_in("Shop", "Shopping[0012].onsb") is None
    assert history.number_in("Shop", "Shop[12].onsb") is None


# -- the journal


def test_the_journal_has_a_line_for_each_thing(tmp_path: Path) -> None:
    journal = JournalText(tmp_path)
    journal.write("backup 1 begins")
    journal.write("cut:\n 12 keys", detail=True)
    assert journal.path == tmp_path / "Backup Journal[001].txt"
    lines = journal.path.read_text().splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["backup 1 begins", "cut: 12 keys"]
    assert datetime.fromisoformat(lines[0].split("  ")[0]).tzinfo is not None


def test_details_are_left_out_where_the_settings_say_so(tmp_path: Path) -> None:
    journal = JournalText(tmp_path, verbose=False)
    journal.write("a detail", detail=True)
    assert not journal.path.exists()


def test_a_full_journal_is_numbered_up_and_999_is_followed_by_1(tmp_path: Path) -> None:
    journal = JournalText(tmp_path, full_bytes=20)
    journal.turn()
    journal.write("a long line")
    journal.turn()
    assert journal.path.name == "Backup Journal[002].txt"
    journal.turn()
    assert journal.path.name == "Backup Journal[002].txt"
    journal.path.rename(journal.path.with_name("Backup Journal[999].txt"))
    journal.write("a line after the last number")
    journal.turn()
    assert journal.path.name == "Backup Journal[001].txt"
    assert journal.path.read_text() == ""
    os.utime(journal.path.with_name("Backup Journal[999].txt"))
    assert journal.path.name == "Backup Journal[999].txt"
