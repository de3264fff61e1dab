"""The Lua scripts: one atomic step a file, joined with the fragments that it names.

A script is `lua/NAME.lua`. Its first lines may name fragments and flags; the rest of its opening comment describes its
keys, its arguments and its answer:

    -- include: prefix keep bury
    -- late: requeue finish
    -- flags: no-writes
    -- What it does …

`include` lists files of `lua/fragments/`, each put in front once, in that order; what a fragment includes itself stands
before it, and `prefix` brings `now` along. `late` names a function and the fragment that has it: its text, and what
that includes, is joined within a function of that name. To make a function costs each run of a script about as much as
a tenth of a command, so what a hot script seldom calls should be made only then. `flags` become the script's shebang
(`#!lua flags=…`): `no-writes` for one that only reads (it waits for no replica), `allow-oom` for one that frees or ends
things and must work when memory is full.

A script declares one key, `KEYS[1]`, the prefix of the server: all keys of a server are in one slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Script:
    """A script as Redis gets it. `sha` is what EVALSHA names it by."""

    name: str
    sha: bytes
    source: bytes
    writes: bool


def _folder() -> Traversable:
    return files("onserver.redis") / "lua"


@cache
def script(name: str, *, testing: bool = False) -> Script:
    """Load the script `lua/NAME.lua`.

    Args:
        name: the file's name without its ending.
        testing: read the clock through the fragment `now_testing`, which tests can move on.
    """
    own = (_folder() / f"{name}.lua").read_text("utf-8")
    return assemble(name, own, testing=testing)


def names() -> list[str]:
    """The names of all scripts."""
    return sorted(entry.name.removesuffix(".lua") for entry in _folder().iterdir() if entry.name.endswith(".lua"))


def assemble(name: str, own: str, *, testing: bool = False, fragment: Callable[[str], str] | None = None) -> Script:
    """Join a script's own text with its fragments."""
    fragment = fragment or read_fragment
    clock = "now_testing" if testing else "now"

    def text_of(word: str) -> str:
        return fragment(clock if word == "now" else word)

    there: dict[str, None] = {}
    parts = [*_joined(header(own, "include"), there, text_of, late=True), *_late(own, there, text_of)]
    flags = header(own, "flags")
    shebang = f"#!lua flags={','.join(flags)}\n" if flags else ""
    source = (shebang + "\n".join([*parts, own])).encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, sha, source, "no-writes" not in flags)


def _joined(
    words: Sequence[str], there: dict[str, None], text_of: Callable[[str], str], *, late: bool = False
) -> Iterator[str]:
    """The texts of fragments, each behind what it includes; those that are `there` are not given again."""
    for word in words:
        if word in there:
            continue
        text = text_of(word)
        yield from _joined(header(text, "include"), there, text_of, late=late)
        if late:
            yield from _late(text, there, text_of)
        else:
            yield from _joined(header(text, "late")[1::2], there, text_of)
        there[word] = None
        yield text
        if word == "prefix":
            yield from _joined(["now"], there, text_of, late=late)


def _late(text: str, there: Mapping[str, None], text_of: Callable[[str], str]) -> Iterator[str]:
    """For each function that is late: one of that name, in which the text that makes it stands, all of it."""
    names = header(text, "late")
    for name, word in zip(names[::2], names[1::2], strict=True):
        if word not in there:
            body = "\n".join(_joined([word], dict(there), text_of))
            yield f"local function {name}(...)\n{body}\nreturn {name}(...)\nend"


def header(own: str, word: str) -> list[str]:
    """The words behind `-- word:` in the opening comment of a script."""
    found: list[str] = []
    for line in own.splitlines():
        if not line.startswith("--"):
            break
        if line.startswith(f"-- {word}:"):
            found += line.partition(":")[2].replace(",", " ").split()
    return found


def read_fragment(name: str) -> str:
    """The text of `lua/fragments/NAME.lua`."""
    return (_folder() / "fragments" / f"{name}.lua").read_text("utf-8")
