"""Side runs: who is told of one, who gets it, and what becomes of it when its worker dies or goes."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, SystemEvent, procedure
from onserver.cluster.member import Member
from onserver.errors import BadDeclaration, MemberFenced
from onserver.life.epoch import leaving, open_epoch, run_epoch, stop_epoch
from onserver.life.hook import SYSTEM_EVENT, Hook
from onserver.life.hook_records import Noting, read_runs
from onserver.life.side_runs import Where, start_side
from onserver.process.claim import Claim
from onserver.process.gates import pause_all
from onserver.process.maintenance import begin_maintenance
from onserver.process.record import State, read_record
from onserver.process.side import runnable_aside
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.session.context import Run, entered
from onserver.views.processes import Seen
from tests.inline_worker import make_server

CODE, HEARD = "c0de", "on_system_event:shop.heard"
EVENT = SystemEvent(code=2, name="foreground")
HOOK = Hook(SYSTEM_EVENT, lambda _: None, "shop.heard", None)


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


def join(server: Server, node: str) -> Member:
    member = Member.join(server.store, server.settings, "worker", node)
    member.register(CODE, {HEARD: ""})
    open_epoch(member, keep_storage=False)
    return member


@pytest.fixture
def two(server: Server) -> tuple[Member, Member]:
    """Two workers of a server that runs."""
    made = join(server, "one"), join(server, "two")
    run_epoch(server.store, 1)
    for member in made:
        orders(member)
    return made


def orders(member: Member) -> list[str]:
    """What the member is told, once."""
    key = member.store.key(f"orders:{member.number}")
    found = member.store.command("LPOP", key, 1000) or []
    return [order.decode() for order in found]


def start(server: Server, where: Where = "once", member: int | None = None) -> list[int]:
    return start_side(server, HOOK, [EVENT], where=where, member=member)


def take(member: Member) -> tuple[str, Claim] | None:
    taken = member.take_side(CODE)
    return None if taken is None else (taken[0], Claim.read(taken[1]))


def taken(member: Member) -> tuple[str, Claim]:
    found = take(member)
    assert found is not None
    return found


def state(server: Server, number: int) -> State:
    record = read_record(server.store, number)
    assert record is not None
    return record.state


# ---- who is told, and who gets it


def test_one_that_leaves_while_others_stay_takes_only_what_no_other_can_run(
    server: Server, two: tuple[Member, Member]
) -> None:
    leaving(two[0])
    [number], [own] = start(server), start(server, "here", two[0].number)
    assert taken(two[0])[1].number == own
    assert take(two[0]) is None
    leaving(two[1])  # now nobody stays: whoever is there takes it
    assert taken(two[0])[1].number == number


def test_one_worker_is_told_and_every_beat_tells(server: Server, two: tuple[Member, Member]) -> None:
    assert [member.beat().sides for member in two] == [False, False]
    [number] = start(server)
    assert sorted(orders(two[0]) + orders(two[1])) == ["side"]
    assert [member.beat().sides for member in two] == [True, True]
    _, claim = taken(two[0])
    assert (claim.number, claim.procedure, claim.root, claim.side, claim.lean) == (number, HEARD, number, True, True)
    assert take(two[1]) is None
    assert [member.beat().sides for member in two] == [False, False]


def test_a_client_is_told_of_none(server: Server, two: tuple[Member, Member]) -> None:
    start(server)
    client = Member.join(server.store, server.settings, "client", "shell")
    assert not client.beat().sides


def test_one_for_a_member_is_told_and_given_to_no_other(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server, "here", two[1].number)
    assert (orders(two[0]), orders(two[1])) == ([], ["side"])
    assert [member.beat().sides for member in two] == [False, True]
    assert take(two[0]) is None
    assert taken(two[1])[1].number == number


def test_for_every_worker_there_is_one(server: Server, two: tuple[Member, Member]) -> None:
    numbers = start(server, "every")
    assert len(numbers) == 2
    assert {taken(member)[1].number for member in two} == set(numbers)


def test_for_a_member_that_is_gone_there_is_none(server: Server, two: tuple[Member, Member]) -> None:
    two[1].leave()
    assert start(server, "here", two[1].number) == []
    with pytest.raises(ValueError, match="no process is running here"):
        start(server, "here")


def test_of_two_workers_at_once_one_gets_each(server: Server, two: tuple[Member, Member]) -> None:
    numbers = [start(server)[0] for _ in range(40)]
    begin, got = threading.Barrier(2), list[int]()

    def takes(member: Member) -> None:
        begin.wait(20)
        while (found := take(member)) is not None:
            got.append(found[1].number)

    threads = [threading.Thread(target=takes, args=(member,)) for member in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == numbers


def test_what_a_code_cannot_run_it_does_not_take(server: Server, two: tuple[Member, Member]) -> None:
    start(server)
    two[0].register("0lder", {"on_system_event:shop.other": ""})
    assert two[0].take_side("0lder") is None
    assert take(two[0]) is not None


def test_whether_anybody_has_it_is_known_before(server: Server, two: tuple[Member, Member]) -> None:
    assert not runnable_aside(server.store, HEARD)  # nobody runs that code yet
    two[0].enlist(CODE, ["default"])
    assert runnable_aside(server.store, HEARD)
    assert not runnable_aside(server.store, "on_system_event:shop.other")


def test_words_that_are_sent_again_do_nothing_again(server: Server, two: tuple[Member, Member]) -> None:
    store, nonce = server.store, server.store.nonce()
    words = (nonce, "", store.now_ms(), "once", "t", HEARD, "b", b"\x92\x90\x80")
    assert store.run("put_side", *words) == store.run("put_side", *words) == 1
    again = (store.nonce(), two[0].number, CODE)
    first = store.run("take_side", *again)
    assert first == store.run("take_side", *again)
    assert take(two[1]) is None
    assert store.command("SCARD", store.key("live")) == 1


# ---- it is admitted always


def test_it_is_admitted_in_every_state(server: Server) -> None:
    waits = start(server)  # before there is any worker
    member = join(server, "one")
    assert [taken(member)[1].number] == waits  # starting
    for change in (
        lambda: run_epoch(server.store, 1),
        lambda: pause_all(server),
        lambda: begin_maintenance("moving house"),
        lambda: stop_epoch(server.store),
    ):
        change()
        numbers = start(server)
        assert [taken(member)[1].number] == numbers


def test_nobody_else_can_wait_there() -> None:
    with pytest.raises(BadDeclaration, match="cannot wait in queue '!once'"):

        @procedure(queue="!once")
        def sneaks() -> None: ...


def test_no_procedure_is_named_like_the_frameworks_own() -> None:
    with pytest.raises(BadDeclaration, match=r"begins with `onserver\.`"):

        @procedure(name="onserver.backup")
        def sneaks() -> None: ...


def test_ps_says_for_whom_one_waits(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server)
    [there] = start(server, "here", two[1].number)

    def seen() -> list[tuple[str, str, str]]:
        return [(row.kind, row.state, row.why) for row in Seen(server.store).rows([number, there])]

    assert seen() == [("side", "queued", f"no worker has `{HEARD}`")] * 2
    two[0].enlist(CODE, ["default"])
    where = ["waits for a worker", f"waits for worker {two[1].number}"]
    assert seen() == [("side", "queued", why) for why in where]


# ---- when its worker dies or goes


def note(server: Server, claim: Claim, holder: str) -> None:
    """Be within a hook in place, as far as its record goes."""
    run = Run(number=claim.number, delivery=claim.deliveries + 1, holder=holder, procedure=claim.procedure,
              name="", root=claim.root, session=server.session(), caller=None, started=0.0)  # fmt: skip
    with entered(run):
        Noting(server, SYSTEM_EVENT, HOOK).begins()


def test_one_whose_runner_was_killed_is_given_to_another_worker(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server)
    orders(two[0]), orders(two[1])
    holder, claim = taken(two[0])
    note(server, claim, holder)
    two[0].bury(holder, number)
    assert sorted(orders(two[0]) + orders(two[1])) == ["side"]
    _, again = taken(two[1])
    assert (again.number, again.deliveries, again.begun) == (number, 1, True)
    [run] = read_runs(server.store)
    assert (run.hook, run.number, run.attempt, run.worker, run.outcome) == ("shop.heard", number, 1, "one", "died")


def test_one_that_was_ended_from_outside_runs_again_uncounted(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server)
    holder, claim = taken(two[0])
    note(server, claim, holder)
    two[0].bury(holder, number, counted=False)
    assert taken(two[1])[1].deliveries == 0
    assert [(run.outcome, run.attempt) for run in read_runs(server.store)] == [("cut", 1)]


def test_one_whose_worker_was_declared_dead_is_given_to_another(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server)
    taken(two[0])
    server.store.run("bury_member", two[0].number, 3, 60, "its program has ended", "")
    assert taken(two[1])[1].number == number
    with pytest.raises(MemberFenced):
        two[0].take_side(CODE)


def test_one_that_kills_its_runner_each_time_is_dead_and_can_be_replayed(
    server: Server, two: tuple[Member, Member]
) -> None:
    [number] = start(server)
    for _ in range(server.settings.process.deliveries):
        holder, _claim = taken(two[0])
        two[0].bury(holder, number)
    assert state(server, number) == State.DEAD
    assert take(two[1]) is None
    assert Process[Any](server, number).replay().level == "queued"
    assert taken(two[1])[1].number == number


def test_one_that_may_not_run_again_is_lost(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start_side(server, HOOK, [EVENT], rerun=False)
    holder, _ = taken(two[0])
    two[0].bury(holder, number)
    assert state(server, number) == State.LOST


def test_what_waits_for_a_member_is_lost_when_it_leaves(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server, "here", two[1].number)
    two[1].leave()
    assert state(server, number) == State.LOST
    assert not server.store.command("EXISTS", server.store.key(f"r:!{two[1].number}"))
    assert not server.store.command("SISMEMBER", server.store.key("queues"), f"!{two[1].number}")


def test_what_waits_for_a_member_or_runs_there_is_lost_when_it_dies(server: Server, two: tuple[Member, Member]) -> None:
    runs, waits = start(server, "here", two[1].number)[0], start(server, "here", two[1].number)[0]
    assert taken(two[1])[1].number == runs
    left = 1
    while left:
        _, left = server.store.run("bury_member", two[1].number, 3, 60, "its program has ended", "")
    assert (state(server, runs), state(server, waits)) == (State.LOST, State.LOST)
    assert not server.store.command("KEYS", server.store.key(f"*!{two[1].number}*"))


def test_one_that_is_aborted_before_it_began_is_gone(server: Server, two: tuple[Member, Member]) -> None:
    [number] = start(server)
    Process[Any](server, number).abort()
    assert state(server, number) == State.ABORTED
    assert take(two[0]) is None
    assert not two[0].beat().sides


def test_nothing_is_left_behind(server: Server, two: tuple[Member, Member]) -> None:
    for _ in range(3):
        start(server, "every")
    for member in two:
        while (found := take(member)) is not None:
            member.bury(found[0], found[1].number, counted=False)
            member.store.run("abort", member.store.nonce(), found[1].number, "ann", "", "", 60)
    assert find_orphans(server.store) == []
