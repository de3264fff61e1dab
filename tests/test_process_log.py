"""The log of a process: whose words come out of a pipe, which level they have, how much of them is kept."""

import logging
import os
import sys
from collections.abc import Callable, Sequence

import pytest

from onserver.errors import BrokerUnavailable, ProcessNotFound
from onserver.life.child import LevelHandler
from onserver.life.output import Pipe, Spoken
from onserver.life.page import Page
from onserver.process.handle import Process
from onserver.process.log import LogLine, as_dict, encode_line, level_of, lines_of, published, read_log
from onserver.process.log_book import LONGEST_LINE, LogBook
from onserver.redis.address import unix_address
from onserver.redis.store import Store
from onserver.settings import ProcessSettings

# ---- whose words

#: What one read takes in these tests.
LONGEST = 1000


class Ends:
    """Both ends of the two pipes of an executor, in one program: each step is taken when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page = Page()
        self.heard: list[tuple[int, int, str]] = []
        self.pipes = [Pipe(stream, self.page.voice) for stream in (1, 2)]
        self._writers = [pipe._writer for pipe in self.pipes]
        monkeypatch.setattr("onserver.life.output.LONGEST", LONGEST)
        monkeypatch.setattr("onserver.life.voice._DESCRIPTORS", tuple(self._writers))

    def begins(self, number: int) -> None:
        self.page.voice.begins(number)

    def prints(self, text: str, stream: int = 1) -> None:
        os.write(self._writers[stream - 1], text.encode())

    def reads(self, stream: int = 1) -> None:
        self.pipes[stream - 1].read(self._into(stream))

    def dies(self) -> None:
        for stream in (1, 2):
            os.close(self._writers[stream - 1])
            self.pipes[stream - 1].close(self._into(stream))

    def _into(self, stream: int) -> Callable[[Sequence[Spoken]], None]:
        return lambda spoken: self.heard.extend((stream, number, text) for number, text in spoken)

    def of(self, number: int) -> list[str]:
        return [text for _, found, text in self.heard if found == number]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ends:
    return Ends(monkeypatch)


def test_what_is_read_before_the_next_begins_needs_no_mark(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("one\n")
    ends.reads()
    ends.begins(8)
    ends.prints("two\n")
    ends.reads()
    assert ends.heard == [(1, 7, "one"), (1, 8, "two")]
    assert ends.page.voice.marks(0) == 0


def test_what_is_unread_when_the_next_begins_keeps_its_name(ends: Ends) -> None:
    for number in (7, 8, 9):
        ends.begins(number)
        ends.prints(f"words of {number}\nand more\n")
    ends.begins(10)
    ends.reads()
    assert ends.of(7) == ["words of 7", "and more"]
    assert ends.of(8) == ["words of 8", "and more"]
    assert ends.of(9) == ["words of 9", "and more"]
    assert ends.of(10) == []


def test_the_other_stream_is_told_apart_by_itself(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("out\n")
    ends.prints("err\n", 2)
    ends.reads(2)
    ends.begins(8)
    ends.prints("err of 8\n", 2)
    ends.reads(2)
    ends.reads(1)
    assert sorted(ends.heard) == [(1, 7, "out"), (2, 7, "err"), (2, 8, "err of 8")]


def test_a_line_without_an_end_is_its_writers(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("read in the ")
    ends.reads()
    ends.prints("middle")
    ends.begins(8)
    ends.prints("whole\n")
    ends.reads()
    assert ends.heard == [(1, 7, "read in the middle"), (1, 8, "whole")]
    ends.prints("last of 8")
    ends.reads()
    ends.begins(9)
    ends.prints("first of 9\n")
    ends.reads()
    assert ends.of(8) == ["whole", "last of 8"]
    assert ends.of(9) == ["first of 9"]


def test_a_line_without_an_end_is_complete_when_its_process_has_ended(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("still wri")
    ends.reads()
    ends.pipes[0].complete(7, ends._into(1))
    assert ends.heard == []
    ends.prints("ting")
    ends.reads()
    ends.pipes[0].complete(0, ends._into(1))
    assert ends.heard == [(1, 7, "still writing")]
    ends.pipes[0].complete(0, ends._into(1))
    ends.begins(8)
    ends.prints("next\n")
    ends.reads()
    assert ends.heard[1:] == [(1, 8, "next")]


def test_the_last_words_of_one_that_is_killed(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("before\n")
    ends.begins(8)
    ends.prints("last wor")
    ends.dies()
    assert ends.heard == [(1, 7, "before"), (1, 8, "last wor")]


def test_one_that_begins_while_its_predecessor_is_being_read(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("words of 7\n")
    with ends.page.voice.being_read(0):
        chunk = os.read(ends.pipes[0].reader, LONGEST)  # taken out, and nobody has looked yet whose it is
        ends.begins(8)
        speaker, marks = ends.page.voice.speaker, ends.page.voice.marks(0)
    ends._into(1)(ends.pipes[0]._sorted(chunk, speaker, marks))
    assert ends.heard == []
    ends.prints("words of 8\n")
    ends.reads()
    assert ends.heard == [(1, 7, "words of 7"), (1, 8, "words of 8")]


@pytest.mark.parametrize("room", range(0, 36, 5))
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_mark_that_is_cut_in_two(ends: Ends, room: int, end: str) -> None:
    filling = "x" * (LONGEST - room - len(end))
    ends.begins(7)
    ends.prints(filling + end)
    ends.begins(8)  # its mark begins `room` bytes before the end of what one read takes
    ends.prints("of 8\n")
    for _ in range(3):
        ends.reads()
    assert ends.of(7) == [filling]
    assert ends.of(8) == ["of 8"]


def test_a_long_line_is_passed_on_in_pieces(ends: Ends) -> None:
    ends.begins(7)
    for _ in range(3):
        ends.prints("y" * (LONGEST - 1))
        ends.reads()
    ends.prints("\n")
    ends.reads()
    assert "".join(ends.of(7)) == "y" * 3 * (LONGEST - 1)
    assert all(len(text) <= 2 * LONGEST for text in ends.of(7))


def test_a_task_may_close_what_it_prints_to(ends: Ends) -> None:
    ends.begins(7)
    ends.prints("words\n")
    os.close(ends._writers[1])
    ends.begins(8)
    ends.reads()
    assert ends.heard == [(1, 7, "words")]
    ends._writers[1] = os.dup(ends._writers[0])  # for the fixture to close


# ---- levels


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("INFO invoices: 71 of 100", "INFO"),
        ("WARNING:root:take care", "WARNING"),
        ("WARN odd", "WARNING"),
        ("[2026-10-25 02:00:00,123: ERROR/MainProcess] no", "ERROR"),
        ("2026-10-25 02:00:00,123 CRITICAL x", "CRITICAL"),
        ("2026-10-25T02:00:00Z [DEBUG] x", "DEBUG"),
        ("2026-10-25 02:00:00,123 - shop.tasks - INFO - x", "INFO"),
        ("<ERROR> x", "ERROR"),
        ("there was an ERROR", ""),
        ("INFORMATION", ""),
        ("", ""),
        ("71 of 100", ""),
    ],
)
def test_the_level_that_a_line_begins_with(text: str, level: str) -> None:
    assert level_of(text) == level


def test_a_traceback_has_the_level_of_the_line_above() -> None:
    texts = [
        ("plain", ""),
        ("ERROR shop: it failed", "ERROR"),
        ("Traceback (most recent call last):", "ERROR"),
        ('  File "x.py", line 1, in f', "ERROR"),
        ("    f()", "ERROR"),
        ("ValueError: no", "ERROR"),
        ("plain again", ""),
    ]
    found = lines_of(1, [encode_line(0, "w", "err", "", text) for text, _ in texts])
    assert [(line.text, line.level) for line in found] == texts


def test_a_record_of_logging_says_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    LevelHandler().handle(logging.LogRecord("shop.tasks", logging.ERROR, "x", 1, "%d left", (3,), None))
    assert capsys.readouterr().err == "ERROR shop.tasks: 3 left\n"
    assert level_of("ERROR shop.tasks: 3 left") == "ERROR"


def test_a_line_as_json() -> None:
    line = LogLine(7, 1_700_000_000_123, "web-2", "out", "INFO", "x")
    assert as_dict(line) == {
        "process": 7, "at": "2023-11-14T22:13:20.123+00:00", "worker": "web-2", "source": "out", "level": "INFO",
        "text": "x",
    }  # fmt: skip


# ---- what is kept


@pytest.fixture
def numbers(store: Store) -> list[int]:
    """Two processes that live."""
    for number in (1, 2):
        store.command("HSET", store.key(f"p:{number}"), "s", "running", "t", "x")
    return [1, 2]


def book(log_lines: int = 1000, log_bytes: int = 2**17) -> LogBook:
    return LogBook(ProcessSettings(log_lines=log_lines, log_bytes=log_bytes), "w1")


def texts(store: Store, number: int, last: int | None = None) -> list[str]:
    log = read_log(store, number, last)
    assert log is not None
    return [line.text for line in log.lines]


def test_lines_of_several_are_written_in_one_trip(store: Store, numbers: list[int]) -> None:
    written = book()
    for number in numbers:
        for text in ("a", "b\tü \x00", ""):
            written.add(number, 5, "out", text)
    before = store.command("INFO", "commandstats").decode().partition("cmdstat_evalsha:calls=")[2].partition(",")[0]
    written.write(store)
    after = store.command("INFO", "commandstats").decode().partition("cmdstat_evalsha:calls=")[2].partition(",")[0]
    assert int(after) - int(before or 0) <= 2  # it was loaded first
    for number in numbers:
        assert texts(store, number) == ["a", "b\tü \x00", ""]
    assert texts(store, 1, last=1) == [""]


def test_only_the_last_lines_are_kept_and_all_are_counted(store: Store, numbers: list[int]) -> None:
    written = book(log_lines=10)
    for round_ in range(3):
        for line in range(25):
            written.add(1, 5, "out", f"{round_}.{line}")
        written.write(store, now=True)
    log = read_log(store, 1)
    assert log is not None
    assert [line.text for line in log.lines] == [f"2.{line}" for line in range(15, 25)]
    assert log.total == 75


def test_only_so_many_bytes_are_kept(store: Store, numbers: list[int]) -> None:
    written = book(log_bytes=2048)
    for line in range(100):
        written.add(1, 5, "out", f"{line:03}" + "x" * 97)
        if line % 7 == 0:
            written.write(store, now=True)
    written.write(store, now=True)
    size = sum(map(len, store.command("LRANGE", store.key("log:1"), 0, -1)))
    assert 1500 < size <= 2048
    assert texts(store, 1)[-1].startswith("099")
    assert int(store.command("HGET", store.key("p:1"), "lb")) == size


def test_a_long_line_is_cut_off(store: Store, numbers: list[int]) -> None:
    written = book()
    written.add(1, 5, "out", "x" * 10_000)
    written.write(store)
    (line,) = texts(store, 1)
    assert (len(line), line[-1]) == (LONGEST_LINE, "…")


def test_with_no_lines_nothing_is_kept(store: Store, numbers: list[int]) -> None:
    written = book(log_lines=0)
    written.add(1, 5, "out", "x")
    assert written.due_seconds() is None
    written.write(store, now=True)
    assert texts(store, 1) == []


def test_a_line_after_a_quiet_while_goes_at_once_others_wait(
    store: Store, numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[LogBook.__module__], "EVERY_SECONDS", 60.0)
    written = book()
    assert written.due_seconds() is None
    written.add(1, 5, "out", "first")
    assert written.due_seconds() == 0
    written.write(store)
    written.add(1, 5, "out", "second")
    assert written.due_seconds()
    written.write(store)
    assert texts(store, 1) == ["first"]
    written.write(store, now=True)
    assert texts(store, 1) == ["first", "second"]


def test_what_was_sent_twice_is_there_once(store: Store, numbers: list[int]) -> None:
    words = ("sender:1", 10, 10_000, 1, 0, 1, encode_line(5, "w", "out", "", "x"))
    assert store.run("log", *words) == store.run("log", *words) == 1
    assert texts(store, 1) == ["x"]


def test_what_could_not_be_written_is_written_later(store: Store, numbers: list[int]) -> None:
    away = Store(unix_address("/nowhere/at/all"), store.name, connect_seconds=0.1, command_seconds=0.1)
    written = book()
    written.add(1, 5, "out", "x")
    with pytest.raises(BrokerUnavailable):
        written.write(away)
    written.add(1, 5, "out", "y")
    written.write(store, now=True)
    assert texts(store, 1) == ["x", "y"]


def test_a_log_lives_as_long_as_the_record(store: Store) -> None:
    store.command("HSET", store.key("p:1"), "s", "done", "t", "x", "f", "1")
    store.command("PEXPIRE", store.key("p:1"), 60_000)
    written = book()
    written.add(1, 5, "out", "a word after the end")
    written.add(2, 5, "out", "of nobody")
    written.write(store)
    assert 0 < store.command("PTTL", store.key("log:1")) <= 60_000
    assert not store.command("EXISTS", store.key("log:2"))
    assert read_log(store, 2) is None


def test_followers_hear_the_lines_and_which_they_are(store: Store, numbers: list[int]) -> None:
    with store.link() as link:
        link.command("SUBSCRIBE", store.key("l:1"))
        written = book()
        for text in ("a:1", "", "b"):
            written.add(1, 5, "out", text)
        written.write(store)
        first, lines = published(link.receive(10)[2])
        assert (first, [line.text for line in lines_of(1, lines)]) == (0, ["a:1", "", "b"])
        written.add(1, 5, "out", "c")
        written.write(store, now=True)
        assert published(link.receive(10)[2])[0] == 3


def test_the_log_of_nobody(store: Store) -> None:
    class Here:
        def __init__(self) -> None:
            self.store = store

    with pytest.raises(ProcessNotFound):
        Process(Here(), 99).log()  # type: ignore[arg-type]
