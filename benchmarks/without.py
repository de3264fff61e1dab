"""Leave one promise out, for `benchmarks.costs` and nothing else: the one that a variable names.

| `BENCH_WITHOUT` | what is left out |
|---|---|
| `signature` | HMAC: messages still say who asks, and nobody makes sure of it |
| `history` | what has ended stands in no list, and its record has no time of its own |
"""

import os
from collections.abc import Callable
from importlib.resources import files

from onserver.process import key_file
from onserver.redis.scripts import Script, assemble, read_fragment
from onserver.redis.store import Store

VARIABLE = "BENCH_WITHOUT"
#: What stands in the place of each HMAC.
MAC = bytes(32)
#: What an end leaves, of the fragment `ending`.
_KEPT = (
    "  redis.call('ZADD', T .. HISTORY[state], stamp(), n)\n",
    "  redis.call('EXPIRE', k, keep)\n",
)


def leave_out() -> None:
    """Do so."""
    what = os.environ.get(VARIABLE, "")
    if what == "signature":
        key_file._mac = _none
    elif what == "history":
        step, ordinary = assemble("step", _step(), fragment=_fragment), Store.script

        def script(self: Store, name: str) -> Script:
            return step if name == "step" else ordinary(self, name)

        Store.script = script  # type: ignore[method-assign]


def _none(key: bytes) -> Callable[[bytes], bytes]:
    del key
    return lambda _: MAC


def _step() -> str:
    return (files("onserver.redis") / "lua" / "step.lua").read_text("utf-8")


def _fragment(name: str) -> str:
    text = read_fragment(name)
    for line in _KEPT if name == "ending" else ():
        if text.count(line) != 1:
            raise ValueError(f"the fragment `{name}` has this line {text.count(line)} times: {line!r}")
        text = text.replace(line, "")
    return text
