"""The page of an executor that runs many: what has begun, and what has ended of which Redis does not know yet."""

import pytest

from onserver.life.async_page import AsyncPage

PLACES = 4


@pytest.fixture
def page() -> AsyncPage:
    return AsyncPage(PLACES)


def begin(page: AsyncPage, number: int) -> None:
    page.began(number, finish=False, kill_at=0.0)


def test_what_has_ended_may_have_run_until_redis_knows(page: AsyncPage) -> None:
    begin(page, 1)
    begin(page, 2)
    page.over(1)
    assert (page.begun, page.may_have_run) == ((2,), (2, 1))
    assert page.overdue == 0
    page.said(1)
    assert (page.begun, page.may_have_run) == ((2,), (2,))


def test_redis_may_know_before_it_is_over_here(page: AsyncPage) -> None:
    """Celery's tracer stores the end of a task, and goes on for a while."""
    for number in range(1, 50 * PLACES):  # no place is lost
        begin(page, number)
        page.said(number)
        assert page.begun == (number,)
        page.over(number)
        assert page.may_have_run == ()


def test_as_many_may_wait_to_be_said_as_run(page: AsyncPage) -> None:
    for number in range(1, 1 + PLACES):
        begin(page, number)
    for number in range(1, 1 + PLACES):
        page.over(number)
        begin(page, PLACES + number)
    assert len(page.begun) == PLACES
    assert len(page.may_have_run) == 2 * PLACES


def test_of_what_never_began_here_nothing_is_kept(page: AsyncPage) -> None:
    page.said(7)
    begin(page, 7)
    page.over(7)
    assert page.may_have_run == (7,)


def test_what_redis_knew_may_not_have_been_the_last(page: AsyncPage) -> None:
    """A call of a mailbox is stored by Celery's tracer, and released when the tracer is done."""
    begin(page, 1)
    page.says(1)
    page.said(1)
    page.says(1)
    page.over(1)
    left = [page.may_have_run]
    page.said(1)
    assert [*left, page.may_have_run] == [(1,), ()]
