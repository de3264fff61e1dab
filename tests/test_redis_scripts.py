import re

import pytest

from onserver.redis.embedded import Embedded
from onserver.redis.link import Link
from onserver.redis.scripts import assemble, names, read_fragment, script

_LONGEST = 40


def _own_lines(name: str) -> list[str]:
    text = script(name).source.decode()
    return text[text.rindex("-- include:") if "-- include:" in text else 0 :].splitlines()


def test_fragments_are_joined_once_and_in_order() -> None:
    texts = {"a": "-- a", "b": "-- b", "prefix": "-- prefix", "now": "-- now", "now_testing": "-- then"}
    joined = assemble("x", "-- include: prefix a b a\nreturn 1", fragment=texts.__getitem__)
    assert joined.source == b"-- prefix\n-- now\n-- a\n-- b\n-- include: prefix a b a\nreturn 1"
    testing = assemble("x", "-- include: prefix a b a\nreturn 1", testing=True, fragment=texts.__getitem__)
    assert b"-- then" in testing.source
    assert testing.sha != joined.sha


def test_what_a_fragment_includes_stands_before_it() -> None:
    texts = {"a": "-- include: b\n-- a", "b": "-- include: c", "c": "-- c", "d": "-- d"}
    joined = assemble("x", "-- include: d a c\nreturn 1", fragment=texts.__getitem__)
    assert joined.source == b"-- d\n-- c\n-- include: c\n-- include: b\n-- a\n-- include: d a c\nreturn 1"


def test_what_is_late_is_joined_within_a_function() -> None:
    texts = {"a": "-- a", "b": "-- include: a\n-- late: h d\n-- b", "c": "-- c", "d": "-- late: e c\n-- d"}
    joined = assemble("x", "-- include: a\n-- late: f b\n-- late: g a\nreturn f(1)", fragment=texts.__getitem__)
    late = "local function f(...)\n-- c\n-- late: e c\n-- d\n-- include: a\n-- late: h d\n-- b\nreturn f(...)\nend"
    assert joined.source.decode() == f"-- a\n{late}\n-- include: a\n-- late: f b\n-- late: g a\nreturn f(1)"


def test_flags_become_the_shebang() -> None:
    reading = assemble("x", "-- include: a\n-- flags: no-writes allow-oom\nreturn 1", fragment=lambda _: "-- a")
    assert reading.source.startswith(b"#!lua flags=no-writes,allow-oom\n-- a\n")
    assert not reading.writes
    assert assemble("x", "return 1").writes


@pytest.mark.parametrize("name", names())
def test_the_own_part_of_a_script_fits_the_screen(name: str) -> None:
    code = [line for line in _own_lines(name) if line.strip() and not line.startswith("--")]
    assert len(code) <= _LONGEST


@pytest.mark.parametrize("name", names())
def test_a_script_says_what_it_does_with_which_keys_and_arguments(name: str) -> None:
    opening = "\n".join(line for line in _own_lines(name) if line.startswith("--"))
    assert f"-- {name}: " in opening
    for word in ("Keys: ", "ARGV: ", "Answer: "):
        assert word in opening or (word == "Answer: " and "Answers" in opening), f"{name}.lua does not say its {word}"


@pytest.mark.parametrize("name", names())
def test_every_included_fragment_exists_and_is_described(name: str) -> None:
    source = script(name).source.decode()
    for word in re.findall(r"^-- include: (.*)$", source, re.MULTILINE):
        assert all(read_fragment(fragment).startswith("--") for fragment in word.split())
    for function, fragment in re.findall(r"^-- late: (\w+) (\w+)$", source, re.MULTILINE):
        assert f"local function {function}(" in read_fragment(fragment)


@pytest.mark.parametrize("testing", [False, True])
def test_redis_compiles_every_script(embedded: Embedded, testing: bool) -> None:
    with Link(embedded.start()) as link:
        for name in names():
            loaded = script(name, testing=testing)
            assert link.command("SCRIPT", "LOAD", loaded.source) == loaded.sha
