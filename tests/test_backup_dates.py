"""When backups are due: every mode of the specification, by a table of dates, those of changed clocks included."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from onserver.backup.dates import Dates
from onserver.errors import BadSetting


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def dates(words: str, start: str, count: int = 3) -> list[str]:
    """The dates that come after a time of the schedule's zone, as the clocks there show them."""
    read = Dates.read(words)
    found = read.coming(ms(start, read.timezone), count)
    return [f"{read.moment(at):%Y-%m-%d %H:%M}" for at in found]


@pytest.mark.parametrize(
    ("words", "start", "expected"),
    [
        ("every hour", "2026-11-26 06:55", ["2026-11-26 07:00", "2026-11-26 08:00", "2026-11-26 09:00"]),
        ("every hour", "2026-11-26 07:00", ["2026-11-26 08:00", "2026-11-26 09:00", "2026-11-26 10:00"]),
        ("every 6 hours", "2026-11-26 06:55", ["2026-11-26 12:00", "2026-11-26 18:00", "2026-11-27 00:00"]),
        ("every 24 hours", "2026-11-26 06:55", ["2026-11-27 00:00", "2026-11-28 00:00", "2026-11-29 00:00"]),
        ("every day at 02:00", "2026-11-26 01:59", ["2026-11-26 02:00", "2026-11-27 02:00", "2026-11-28 02:00"]),
        ("every day at 02:00", "2026-11-26 02:00", ["2026-11-27 02:00", "2026-11-28 02:00", "2026-11-29 02:00"]),
        ("every 3 days at 02:00", "2026-11-26 02:00", ["2026-11-28 02:00", "2026-12-01 02:00", "2026-12-04 02:00"]),
        ("every week on sunday at 23:30", "2026-11-26 06:55",
         ["2026-11-29 23:30", "2026-12-06 23:30", "2026-12-13 23:30"]),
        ("every week on mon, fri at 2:00", "2026-11-26 06:55",
         ["2026-11-27 02:00", "2026-11-30 02:00", "2026-12-04 02:00"]),
        ("every 2 weeks on monday and friday at 02:00", "2026-11-26 06:55",
         ["2026-11-27 02:00", "2026-12-07 02:00", "2026-12-11 02:00"]),
        ("every month on 15 at 02:00", "2026-11-26 06:55",
         ["2026-12-15 02:00", "2027-01-15 02:00", "2027-02-15 02:00"]),
        ("every month on 31 at 02:00", "2027-01-31 02:00",
         ["2027-02-28 02:00", "2027-03-31 02:00", "2027-04-30 02:00"]),
        ("every month on 29 at 02:00", "2028-02-01 00:00",
         ["2028-02-29 02:00", "2028-03-29 02:00", "2028-04-29 02:00"]),
        ("every 3 months on 1 at 02:00", "2026-11-26 06:55",
         ["2027-01-01 02:00", "2027-04-01 02:00", "2027-07-01 02:00"]),
        ("every day at 00:00 in Asia/Kolkata", "2026-11-26 06:55",
         ["2026-11-27 00:00", "2026-11-28 00:00", "2026-11-29 00:00"]),
    ],
)  # fmt: skip
def test_each_mode_has_its_dates(words: str, start: str, expected: list[str]) -> None:
    assert dates(words, start) == expected


@pytest.mark.parametrize(
    ("words", "start", "expected"),
    [
        # 2026-10-25 03:00 is 02:00 again: the first of the two
        ("every day at 02:30 in Europe/Berlin", "2026-10-24 03:00",
         ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]),
        # 2027-03-28 02:00 is 03:00 at once: what is left out comes right after
        ("every day at 02:30 in Europe/Berlin", "2027-03-27 03:00",
         ["2027-03-28 03:00+02:00", "2027-03-29 02:30+02:00"]),
        ("every week on sunday at 02:00 in Europe/Berlin", "2027-03-27 03:00",
         ["2027-03-28 03:00+02:00", "2027-04-04 02:00+02:00"]),
        ("every day at 01:59 in Europe/Berlin", "2027-03-27 03:00",
         ["2027-03-28 01:59+01:00", "2027-03-29 01:59+02:00"]),
        # midnight that is left out
        ("every day at 00:00 in America/Sao_Paulo", "2018-11-03 12:00",
         ["2018-11-04 01:00-02:00", "2018-11-05 00:00-02:00"]),
        # half an hour
        ("every day at 02:10 in Australia/Lord_Howe", "2026-10-03 12:00",
         ["2026-10-04 02:30+11:00", "2026-10-05 02:10+11:00"]),
    ],
)  # fmt: skip
def test_a_date_comes_once_when_the_clocks_are_changed(words: str, start: str, expected: list[str]) -> None:
    read = Dates.read(words)
    found = [read.moment(at) for at in read.coming(ms(start, read.timezone), 2)]
    assert [at.isoformat(sep=" ", timespec="minutes") for at in found] == expected


def test_hours_pass_as_real_time_when_the_clocks_are_changed() -> None:
    read = Dates.read("every hour in Europe/Berlin")
    found = read.coming(ms("2026-10-25 01:30", "Europe/Berlin"), 3)
    assert [at - found[0] for at in found] == [0, 3_600_000, 7_200_000]
    assert [f"{read.moment(at):%H:%M}" for at in found] == ["02:00", "02:00", "03:00"]


def test_never_has_no_date() -> None:
    assert Dates.read(" Never ").after(0) is None
    assert Dates.read("never").coming(0, 3) == []


def test_the_next_date_is_the_same_whenever_one_asks() -> None:
    for words in ("every 5 hours", "every 5 days at 02:00", "every 5 weeks on sunday at 02:00",
                  "every 5 months on 31 at 02:00"):  # fmt: skip
        read = Dates.read(words)
        date = read.after(ms("2026-11-26 06:55")) or 0
        assert {read.after(date - before) for before in (1, 60_000, 3_600_000)} == {date}, words


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("sometimes", "it is none of: never; every hour"),
        ("every 25 hours", "hours are from 1 to 24"),
        ("every hour at 02:00", "no day and no time"),
        ("every day", "it needs a time"),
        ("every day on monday at 02:00", "every day has no `on`"),
        ("every 0 days at 02:00", "every 0 is never"),
        ("every week at 02:00", "`on sunday`"),
        ("every week on someday at 02:00", "`someday` is no day of the week"),
        ("every month at 02:00", "`on 15`"),
        ("every month on 32 at 02:00", "a number from 1 to 31"),
        ("every month on monday at 02:00", "a number from 1 to 31"),
        ("every day at 25:00", "`25:00` is no time of the day"),
        ("every day at 02:00 in Europe/Nowhere", "`Europe/Nowhere` is no time zone"),
    ],
)
def test_words_that_say_no_date_are_explained(words: str, problem: str) -> None:
    with pytest.raises(BadSetting, match=r"backup\.schedule") as refused:
        Dates.read(words)
    assert problem in str(refused.value)
