"""In which order hooks of one kind run, and what cannot be declared."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import onserver
from onserver.errors import BadDeclaration
from onserver.life.hook import BACKUP_STARTUP, KINDS, STARTUP, SYSTEM_EVENT, Hook, in_order, side_name


def nothing(*_: object) -> None: ...


def hook(name: str, **options: Any) -> Hook:
    return Hook(STARTUP, options.pop("function", nothing), name, None, **options)


def names(hooks: Sequence[Hook]) -> list[str]:
    return [one.name for one in in_order(hooks)]


def test_hooks_run_in_the_order_of_their_declaration() -> None:
    assert names([hook("shop.b"), hook("shop.a"), hook("mail.c")]) == ["shop.b", "shop.a", "mail.c"]


def test_before_and_after_move_only_what_they_must() -> None:
    declared = [hook("a"), hook("b", after="d"), hook("c"), hook("d"), hook("e", before="a")]
    assert names(declared) == ["c", "d", "b", "e", "a"]


def test_a_chain_is_followed_to_its_end() -> None:
    declared = [hook("a", after="b"), hook("b", after="c"), hook("c", after=["d"]), hook("d")]
    assert names(declared) == ["d", "c", "b", "a"]


def test_another_is_named_by_its_last_part_or_by_its_function() -> None:
    def load() -> None: ...

    declared = [hook("shop.one", after=load), hook("shop.two", after="mail.post"), hook("x.mail.post"),
                hook("shop.first", function=load)]  # fmt: skip
    assert names(declared) == ["x.mail.post", "shop.two", "shop.first", "shop.one"]


def test_one_that_there_is_not_is_named_with_what_comes_near() -> None:
    with pytest.raises(BadDeclaration, match=r"`b` names the `on_server_startup` hook `shop.lod`") as refused:
        in_order([hook("shop.load"), hook("b", after="shop.lod")])
    assert "Did you mean `shop.load`?" in str(refused.value)


@pytest.mark.parametrize(
    ("declared", "circle"),
    [
        ([hook("a", before="b"), hook("b", before="a")], {"a", "b"}),
        ([hook("a", after="a")], {"a"}),
        ([hook("x"), hook("a", after="c"), hook("b", after="a"), hook("c", after="b"), hook("y", after="c")],
         {"a", "b", "c"}),
        ([hook("y", after="b"), hook("a", after="b"), hook("b", after="a")], {"a", "b"}),
    ],
)  # fmt: skip
def test_a_circle_stops_the_start_and_names_all_that_are_in_it(declared: list[Hook], circle: set[str]) -> None:
    with pytest.raises(BadDeclaration, match="is to run before itself") as refused:
        in_order(declared)
    path = refused.value.problem.partition(": ")[2].split(" → ")
    assert path[0] == path[-1] == refused.value.name
    assert set(path) == circle
    assert len(path) == len(circle) + 1


def generator() -> Any:
    yield


async def generates() -> Any:
    yield


def wants_two(_one: object, _two: object) -> None: ...


@pytest.mark.parametrize(
    ("kind", "function", "options", "problem"),
    [
        (STARTUP, generator, {}, "is a generator"),
        (STARTUP, generates, {}, "is a generator"),
        (STARTUP, wants_two, {}, "cannot be called with no arguments"),
        (BACKUP_STARTUP, lambda: None, {}, "cannot be called with one argument, a `Backup`"),
        (SYSTEM_EVENT, wants_two, {}, "cannot be called with one argument, a `SystemEvent`"),
        (STARTUP, nothing, {"timeout": 0.0}, "has timeout=0.0"),
        (STARTUP, nothing, {"timeout": float("nan")}, "has timeout=nan"),
        (STARTUP, nothing, {"name": "two words"}, "has a name with blanks"),
        (SYSTEM_EVENT, nothing, {"run_on": "somewhere"}, "has run_on='somewhere'"),
    ],
)
def test_what_could_never_run_is_refused_where_it_is_declared(
    kind: str, function: Callable[..., Any], options: dict[str, Any], problem: str
) -> None:
    given = {"name": "refused", "timeout": None} | options
    with pytest.raises(BadDeclaration, match=problem):
        Hook(kind, function, **given)


@pytest.mark.parametrize(
    ("decorator", "option"),
    [
        (onserver.on_web_connection, "run_on"),
        (onserver.on_system_event, "when"),
        (onserver.on_server_shutdown, "befor"),
    ],
)
def test_an_option_that_a_decorator_has_not_is_refused_as_python_does(decorator: Any, option: str) -> None:
    with pytest.raises(TypeError, match=rf"^{decorator.__name__}\(\) got an unexpected keyword argument '{option}'$"):
        decorator(**{option: "once"})


def test_the_name_of_a_side_run_is_one_word_for_each_kind() -> None:
    made = {side_name(Hook(kind, nothing, "shop.load", None)) for kind in KINDS}
    assert len(made) == len(KINDS)
    assert not any(letter.isspace() for name in made for letter in name)
