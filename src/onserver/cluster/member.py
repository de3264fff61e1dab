"""A member: its number, its holders, its beat. See the chapter at the top of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final, NamedTuple

from onserver import __version__
from onserver.cluster.identity import Identity
from onserver.cluster.memory import of_tree
from onserver.redis.store import Store
from onserver.settings import Settings

#: Milliseconds by which a clock has to change before that is noted.
_CLOCK_MS: Final = 2000
#: How often a worker looks how much memory it takes; its next beat says it.
_WEIGH_SECONDS: Final = 10.0


class Ask(NamedTuple):
    """What is asked of one process that a holder has.

    Attributes:
        holder: "member.incarnation".
        number: of the process.
        what: `abort` or `pause`.
        kill_seconds: until it may be killed for that; None for never.
    """

    holder: str
    number: int
    what: str
    kill_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a member learns from its beat.

    Attributes:
        epoch: number of the server's current life; 0 before the first.
        state: `none starting running stopping stopped failed`.
        leader: whether this member has the cluster's duties.
        due_seconds: until the next delayed process is due, or None.
        heads: first number in the hand-off list of each holder, "" where it is empty.
        asks: all that is asked of what these holders have.
        now_ms: what the clock of Redis said.
        sides: whether a side run waits that this worker may take.
        news: whether it leads, and there are events that nobody has passed on to hooks.
        ending: whether it leads, and sessions of remote clients end.
    """

    epoch: int
    state: str
    leader: bool
    due_seconds: float | None
    heads: tuple[str, ...]
    asks: tuple[Ask, ...]
    now_ms: int
    sides: bool
    news: bool
    ending: bool


class Member:
    """One program's membership, from `join` until `leave` or its declared death.

    Every method is one script and is safe to send twice. All but `join` raise `MemberFenced` once the number was
    declared dead.
    """

    def __init__(self, store: Store, settings: Settings, kind: str, number: int, node: str) -> None:
        self.store = store
        self.settings = settings
        self.kind = kind
        self.number = number
        self.node = node
        #: Whether none of this program's hooks listens to events: then the beat passes over them.
        self.deaf = False
        #: When the leader looks at what has marks again, by the monotonic clock.
        self.survey_at = 0.0
        self._limits = (settings.process.deliveries, int(settings.process.keep_failed_seconds))
        self._ahead_ms = 0
        self._weigh_at = 0.0
        self._usage = ""

    @classmethod
    def join(
        cls, store: Store, settings: Settings, kind: str, node: str, facts: Mapping[str, str] | None = None
    ) -> Member:
        """Become a member under a number never used before.

        Args:
            store: the Redis of the server.
            settings: of the project.
            kind: `worker` or `client`.
            node: its name for people, as in "server@web-1".
            facts: more to show of it in `ps --members`.
        """
        extra = [word for pair in {"version": __version__, **(facts or {})}.items() for word in pair]
        number = store.run("join", store.nonce(), kind, "node", node, *Identity.mine().fields(), *extra)
        return cls(store, settings, kind, number, node)

    def register(self, code: str, described: Mapping[str, str]) -> None:
        """Say which procedures a code has, before an executor with that code is enlisted.

        Args:
            code: a digest of the set of names.
            described: name to description (JSON), "=NAME" for an alias of it, "" for what is only runnable.
        """
        words = [word for pair in described.items() for word in pair]
        for start in range(0, len(words), 1000):
            self.store.run("register", code, *words[start : start + 1000])

    def set_limits(self, rules: Mapping[str, str], said_ms: int | None = None) -> int:
        """Say what limits there are, before an executor is enlisted: for the whole cluster, the newest word counts.

        Args:
            rules: field to rule, "" for a procedure that has none; see `onserver.process.limits`. A queue that is not
                named has none.
            said_ms: when the same was said first: who comes back under another number does not set back what others
                have said since. By default now.

        Returns:
            When it was said: milliseconds since 1970 by the clock of Redis.
        """
        words = [word for pair in rules.items() for word in pair]
        said: int = self.store.run("set_limits", self.number, "" if said_ms is None else said_ms, *words)
        return said

    def enlist(self, code: str = "", queues: Sequence[str] = (), places: int = 1) -> str:
        """A new holder of this member, "member.incarnation"; without a code it runs no processes.

        Args:
            code: what it can run.
            queues: where it takes work from.
            places: how many processes it may have begun at a time.
        """
        holder: bytes = self.store.run("enlist", self.store.nonce(), self.number, code, places, *queues)
        return holder.decode()

    def retire(self, holder: str) -> int:
        """Let a holder take nothing more. Returns how many processes it still holds."""
        held: int = self.store.run("retire", holder)
        return held

    def bury(self, holder: str, begun: int | Sequence[int] = 0, counted: bool = True) -> None:
        """Declare a holder of this member dead; what it held waits again.

        Args:
            holder: "member.incarnation".
            begun: the process that it was running, 0 for none, or all of them.
            counted: whether the run of the first is a delivery; not so when it was ended because Redis was silent.
        """
        numbers = [begun] * bool(begun) if isinstance(begun, int) else begun
        facts = (",".join(map(str, numbers)), int(counted), *self._limits, self.node)
        while self.store.run("bury", self.number, holder, *facts):
            pass

    def give(self, holder: str, generation: int, keep: Iterable[int] = ()) -> tuple[int, list[int]]:
        """Hand back what a holder has claimed and not begun.

        Args:
            holder: "member.incarnation".
            generation: higher each time: what comes late, when another was done, does nothing.
            keep: what has begun, and what has ended.

        Returns:
            How many went back, and which of those to keep it holds.
        """
        back, *held = self.store.run("give", holder, generation, *self._limits, *keep)
        return back, held

    def take_side(self, code: str) -> tuple[str, Sequence[Any]] | None:
        """Take one side run: the new holder that has it, and its message; None where none waits that this code can run.

        Args:
            code: what this worker can run.
        """
        answer = self.store.run("take_side", self.store.nonce(), self.number, code)
        return (answer[0].decode(), answer[1:]) if answer else None

    def beat(
        self, executors: Sequence[tuple[str, str]] = (), *, usage: str = "", deadline: float | None = None
    ) -> Beat:
        """Renew the lease of all that this member holds.

        Args:
            executors: each holder that runs processes, with the number that was at the head of its hand-off list at the
                last beat.
            usage: what its runs have used, as `life/usage.py` says it; it is told where it has changed.
            deadline: seconds for the whole of it; a fifth of the lease by default.
        """
        lease = self.settings.member.lease_seconds
        words = [word for pair in executors for word in pair]
        epoch, state, leader, due, heads, asks, now, sides, news, ending = self.store.run(
            "beat", self.number, int(lease * 1000), *self._limits, self._rank, self._weight(),
            "" if usage == self._usage else usage or "-", *words,
            deadline=lease / 5 if deadline is None else deadline,
        )  # fmt: skip
        self._usage = usage
        self.note_clock(int(now))
        return Beat(
            epoch=epoch,
            state=state.decode(),
            leader=bool(leader),
            due_seconds=None if due < 0 else due / 1000,
            heads=tuple(head.decode() for head in heads),
            asks=tuple(_asks(asks)),
            now_ms=int(now),
            sides=bool(sides),
            news=bool(news),
            ending=bool(ending),
        )

    def take_settings(self, settings: Settings) -> None:
        """The settings were read anew."""
        self.settings = settings
        self._limits = (settings.process.deliveries, int(settings.process.keep_failed_seconds))

    def _weight(self) -> int | str:
        """The bytes that a worker takes, now and then; else nothing."""
        now = monotonic()
        if self.kind != "worker" or now < self._weigh_at:
            return ""
        self._weigh_at = now + _WEIGH_SECONDS
        return of_tree() or ""

    @property
    def _rank(self) -> int:
        """What the beat is told: no worker, a worker, or one that is deaf to events."""
        return 0 if self.kind != "worker" else 2 if self.deaf else 1

    def note_spare(self, count: int) -> None:
        """Say how many executors may still be started beside those that wait."""
        self.store.command("HSET", self.store.key(f"member:{self.number}"), "spare", count)

    def note_clock(self, redis_ms: int) -> None:
        """Keep in this member's record by how much its clock is ahead of that of Redis, when that has changed."""
        ahead = int(time() * 1000) - redis_ms
        if abs(ahead - self._ahead_ms) > _CLOCK_MS:
            self._ahead_ms = ahead
            self.store.command("HSET", self.store.key(f"member:{self.number}"), "ahead_ms", ahead)

    def note_reload(self, outcome: str, code: Mapping[str, str] | None = None) -> None:
        """Keep in this member's record how it took new code, for whoever asked; `code` is what it has now."""
        key = self.store.key(f"member:{self.number}")
        facts = {"reloaded": outcome, **(code or {})}
        self.store.command("HSET", key, *(word for fact in facts.items() for word in fact))
        self.store.command("HINCRBY", key, "reloads", 1)

    def leave(self, *, hooks_run: bool = False) -> str:
        """Go in good order, after the holders were buried. Returns the state of the server then.

        Args:
            hooks_run: the shutdown hooks have ended, so that the last worker to leave closes the epoch.
        """
        _, state = self.store.run("leave", self.number, int(hooks_run), self._limits[1])
        return str(state.decode())


def _asks(words: Sequence[Any]) -> Iterator[Ask]:
    for index in range(0, len(words), 4):
        holder, number, what, kill_ms = words[index : index + 4]
        yield Ask(holder.decode(), int(number), what.decode(), None if kill_ms < 0 else kill_ms / 1000)
