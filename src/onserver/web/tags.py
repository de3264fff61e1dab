"""The tags of the original's pages, in Jinja2: where one stands, its value goes.

    <!--#4DTEXT expression-->       the value as text: markup in it is shown, `<` as `&lt;`
    <!--#4DHTML expression-->       the value; markup in it stays markup
    <!--#4DEVAL expression-->       the same; with `name = expression` nothing, and the page has the name from there on
    <!--#4DSCRIPT/method/text-->    what the published method answers, called with `/text`: as text, or as markup where
                                    the answer begins with the character 1
    <!--#4DCODE lines-->            nothing: each line is a statement

`$4DTEXT(expression)`, `$4DHTML(…)` and `$4DEVAL(…)` are the same.

Expressions are Jinja's, not the original's language. A line of 4DCODE is what stands between `{%` and `%}` in Jinja
(`if`, `for`, `set` …), or `name = expression`, or an expression, for what it does; one that begins with `//` is a
comment. 4DEVAL and 4DCODE are off unless the setting `web.code_tags` says otherwise, and like all of a page they run in
Jinja's sandbox.

The original looks for tags again in what a tag has put there, so that whatever a user has typed may run. Here tags are
read in the files of `pages/` and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError
from jinja2.ext import Extension
from markupsafe import Markup, escape

#: What a method's text begins with that is markup.
HTML: Final = "\x01"
#: The global function of the environment that calls a method, and by which names a page knows what is inserted.
CALL: Final = "onserver_call"

_COMMENT: Final = re.compile(r"<!--#4D(TEXT|HTML|EVAL|CODE)(?=[\s(])(.*?)-->|<!--#4DSCRIPT/(.*?)-->", re.DOTALL)
_DOLLAR: Final = re.compile(r"\$4D(TEXT|HTML|EVAL)\(")
_ASSIGNED: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*:?=(?!=)(.+)", re.DOTALL)
_STATEMENT: Final = re.compile(r"(if|elif|else|endif|for|endfor|set|endset|with|endwith|do)\b")


class Tags(Extension):
    """Reads the tags of a page as Jinja's own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.code = bool(getattr(environment, "code_tags", False))

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Turn the tags of a page into Jinja's. What a tag puts there is never read again."""
        return "".join(self._read(source, name, filename))

    def _read(self, source: str, name: str | None, filename: str | None) -> Iterator[str]:
        at = 0
        while True:
            comment, dollar = _COMMENT.search(source, at), _DOLLAR.search(source, at)
            found = min((one for one in (comment, dollar) if one), key=lambda one: one.start(), default=None)
            if found is None:
                yield source[at:]
                return
            yield source[at : found.start()]
            line = source.count("\n", 0, found.start()) + 1

            def refuse(problem: str, line: int = line) -> TemplateSyntaxError:
                return TemplateSyntaxError(problem, line, name, filename)

            if found is dollar:
                at = _closed(source, found.end(), refuse)
                inside = source[found.end() : at - 1]
            else:
                at, inside = found.end(), found[2] or ""
            tag = found[1] or "SCRIPT"
            made = self._tag(tag, found[3] if tag == "SCRIPT" else inside, refuse)
            lines = source.count("\n", found.start(), at) - made.count("\n")
            yield made + "{#" + "\n" * lines + "#}"  # errors name the lines of the file

    def _tag(self, tag: str, inside: str, refuse: Callable[[str], TemplateSyntaxError]) -> str:
        if tag in {"EVAL", "CODE"} and not self.code:
            raise refuse(f"the tag 4D{tag} is off (setting `web.code_tags`)")
        if "%}" in inside or "}}" in inside or "{%" in inside or "{#" in inside:
            raise refuse(f"the tag 4D{tag} has braces of Jinja in it")
        if tag == "SCRIPT":
            method, slash, text = inside.partition("/")
            return "{{ %s(%r, %r) }}" % (CALL, method.strip(), slash + text)  # noqa: UP031  # braces are Jinja's here
        if tag == "CODE":
            return "".join(_statement(line.strip()) for line in inside.splitlines())
        assigned = _ASSIGNED.fullmatch(inside) if tag == "EVAL" else None
        if assigned:
            return "{% set " + f"{assigned[1]} = {assigned[2]}" + " %}"
        if not inside.strip():
            raise refuse(f"the tag 4D{tag} has no expression in it")
        return "{{ (" + inside + ")|onserver_" + ("text" if tag == "TEXT" else "html") + " }}"


def as_text(value: Any) -> Markup:
    """Put a value there as text, whatever it is: also what says of itself that it is markup."""
    return escape(str(value))


def as_html(value: Any) -> Markup:
    """Put a value there as markup."""
    return Markup(value)  # noqa: S704  # what the tag is for


def as_answered(value: Any) -> Markup:
    """Put there what a method has answered: text, or markup where it begins with the character 1."""
    text = "" if value is None else str(value)
    return Markup(text[1:]) if text.startswith(HTML) else escape(text)  # noqa: S704  # the method says so


def _statement(line: str) -> str:
    if not line or line.startswith("//"):
        return ""
    if _STATEMENT.match(line):
        return "{% " + line + " %}"
    assigned = _ASSIGNED.fullmatch(line)
    return "{% set " + f"{assigned[1]} = {assigned[2]}" + " %}" if assigned else "{% do " + line + " %}"


def _closed(source: str, at: int, refuse: Callable[[str], TemplateSyntaxError]) -> int:
    """Answer the place behind the parenthesis that closes the one before `at`; those in quotes do not count."""
    depth, quote = 1, ""
    while at < len(source):
        letter = source[at]
        at += 1
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth == 0:
                return at
    raise refuse("a tag that begins with `$4D` is not closed")
