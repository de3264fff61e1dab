"""Values come back as they went, in bytes and in frozen copies; what cannot be sent is named."""

import copy
import json
import math
import pickle
from collections import OrderedDict, UserDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onserver.errors import NotInUse, NotSendable, NotShareable
from onserver.values import MAX_DEPTH, FrozenDict, FrozenList, decode, encode, encode_call, freeze, thaw

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    texts,
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(),
    st.datetimes(timezones=zones),
    st.timedeltas(),
    st.uuids(),
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same types all the way down (1 == 1.0 == True is not enough)."""
    if type(one) is not type(two):
        return False
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict):
        return list(one) == list(two) and all(map(same, one.values(), two.values()))
    return bool(one == two)


@given(values)
def test_values_come_back_as_they_went(value: object) -> None:
    assert same(decode(encode(value)), value)


@given(st.lists(scalars, max_size=4) | st.lists(values, max_size=3), st.just({}) | st.dictionaries(texts, values))
def test_the_arguments_of_a_call_are_the_list_of_both(args: list[object], kwargs: dict[str, object]) -> None:
    assert encode_call(args, kwargs) == encode_call(tuple(args), kwargs) == encode([args, kwargs])


@given(values)
def test_frozen_reads_like_the_value_and_thaws_into_it(value: object) -> None:
    frozen = freeze(value)
    assert frozen == value
    assert same(thaw(frozen), value)
    assert decode(encode(frozen)) == value
    assert pickle.loads(pickle.dumps(frozen)) == value
    assert same(copy.deepcopy(frozen), value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        -math.inf,
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63),
        -(2**63) - 1,
        "\0",
        "é\U0001f600",
        b"",
        {"": {}},
        [],
    ],
    ids=repr,
)
def test_the_edges_of_a_type_come_back(value: object) -> None:
    back = decode(encode(value))
    assert same(back, value)
    assert math.copysign(1, back) == math.copysign(1, value) if isinstance(value, float) else True


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(decode(encode([math.nan]))[0])
    assert decode(encode(Decimal("NaN"))).is_nan()
    assert str(decode(encode(Decimal("-0.00")))) == "-0.00"


def test_a_moment_keeps_its_offset_and_not_the_name_of_its_zone() -> None:
    paris = datetime(2026, 7, 1, 12, 30, 0, 7, tzinfo=ZoneInfo("Europe/Paris"))
    back = decode(encode({"at": paris, "big": 2**70}))["at"]
    assert back == paris
    assert back.utcoffset() == timedelta(hours=2)
    assert back.isoformat() == "2026-07-01T12:30:00.000007+02:00"


def test_tuples_and_subclasses_come_back_plain() -> None:
    class Text(str):
        __slots__ = ()

    given: Any = {
        Text("a"): (1, 2),
        "b": OrderedDict(x=1),
        "c": defaultdict(list, y=[Text("t")]),
        "d": type("Count", (int,), {})(3),
        "e": type("Share", (float,), {})(0.5),
    }
    plain = {"a": [1, 2], "b": {"x": 1}, "c": {"y": ["t"]}, "d": 3, "e": 0.5}
    assert same(decode(encode(given)), plain)


def test_an_object_may_say_what_it_is_sent_as() -> None:
    class Handle:
        def __onserver_value__(self) -> object:
            return 1042

    assert decode(encode([Handle()])) == [1042]


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


loop: list[object] = []
loop.append(loop)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"EUR": {1}}, 'Argument `rates["EUR"]` is a `set`, which cannot be sent. Send it as a list.'),
        ({"EUR": [1, object()]}, 'Argument `rates["EUR"][1]` is a `object`, which cannot be sent. What can be: None'),
        ({"a": {3: 1}}, "Argument `rates[\"a\"]` has the key 3, a `int`, and keys have to be text. Use `'3'`."),
        ({None: 1}, "Argument `rates` has the key None, a `NoneType`, and keys have to be text."),
        (datetime(2026, 1, 1), "Argument `rates` is a `datetime` without a time zone. Give it one: `datetime.now("),  # noqa: DTZ001
        (UTC, "Argument `rates` is a `datetime.timezone`, which cannot be sent. Send its name as text."),
        (time(1, tzinfo=ZoneInfo("Europe/Paris")), "Argument `rates` is a `time` whose zone has no offset without a d"),
        (["ok", "a\ud800"], "Argument `rates[1]` holds a lone surrogate ('\\ud800' at 1), which is no Unicode text."),
        ({"\udfff": 1}, 'Argument `rates["?"]` holds a lone surrogate'),
        (Colour.RED, "Argument `rates` is a `test_values.Colour`, which cannot be sent. Send its `.value`."),
        ([Level.LOW], "Argument `rates[0]` is a `test_values.Level`, which cannot be sent. Send its `.value`."),
        ({Level.LOW: 1}, "Argument `rates` has the key <Level.LOW: 1>"),
        (bytearray(b"x"), "Argument `rates` is a `bytearray`, which cannot be sent. Send it as `bytes`."),
        (1j, "Argument `rates` is a `complex`, which cannot be sent."),
        (print, "Argument `rates` is a `builtin_function_or_method`, which cannot be sent."),
        (UserDict(a=1), "Argument `rates` is a `collections.UserDict`, which cannot be sent."),
        (msgspec.msgpack.Ext(1, b""), "Argument `rates` is a `msgspec.msgpack.Ext`, which cannot be sent."),
        (loop, f"Argument `rates` is nested deeper than {MAX_DEPTH} levels. Does it contain itself?"),
    ],
    ids=lambda value: value[9:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_sent_is_named(value: object, text: str) -> None:
    with pytest.raises(NotSendable) as refused:
        encode(value, "Argument rates")
    assert str(refused.value).startswith(text)
    with pytest.raises(NotSendable):
        encode_call([value], {})


def test_storage_refuses_in_its_own_words() -> None:
    with pytest.raises(NotShareable) as refused:
        encode({"a": {1, 2}}, "rates", NotShareable)
    assert str(refused.value) == (
        'A `set` cannot be stored (`rates["a"]`). Use a list, or `storage.counter()` for a count.'
    )


@pytest.mark.parametrize("last", [1, date(2026, 1, 1)], ids=["fast", "walked"])
def test_nesting_has_one_limit_on_both_ways(last: object) -> None:
    value: object = last
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(NotSendable, match="nested deeper"):
        encode([value])


def test_bytes_of_somebody_else_are_refused() -> None:
    with pytest.raises(ValueError, match="extension type 99"):
        decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(99, b"?")))
    with pytest.raises(msgspec.DecodeError):
        decode(b"\xc1")


WRITES_TO_A_DICT = [
    "v['x'] = 1",
    "del v['x']",
    "v |= {}",
    "v.clear()",
    "v.pop('x')",
    "v.popitem()",
    "v.setdefault('x', 1)",
    "v.update(x=1)",
]
WRITES_TO_A_LIST = [
    "v[0] = 1",
    "del v[0]",
    "v += [1]",
    "v *= 2",
    "v.append(1)",
    "v.clear()",
    "v.extend([1])",
    "v.insert(0, 1)",
    "v.pop()",
    "v.remove(1)",
    "v.reverse()",
    "v.sort()",
]


@pytest.mark.parametrize("write", WRITES_TO_A_DICT)
def test_a_frozen_dict_refuses_every_write(write: str) -> None:
    frozen = freeze({"a": {"x": 1}}, "rates")
    for view in (frozen, frozen["a"]):
        with pytest.raises(NotInUse, match=r'use\("rates"\) as rates'):
            exec(write, {"v": view})
    assert frozen == {"a": {"x": 1}}


@pytest.mark.parametrize("write", WRITES_TO_A_LIST)
def test_a_frozen_list_refuses_every_write(write: str) -> None:
    frozen = freeze([[1, 2], 3], "log")
    for view in (frozen, frozen[0]):
        with pytest.raises(NotInUse):
            exec(write, {"v": view})
    assert frozen == [[1, 2], 3]


def test_a_frozen_copy_reads_as_dicts_and_lists_do_everywhere() -> None:
    frozen = freeze({"a": [1, {"b": 2}], "n": 3}, "e")
    assert isinstance(frozen, FrozenDict)
    assert isinstance(frozen["a"], FrozenList)
    assert json.loads(json.dumps(frozen)) == frozen
    assert frozen | {"n": 4} == {"a": [1, {"b": 2}], "n": 4}
    assert type(frozen.copy()) is dict
    assert type(copy.copy(frozen["a"])) is list
    assert frozen["a"][1:] == [{"b": 2}]


def test_the_original_is_untouched_by_what_happens_to_a_thawed_copy() -> None:
    value = {"a": [1, {"b": UUID(int=5)}]}
    copied = thaw(freeze(value))
    copied["a"][1]["b"] = None
    assert value == {"a": [1, {"b": UUID(int=5)}]}
