"""When a supervisor sees to an executor whose process takes longer than those before it, by a clock of the test."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from onserver.life import late, page
from onserver.life.child import PATIENCE_SECONDS
from onserver.life.late import due_seconds, look
from onserver.life.page import Page


class Looked:
    """An executor as its supervisor sees it, and what is done about it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (late, page):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.done.append((self.ran, number if pid == 7 else -1)))
        self.done: list[tuple[float, object]] = []
        self.page = Page()
        self.child: Any = SimpleNamespace(
            page=self.page, role="executor", pid=7, runs_seen=-1, patience=float("inf"), unsaid=False, busy_until=0.0
        )
        self.began = self.now

    @property
    def ran(self) -> float:
        """Seconds that the present process has run."""
        return round(self.now - self.began, 3)

    def begin(self, number: int, *, ahead: bool) -> None:
        """The next process begins."""
        self.page.end()
        self.began = self.now
        self.page.ahead = ahead
        self.page.begin(number)
        self.look_at(0.0)

    def look_at(self, ran: float, *, unsaid: bool = False) -> None:
        """Look when the present process has run for so long; whether Redis then does not know an end is `unsaid`."""

        def hand_back(_child: Any) -> None:
            self.done.append((self.ran, "handed back"))
            self.child.unsaid = unsaid

        self.now = self.began + ran
        look([self.child], hand_back)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    return Looked(monkeypatch)


def test_what_was_claimed_ahead_is_handed_back_after_ten_milliseconds_and_looked_at_once_more(looked: Looked) -> None:
    looked.begin(1, ahead=True)
    for ran in (0.005, 0.02, 0.5, 1.5, 5.0, 11.0, 30.0, 100.0):
        looked.look_at(ran)
    assert looked.done == [(0.02, "handed back"), (1.5, "handed back"), (11.0, "handed back")]


def test_an_end_that_redis_does_not_know_is_asked_for_until_it_does(looked: Looked) -> None:
    looked.begin(1, ahead=True)
    looked.look_at(0.02, unsaid=True)
    looked.look_at(1.5, unsaid=True)
    looked.look_at(12.0, unsaid=True)
    looked.look_at(20.0, unsaid=True)  # not yet
    looked.look_at(22.5, unsaid=False)
    looked.look_at(40.0)
    assert looked.done == [
        (0.02, "handed back"),
        (1.5, "handed back"),
        (1.5, signal.SIGUSR2),
        (12.0, "handed back"),
        (12.0, signal.SIGUSR2),
        (22.5, "handed back"),
    ]


def test_the_next_run_is_looked_at_anew(looked: Looked) -> None:
    looked.begin(1, ahead=True)
    looked.look_at(0.02, unsaid=True)
    looked.begin(2, ahead=True)
    assert (looked.child.patience, looked.child.unsaid) == (PATIENCE_SECONDS, False)
    looked.look_at(0.02)
    assert looked.done == [(0.02, "handed back")] * 2


def test_the_end_of_a_part_of_a_batch_is_asked_for_at_once(looked: Looked) -> None:
    looked.begin(2, ahead=False)
    looked.page.unsent.add(1)
    looked.look_at(0.02)
    looked.look_at(0.5)
    assert looked.done == [(0.02, signal.SIGUSR2)]


def test_who_has_run_something_lately_counts_as_busy_for_a_while(looked: Looked) -> None:
    looked.begin(1, ahead=False)
    assert looked.child.busy_until == pytest.approx(looked.now + 0.1)
    until = looked.child.busy_until
    looked.look_at(0.05)
    assert looked.child.busy_until == until


@pytest.mark.parametrize(("ahead", "unsaid", "due"), [(True, False, 0.02), (False, False, None), (True, True, None)])
def test_who_claims_ahead_is_looked_at_soon(looked: Looked, ahead: bool, unsaid: bool, due: float | None) -> None:
    child = SimpleNamespace(looks_ahead=ahead, unsaid=unsaid)
    others: Any = [SimpleNamespace(looks_ahead=False, unsaid=False), child]
    assert due_seconds(others) == due
