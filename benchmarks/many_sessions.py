"""What sessions cost when there are so many: `python -m benchmarks.many_sessions SESSIONS LOOKS`.

They are opened as `Sessions.open` does it, by one script for thousands: each with the facts that a browser sends, and
every tenth with privileges and an entry in its storage. The memory is that of Redis for each session, all that belongs
to it included. What a request costs is CPU time, of Redis and of this program, which is the same whatever else the
machine does: for the one trip that takes its session, for `session()` while it is served, and for the question whether
it has a privilege, which makes no trip.
"""

import json
import random
import sys
import time
from collections.abc import Callable

from benchmarks.ours import redis_seconds
from onserver import Server, session
from onserver.redis.scripts import assemble
from onserver.redis.store import Store
from onserver.session.context import serving
from onserver.session.roles import Roles
from onserver.session.sessions import Sessions

_CHUNK = 1000
_TURNS = 5
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
_HOUR_MS = 3_600_000
#: Redis moves its large tables a little at a time; for so long it may.
_SETTLE_SECONDS = 2.0

#: ARGV: number of the first, how many, agent, idle ms, privileges. Ids are the numbers, as 32 hexadecimal digits.
_FILL = assemble(
    "fill_sessions",
    """-- include: prefix session
for n = tonumber(ARGV[1]), ARGV[1] + ARGV[2] - 1 do
  local id = string.format('%032X', n)
  local s = T .. 's:' .. id
  redis.call('HSET', s, 'kind', 'web', 'space', id, 'created', stamp(), 'seen', stamp(), 'idle', ARGV[4], 'limit', '0',
    'user', 'user ' .. n, 'ip', '203.0.113.' .. n % 250, 'host_type', 'browser', 'agent', ARGV[3])
  if n % 10 == 0 then
    redis.call('HSET', s, 'privileges', ARGV[5], 'set', '1')
    redis.call('HSET', T .. 'ss:' .. id .. ':e:cart', 'v', 'thirty bytes of what was chosen', 'k', 'v')
    changed('ss:' .. id .. ':', 'cart', 1, '')
  end
  enter(id, 'web', '', stamp())
end
return 1""",
)


def fill(store: Store, count: int) -> None:
    """Open so many sessions."""
    for first in range(0, count, _CHUNK):
        words = (first, min(_CHUNK, count - first), _AGENT, _HOUR_MS, json.dumps(["invoices.read", "invoices.write"]))
        store.run(_FILL, *words)


def memory(store: Store) -> int:
    """Bytes that Redis uses for data."""
    said = store.command("INFO", "memory").decode()
    facts = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return int(facts["used_memory"])


class Requests:
    """A web server's program, of which the same is asked many times."""

    def __init__(self, store: Store, sessions: Sessions, count: int, looks: int) -> None:
        self._store, self._sessions, self._looks = store, sessions, looks
        chosen = random.Random(1)
        self._ids = [f"{chosen.randrange(count):032X}" for _ in range(looks)]
        self._with_privileges = f"{0:032X}"

    def cost(self, action: Callable[[], None]) -> float:
        """Microseconds of CPU time, of Redis and of this program, for each look: the least of some turns."""

        def once() -> float:
            before = redis_seconds(self._store) + time.process_time()
            action()
            return (redis_seconds(self._store) + time.process_time() - before) / self._looks

        return min(once() for _ in range(_TURNS)) * 1e6

    def take(self) -> None:
        """Take sessions, as each request does."""
        for identity in self._ids:
            if self._sessions.take(identity, renew=True) is None:
                raise SystemExit("a session is not there")

    def ask(self) -> None:
        """Ask which session it is."""
        taken = self._sessions.take(self._with_privileges)
        with serving(taken):
            for _ in self._ids:
                session()

    def test(self) -> None:
        """Ask for a privilege."""
        taken = self._sessions.take(self._with_privileges)
        with serving(taken):
            for _ in self._ids:
                if not session().has_privilege("invoices.read"):
                    raise SystemExit("a privilege is not there")

    def page(self) -> None:
        """List the first hundred."""
        if len(self._sessions.listed("web")) < 100:
            raise SystemExit("the page is not full")


def opened(server: Server) -> Sessions:
    """The sessions of a server whose roles name what those here have."""
    roles = Roles(privileges={"invoices.read": (), "invoices.write": ("invoices.read",)})
    client = server.client
    return Sessions(server.store, server.settings, lambda: roles, client.holder, client.holding, server.storage)


def main(count: int, looks: int) -> dict[str, float]:
    """Measure one size."""
    server = Server.current()
    store = server.store
    store.command("CONFIG", "SET", "appendonly", "no")
    sessions = opened(server)
    before = memory(store)
    fill(store, count)
    time.sleep(_SETTLE_SECONDS)
    requests = Requests(store, sessions, count, looks)
    return {
        "bytes": (memory(store) - before) / count,
        "take_us": requests.cost(requests.take),
        "session_us": requests.cost(requests.ask),
        "privilege_us": requests.cost(requests.test),
        "page_us": requests.cost(requests.page) * looks,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
