"""What a request of REST says of data: `$filter` and the other words, read strictly."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onserver.web.bodies import BadBody
from onserver.web.rest_filter import LONGEST, All, BadFilter, Compare, Filter, Not, Some, read_filter
from onserver.web.rest_query import MOST, Order, Query, read_query

ANN, OLD, FAR = Compare(("name",), "=", "Ann"), Compare(("age",), ">", 30), Compare(("home", "city"), "!=", "Oslo")


@pytest.mark.parametrize(
    ("text", "params", "found"),
    [
        ("name=Ann", [], ANN),
        ('"name = Ann"', [], ANN),
        ("'name == \"Ann\"'", [], ANN),
        ("name='Ann'", [], ANN),
        ("name === :1", ["Ann"], ANN),
        ("age>30", [], OLD),
        ("age > :2", ["x", 30], OLD),
        ("home.city # Oslo", [], FAR),
        ("home.city !== 'Oslo'", [], FAR),
        ("name=Ann AND age>30", [], All((ANN, OLD))),
        ("name=Ann && age>30 and home.city!=Oslo", [], All((ANN, OLD, FAR))),
        ("name=Ann or age>30 AND home.city!=Oslo", [], Some((ANN, All((OLD, FAR))))),
        ("(name=Ann || age>30) EXCEPT home.city!=Oslo", [], All((Some((ANN, OLD)), Not(FAR)))),
        ("not (name=Ann)", [], Not(ANN)),
        ("NOT NOT name=Ann", [], Not(Not(ANN))),
        ("name begin O'Rei", [], None),
        ('name begin "O\'Rei"', [], Compare(("name",), "begin", "O'Rei")),
        ("name = 'O\\'Rei\\\\lly'", [], Compare(("name",), "=", "O'Rei\\lly")),
        ("name in :1", [["Ann", "Bob"]], Compare(("name",), "in", ["Ann", "Bob"])),
        ("age = -1.5e2", [], Compare(("age",), "=", -150.0)),
        ("gone = TRUE", [], Compare(("gone",), "=", True)),
        ("gone = null", [], Compare(("gone",), "=", None)),
        ("born = 2026-11-26", [], Compare(("born",), "=", "2026-11-26")),
        ("and = or", [], Compare(("and",), "=", "or")),
        ("größe >= 1", [], Compare(("größe",), ">=", 1)),
    ],
)
def test_a_filter_is_read(text: str, params: list[Any], found: Filter | None) -> None:
    if found is None:
        with pytest.raises(BadFilter):
            read_filter(text, params)
    else:
        assert read_filter(text, params) == found


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", []), (" ", []), ("name", []), ("name=", []), ("=Ann", []), ("name Ann", []), ("name=Ann age=3", []),
        ("name=Ann AND", []), ("(name=Ann", []), ("name=Ann)", []), ("()", []), ("1=1", []), ("name=Ann; DROP", []),
        ("name like Ann", []), ("name='Ann", []), ("a.b.c.d.e=1", []), ("a..b=1", []), ("a-b=1", []), ("_KEY$=1", []),
        ("name=:1", []), ("name=:1", [["Ann"]]), ("name in Ann", []), ("name begin 3", []),
        ("(" * 21 + "a=1" + ")" * 21, []), ("a" * 300 + "=1", []), (" AND ".join(["a=1"] * 101), []),
        ("a=1" + " " * LONGEST, []), ("name==(", []), ("name=AND AND", []), ("a=1!b=2", []),
    ],
)  # fmt: skip
def test_a_filter_that_says_nothing_is_refused(text: str, params: list[Any]) -> None:
    with pytest.raises(BadFilter):
        read_filter(text, params)


@given(st.text(max_size=60) | st.text("ab.= ()!<>'\":1@#&|$\\ANDOR", max_size=60), st.lists(st.none() | st.integers()))
def test_whatever_stands_in_a_filter_is_read_or_refused(text: str, params: list[Any]) -> None:
    with suppress(BadFilter):
        read_filter(text, params)


def test_the_words_of_a_request_are_read() -> None:
    told = {
        "$filter": "name=:1", "$params": '\'["Ann"]\'', "$orderby": '"name desc, home.city ASC,age"', "$skip": "5",
        "$limit": "20", "$attributes": "name, home.*", "$expand": "home,staff", "$method": "EntitySet",
        "$timeout": "600", "$4DSID": "whatever",
    }  # fmt: skip
    assert read_query(told, "age") == Query(
        filter=ANN,
        order=(Order(("name",), descending=True), Order(("home", "city")), Order(("age",))),
        skip=5,
        top=20,
        attributes=(("age",), ("name",), ("home", "*")),
        expand=("home", "staff"),
        method="entityset",
        timeout=600,
    )
    assert read_query({}) == Query()
    assert read_query({"$attributes": "*", "$top": "999999"}) == Query(top=MOST)


@pytest.mark.parametrize(
    "told",
    [
        {"$fliter": "name=Ann"}, {"filter": "name=Ann"}, {"$filter": ""}, {"$filter": ["a=1", "b=1"]}, {"$top": "-1"},
        {"$top": "many"}, {"$top": "1", "$limit": "2"}, {"$skip": "1.5"}, {"$skip": "٣"}, {"$skip": "9" * 10},
        {"$orderby": "name sideways"}, {"$orderby": "1"}, {"$orderby": "name,,age"}, {"$attributes": "a.b.c.d.e"},
        {"$attributes": ",".join(["a"] * 101)}, {"$expand": "a b"}, {"$method": "drop"}, {"$timeout": "soon"},
        {"$filter": "a=:1", "$params": "{}"}, {"$filter": "a=:1", "$params": "[" * 5000}, {"$filter": "name"},
    ],
)  # fmt: skip
def test_words_that_say_nothing_are_refused(told: dict[str, str | list[str]]) -> None:
    with pytest.raises(BadBody) as refused:
        read_query(told)
    assert refused.value.status == 400
