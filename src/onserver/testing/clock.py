"""The clock of Redis' scripts, which tests move."""

from typing import Final

from onserver.redis.scripts import assemble
from onserver.redis.store import Store

#: ARGV: nonce, milliseconds.
_ADVANCE: Final = assemble(
    "advance",
    "-- include: ground once\nlocal kept = answered(ARGV[1]) if kept then return kept end\n"
    "return answer(ARGV[1], redis.call('INCRBY', T .. 'clock', ARGV[2]))",
    testing=True,
)


def advance(store: Store, seconds: float) -> None:
    """Move the clock that every script of this server reads, back where `seconds` is negative.

    It is moved once, even where Redis has to be told twice.
    """
    store.run(_ADVANCE, store.nonce(), int(seconds * 1000))
