"""Every order of events, drawn at random: the scripts on a real Redis against the pure model of `process_model`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from onserver.cluster.member import Member
from onserver.cluster.sweep import release_due
from onserver.life.epoch import open_epoch, run_epoch
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.store import Store
from onserver.session.lock import Ticket, new_ticket
from onserver.settings import Settings
from onserver.testing.cluster import drop_keys
from tests.process_model import DELIVERIES, ENDED, KEYS, Model, Proc

_WHICH = st.integers(0, 99)
_KEEP = (3600, 7200, DELIVERIES)
_CODE, _QUEUE, _PROCEDURE = "c0de", "default", "jobs.one"
#: A failing order of events is made shorter, which takes minutes: for whoever looks into it.
SHRINK = "ONSERVER_TEST_SHRINK" in os.environ


class ProcessMachine(RuleBasedStateMachine):
    """One server with three holders."""

    address: Address

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.address, f"m{uuid4().hex[:8]}", testing=True)
        project = Settings(name=self.store.name)
        self.member = Member.join(self.store, project, "worker", "model")
        self.member.register(_CODE, {_PROCEDURE: "{}"})
        run_epoch(self.store, open_epoch(self.member, keep_storage=False).epoch.number)
        self.model = Model(self._holder_of)
        self.tickets: dict[tuple[int, str], Ticket] = {}
        for _ in range(3):
            self.model.holders[self._enlist()] = 0

    def teardown(self) -> None:
        try:
            for holder, number in list(self.model.holders.items()):
                self.member.bury(holder, number)
            self.member.leave()
            orphans = [str(orphan) for orphan in find_orphans(self.store)]
            assert orphans == []
        finally:
            drop_keys(self.store)
            self.store.close()

    # -- helpers

    def _enlist(self) -> str:
        return self.member.enlist(_CODE, [_QUEUE])

    def _holder_of(self, number: int) -> str:
        return (self.store.command("HGET", self.store.key(f"p:{number}"), "o") or b"").decode()

    def _one(self, which: int) -> Proc:
        processes = list(self.model.processes.values())
        return processes[which % len(processes)]

    def _busy(self, which: int, *states: str) -> str:
        found = sorted(self.model.at(*(states or ("running", "waiting"))), key=lambda process: process.number)
        return found[which % len(found)].holder

    def _holders(self) -> list[tuple[int, bool, str]]:
        """Number held, whether it waits, name: in an order that does not depend on whom Redis chose among equals."""
        model = self.model
        return sorted((number, holder in model.idle, holder) for holder, number in model.holders.items())

    def _owner(self, process: Proc) -> str:
        return f"{process.holder}/{process.number}.{process.deliveries + 1}"

    def _step(self, holder: str, claim: int, *words: Any) -> list[Any]:
        answer = self.store.run("step", holder, claim, 0, *_KEEP, _CODE, 1, _QUEUE, *words)
        assert answer[0] == []
        return list(answer[3:])

    def _clock(self) -> int:
        seconds, micros = self.store.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000 + int(self.store.command("GET", self.store.key("clock")) or 0)

    def _order(self, verb: str, process: Proc, *words: Any) -> str:
        how, _, _ = self.store.run(verb, self.store.nonce(), process.number, *words)
        return str(how.decode())

    # -- rules

    @rule(rerun=st.booleans(), delayed=st.booleans(), name=st.sampled_from(["", "", "one"]))
    def submit(self, rerun: bool, delayed: bool, name: str) -> None:
        clock = self._clock()
        due = clock + 3_600_000 if delayed else 0
        fields = ["t", _PROCEDURE, "b", "\x92\x90\x80", *(() if rerun else ("v", "R"))]
        number, how, served = self.store.run(
            "put", self.store.nonce(), "", clock, _QUEUE, 5, due, name, "1" if name else "", "", "", 0, *fields
        )
        live = self.model.named(name)
        assert (how, served) == (b"live" if live else b"new", b"ok")
        if live is None:
            self.model.submit(number, rerun=rerun, due=self.model.now + 3_600_000 if delayed else 0, name=name)
        else:
            assert number == live.number

    @precondition(lambda self: 0 in self.model.holders.values())
    @rule(which=_WHICH)
    def claim(self, which: int) -> None:
        free = [holder for number, _, holder in self._holders() if not number]
        holder = free[which % len(free)]
        messages = self._step(holder, 1)
        expected = self.model.claim(holder)
        assert [int(message[0]) for message in messages] == ([] if expected is None else [expected.number])

    @precondition(lambda self: self.model.at("running"))
    @rule(which=_WHICH, failed=st.booleans())
    def settle(self, which: int, failed: bool) -> None:
        holder = self._busy(which, "running")
        process = self.model.processes[self.model.holders[holder]]
        if not failed:
            for key in list(self.model.held_by(process.number)):
                self._unlock(process, key)
        words = (process.number, "end", "failed" if failed else "done", b"\xa1x", "")
        self._step(holder, 0, *words)
        self.model.end(holder, "failed" if failed else "done")
        self._step(holder, 0, *words)  # its reply was lost, and it is sent again: nothing changes

    @precondition(lambda self: self.model.at("running"))
    @rule(which=_WHICH, later=st.booleans())
    def retry(self, which: int, later: bool) -> None:
        holder = self._busy(which, "running")
        process = self.model.processes[self.model.holders[holder]]
        delay = 3_600_000 if later else 0
        words = (process.number, "retry", f"{process.attempts + 1} {delay} ValueError no", b"\xa1x", "")
        self._step(holder, 0, *words)
        self.model.retry(holder, self.model.now + delay if later else 0)
        if not process.holder:  # its reply was lost, and it is sent again: nothing changes
            self._step(holder, 0, *words)

    @precondition(lambda self: self.model.at("running", "waiting"))
    @rule(which=_WHICH)
    def hand_back(self, which: int) -> None:
        holder = self._busy(which)
        number = self.model.holders[holder]
        self._step(holder, 0, number, "back", "", "", "begun")
        self.model.give_back(holder)

    @precondition(lambda self: self.model.holders)
    @rule(which=_WHICH)
    def crash(self, which: int) -> None:
        found = self._holders()
        number, _, holder = found[which % len(found)]
        self.member.bury(holder, number, counted=True)
        self.model.crash(holder, self._enlist())

    @rule(minutes=st.sampled_from([1, 61]))
    def tick(self, minutes: int) -> None:
        self.store.command("INCRBY", self.store.key("clock"), minutes * 60_000)
        release_due(self.member)
        self.model.tick(minutes * 60_000)

    @precondition(lambda self: self.model.processes)
    @rule(which=_WHICH)
    def abort(self, which: int) -> None:
        process = self._one(which)
        assert self._order("abort", process, "ann", "because", "", 7200) == self.model.abort(process)

    @precondition(lambda self: self.model.processes)
    @rule(which=_WHICH)
    def pause(self, which: int) -> None:
        process = self._one(which)
        assert self._order("pause", process, "ann") == self.model.pause(process)

    @precondition(lambda self: self.model.processes)
    @rule(which=_WHICH)
    def resume(self, which: int) -> None:
        process = self._one(which)
        assert self._order("resume", process, 7200) == self.model.resume(process)

    @precondition(lambda self: self.model.at(*ENDED))
    @rule(which=_WHICH)
    def replay(self, which: int) -> None:
        ended = self.model.at(*ENDED)
        process = ended[which % len(ended)]
        assert self._order("replay", process, "ann") == self.model.replay(process)

    @precondition(lambda self: self.model.at("running"))
    @rule(which=_WHICH)
    def wait_for_signal(self, which: int) -> None:
        process = self.model.processes[self.model.holders[self._busy(which, "running")]]
        ticket = new_ticket(self._owner(process), 0.0)
        answer = self.store.run("wait_signal", "bell", str(ticket), "bell", 60_000)
        assert (answer is None) == self.model.listen(process)

    @rule()
    def trigger_signal(self) -> None:
        assert self.store.run("trigger_signal", "bell", self.store.nonce(), 10**9) == self.model.trigger()

    @rule()
    def reset_signal(self) -> None:
        self.store.run("reset_signal", "bell")
        self.model.signaled = False

    @precondition(lambda self: self.model.at("running"))
    @rule(which=_WHICH, key=st.sampled_from(KEYS))
    def lock(self, which: int, key: str) -> None:
        process = self.model.processes[self.model.holders[self._busy(which, "running")]]
        owner = self._owner(process)
        if process.number != self.model.locks[key].owner:
            self.tickets[process.number, key] = new_ticket(owner, 0.0)
        answer = self.store.run("lock", "st:", key, str(self.tickets[process.number, key]))
        assert answer[0].decode() == self.model.lock(process, key)

    @precondition(lambda self: self.model.at("running", "waiting"))
    @rule(which=_WHICH, key=st.sampled_from(KEYS))
    def unlock(self, which: int, key: str) -> None:
        process = self.model.processes[self.model.holders[self._busy(which)]]
        if (process.number, key) in self.tickets:
            self._unlock(process, key)

    def _unlock(self, process: Proc, key: str) -> None:
        self.store.run("unlock", "st:", key, str(self.tickets[process.number, key]))
        self.model.unlock(process, key)

    # -- what always holds

    @invariant()
    def records_are_as_the_model_says(self) -> None:
        numbers = list(self.model.processes)
        records = self.store.pipeline(
            [("HMGET", self.store.key(f"p:{number}"), "s", "o", "d", "tr") for number in numbers]
        )
        for number, (state, holder, deliveries, attempts) in zip(numbers, records, strict=True):
            process = self.model.processes[number]
            found = (state.decode(), (holder or b"").decode(), int(deliveries or 0), int(attempts or 0))
            assert found == (process.state, process.holder, process.deliveries, process.attempts), f"#{number}"

    @invariant()
    def every_process_is_in_one_place(self) -> None:
        key = self.store.key
        queued = self.store.command("ZRANGE", key(f"line:q {_QUEUE} {_PROCEDURE}"), 0, -1)
        assert sorted(map(int, queued)) == sorted(process.number for process in self.model.at("queued"))
        due = self.store.command("ZRANGE", key("due"), 0, -1)
        assert sorted(map(int, due)) == sorted(process.number for process in self.model.at("delayed"))
        resting = self.store.command("ZRANGE", key("resting"), 0, -1)
        assert sorted(map(int, resting)) == sorted(one.number for one in self.model.at("paused") if not one.holder)
        for holder, number in self.model.holders.items():
            held = [int(one) for one in self.store.command("LRANGE", key(f"held:{holder}"), 0, -1)]
            assert held == ([number] if number else [])
        idle = {holder.decode() for holder in self.store.command("SMEMBERS", key(f"idle:{_QUEUE}:{_CODE}"))}
        assert idle == self.model.idle

    @invariant()
    def what_is_alive_is_said_as_it_is(self) -> None:
        key = self.store.key
        said, queue = self.store.command("HMGET", key("server"), "codes", f"q:{_QUEUE}")
        assert sorted((said or b"").split()) == sorted(self.store.command("HKEYS", key("codes")))
        assert (queue == b"1") == bool(self.store.command("EXISTS", key(f"serve:{_QUEUE}")))

    @invariant()
    def locks_are_whose_the_model_says(self) -> None:
        for name, lock in self.model.locks.items():
            owner = (self.store.command("HGET", self.store.key(f"st:l:{name}"), "o") or b"").decode()
            assert owner.partition("/")[2].partition(".")[0] == (str(lock.owner) if lock.owner else "")
            line = self.store.command("ZRANGE", self.store.key(f"st:w:{name}"), 0, -1)
            owners = [ticket.decode().split()[1] for ticket in line]
            assert [int(owner.partition("/")[2].partition(".")[0]) for owner in owners] == lock.line


@contextmanager
def machine_on(address: Address) -> Iterator[type[ProcessMachine]]:
    yield type("Machine", (ProcessMachine,), {"address": address})


def tried(address: Address, examples: int) -> None:
    with machine_on(address) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINK else [])],
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_any_order_of_events(redis_address: Address) -> None:
    tried(redis_address, 200)


@pytest.mark.long
def test_any_order_of_events_many_times(redis_address: Address) -> None:
    tried(redis_address, 5000)
