"""The Lua scripts: one atomic step a file, joined with the fragments that it names.

A script is `lua/NAME.lua`. Its first lines may name fragments and flags; the rest of its opening comment describes its
keys, its arguments and its answer:

    -- include: prefix keep bury
    -- late: requeue finish
    -- flags: no-writes
    -- What it does …

`include` lists files of `lua/fragments/`, each put in front once, in that order; what a fragment includes itself stands
before it, and `ground` brings `now` along. `late` names a function and the fragment that has it: its text, and what
that includes, is joined within a function of that name. To make a function costs each run of a script about as much as
a tenth of a command, so what a hot script seldom calls should be made only then. `flags` become the script's shebang
(`#!lua flags=…`): `no-writes` for one that only reads (it waits for no replica), `allow-oom` for one that frees or ends
things and must work when memory is full.

The flag `function` keeps a script in Redis as the one function of a library. Its fragments are run once, when it is
loaded, so nothing in it is late: each text stands there once, before whatever needs it, and what Lua's collector walks
through while it clears up behind the runs is less than half of what it would be. Whatever a fragment sets at its top is
kept from run to run, but for `local NAME` without a value, which every run finds empty.

A script declares one key, `KEYS[1]`, the prefix of the server: all keys of a server are in one slot.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

#: What the names of our libraries begin with.
LIBRARY: Final = "onserver_"
_FUNCTION: Final = "function"
_NAME: Final = "THE_NAME"
_IS_STATE: Final = re.compile(r"local [A-Z_]+(, [A-Z_]+)*$")
_TOP_NAMES: Final = re.compile(r"local (?:function (\w+)|(\w+(?:, \w+)*))")
_LIBRARY: Final = """local register = redis.register_function
local KEYS, ARGV
{top}
local function run(keys, arguments)
KEYS, ARGV = keys, arguments
{each}
{own}
end
register{{function_name = 'THE_NAME', callback = run, flags = {{{flags}}}}}
"""


@dataclass(frozen=True)
class Script:
    """A script as Redis gets it.

    Attributes:
        name: its file, without the ending.
        sha: what Redis knows it by: the second word of the command that runs it.
        source: the text that Redis gets.
        writes: whether replicas have anything to confirm.
        plain: of one that is kept as a function, the same as a script.
    """

    name: str
    sha: bytes
    source: bytes
    writes: bool
    plain: Script | None = None

    @property
    def command(self) -> bytes:
        """The first word of the command that runs it."""
        return b"FCALL" if self.plain else b"EVALSHA"

    @property
    def loading(self) -> tuple[bytes | str, ...]:
        """The command that makes it known to Redis."""
        if self.plain:
            return ("FUNCTION", "LOAD", "REPLACE", self.source)
        return ("SCRIPT", "LOAD", self.source)


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


def functions() -> list[str]:
    """The names of those that are kept as functions."""
    return [name for name in names() if _FUNCTION in header((_folder() / f"{name}.lua").read_text("utf-8"), "flags")]


def assemble(name: str, own: str, *, testing: bool = False, fragment: Callable[[str], str] | None = None) -> Script:
    """Join a script's own text with its fragments."""
    fragment = fragment or read_fragment
    clock = "now_testing" if testing else "now"

    def text_of(word: str) -> str:
        return fragment(clock if word == "now" else word)

    there: dict[str, None] = {}
    parts = [*_joined(header(own, "include"), there, text_of, late=True), *_late(own, there, text_of)]
    words = header(own, "flags")
    flags = [word for word in words if word != _FUNCTION]
    shebang = f"#!lua flags={','.join(flags)}\n" if flags else ""
    source = (shebang + "\n".join([*parts, own])).encode()
    plain = Script(name, _digest(source), source, "no-writes" not in flags)
    if _FUNCTION not in words:
        return plain
    flat = _joined([*header(own, "include"), *header(own, "late")[1::2]], {}, text_of)
    return _as_function(plain, flat, own, flags)


def _digest(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def _as_function(plain: Script, parts: Iterable[str], own: str, flags: Sequence[str]) -> Script:
    """The library whose one function does what the script does."""
    top: list[str] = []
    each: list[str] = []
    for part in parts:
        _share_out(part, top, each)
    _refuse_twins(top)
    text = _LIBRARY.format(top="\n".join(top), each="\n".join(each), own=own, flags=", ".join(map(repr, flags)))
    name = f"{LIBRARY}{plain.name}_{_digest(text.encode())[:16].decode()}"
    source = f"#!lua name={name}\n{text.replace(_NAME, name)}".encode()
    return Script(plain.name, name.encode(), source, plain.writes, plain)


def _share_out(part: str, top: list[str], each: list[str]) -> None:
    """Add the lines of a fragment to what is read once, or is done in each run."""
    now = False
    for line in part.splitlines():
        if line in ("-- each run:", "-- once:"):
            now = line == "-- each run:"
        elif now and line.startswith("local "):
            top.append(line.partition(" =")[0])
            each.append(line.removeprefix("local "))
        elif now:
            each.append(line)
        else:
            top.append(line)
            if _IS_STATE.match(line):
                each.append(f"{line.removeprefix('local ')} = nil")


def _refuse_twins(lines: Iterable[str]) -> None:
    """Raise ValueError where two fragments of a library have the same name at their top: one hides the other."""
    seen = {"register", "run", "KEYS", "ARGV"}  # of `_LIBRARY`
    for line in "\n".join(lines).splitlines():
        found = _TOP_NAMES.match(line)
        for name in (found[1] or found[2]).split(", ") if found else ():
            if name in seen:
                raise ValueError(f"two fragments of a library have the name {name}: call one of them otherwise")
            seen.add(name)


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
        if word == "ground":
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
