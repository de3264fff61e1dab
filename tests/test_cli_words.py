"""Words of the command line become values."""

import pytest

from onserver.cli import words


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("2", 2), ("-1.5", -1.5), ("true", True), ("null", None), ('"2"', "2"), ("[1,2]", [1, 2]),
        ('{"a":1}', {"a": 1}), ("2026-10", "2026-10"), ("ann", "ann"), ("", ""),
        ("NaN", "NaN"), ("Infinity", "Infinity"), ("01", "01"),
    ],
)  # fmt: skip
def test_a_word_is_json_or_text(word: str, value: object) -> None:
    assert words.value(word) == value


def test_named_arguments_have_an_equals_sign() -> None:
    assert words.arguments(["2", "y=3", "note=a=b", "=x", '"a=b"', "1=2"]) == (
        [2, "=x", "a=b", "1=2"],
        {"y": 3, "note": "a=b"},
    )


def test_json_arguments_are_a_list_or_an_object() -> None:
    assert words.from_json("[1, 2]") == ([1, 2], {})
    assert words.from_json('{"x": 1}') == ([], {"x": 1})
    with pytest.raises(ValueError, match="list or an object"):
        words.from_json("3")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("250ms", 0.25), ("1.5s", 1.5), ("10m", 600), ("2h", 7200)])
def test_a_length_of_time_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert words.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "soon", "1 week", "s"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        words.seconds(text)
