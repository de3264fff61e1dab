import re
from pathlib import Path

import pytest

from onserver.redis.embedded import Embedded
from onserver.redis.libraries import drop_old, ours
from onserver.redis.link import Link
from onserver.redis.scripts import assemble, functions, names, read_fragment, script
from onserver.redis.store import Store

_LONGEST = 40


def _own_lines(name: str) -> list[str]:
    loaded = script(name)
    text = (loaded.plain or loaded).source.decode()
    return text[text.rindex("-- include:") if "-- include:" in text else 0 :].splitlines()


def test_fragments_are_joined_once_and_in_order() -> None:
    texts = {"a": "-- a", "b": "-- b", "ground": "-- ground", "now": "-- now", "now_testing": "-- then"}
    joined = assemble("x", "-- include: ground a b a\nreturn 1", fragment=texts.__getitem__)
    assert joined.source == b"-- ground\n-- now\n-- a\n-- b\n-- include: ground a b a\nreturn 1"
    testing = assemble("x", "-- include: ground a b a\nreturn 1", testing=True, fragment=texts.__getitem__)
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


_TEXTS = {
    "ground": "local function plain() return redis end\n"
    "-- each run:\nlocal T = KEYS[1]\nlocal redis = plain()\n-- once:",
    "now": "local NOW\nlocal function now()\n  NOW = (NOW or 0) + 1\n  return NOW\nend",
    "more": "local function twice(x)\n  now()\n  return T .. x .. now()\nend",
}
_OWN = (
    "-- include: ground\n-- flags: function\n-- late: twice more\nreturn {twice(ARGV[1]), now(), redis.call('ECHO', T)}"
)


def test_a_function_does_what_the_script_does_and_keeps_nothing_from_run_to_run(embedded: Embedded) -> None:
    kept = assemble("echo", _OWN, fragment=_TEXTS.__getitem__)
    assert kept.plain is not None
    assert kept.source.startswith(b"#!lua name=" + kept.sha + b"\n")
    assert kept.source.count(b"local function now()") == 1
    with Link(embedded.start()) as link:
        for form in (kept, kept, kept.plain):
            assert link.run(form, "p:", "a") == [b"p:a2", 3, b"p:"]


def test_a_function_has_each_text_once_and_nothing_late() -> None:
    texts = _TEXTS | {"a": "-- late: f b\n-- A", "b": "-- include: c\n-- late: g d\n-- B", "c": "-- C", "d": "-- D"}
    own = "-- include: ground a\n-- late: h d\n-- flags: function\nreturn h()"
    text = assemble("x", own, fragment=texts.__getitem__).source.decode()
    places = [text.index(part) for part in ("-- C\n", "-- D\n", "-- B\n", "-- A\n", own)]
    assert places == sorted(places)
    assert [text.count(part) for part in ("-- A\n", "-- B\n", "-- C\n", "-- D\n", "(...)")] == [1, 1, 1, 1, 0]


def test_two_names_in_one_library_are_refused() -> None:
    texts = _TEXTS | {"other": "local KEPT, twice = 1, 2"}
    with pytest.raises(ValueError, match="twice"):
        assemble("x", "-- include: ground more other\n-- flags: function\nreturn 1", fragment=texts.__getitem__)
    assert assemble("x", "-- include: ground more other\nreturn 1", fragment=texts.__getitem__).plain is None


def test_the_libraries_leave_little_for_the_collector_of_lua_to_walk_through(tmp_path: Path) -> None:
    counting = (
        "#!lua name=counting\nredis.register_function('live', function()"
        " collectgarbage() collectgarbage() return math.ceil(collectgarbage('count')) end)"
    )
    with Embedded(tmp_path, linger_seconds=0) as own, Link(own.start()) as link:
        link.command("FUNCTION", "LOAD", counting)
        before = link.command("FCALL", "live", 0)
        for name in ("put", "step"):
            link.command(*script(name).loading)
        busy = link.command("FCALL", "live", 0)
        for name in functions():
            link.command(*script(name).loading)
        every = link.command("FCALL", "live", 0)
    assert before < 50  # all in KB
    assert busy < 250
    assert every < 360


def test_where_functions_may_not_be_loaded_the_same_text_runs_as_a_script(embedded: Embedded) -> None:
    address = embedded.start()
    kept = assemble("denied", _OWN, fragment=_TEXTS.__getitem__)
    with Link(address) as owner:
        owner.command("ACL", "SETUSER", "modest", "on", "nopass", "~*", "+@all", "-function")
    with Link(address, on_connect=lambda link: link.command("AUTH", "modest", "x")) as link:
        assert link.form(kept) is kept
        packed = link.pack(kept, "p:", ["a"])
        assert [link.run_packed(kept, packed), link.run(kept, "p:", "b")] == [
            [b"p:a2", 3, b"p:"],
            [b"p:b2", 3, b"p:"],
        ]
        assert link.form(kept) is kept.plain


def test_libraries_of_other_releases_are_removed(store: Store) -> None:
    other = assemble("older", _OWN, fragment=_TEXTS.__getitem__)
    store.command(*other.loading)
    for name in functions():
        store.command(*store.script(name).loading)
    assert other.sha in drop_old(store)
    assert set(ours(store)) == {bytes(one[1]) for one in store.command("FUNCTION", "LIST", "LIBRARYNAME", "onserver_*")}
    assert store.run(other, "a")[1] == 3  # who still has that release loads it again
    assert drop_old(store) == [other.sha]


#: Scripts that keep what users send, and are refused when Redis is full.
_GROW = {
    "add", "add_schedule", "ask_clients", "call", "change_schedule", "chord_open", "commit", "hold_schedule", "lock",
    "log", "make_signal", "note", "plan", "put", "put_many", "register_client", "report", "save_group", "semaphore",
    "session_open", "session_post", "session_token", "set_variables", "tell_events", "trigger_signal", "twin_call",
    "wait_signal", "watch_progress", "watch_variable", "write_signal",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(names()) - _GROW))
def test_what_frees_ends_or_gives_up_works_in_a_redis_that_is_full(name: str) -> None:
    loaded = script(name)
    shebang = (loaded.plain or loaded).source.decode().partition("\n")[0]
    assert not loaded.writes or "allow-oom" in shebang


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
            assert link.command(*loaded.loading) == loaded.sha
            if loaded.plain is not None:
                assert link.command(*loaded.plain.loading) == loaded.plain.sha
