"""Uses of sessions that are noted in the background: what may come, and what may fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onserver.redis.answers import ScriptRefused
from onserver.session.sessions import new_identity
from onserver.testing import wait_for
from onserver.web.renewal import Renewal


class Notes:
    """Notes, of which the first fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, identity: str) -> None:
        self.asked.append(identity)
        if len(self.asked) == 1:
            raise ScriptRefused("ERR", "value is not an integer")


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def renewal(notes: Notes) -> Iterator[Renewal]:
    made = Renewal(notes)
    yield made
    made.close()


@pytest.mark.parametrize("cookie", ["", "x", "A" * 60_000, "a" * 32, "G" * 32])
def test_what_is_no_id_is_neither_noted_nor_remembered(renewal: Renewal, notes: Notes, cookie: str) -> None:
    """Ten thousand are remembered: a browser may send some that are as long as a header may be."""
    assert renewal.renew(cookie) is False
    assert renewal.renew(cookie, due=True) is False
    renewal.close()
    assert notes.asked == []


def test_one_that_fails_in_whatever_way_does_not_end_the_others(renewal: Renewal, notes: Notes) -> None:
    first, second = new_identity(), new_identity()
    assert renewal.renew(first)
    wait_for(lambda: notes.asked == [first])
    assert renewal.renew(second)
    wait_for(lambda: notes.asked == [first, second])
    assert renewal.renew(first), "it is tried again"
