"""What claiming and the first page of `ps` cost with so many queued: `python -m benchmarks.growth QUEUED STEPS`.

Two queues are filled with copies of one record, as *put* writes it: one in one line, and one in the lines of a thousand
keys of a limit, of which a hundred are full. Then an executor settles one process and claims the next, so many times.
The cost is CPU time, which is the same whatever else the machine does: of Redis for a claim, of Redis and this program
for a page. Nothing is written to the disk, so that filling the queues takes seconds.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.ours import procedure
from onserver import Limit, Server
from onserver.cluster.member import Member
from onserver.process.limits import rule
from onserver.process.put import Order, Sender
from onserver.redis.scripts import assemble
from onserver.redis.store import Store
from onserver.views.finding import PAGE, find
from onserver.views.processes import Seen

_KEYS, _FULL = 1000, 100
_LOOKS = 5
_CHUNK = 5000
#: Redis moves its large tables a little at a time; for so long it may.
_SETTLE_SECONDS = 2.0
_CODE, _KEEP = "c0de", (86_400, 604_800, 3)

#: ARGV: number to copy, how many copies, how many keys (0: no limit).
_FILL = assemble(
    "fill",
    """-- include: prefix accept stand
local model, count, keys = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local record, place = redis.call('HGETALL', T .. 'p:' .. model), {}
for i = 1, #record, 2 do place[record[i]] = i + 1 end
record[#record + 1] = 'lk'
local q, t, z_at, key_at = record[place.q], record[place.t], place.z, #record + 1
local last = redis.call('HINCRBY', T .. 'numbers', 'process', count)
for n = last - count + 1, last do
  local z, key = score(5, n), keys > 0 and 'number=' .. n % keys or ''
  record[z_at], record[key_at] = z, key
  redis.call('HSET', T .. 'p:' .. n, unpack(record))
  join_line(n, z, 'q', q, t, key, keys > 0)
end
return last""",
)


class Queue:
    """One queue and its executors, which are moved from here, one step at a time."""

    def __init__(self, server: Server, member: Member, order: Order, queued: int, keys: int) -> None:
        self._store, self._member, self._name = server.store, member, order.queue
        model = Sender(server).put(order, [1], {}).number
        while queued > 0:
            self._store.run(_FILL, model, min(queued, _CHUNK), keys)
            queued -= _CHUNK
        for _ in range(_FULL if keys else 0):
            self._steps(1)

    def claims(self, steps: int) -> float:
        """Let an executor settle and claim: microseconds of Redis for each, the least of some."""
        return min(self._cost(steps // _LOOKS) for _ in range(_LOOKS)) * 1e6

    def _cost(self, steps: int) -> float:
        before = redis_seconds(self._store)
        self._steps(steps)
        return (redis_seconds(self._store) - before) / steps

    def _steps(self, steps: int) -> None:
        """Claim so many, each with the settlement of the one before; the last one stays held."""
        script, settlement = self._store.script("step"), list[bytes | str]()
        holder = self._member.enlist(_CODE, [self._name])
        with self._store.link() as link:
            for _ in range(steps):
                words = (holder, 1, 0, *_KEEP, _CODE, 1, self._name, *settlement)
                *_, message = link.run(script, self._store.prefix, *words)
                settlement = [message[0], "end", "done", b"\xc0", ""]


def page(store: Store) -> None:
    """Read what `onserver ps` shows first."""
    if len(find(Seen(store), "", PAGE, ended=False)) < PAGE:
        raise SystemExit("the page is not full")


def redis_seconds(store: Store) -> float:
    """CPU time of Redis until now."""
    said = store.command("INFO", "cpu").decode()
    facts = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


def cost(store: Store, action: Callable[[Store], None]) -> float:
    """CPU time of Redis and of this program for one action, the least of some, in milliseconds."""

    def once() -> float:
        before = redis_seconds(store) + time.process_time()
        action(store)
        return redis_seconds(store) + time.process_time() - before

    return min(once() for _ in range(_LOOKS)) * 1e3


def main(queued: int, steps: int) -> dict[str, float]:
    """Measure one size."""
    server = Server.current()
    store, order = server.store, procedure("noop").order
    store.command("CONFIG", "SET", "appendonly", "no")
    member = Member.join(store, server.settings, "worker", "growth")
    member.register(_CODE, {"growth.plain": "", "growth.keyed": ""})
    member.set_limits({"p:growth.keyed": rule(Limit(1, key="number"), "growth.keyed")})
    store.command("HSET", store.key("server"), "state", "running")
    plain = Queue(server, member, replace(order, procedure="growth.plain", queue="plain"), queued // 2, 0)
    keyed = Queue(server, member, replace(order, procedure="growth.keyed", queue="keyed"), queued // 2, _KEYS)
    time.sleep(_SETTLE_SECONDS)
    return {"claim_us": plain.claims(steps), "keyed_us": keyed.claims(steps), "ps_ms": cost(store, page)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
