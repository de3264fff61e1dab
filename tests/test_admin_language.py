"""The admin page in its languages: each text of templates, pages and actions is in each catalogue, and none besides."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2.ext import extract_from_ast
from markupsafe import Markup

from onserver.admin.icons import STATES
from onserver.admin.language import CODES, ENGLISH, catalogue, language, wanted
from onserver.admin.pages import MODULES
from onserver.admin.rendering import environment
from onserver.admin.zones import UTC, zone
from onserver.steer.actions import ACTIONS

PACKAGE = Path(__file__).parents[1] / "src" / "onserver"
FUNCTIONS = ("_", "plural")
OTHERS = [code for code in CODES if code != ENGLISH.code]


def of_templates() -> Iterator[str]:
    made = environment()
    for name in made.list_templates():
        assert made.loader
        source = made.loader.get_source(made, name)[0]
        for _, _, found in extract_from_ast(made.parse(source), FUNCTIONS):
            yield from (one for one in (found if isinstance(found, tuple) else (found,)) if one)


def of_code() -> Iterator[str]:
    for file in sorted((PACKAGE / "admin").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in FUNCTIONS:
                yield from (
                    one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )


def of_declarations() -> Iterator[str]:
    yield from STATES
    for module in MODULES:
        yield from (page.title for page in module.PAGES)
    for action in ACTIONS.values():
        yield action.title
        yield from [action.later] if action.later else []
        yield from (field.label for field in action.fields if field.label)


def of_outcomes() -> Iterator[str]:
    """What is said of what was done: texts behind `said=`, or in a name of that kind, which are whole sentences."""
    for file in sorted((PACKAGE / "steer").glob("acts_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [ast.unparse(one) for one in node.targets] if isinstance(node, ast.Assign) else []
            if (isinstance(node, ast.keyword) and node.arg == "said") or any(
                "said" in one or "_PAUSED" in one for one in names
            ):
                for one in ast.walk(node.value):  # type: ignore[attr-defined]
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value.endswith("."):
                        yield one.value


TEXTS = {*of_templates(), *of_code(), *of_declarations(), *of_outcomes()}


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated(code: str) -> None:
    assert not sorted(TEXTS - set(catalogue(code))), f"not in locale/{code}"


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_has_the_values_of_its_text(code: str) -> None:
    for text, translated in catalogue(code).items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", translated)), text
        assert translated.strip(), text


def test_the_catalogues_have_the_same_texts_in_the_same_files() -> None:
    def files(code: str) -> set[str]:
        return {file.name for file in (PACKAGE / "admin" / "locale" / code).glob("*.json")}

    assert files("fr") == files("ja")
    assert set(catalogue("fr")) == set(catalogue("ja"))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"), ("fr-CH, fr;q=0.9, en;q=0.8", "fr"), ("en-GB,fr;q=0.5", "en"), ("de, ja;q=0.4, fr;q=0.8", "fr"),
        ("xx", "en"), ("*", "en"), ("ja;q=nonsense, fr", "fr"),
    ],
)  # fmt: skip
def test_the_language_of_a_browser(header: str, code: str) -> None:
    assert wanted(header) == code


def test_what_counts_goes_by_the_language() -> None:
    def said(code: str, n: int) -> str:
        return language(code).plural("one thing", "{n} things", n)

    assert [said("en", n) for n in (0, 1, 2000)] == ["0 things", "one thing", "2,000 things"]
    assert [said("fr", n) for n in (0, 1, 2)] == ["one thing", "one thing", "2 things"]
    assert [said("ja", n) for n in (0, 1)] == ["0 things", "1 things"]


def test_markup_among_the_values_leaves_the_others_escaped() -> None:
    assert ENGLISH.text("{a} & {b}", a=Markup("<i>x</i>"), b="<b>") == "<i>x</i> &amp; &lt;b&gt;"
    assert not isinstance(ENGLISH.text("{a}", a="<b>"), Markup)


def test_times_in_zones() -> None:
    noon = 1_785_585_600_000  # 2026-08-01 12:00 UTC
    assert UTC.exact(noon) == "2026-08-01 12:00:00 UTC"
    paris = zone("local", "Europe/Paris")
    assert paris.exact(noon) == "2026-08-01 14:00:00 Europe/Paris"
    assert paris.read("2026-08-01T14:00") == noon
    assert UTC.read("2026-08-01 12:00:00") == UTC.read("2026-08-01T14:00+02:00") == noon
    assert UTC.read("yesterday") is None
    for unknown in ("", "../../etc/passwd", "Nowhere/Land", "x" * 60):
        assert zone("local", unknown).exact(noon).endswith("12:00:00 UTC")
