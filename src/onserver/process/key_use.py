"""Which processes name a signing key, how a key is retired, and how processes are signed again.

A record keeps the signature with which it was put, for as long as it waits. So a key can be retired when no record
names it that may run yet, or again: what waits, is delayed, paused or runs, calls in mailboxes, and what is dead, has
failed or was lost, since that can be replayed. All records are read for that: for people, now and then.

Schedules are signed again by whoever retires a key.

A process whose key is gone is refused when its turn comes, and kept as a dead letter with that reason. Whoever may read
the key file may sign it again, and answers for it: nobody can tell any more whether it is what its sender signed. Its
record says who did that. What does not fit a key that is there was changed by somebody, and is never signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, Final, Literal

from onserver.errors import BadSignature, KeyInUse, KeyNotFound, ProcessNotFound
from onserver.process.control import asked_by
from onserver.process.key_file import changing, read_keys, remove_key
from onserver.process.record import State
from onserver.process.signed_schedule import sign_schedules_again
from onserver.process.signing import COPIED, FRESH_SECONDS, LOOK_SECONDS, Envelope, Signer
from onserver.redis.keys import scan
from onserver.server import Server

#: How many numbers a refusal names.
_SHOWN: Final = 20
#: What will never run again.
_OVER: Final = frozenset({State.DONE, State.ABORTED})
#: Queues of processes whose messages are another broker's: their signatures are over no body.
_ELSEWHERE: Final = "@"
#: A message that was signed a moment before another key came into use may still be on its way.
_UNDER_WAY: Final = FRESH_SECONDS + LOOK_SECONDS

Outcome = Literal["signed", "already", "ended", "unknown", "unsure", "refused"]


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One signature that a record keeps.

    Attributes:
        number: of the process.
        state: of it.
        procedure: that is to run.
        box: name of its mailbox, for a call that waits there.
        envelope: as `signing` has it.
        body: what was signed with it.
        accepted_ms: when it was put, by the clock of Redis.
    """

    number: int
    state: State
    procedure: str
    box: str = ""
    envelope: bytes = field(repr=False)
    body: bytes = field(repr=False)
    accepted_ms: int

    @property
    def key(self) -> str:
        """Id of the key that it names; empty where it is no signature."""
        try:
            return Envelope(self.envelope.removeprefix(COPIED)).key
        except ValueError:
            return ""


@dataclass(frozen=True, kw_only=True)
class Resigned:
    """What came of signing a process again.

    Attributes:
        number: of the process.
        outcome: `signed`; `already`, with the key that signs now; `ended`, it will not run again; `unknown`; `unsure`,
            its key is gone, and nobody has said that it may be signed all the same; `refused`, it was altered or never
            signed.
        text: the same in words.
    """

    number: int
    outcome: Outcome
    text: str


def signatures(server: Server) -> Iterator[Signed]:
    """Yield all signatures that records keep and that may be verified yet; some may come twice while they move."""
    store = server.store
    for names in scan(store, "p:"):
        yield from _of_records(server, [int(name.rpartition(":")[2]) for name in names])
    for box in store.command("HKEYS", store.key("boxes")):
        yield from _of_box(server, box.decode())


def naming(server: Server, key: str) -> list[Signed]:
    """Return the signatures that name a key, by the number of their processes."""
    found = {(one.number, one.envelope): one for one in signatures(server) if one.key == key}
    return [found[place] for place in sorted(found)]


def retire_key(server: Server, key: str, *, force: bool = False) -> int:
    """Retire a signing key: what was signed with it is refused from then on.

    Args:
        server: whose project.
        key: its id.
        force: although records name it, for a key that others may know. It still has to be one that does not sign.

    Returns:
        How many processes name it: 0 without `force`.

    Raises:
        KeyNotFound: ONS-1013, the project has none of this id.
        KeyInUse: ONS-1014, it signs, or did a moment ago, or records name it.
    """
    path = server.part(Signer).file
    if path is None:
        raise KeyInUse(key, "it comes from ONSERVER_SIGNING_KEY, in the environment of every program")
    with changing(path):
        keys = read_keys(path)
        if key not in keys.keys:
            raise KeyNotFound(key, list(keys.keys))
        active = keys.active()
        if key == active:
            raise KeyInUse(key, "new messages are signed with it; `onserver keys new` makes another")
        since = time() - keys.keys[active].starts
        if since < _UNDER_WAY and not force:
            left = f"what was signed with others may be on its way for another {_UNDER_WAY - since:.0f} s"
            raise KeyInUse(key, f"`{active}` signs since {since:.0f} s, and {left}")
        sign_schedules_again(server)
        numbers = sorted({one.number for one in naming(server, key)})
        if numbers and not force:
            raise KeyInUse(key, total=len(numbers), processes=numbers[:_SHOWN])
        remove_key(path, key)
    return len(numbers)


def resign(server: Server, number: int, *, unverified: bool = False) -> Resigned:
    """Sign a process, and the calls in its mailbox, again with the key that signs now.

    Args:
        server: whose.
        number: of the process.
        unverified: also where its key is gone, so that nobody can tell whether it is what its sender signed. Whoever
            says so answers for it.

    Raises:
        ProcessNotFound: ONS-2001.
        BadSetting: ONS-1007, the key file may not be read.
    """
    store, signer = server.store, server.part(Signer)
    state, box = (word.decode() if word else "" for word in store.command("HMGET", store.key(f"p:{number}"), "s", "mb"))
    if not state:
        raise ProcessNotFound(number)
    if State(state) in _OVER:
        return Resigned(number=number, outcome="ended", text=f"will not run again: it is {state}")
    found = [*_of_records(server, [number]), *(_of_box(server, box) if box else ())]
    pairs: list[bytes] = []
    for one in found:
        outcome, problem = _judged(signer, one)
        if outcome == "refused" or (outcome == "unsure" and not unverified):
            return Resigned(number=number, outcome=outcome, text=f"is not signed again: {problem}")
        if outcome != "already":
            pairs += one.envelope, signer.sign_again(Envelope(one.envelope), one.procedure, one.body)
    if not pairs:
        return Resigned(number=number, outcome="already", text="was signed with the newest key")
    store.run("resign", number, asked_by(server), box, *pairs)
    text = f"signed with key `{signer.keys.active()}`"
    return Resigned(number=number, outcome="signed", text=text)


def _judged(signer: Signer, one: Signed) -> tuple[Outcome, str]:
    try:
        signer.verify(one.envelope, one.procedure, one.body, one.accepted_ms)
    except BadSignature as error:
        return ("unsure" if error.key and _in_order(one) else "refused"), error.problem
    return ("already" if one.key == signer.keys.active() else "signed"), ""


def _in_order(one: Signed) -> bool:
    """Whether it can be what its sender signed, as far as that can be told without the key."""
    try:
        return abs(one.accepted_ms - Envelope(one.envelope).made_ms) <= FRESH_SECONDS * 1000
    except ValueError:
        return False


def _of_records(server: Server, numbers: Sequence[int]) -> Iterator[Signed]:
    store = server.store
    words = ("s", "t", "c", "b", "a", "q")
    answers: list[Any] = store.pipeline([("HMGET", store.key(f"p:{number}"), *words) for number in numbers])
    for number, (state, procedure, envelope, body, accepted, queue) in zip(numbers, answers, strict=True):
        if state is None or envelope is None or State(state.decode()) in _OVER:
            continue
        foreign = (queue or b"").startswith(_ELSEWHERE.encode())
        yield Signed(
            number=number,
            state=State(state.decode()),
            procedure=procedure.decode(),
            envelope=envelope,
            body=b"" if foreign else body or b"",
            accepted_ms=int(accepted or 0),
        )


def _of_box(server: Server, box: str) -> Iterator[Signed]:
    number, *calls = server.store.run("calls_signed", box) or (0,)
    for procedure, body, envelope, accepted in calls:
        yield Signed(
            number=int(number),
            state=State.QUEUED,
            procedure=procedure.decode(),
            box=box,
            envelope=envelope,
            body=body,
            accepted_ms=int(accepted),
        )
