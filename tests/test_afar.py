"""Where a server method goes: in place, or to the server that this program is connected to."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from onserver import server_method, session
from onserver.process.afar import connected, disconnected, far, through
from onserver.session.context import serving


@server_method(name="afar.double")
def double(number: int) -> Any:
    return 2 * number


@server_method(name="afar.adouble")
async def adouble(number: int) -> Any:
    return 2 * number


class Noting:
    """A connection that notes what goes through it, and answers the name."""

    def __init__(self, called: str = "") -> None:
        self.called = called
        self.calls: list[tuple[str, Sequence[Any], Mapping[str, Any]]] = []

    @property
    def session(self) -> Any:
        return self

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        self.calls.append((name, args, kwargs))
        return self.called

    async def acall(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        return self.call(name, args, kwargs)


@pytest.fixture
def there() -> Any:
    made = Noting("there")
    with ExitStack() as stack:
        connected(made)
        stack.callback(disconnected, made)
        yield made


def test_without_a_connection_it_runs_in_place() -> None:
    assert far() is None
    assert double(2) == 4
    assert asyncio.run(adouble(2)) == 4


def test_with_a_connection_it_goes_there(there: Noting) -> None:
    assert double(2) == "there"
    assert asyncio.run(adouble(number=3)) == "there"
    assert there.calls == [("afar.double", (2,), {}), ("afar.adouble", (), {"number": 3})]
    disconnected(there)
    assert double(2) == 4


def test_the_last_connection_of_the_program_and_the_one_of_the_block(there: Noting) -> None:
    later, nearer = Noting("later"), Noting("nearer")
    connected(later)
    try:
        assert double(1) == "later"
        with through(nearer):
            assert double(1) == "nearer"
            elsewhere: list[Any] = []
            thread = threading.Thread(target=lambda: elsewhere.append(double(1)))
            thread.start()
            thread.join()
            assert elsewhere == ["later"]  # a block is of its own thread
    finally:
        disconnected(later)
    assert double(1) == "there"


def test_code_that_runs_for_the_server_is_no_client(there: Noting) -> None:
    with serving(None, remote=True):
        assert far() is None
        assert double(2) == 4
    assert far() is there


def test_session_is_that_of_the_connection(there: Noting) -> None:
    here: Any = session()
    assert here is there
    with serving(None, remote=True):
        assert session() is None
