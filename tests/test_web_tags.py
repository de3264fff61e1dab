"""The five tags of the original's pages, as Jinja reads them."""

import pytest
from jinja2 import DictLoader, StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from onserver.web.tags import CALL, HTML, Tags, as_answered, as_html, as_text

FACTS = {"bold": "<b>", "safe": Markup("<i>"), "number": 3, "pairs": {"a": 1}}


def write(page: str, *, code: bool = False, **more: object) -> str:
    environment = SandboxedEnvironment(
        loader=DictLoader({"page.html": page}), autoescape=True, undefined=StrictUndefined,
        extensions=["jinja2.ext.do"],
    )  # fmt: skip
    environment.extend(code_tags=code)
    environment.add_extension(Tags)
    environment.filters["onserver_text"] = as_text
    environment.filters["onserver_html"] = as_html

    def call(name: str, text: str) -> Markup:
        return as_answered({"html": f"{HTML}<b>{text}</b>", "text": f"<b>{text}</b>", "none": None}[name])

    return environment.get_template("page.html").render({**FACTS, CALL: call, **more})


@pytest.mark.parametrize(
    ("page", "written"),
    [
        ("<!--#4DTEXT bold-->", "&lt;b&gt;"),
        ("<!--#4DTEXT safe-->", "&lt;i&gt;"),
        ("<!--#4DTEXT(bold)-->", "&lt;b&gt;"),
        ("<!--#4DTEXT\n  bold\n-->", "&lt;b&gt;"),
        ("<!--#4DTEXT number + 1-->", "4"),
        ("<!--#4DTEXT pairs['a']-->", "1"),
        ('<!--#4DTEXT "a" ~ bold-->', "a&lt;b&gt;"),
        ("<!--#4DHTML bold-->", "<b>"),
        ("<!--#4DHTML number-->", "3"),
        ("a <!--#4DTEXT number--> b <!--#4DHTML bold--> c", "a 3 b <b> c"),
        ("$4DTEXT(bold)", "&lt;b&gt;"),
        ("$4DHTML(bold)", "<b>"),
        ('<line x1="$4DTEXT((number + 1) * 2)"/>', '<line x1="8"/>'),
        ("""$4DTEXT(")" ~ '(' ~ "\\")")""", ")(&#34;)"),
        ("<!--#4DSCRIPT/text/some/path-->", "&lt;b&gt;/some/path&lt;/b&gt;"),
        ("<!--#4DSCRIPT/html/x-->", "<b>/x</b>"),
        ("<!--#4DSCRIPT/text-->", "&lt;b&gt;&lt;/b&gt;"),
        ("<!--#4DSCRIPT/none-->", ""),
        ("<!--#4DSCRIPT/text/it's-->", "&lt;b&gt;/it&#39;s&lt;/b&gt;"),
        ("{{ bold }}", "&lt;b&gt;"),
        ("<!-- an ordinary comment -->", "<!-- an ordinary comment -->"),
        ("<!--#4DTEXTS bold-->", "<!--#4DTEXTS bold-->"),
    ],
)
def test_a_tag_is_replaced_by_its_value(page: str, written: str) -> None:
    assert write(page) == written


@pytest.mark.parametrize("tag", ["<!--#4DTEXT said-->", "$4DTEXT(said)", "<!--#4DHTML said-->", "$4DHTML(said)"])
@pytest.mark.parametrize("said", ["<!--#4DEVAL 6*7-->", "$4DEVAL(6*7)", "{{ 6*7 }}", "<!--#4DSCRIPT/html/x-->"])
def test_what_a_tag_puts_there_is_not_read_for_tags_again(tag: str, said: str) -> None:
    page = write(tag, code=True, said=said)
    assert "42" not in page
    assert "<b>/x</b>" not in page


@pytest.mark.parametrize("page", ["<!--#4DEVAL 1-->", "$4DEVAL(1)", "<!--#4DCODE x = 1-->", "<!--#4DCODE\nx = 1\n-->"])
def test_code_is_off_unless_it_is_switched_on(page: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"is off \(setting `web.code_tags`\)"):
        write(page)


@pytest.mark.parametrize(
    ("page", "written"),
    [
        ("<!--#4DEVAL bold-->", "<b>"),
        ("<!--#4DEVAL a = 42--><!--#4DEVAL a+1-->", "43"),
        ("<!--#4DEVAL a := 42--><!--#4DEVAL a+1-->", "43"),
        ("<!--#4DEVAL number == 3-->", "True"),
        ("<!--#4DCODE\n// a comment\na = 2\nfor n in [1, 2]\ndo pairs.get('a')\nendfor\na = a * 3\n-->$4DTEXT(a)", "6"),
        ("<!--#4DCODE\nif number > 2\na = 'more'\nelse\na = 'less'\nendif\n-->$4DTEXT(a)", "more"),
        ("<!--#4DCODE pairs.update(b=2)-->$4DTEXT(pairs['b'])", "2"),
    ],
)
def test_switched_on_it_runs(page: str, written: str) -> None:
    assert write(page, code=True, pairs={"a": 1}) == written


@pytest.mark.parametrize(
    "code",
    [
        "number.__class__.__mro__",
        "bold.format.__globals__",
        "''.__class__.__base__.__subclasses__()",
        "cycler.__init__.__globals__",
        "'{0.__class__}'.format(number)",
        "range(10000000)",
    ],
)
def test_it_cannot_leave_its_sandbox(code: str) -> None:
    for page in (f"<!--#4DEVAL {code}-->", f"<!--#4DCODE\nx = {code}\ny = x ~ ''\n-->$4DTEXT(y)"):
        with pytest.raises((SecurityError, UndefinedError, OverflowError)):
            write(page, code=True)


@pytest.mark.parametrize(
    ("page", "problem", "line"),
    [
        ("a\n\n<!--#4DTEXT -->", "no expression", 3),
        ("\n$4DTEXT(bold", "not closed", 2),
        ("<!--#4DTEXT a }} {{ b-->", "braces", 1),
        ("<!--#4DTEXT a\n+ b-->\n\n{% nonsense %}", "nonsense", 4),
        ("<!--#4DSCRIPT/text/a-->\n$4DTEXT(1 +)", "expected|unexpected", 2),
    ],
)
def test_what_is_wrong_is_told_with_its_line(page: str, problem: str, line: int) -> None:
    with pytest.raises(TemplateSyntaxError, match=f"(?i){problem}") as raised:
        write(page)
    assert raised.value.lineno == line


def test_a_name_that_is_not_there_is_an_error() -> None:
    for page in ("<!--#4DTEXT absent-->", "<!--#4DHTML absent-->", "{{ absent }}"):
        with pytest.raises(UndefinedError, match="absent"):
            write(page)
