"""The Lua scripts: one atomic step a file, joined with the fragments that it names.

A script is `lua/NAME.lua`. Its first lines may name fragments and flags; the rest of its opening comment describes its
keys, its arguments and its answer:

    -- include: prefix keep bury
    -- flags: no-writes
    -- What it does …

`include` lists files of `lua/fragments/`, each put in front once, in that order; what a fragment includes itself stands
before it, and `prefix` brings `now` along. `flags` become the script's shebang (`#!lua flags=…`): `no-writes` for one
that only reads (it waits for no replica), `allow-oom` for one that frees or ends things and must work when memory is
full.

A script declares one key, `KEYS[1]`, the prefix of the server: all keys of a server are in one slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
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
    included = dict.fromkeys(_included(header(own, "include"), fragment))
    parts = [fragment(clock if word == "now" else word) for word in included]
    flags = header(own, "flags")
    shebang = f"#!lua flags={','.join(flags)}\n" if flags else ""
    source = (shebang + "\n".join([*parts, own])).encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, sha, source, "no-writes" not in flags)


def _included(words: Sequence[str], fragment: Callable[[str], str]) -> Iterator[str]:
    for word in words:
        yield from _included(header(fragment(word), "include"), fragment)
        yield word
        if word == "prefix":
            yield "now"


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
