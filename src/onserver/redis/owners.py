"""Who owns a key of a server: why one without a lifetime of its own may be there, or that it may not.

Each function is the judge of some lines of `catalogue`. It gets the facts, the full key, and the word that
the pattern's placeholder stands for, and answers why the key is an orphan, or nothing. It is asked only about keys
without a lifetime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onserver.redis.store import Store

_FINAL = frozenset({"done", "failed", "aborted", "lost", "dead"})


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


Judge = Callable[[Facts, str, str], str]


def kept(_facts: Facts, _key: str, _word: str) -> str:
    """It may always be there."""
    return ""


def timed(_facts: Facts, _key: str, _word: str) -> str:
    """It ought to have a lifetime."""
    return "it has no lifetime"


def restoring(facts: Facts, _key: str, _word: str) -> str:
    """It is a restore's."""
    found = facts.store.command("HGET", facts.store.key("server"), "restoring")
    return "" if found else "there is no restore"


def of_holder(facts: Facts, _key: str, word: str) -> str:
    """It is a holder's."""
    return facts.holder(word)


def of_member(facts: Facts, _key: str, word: str) -> str:
    """It is a member's."""
    return "" if word in facts.members else f"member {word} is not there"


def of_code(facts: Facts, _key: str, word: str) -> str:
    """It is of a code that some holder has."""
    return "" if word in facts.codes else f"no holder has code {word}"


def naming(facts: Facts, key: str, _word: str) -> str:
    """It holds the number of a process."""
    return facts.process(facts.store.command("GET", key).decode())


def of_process(facts: Facts, _key: str, word: str) -> str:
    """It is a process'."""
    return facts.process(word)


def of_holders(facts: Facts, key: str, _word: str) -> str:
    """It holds names of holders."""
    return next(filter(None, (facts.holder(name) for name in texts(facts.store.command("SMEMBERS", key)))), "")


def lock(facts: Facts, key: str, _word: str) -> str:
    """A lock is its owner's."""
    return facts.holder(_holder_of(facts.store.command("HGET", key, "o").decode()))


def line(facts: Facts, key: str, word: str) -> str:
    """A line stands before a lock."""
    space = key.removeprefix(facts.store.prefix).removesuffix(f"w:{word}")
    locked = facts.store.command("EXISTS", facts.store.key(f"{space}l:{word}"))
    return "" if locked else "a line before a lock that nobody has"


def entry(facts: Facts, key: str, word: str) -> str:
    """An entry is in its storage's index."""
    space = key.removeprefix(facts.store.prefix).removesuffix(f"e:{word}")
    indexed = facts.store.command("SISMEMBER", facts.store.key(f"{space}index"), word)
    return "" if indexed else "it is not in the index of its storage"


def session(facts: Facts, _key: str, word: str) -> str:
    """A session is found by its end."""
    known = facts.store.command("ZSCORE", facts.store.key("sessions"), word)
    return "" if known is not None else "no end will be found of it"


def of_session(facts: Facts, _key: str, word: str) -> str:
    """It is a session's."""
    return "" if facts.store.command("EXISTS", facts.store.key(f"s:{word}")) else f"there is no session {word}"


def of_space(facts: Facts, _key: str, word: str) -> str:
    """It is in the storage of a session, or of one that is over and is being emptied."""
    rotated, emptying = facts.store.pipeline(
        [("HGET", facts.store.key("rotated"), word), ("SISMEMBER", facts.store.key("emptying"), word)]
    )
    return "" if emptying else of_session(facts, "", rotated.decode() if rotated else word)


def sessions_of(facts: Facts, key: str, _word: str) -> str:
    """Its members are sessions."""
    members = texts(facts.store.command("SMEMBERS", key))
    return next(filter(None, (of_session(facts, "", member) for member in members)), "")


def owners(facts: Facts, key: str, _word: str) -> str:
    """Its fields are owners."""
    owners = texts(facts.store.command("HKEYS", key))
    return next(filter(None, (facts.holder(_holder_of(owner)) for owner in owners)), "")


def semaphore_line(facts: Facts, _key: str, word: str) -> str:
    """A line stands before a semaphore."""
    held = facts.store.command("EXISTS", facts.store.key(f"sem:h:{word}"))
    return "" if held else "a line before a semaphore that nobody has"


def schedule(facts: Facts, _key: str, word: str) -> str:
    """It is of a schedule that is planned."""
    planned = facts.store.command("SISMEMBER", facts.store.key("schedules"), word)
    return "" if planned else "there is no such schedule, and it has no lifetime"


def boxes(facts: Facts, key: str, _word: str) -> str:
    """Its values are numbers of processes."""
    numbers = texts(facts.store.command("HVALS", key))
    return next(filter(None, (facts.process(number) for number in numbers)), "")


def box(facts: Facts, _key: str, word: str) -> str:
    """It is of a mailbox that has a process."""
    alive = facts.store.command("HEXISTS", facts.store.key("boxes"), word)
    return "" if alive else "calls of a mailbox that has no process"


def call(facts: Facts, key: str, _word: str) -> str:
    """A call that has not ended is in the box of a twin, or its process is at it."""
    state, box = facts.store.command("HMGET", key, "s", "b")
    if state != b"queued":
        return "it has ended, and has no lifetime"
    alive = facts.store.command("HEXISTS", facts.store.key("boxes"), box)
    return "" if alive else "its twin has no process"


def record(facts: Facts, key: str, word: str) -> str:
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


def line_of(facts: Facts, _key: str, word: str) -> str:
    """A line is found from its queue."""
    side, queue, procedure, *rest = word.split(" ", 3)
    member = f"{procedure} *" if rest else procedure
    entered = facts.store.command("ZSCORE", facts.store.key(f"{side}:{queue}"), member)
    return "" if entered is not None else f"queue {queue} does not know it"


def slots(facts: Facts, key: str, word: str) -> str:
    """A slot is held by what runs, and by nothing else."""
    for number in texts(facts.store.command("SMEMBERS", key)):
        holder, slots = facts.store.command("HMGET", facts.store.key(f"p:{number}"), "o", "ls")
        if holder is None or word not in (slots or b"").decode().split("\n"):
            return f"process {number} does not run, or does not know of its slot"
    return ""


def closed(facts: Facts, key: str, _word: str) -> str:
    """What is closed is opened again: by the end of what runs, or at its turn."""
    for text in texts(facts.store.command("ZRANGE", key, 0, -1)):
        limit = text.partition("\n")[0]
        held = facts.store.command("EXISTS", facts.store.key(f"slots:{limit}"))
        if not held and facts.store.command("ZSCORE", facts.store.key("turns"), f"l:{limit}") is None:
            return f"nothing will open limit {limit}"
    return ""


def texts(values: list[bytes]) -> list[str]:
    """Decode a list."""
    return [value.decode() for value in values]


def _holder_of(owner: str) -> str:
    return owner.partition("/")[0]
