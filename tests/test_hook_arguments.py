"""What hooks are told: it travels as values, and the two that may be refused know how."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest

from onserver import Backup, BackupResult, Connection, SystemEvent, values
from onserver.errors import BadArguments
from onserver.life.hook_arguments import HookArgument, Refusable

AT = datetime(2026, 11, 26, 7, 30, tzinfo=UTC)
ALL: list[HookArgument] = [
    Backup(label="night", number=4, started=AT, forced=True, attempt=2),
    BackupResult(code=201, reason="month-end close", path=None, number=4, seconds=1.5, attempt=2),
    BackupResult(path="/backups/shop[0004].onsb"),
    SystemEvent(code=1000, name="shop.closed", payload={"by": "ann"}, at=AT, worker="w1", member=3),
    Connection(user=3, connection=17),
]


@pytest.mark.parametrize("argument", ALL, ids=lambda argument: type(argument).__name__)
def test_an_argument_comes_back_as_it_was_sent(argument: HookArgument) -> None:
    assert type(argument).read(values.decode(values.encode(argument))) == argument


@pytest.mark.parametrize("argument", ALL, ids=lambda argument: type(argument).__name__)
def test_what_another_version_adds_is_left_out(argument: HookArgument) -> None:
    sent: dict[str, Any] = values.decode(values.encode(argument)) | {"invented": 1}
    assert type(argument).read(sent) == argument


def test_an_argument_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Backup(number=4).number = 5  # type: ignore[misc]


@pytest.mark.parametrize("argument", [Backup(number=1), Connection(user=1, connection=2)])
def test_a_veto_is_its_code_and_keeps_the_reason(argument: Refusable) -> None:
    assert argument.veto(-3, "not now") == -3
    assert argument.veto(22000) == 22000
    assert argument.reason_of(-3) == "not now"
    assert argument.reason_of(22000) == ""
    assert argument.reason_of(1) == ""


@pytest.mark.parametrize("code", [0, True, 1.0, "201", None])
def test_a_veto_has_a_number_that_is_not_zero(code: Any) -> None:
    with pytest.raises(BadArguments):
        Backup(number=1).veto(code)


def test_a_connection_has_the_three_integers_of_the_original() -> None:
    connection = Connection(user=3, connection=17)
    assert (connection.user, connection.connection, connection.zero) == (3, 17, 0)
