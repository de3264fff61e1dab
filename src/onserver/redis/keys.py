"""Every key of a server: its pattern, its type, who writes it, and how long it lives.

Nothing is left behind: a key that is not in this catalogue, or has neither an owner that is alive nor a lifetime, is a
defect, and `find_orphans` finds it. In a pattern, N is the number of a process, M that of a member, HOLDER is
`member.incarnation`; other words in capitals are names. All patterns stand behind the prefix `{onserver:NAME}:`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from onserver.redis.store import Store

_SCAN_COUNT = 500
_FINAL = frozenset({"done", "failed", "aborted", "lost", "dead"})
_NO_LIFETIME = -1


@dataclass(frozen=True)
class Facts:
    """What lives in a server, read once before its keys are judged."""

    store: Store
    live: frozenset[str]
    burying: frozenset[str]
    members: frozenset[str]
    codes: frozenset[str]

    def holder(self, name: str) -> str:
        """Nothing, or why this holder owns nothing."""
        return "" if name in self.live or name in self.burying else f"holder {name} is not alive"

    def process(self, number: str) -> str:
        """Nothing, or why this process owns nothing."""
        return "" if self.store.command("EXISTS", self.store.key(f"p:{number}")) else f"there is no process {number}"


#: A judge gets the facts, the full key, and the word that the pattern's placeholder stands for; it answers why the key
#: is an orphan, or nothing. It is asked only about keys without a lifetime of their own.
Judge = Callable[[Facts, str, str], str]


@dataclass(frozen=True)
class Key:
    """One line of the catalogue."""

    pattern: str
    type: str
    writers: str
    lifetime: str
    judge: Judge


def _kept(_facts: Facts, _key: str, _word: str) -> str:
    return ""


def _timed(_facts: Facts, _key: str, _word: str) -> str:
    return "it has no lifetime"


def _of_holder(facts: Facts, _key: str, word: str) -> str:
    return facts.holder(word)


def _of_member(facts: Facts, _key: str, word: str) -> str:
    return "" if word in facts.members else f"member {word} is not there"


def _of_code(facts: Facts, _key: str, word: str) -> str:
    return "" if word in facts.codes else f"no holder has code {word}"


def _naming(facts: Facts, key: str, _word: str) -> str:
    return facts.process(facts.store.command("GET", key).decode())


def _of_process(facts: Facts, _key: str, word: str) -> str:
    return facts.process(word)


def _of_holders(facts: Facts, key: str, _word: str) -> str:
    return next(filter(None, (facts.holder(name) for name in _texts(facts.store.command("SMEMBERS", key)))), "")


def _lock(facts: Facts, key: str, _word: str) -> str:
    return facts.holder(_holder_of(facts.store.command("HGET", key, "o").decode()))


def _line(facts: Facts, key: str, word: str) -> str:
    space = key.removeprefix(facts.store.prefix).partition(":")[0]
    locked = facts.store.command("EXISTS", facts.store.key(f"{space}:l:{word}"))
    return "" if locked else "a line before a lock that nobody has"


def _entry(facts: Facts, _key: str, word: str) -> str:
    indexed = facts.store.command("SISMEMBER", facts.store.key("st:index"), word)
    return "" if indexed else "it is not in the index of its storage"


def _owners(facts: Facts, key: str, _word: str) -> str:
    owners = _texts(facts.store.command("HKEYS", key))
    return next(filter(None, (facts.holder(_holder_of(owner)) for owner in owners)), "")


def _semaphore_line(facts: Facts, _key: str, word: str) -> str:
    held = facts.store.command("EXISTS", facts.store.key(f"sem:h:{word}"))
    return "" if held else "a line before a semaphore that nobody has"


def _schedule(facts: Facts, _key: str, word: str) -> str:
    planned = facts.store.command("SISMEMBER", facts.store.key("schedules"), word)
    return "" if planned else "there is no such schedule, and it has no lifetime"


def _boxes(facts: Facts, key: str, _word: str) -> str:
    numbers = _texts(facts.store.command("HVALS", key))
    return next(filter(None, (facts.process(number) for number in numbers)), "")


def _box(facts: Facts, _key: str, word: str) -> str:
    alive = facts.store.command("HEXISTS", facts.store.key("boxes"), word)
    return "" if alive else "calls of a mailbox that has no process"


def _record(facts: Facts, key: str, word: str) -> str:
    """A record is kept while its process lives: in the place where one in its state belongs."""
    found = facts.store.command("HMGET", key, "s", "q", "t", "mp", "o", "x", "lk")
    state, queue, procedure, idle, holder, root, limit_key = ((text or b"").decode() for text in found)
    if state in _FINAL:
        return f"its process is {state}, and it has no lifetime"
    if state == "queued" and queue:
        line = f"line:{'r' if root else 'q'} {queue} {procedure}"
        places = (line, f"{line} {limit_key}")
        scores = facts.store.pipeline([("ZSCORE", facts.store.key(place), word) for place in places])
        return "" if any(score is not None for score in scores) else "it is queued, and in no line"
    if state == "delayed":
        due = facts.store.command("ZSCORE", facts.store.key("due"), word)
        return "" if due is not None else "it is delayed, and never due"
    if state == "paused" and not holder:
        resting = facts.store.command("ZSCORE", facts.store.key("resting"), word)
        return "" if resting is not None else "it is paused, and does not rest"
    if not holder and (state == "queued" or (state == "waiting" and idle)):  # a mailbox that has no call
        return ""
    return facts.holder(holder) if holder else f"it is {state or 'nothing'} and nobody's"


def _line_of(facts: Facts, _key: str, word: str) -> str:
    """A line is found from its queue."""
    side, queue, procedure, *rest = word.split(" ", 3)
    member = f"{procedure} *" if rest else procedure
    entered = facts.store.command("ZSCORE", facts.store.key(f"{side}:{queue}"), member)
    return "" if entered is not None else f"queue {queue} does not know it"


def _slots(facts: Facts, key: str, word: str) -> str:
    """A slot is held by what runs, and by nothing else."""
    for number in _texts(facts.store.command("SMEMBERS", key)):
        holder, slots = facts.store.command("HMGET", facts.store.key(f"p:{number}"), "o", "ls")
        if holder is None or word not in (slots or b"").decode().split("\n"):
            return f"process {number} does not run, or does not know of its slot"
    return ""


def _closed(facts: Facts, key: str, _word: str) -> str:
    """What is closed is opened again: by the end of what runs, or at its turn."""
    for text in _texts(facts.store.command("ZRANGE", key, 0, -1)):
        limit = text.partition("\n")[0]
        held = facts.store.command("EXISTS", facts.store.key(f"slots:{limit}"))
        if not held and facts.store.command("ZSCORE", facts.store.key("turns"), f"l:{limit}") is None:
            return f"nothing will open limit {limit}"
    return ""


CATALOGUE: tuple[Key, ...] = (
    # the server and its epochs
    Key("server", "hash", "greet, open_epoch and the other steps of an epoch, beat", "for ever", _kept),
    Key("numbers", "hash", "whoever needs a number that is never used again", "for ever", _kept),
    Key("hooks:EPOCH", "hash", "claim_hook, step", "30 days", _timed),
    Key("failure:EPOCH", "string", "fail_epoch", "one day", _timed),
    Key("procedures", "hash", "register", "for ever: a name outlives its workers", _kept),
    Key("aliases", "hash", "register", "for ever: what was put under an earlier name may wait still", _kept),
    Key("events", "stream", "tell_events, and whatever ends or moves something", "the last 1,000", _kept),
    Key("marks", "hash", "tell_events, silent", "until what is over its mark is under it again", _kept),
    Key("told:WHAT", "string", "tell_events", "a few beats", _timed),
    Key("clock", "string", "the test plug-in", "as long as the tests", _kept),
    # members and holders
    Key("members", "zset", "join, beat, leave, bury_member", "while it has members", _kept),
    Key("member:M", "hash", "join, bury_member", "the member, then process.keep_failed_seconds", _of_member),
    Key("orders:M", "list", "whoever orders something", "the member", _of_member),
    Key("m:M", "set", "enlist, bury", "the member's holders", _of_holders),
    Key("workers", "set", "open_epoch, leave, bury_member", "while there are workers", _kept),
    Key("leaving", "set", "leaving, leave, bury_member", "until they have left", _kept),
    Key("drained", "set", "drained, leave", "until they have left", _kept),
    Key("live", "set", "enlist, bury", "while there are holders", _kept),
    Key("burying", "hash", "bury", "until all that a dead holder held has fallen", _kept),
    Key("h:HOLDER", "hash", "enlist, bury", "the holder", _of_holder),
    Key("held:HOLDER", "list", "put, step, bury", "the holder", _of_holder),
    Key("x:HOLDER", "list", "put, step, due, beat", "the holder", _of_holder),
    Key("codes", "hash", "enlist, bury", "while there are holders", _kept),
    Key("code:CODE", "set", "register", "the holders that have the code, then one hour", _of_code),
    Key("serve:QUEUE", "set", "enlist, retire, bury", "the holders in it", _of_holders),
    Key("idle:QUEUE:CODE", "set", "step, put, bury", "the holders in it", _of_holders),
    # processes
    Key("p:N", "hash", "put, step and all that moves a process", "the process, then process.keep_seconds", _record),
    Key("queues", "set", "put, due, step, bury", "while processes wait", _kept),
    Key("q:QUEUE", "zset", "put, due, step, bury", "while processes wait", _kept),
    Key("r:QUEUE", "zset", "put, due, step, bury", "while processes of hooks wait", _kept),
    Key("keys:LINE", "zset", "put, due, step, bury", "while processes wait whose limit has keys", _kept),
    Key("line:LINE", "zset", "put, due, step, bury", "while processes wait", _line_of),
    Key("due", "zset", "put, due", "while processes are delayed", _kept),
    Key("resting", "zset", "pause, resume, step, bury", "while processes that had not begun are paused", _kept),
    Key("ended", "zset", "step, trim", "process.keep_count and process.keep_seconds", _kept),
    Key("failed", "zset", "step, abort, bury, trim, replay", "process.keep_count, process.keep_failed_seconds", _kept),
    Key("dead", "zset", "step, bury, trim, replay", "process.keep_count, process.keep_failed_seconds", _kept),
    Key("name:NAME", "string", "put, step", "the process of that name", _naming),
    Key("id:UUID", "string", "put, step", "the process, then process.keep_seconds", _naming),
    Key("key:KEY", "string", "put", "the time that the caller gave", _timed),
    Key("once:NONCE", "string", "put, join and other one-trip writes", "60 s", _timed),
    Key("sent:SENDER", "string", "commit, add", "60 s", _timed),
    Key("boxes", "hash", "call, kill_box, step, bury", "while mailboxes have processes", _boxes),
    Key("box:NAME", "list", "call, kill_box, step, bury", "the process of the mailbox", _box),
    Key("vars:N", "hash", "set_variables", "the record of the process", _of_process),
    Key("sl:N", "hash", "sleep, delay, rise", "a minute longer than it sleeps", _timed),
    Key("vw:N", "hash", "watch_variable, set_variables", "60 s after the last look", _timed),
    Key("w:N", "set", "await, celery_results", "until the end of the process, one day at most", _timed),
    Key("pw:N", "set", "watch_progress, report", "60 s", _timed),
    Key("log:N", "list", "log", "the record of the process", _of_process),
    Key("wu:UUID", "set", "celery_results", "60 s", _timed),
    # schedules
    Key("schedules", "set", "plan", "while there are schedules", _kept),
    Key("schedule:SCHEDULE", "hash", "plan, put, hold_schedule", "the code that has it, then 30 days", _schedule),
    # limits and wide pauses
    Key("limits", "hash", "set_limits", "while a worker's code or settings say so", _kept),
    Key("slots:LIMIT", "set", "put, due, step, bury", "the processes in it, which run", _slots),
    Key("rate:LIMIT", "list", "put, due, step, bury", "the time of the rate", _timed),
    Key("closed", "zset", "step, put, due", "until the limit lets one begin", _closed),
    Key("turns", "zset", "step, put, due, shut_gate", "until a limit's turn, a pause's end, an expiry", _kept),
    Key("paused", "hash", "shut_gate, open_gate, due", "until somebody resumes, or the time is over", _kept),
    # Celery
    Key("note:UUID", "hash", "note", "process.keep_seconds", _timed),
    Key("chord:GROUP", "hash", "chord_open, chord_part, chord_close", "process.keep_seconds", _timed),
    Key("group:GROUP", "string", "the result backend", "process.keep_seconds", _timed),
    Key("mq:QUEUE", "list", "the transport, for what is no task", "the queue's x-expires, or one hour", _timed),
    Key("bind:EXCHANGE", "set", "the transport", "one week", _timed),
    # the storage of the server
    Key("st:index", "set", "commit, add, empty_storage", "while it has entries", _kept),
    Key("st:e:ENTRY", "hash", "commit, add, empty_storage", "until it is removed or the storage emptied", _entry),
    Key("st:l:ENTRY", "hash", "lock, unlock, commit, bury", "its owner's holder", _lock),
    Key("st:w:ENTRY", "zset", "lock, unlock, commit, bury", "the lock", _line),
    # clients that take requests
    Key("clients", "hash", "register_client, unregister_client, bury", "while there are clients", _owners),
    Key("cq:HOLDER", "list", "ask_clients, unregister_client, bury", "the holder", _of_holder),
    Key("cn:HOLDER", "list", "the client, unregister_client, bury", "the holder", _of_holder),
    # semaphores
    Key("sem:h:NAME", "hash", "semaphore, clear_semaphores, step, bury", "the holders of its owners", _owners),
    Key(
        "sem:w:NAME", "zset", "semaphore, leave_semaphore, clear_semaphores, step, bury", "its owners", _semaphore_line
    ),
    # signals
    Key("sg:e:NAME", "hash", "make_signal, trigger_signal, write_signal", "process.signal_seconds", _timed),
    Key("sg:q:NAME", "set", "wait_signal, trigger_signal, step, bury", "60 s after the last look", _timed),
    Key("sg:l:NAME", "hash", "lock, unlock, write_signal, bury", "its owner's holder", _lock),
    Key("sg:w:NAME", "zset", "lock, unlock, write_signal, bury", "the lock", _line),
    # who has what and waits for what
    Key("locks:HOLDER", "set", "lock, unlock, commit, bury", "the holder", _of_holder),
    Key("waits", "hash", "lock, unlock, commit, bury", "those who wait", _owners),
    Key("wake:TOKEN", "list", "unlock, commit, bury", "60 s", _timed),
)

_PLACEHOLDERS = {"N": r"\d+", "M": r"\d+", "HOLDER": r"\d+\.\d+", "EPOCH": r"\d+"}


@dataclass(frozen=True)
class Orphan:
    """A key that should not be there, and why."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


def key_of(suffix: str) -> tuple[Key, str] | None:
    """The line of the catalogue for a key without its prefix, and the last word of it; None when it has none."""
    for key, pattern in _patterns():
        match = pattern.fullmatch(suffix)
        if match:
            return key, match[match.lastindex or 0]
    return None


def find_orphans(store: Store) -> list[Orphan]:
    """The keys of a server that are not in the catalogue, of another type, or without owner and lifetime.

    For tests and `doctor`: it reads every key, and what changes meanwhile may be reported by mistake.
    """
    facts = Facts(
        store,
        live=frozenset(_texts(store.command("SMEMBERS", store.key("live")))),
        burying=frozenset(_texts(store.command("HKEYS", store.key("burying")))),
        members=frozenset(_texts(store.command("ZRANGE", store.key("members"), 0, -1))),
        codes=frozenset(_texts(store.command("HKEYS", store.key("codes")))),
    )
    orphans: list[Orphan] = []
    for name in all_keys(store):
        reason = _judge(facts, name)
        if reason:
            orphans.append(Orphan(name.removeprefix(store.prefix), reason))
    return orphans


def all_keys(store: Store) -> Iterator[str]:
    """The full names of all keys of a server."""
    pattern = re.sub(r"([\[\]*?\\])", r"\\\1", store.prefix) + "*"
    seen: set[str] = set()
    cursor = b"0"
    while True:
        cursor, names = store.command("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
        fresh = set(_texts(names)) - seen
        seen |= fresh
        yield from sorted(fresh)
        if cursor == b"0":
            return


def _judge(facts: Facts, name: str) -> str:
    found = key_of(name.removeprefix(facts.store.prefix))
    kind, left_ms = facts.store.pipeline([("TYPE", name), ("PTTL", name)])
    kind = kind.decode()
    if kind == "none":
        return ""
    if found is None:
        return f"it is not in the catalogue (a {kind})"
    key, word = found
    if kind != key.type:
        return f"it is a {kind}, not a {key.type}"
    return key.judge(facts, name, word) if left_ms == _NO_LIFETIME else ""


@cache
def _patterns() -> list[tuple[Key, re.Pattern[str]]]:
    def group(match: re.Match[str]) -> str:
        return f"({_PLACEHOLDERS.get(match[0], '.*')})"

    return [(key, re.compile(re.sub(r"[A-Z]+", group, key.pattern), re.DOTALL)) for key in CATALOGUE]


def _texts(values: list[bytes]) -> list[str]:
    return [value.decode() for value in values]


def _holder_of(owner: str) -> str:
    return owner.partition("/")[0]
