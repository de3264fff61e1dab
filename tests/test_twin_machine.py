"""Every order of events that twins may meet, drawn at random: the scripts on a real Redis against a small model."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from onserver.cluster.member import Member
from onserver.life.epoch import open_epoch, run_epoch
from onserver.process.twin import twin_box
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.store import Store
from onserver.settings import Settings
from onserver.testing.cluster import drop_keys

DELIVERIES = 2
_WHICH = st.integers(0, 99)
_KEEP = (3600, 7200, DELIVERIES)
_CODE, _QUEUE, _METHOD = "c0de", "default", "jobs.one"


@dataclass
class Twin:
    """One connection: the calls that wait, the present one, and what is known of its process."""

    connection: int
    box: list[str] = field(default_factory=list[str])
    present: str = ""
    alive: bool = False
    deliveries: int = 0
    ending: bool = False
    aborted: bool = False

    def next(self) -> None:
        """The present call is over, the process is not."""
        self.present, self.deliveries = self.box.pop(0) if self.box else "", 0

    def over(self) -> None:
        """The process is over; what waits begins a new one."""
        self.next()
        self.alive, self.ending, self.aborted = bool(self.present), False, False


class TwinMachine(RuleBasedStateMachine):
    """A client with two connections, and two holders."""

    address: Address

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.address, f"m{uuid4().hex[:8]}", testing=True)
        limits = {"deliveries": DELIVERIES}
        project = msgspec.convert({"name": self.store.name, "process": limits}, Settings)
        self.member = Member.join(self.store, project, "worker", "model")
        self.member.register(_CODE, {_METHOD: "{}"})
        run_epoch(self.store, open_epoch(self.member, keep_storage=False).epoch.number)
        opened = self.store.run("remote_open", "open:1", "A" * 32, "", 3_600_000, 10_000, "user", "ann")
        self.session: str = opened[0].decode()
        self.twins = [Twin(self._connect()) for _ in range(2)]
        self.calls: dict[str, tuple[Twin, bool]] = {}
        self.ends: dict[str, str] = {}
        self.forgotten: set[str] = set()
        self.holders = [self.member.enlist(_CODE, [_QUEUE]) for _ in range(2)]

    def teardown(self) -> None:
        try:
            for holder in self.holders:
                self.member.bury(holder, self._held(holder))
            self.member.leave()
            assert [str(orphan) for orphan in find_orphans(self.store)] == []
        finally:
            drop_keys(self.store)
            self.store.close()

    # -- helpers

    def _connect(self) -> int:
        number, _, _ = self.store.run("remote_connect", self.session, token_hex(16), "Main", 10)
        self.store.run("remote_opened", "", self.session, number, 1)
        return int(number)

    def _box(self, twin: Twin) -> str:
        return twin_box(self.session, twin.connection)

    def _number(self, twin: Twin) -> int:
        return int(self.store.command("HGET", self.store.key("boxes"), self._box(twin)) or 0)

    def _holder(self, twin: Twin) -> str:
        found = self.store.command("HGET", self.store.key(f"p:{self._number(twin)}"), "o")
        return (found or b"").decode()

    def _held(self, holder: str) -> int:
        return next((self._number(twin) for twin in self.twins if self._holder(twin) == holder), 0)

    def _put(self, call: str, twin: Twin, rerun: bool, nonce: str = "") -> int:
        now = int(self.store.command("TIME")[0]) * 1000
        words = ("t", _METHOD, "b", call, "c", b"", "v", "S" if rerun else "RS")
        head = (nonce or self.store.nonce(), "", now, self.session, twin.connection, call, 86_400_000, 7200)
        how, _, served = self.store.run("twin_call", *head, _QUEUE, 5, *words)
        assert served == b"ok"
        return int(how)

    def _any_call(self, which: int) -> str:
        return list(self.calls)[which % len(self.calls)]

    def _end(self, call: str, state: str) -> None:
        if call:
            self.ends[call] = state

    def _settled(self, twin: Twin, state: str) -> None:
        self._end(twin.present, "aborted" if twin.aborted and state == "failed" else state)
        if twin.aborted or twin.ending:
            twin.over()
        else:
            twin.next()

    def _running(self) -> list[Twin]:
        return [twin for twin in self.twins if self._holder(twin)]

    # -- rules

    @precondition(lambda self: sum(len(twin.box) for twin in self.twins) < 5)
    @rule(which=_WHICH, rerun=st.booleans(), twice=st.booleans(), idle=st.booleans())
    def put(self, which: int, rerun: bool, twice: bool, idle: bool) -> None:
        if idle and not any(twin.present for twin in self.twins):  # somebody waits for it
            self.store.run("step", self.holders[which % 2], 1, 0, *_KEEP, _CODE, 1, _QUEUE)
        twin, call, nonce = self.twins[which % 2], token_hex(16), self.store.nonce()
        for _ in range(1 + twice):  # the same message again, whose reply was lost
            assert self._put(call, twin, rerun, nonce) == 1
        self.calls[call] = twin, rerun
        twin.box.append(call)
        if not twin.alive:
            twin.over()
        elif not twin.present:
            twin.next()

    @precondition(lambda self: self.calls)
    @rule(which=_WHICH)
    def put_again(self, which: int) -> None:
        call = self._any_call(which)
        assert self._put(call, *self.calls[call]) == 0
        assert self._put(call, self.twins[which % 2], True) == 0  # wherever it is sent

    @precondition(lambda self: len(self._running()) < sum(bool(twin.present) for twin in self.twins))
    @rule()
    def claim(self) -> None:
        holder = next(holder for holder in self.holders if not self._held(holder))
        self.store.run("step", holder, 1, 0, *_KEEP, _CODE, 1, _QUEUE)
        assert self._held(holder)

    @precondition(lambda self: bool(self._running()))
    @rule(which=_WHICH, state=st.sampled_from(["done", "failed"]), twice=st.booleans())
    def settle(self, which: int, state: str, twice: bool) -> None:
        twin = self._running()[which % len(self._running())]
        holder, number = self._holder(twin), self._number(twin)
        serial = self.store.command("HGET", self.store.key(f"p:{number}"), "mi").decode()
        words = (number, "end", state, f"{state} {twin.present}", f"#{serial}")
        for _ in range(1 + twice):  # the same message again: the next call is not touched by it
            answer = self.store.run("step", holder, 0, 0, *_KEEP, _CODE, 1, _QUEUE, *words)
            assert answer[0] == []
        self._settled(twin, state)

    @precondition(lambda self: bool(self._running()))
    @rule(which=_WHICH, times=st.integers(1, DELIVERIES))
    def crash(self, which: int, times: int) -> None:
        twin = self._running()[which % len(self._running())]
        call = twin.present
        for _ in range(times):
            holder = self._holder(twin)
            self.member.bury(holder, self._number(twin))
            self.holders[self.holders.index(holder)] = self.member.enlist(_CODE, [_QUEUE])
            self._crashed(twin)
            if twin.present != call:
                return
            while not self._holder(twin):  # by the other holder, or by the new one
                self.claim()

    def _crashed(self, twin: Twin) -> None:
        _, rerun = self.calls[twin.present]
        twin.deliveries += 1
        state = "aborted" if twin.aborted else "" if rerun else "lost"
        state = state or ("dead" if twin.deliveries >= DELIVERIES else "")
        if state:
            self._end(twin.present, state)
            twin.over()

    @precondition(lambda self: any(twin.alive for twin in self.twins) and len(self.ends) > 1)
    @rule(which=_WHICH)
    def abort(self, which: int) -> None:
        alive = [twin for twin in self.twins if twin.alive]
        twin = alive[which % len(alive)]
        how, *_ = self.store.run("abort", self.store.nonce(), self._number(twin), "me", "why", "", 7200)
        if how == b"removed":
            self._end(twin.present, "aborted")
            twin.over()
        else:
            twin.aborted = True

    @precondition(lambda self: any(twin.alive for twin in self.twins))
    @rule(which=_WHICH)
    def end_twin(self, which: int) -> None:
        twin, nonce = self.twins[which % 2], self.store.nonce()
        held, number = self._holder(twin), self._number(twin)
        for _ in range(2):
            assert self.store.run("kill_box", nonce, self._box(twin), 0, 3600, "closed") == int(bool(number))
        for call in twin.box:
            self._end(call, "aborted")
        twin.box.clear()
        if held:
            twin.ending = True
        elif number:
            self._end(twin.present, "aborted")
            twin.over()

    @precondition(lambda self: self.ends)
    @rule(which=_WHICH)
    def forget(self, which: int) -> None:
        call = self._any_call(which)
        ended = self.store.run("forget_calls", self.session, 600_000, call)
        assert ended == int(call in self.ends)
        if ended:
            self.forgotten.add(call)

    # -- what is true at any time

    @invariant()
    def each_call_stands_as_the_model_says(self) -> None:
        for call in self.calls:
            answer: Any = self.store.run("watch_call", call, self.session, "client 1")
            if call not in self.ends:
                assert answer is None
                continue
            state, payload = answer
            assert state.decode() == self.ends[call]
            told = payload.decode(errors="replace")
            if call in self.forgotten:
                assert told == ""
            elif state in (b"done", b"failed"):
                assert told == f"{state.decode()} {call}"  # its own, and of no other
            else:
                assert msgspec.msgpack.decode(payload)["type"].startswith("Process")

    @invariant()
    def each_twin_works_off_its_own_calls_in_order(self) -> None:
        for twin in self.twins:
            assert bool(self._number(twin)) == twin.alive
            waiting = self.store.command("LRANGE", self.store.key(f"box:{self._box(twin)}"), 0, -1)
            assert [msgspec.msgpack.decode(call)[4] for call in waiting] == twin.box
            found = self.store.command("HMGET", self.store.key(f"p:{self._number(twin)}"), "ci", "b", "n")
            present, body, name = ((text or b"").decode() for text in found)
            assert present == twin.present
            if present:
                assert (body, name) == (present, "Main")


def tried(address: Address, examples: int) -> None:
    run_state_machine_as_test(
        type("Machine", (TwinMachine,), {"address": address}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_any_order_of_events(redis_address: Address) -> None:
    tried(redis_address, 30)


@pytest.mark.long
def test_any_order_of_events_many_times(redis_address: Address) -> None:
    tried(redis_address, 2000)
