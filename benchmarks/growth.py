"""What each step costs with so much stored: `python -m benchmarks.growth QUEUED SESSIONS MEMBERS STEPS`.

Two queues are filled with copies of one record, as *put* writes it: one in one line, and one in the lines of a thousand
keys of a limit, of which a hundred are full. There are sessions as `benchmarks.many_sessions` opens them, and members
that are workers of two executors each: they beat, and that is all they do. Then it says `{}`, and for each line that it
is told it makes these steps, so many times each, and says what they cost:

| figure | step |
|---|---|
| `claim_us`, `keyed_us` | an executor claims a process, from either queue |
| `settle_us` | an executor settles a process |
| `lock_us`, `commit_us` | a block of `use` begins; it ends, with an entry of 1 KB changed |
| `session_us` | a request takes its session: the one trip behind `session()` |
| `beat_us` | a member renews its lease |
| `ps_ms` | the first page of `onserver ps` |

Each turn is of the same steps, whatever is stored: many beats first, of however many members, so that what follows
finds in the processor's caches what other work has left there.

The cost is CPU time: of Redis, and for `session_us` and `ps_ms` of this program as well. What else the machine does can
double it, for as long as it does so. So programs with different sizes run at the same time and are told one after the
other (`measured`), and the median of each counts. The least would be steadier if each had as good a chance of a moment
in which all that it needs is in the processor's caches; with much stored it never has. Nothing is written to the disk,
so that filling takes seconds.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import Any
from warnings import catch_warnings, simplefilter

from benchmarks.many_sessions import Requests, fill, opened
from benchmarks.ours import procedure, redis_seconds
from benchmarks.programs import Place
from onserver import Limit, Server
from onserver.cluster.member import Member
from onserver.errors import NoWorker
from onserver.process.limits import rule
from onserver.process.put import Order, Sender
from onserver.redis.scripts import assemble
from onserver.redis.store import Store
from onserver.views.finding import PAGE, find
from onserver.views.processes import Seen

_KEYS, _FULL = 1000, 100
_TURNS = 40
#: How many beats there are in each turn, for each of the other steps.
_BEATS = 10
#: A million records are written first.
_SECONDS = 900.0
_CHUNK = 1000
_EXECUTORS = 2
#: Redis moves its large tables a little at a time; for so long it may.
_SETTLE_SECONDS = 2.0
_CODE, _KEEP = "c0de", (86_400, 604_800, 3)

#: ARGV: number to copy, how many copies, the first key of a limit, how many of these (0: no limit), which is next.
_FILL = assemble(
    "fill",
    """-- include: prefix accept stand
local model, count, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local keys, following = tonumber(ARGV[4]), tonumber(ARGV[5])
local record, place = redis.call('HGETALL', T .. 'p:' .. model), {}
for i = 1, #record, 2 do place[record[i]] = i + 1 end
record[#record + 1] = 'lk'
local q, t, z_at, key_at = record[place.q], record[place.t], place.z, #record + 1
local last = redis.call('HINCRBY', T .. 'numbers', 'process', count)
for n = last - count + 1, last do
  local z, key = score(5, n), keys > 0 and 'number=' .. first + following % keys or ''
  following = following + 1
  record[z_at], record[key_at] = z, key
  redis.call('HSET', T .. 'p:' .. n, unpack(record))
  join_line(n, z, 'q', q, t, key, keys > 0)
end
return last""",
)


class Queue:
    """One queue and an executor, which is moved from here, one step at a time."""

    def __init__(self, server: Server, member: Member, order: Order, queued: int, keys: int) -> None:
        self._store, self._name, self._keys, self._filled = server.store, order.queue, range(keys), 0
        self._step = self._store.script("step")
        with catch_warnings():
            simplefilter("ignore", NoWorker)
            self._model = Sender(server).put(order, [1], {}).number
        self.fill(queued)
        self._holder = member.enlist(_CODE, [self._name])
        self._held: list[bytes] = []
        if keys:
            self.claim(_FULL)
            self._held.clear()
            self._keys = range(_FULL, keys)  # so that as many may begin as are put from here on

    def fill(self, count: int) -> None:
        """Put so many more."""
        for done in range(0, count, _CHUNK):
            some, keys = min(count - done, _CHUNK), self._keys
            self._store.run(_FILL, self._model, some, keys.start, len(keys), self._filled)
            self._filled += some

    def claim(self, steps: int) -> None:
        """Claim so many, and hold them."""
        with self._store.link() as link:
            for _ in range(steps):
                *_, message = link.run(self._step, self._store.prefix, self._holder, 1, 0, *_KEEP, _CODE, 1, self._name)
                self._held.append(message[0])

    def settle(self, steps: int) -> None:
        """Settle so many of those that are held."""
        with self._store.link() as link:
            for number in self._held[:steps]:
                words = (self._holder, 0, 0, *_KEEP, _CODE, 1, self._name, number, "end", "done", b"\xc0", "")
                link.run(self._step, self._store.prefix, *words)
        del self._held[:steps]


class Entries:
    """Entries of the storage, each of which is locked and then committed."""

    def __init__(self, server: Server) -> None:
        self._storage = server.storage
        self._open = ExitStack()
        self._values: list[Any] = []

    def lock(self, steps: int) -> None:
        """Enter a block for each of so many entries."""
        self._values = [self._open.enter_context(self._storage.use(f"entry{n:05}")) for n in range(steps)]

    def commit(self, _steps: int) -> None:
        """Change them, and leave the blocks."""
        for value in self._values:
            value["n"] = value.get("n", 0) + 1
            value["text"] = "x" * 1000
        self._open.close()


class Crowd:
    """Members that do nothing but beat."""

    def __init__(self, server: Server, count: int) -> None:
        self._members = []
        for number in range(count):
            member = Member.join(server.store, server.settings, "worker", f"crowd{number}")
            for _ in range(_EXECUTORS):
                member.enlist(_CODE, ["elsewhere"])
            self._members.append(member)

    def beat(self, rounds: int = 1) -> None:
        """Let each beat so often."""
        for _ in range(rounds):
            for member in self._members:
                member.beat()


def page(store: Store) -> None:
    """Read what `onserver ps` shows first."""
    if len(find(Seen(store), "", PAGE, ended=False)) < PAGE:
        raise SystemExit("the page is not full")


def turns(queued: int, sessions: int, members: int, steps: int) -> Iterator[dict[str, float]]:
    """Store so much, and yield what steps cost, as often as that is asked; the first time there is nothing to say."""
    server = Server.current()
    store, order = server.store, procedure("noop").order
    store.command("CONFIG", "SET", "appendonly", "no")
    member = Member.join(store, server.settings, "worker", "growth")
    member.register(_CODE, {"growth.plain": "", "growth.keyed": ""})
    member.set_limits({"p:growth.keyed": rule(Limit(1, key="number"), "growth.keyed")})
    store.command("HSET", store.key("server"), "state", "running")
    crowd = Crowd(server, members)
    fill(store, sessions)
    plain = Queue(server, member, replace(order, procedure="growth.plain", queue="plain"), queued // 2, 0)
    keyed = Queue(server, member, replace(order, procedure="growth.keyed", queue="keyed"), queued // 2, _KEYS)
    time.sleep(_SETTLE_SECONDS)
    entries, requests = Entries(server), Requests(store, opened(server), sessions, steps)
    rounds = max(1, _BEATS * steps // members)

    def cost(phase: Callable[[int], None], times: int = steps, *, both: bool = False) -> float:
        before = redis_seconds(store) + (time.process_time() if both else 0.0)
        phase(times)
        return (redis_seconds(store) + (time.process_time() if both else 0.0) - before) / times * 1e6

    yield {}
    while True:
        yield {
            "beat_us": cost(crowd.beat, rounds) / members,
            "claim_us": cost(plain.claim),
            "settle_us": cost(plain.settle),
            "keyed_us": cost(keyed.claim),
            "lock_us": cost(entries.lock),
            "commit_us": cost(entries.commit),
            "session_us": cost(lambda _: requests.take(), both=True),
            "ps_ms": cost(lambda _: page(store), 1, both=True) / 1e3,
        }
        keyed.settle(steps)
        for queue in (plain, keyed):
            queue.fill(steps)


def measured(sizes: Sequence[tuple[Place, tuple[int, int, int]]], steps: int) -> list[dict[str, float]]:
    """What steps cost in places with so much stored, which are asked in turn: the median for each.

    Raises:
        Failed: one of the programs has ended, or said nothing for a long time.
    """
    found: list[list[dict[str, float]]] = [[] for _ in sizes]
    with ExitStack() as running:
        programs = [
            running.enter_context(place.talk("growth", *size, steps, seconds=_SECONDS)) for place, size in sizes
        ]
        for program in programs:
            program.hear()  # it is ready
        for _ in range(_TURNS):
            for costs, program in zip(found, programs, strict=True):
                costs.append(program.ask("go"))
    return [{name: median(turn[name] for turn in costs) for name in costs[0]} for costs in found]


if __name__ == "__main__":
    costs = turns(*map(int, sys.argv[1:]))
    for said in costs:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        if not sys.stdin.readline():
            break
