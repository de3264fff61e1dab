import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.redis.address import Address, unix_address
from onserver.redis.answers import Lost, OutOfMemory, Refused, ScriptRefused, Silent
from onserver.redis.embedded import Embedded
from onserver.redis.link import Link
from onserver.redis.row import run_each
from onserver.redis.scripts import Script, assemble, read_fragment
from onserver.redis.search import find_server
from onserver.redis.store import LAYOUT, Store
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.testing.wait import wait_for

#: What ends at a deadline ends long before this; what missed it would wait for its connection's 60 s or for ever.
SOON = 20.0

# A write that may be sent twice, as every script must be: its nonce brings the first answer back.
_COUNT = assemble(
    "count",
    "-- include: prefix once\nlocal kept = answered(ARGV[1]) if kept then return kept end\n"
    "return answer(ARGV[1], redis.call('INCR', T .. 'name:t'))",
)
_READ = assemble("read", "-- include: prefix\n-- flags: no-writes\nreturn redis.call('GET', T .. 'name:t')")
_NOW = "-- include: prefix\nreturn now()"
_GUARDED = assemble("guarded", "-- include: prefix\nlocal no = guard(ARGV[1]) if no then return no end return 1")


@pytest.fixture
def through(proxy: Proxy) -> Iterator[Store]:
    """A store behind the proxy."""
    with Store(proxy.address, f"t{uuid4().hex[:8]}", connect_seconds=20, command_seconds=60) as store:
        store.run(_COUNT, "")
        yield store


def _is_script(words: Words) -> bool:
    return words[0] in RUNS


def test_slow_answers_do_not_move_the_clock_of_redis(proxy: Proxy) -> None:
    with Store(proxy.address, f"t{uuid4().hex[:8]}", connect_seconds=20, command_seconds=60) as store:
        store.command("PING")
        assert store._ahead == 0  # it goes by the clock of this machine
        proxy.delay(0.05)
        with store.link() as slow:
            slow.command("PING")
        assert store._ahead == 0
        for seconds in (2, -2):
            store._ahead += seconds
            with store.link() as slow:
                slow.command("PING")
            assert -1 < store._ahead < 1


def test_a_store_knows_its_server(store: Store) -> None:
    before = time.time()
    assert store.prefix == f"{{onserver:{store.name}}}:"
    assert store.key("p:1") == f"{{onserver:{store.name}}}:p:1"
    assert len(store.birth) == 15
    int(store.birth, 16)
    assert store.layout == LAYOUT
    again = Store(store.address, store.name)
    assert again.birth == store.birth
    assert before - 1 < store.now_ms() / 1000 < time.time() + 1
    again.close()


def test_nonces_are_unique_in_programs_threads_and_children(store: Store) -> None:
    nonces = [store.nonce() for _ in range(1000)]
    threads = [threading.Thread(target=lambda: nonces.extend(store.nonce() for _ in range(1000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, store.nonce().encode())
        os._exit(0)
    os.waitpid(child, 0)
    nonces.append(os.read(read, 100).decode())
    os.close(read)
    os.close(write)
    assert len(set(nonces)) == 5001


def test_the_guard_refuses_who_is_not_alive(store: Store) -> None:
    with pytest.raises(MemberFenced) as fenced:
        store.run(_GUARDED, "1.1")
    assert fenced.value.member == "1.1"
    store.command("SADD", store.key("live"), "1.1")
    assert store.run(_GUARDED, "1.1") == 1


def test_tests_can_move_the_clock_on(store: Store) -> None:
    plain, testing = assemble("now", _NOW), assemble("now", _NOW, testing=True)
    store.command("SET", store.key("clock"), 60_000)
    before = store.run(plain)
    moved = store.run(testing)
    assert before + 60_000 <= moved <= store.run(plain) + 60_000


def test_a_lost_reply_is_asked_for_again_with_the_same_bytes(through: Store, proxy: Proxy) -> None:
    proxy.swallow_reply(matching=_is_script)
    assert through.run(_COUNT, through.nonce()) == 2
    assert proxy.broken == 1
    first, second = [words for words in proxy.commands if _is_script(words) and words[1] == _COUNT.sha][-2:]
    assert first == second
    assert through.run(_READ) == b"2"


@pytest.mark.parametrize("after", [0, 1, 50, 100])
def test_a_request_that_was_cut_is_sent_again(through: Store, proxy: Proxy, after: int) -> None:
    proxy.cut_request(after)
    assert through.run(_COUNT, through.nonce()) == 2


def test_a_connection_that_is_half_open_is_left_before_the_deadline(through: Store, proxy: Proxy) -> None:
    proxy.black_hole(new=False)
    assert through.run(_COUNT, through.nonce(), deadline=4) == 2


def test_a_black_hole_ends_in_a_named_error(through: Store, proxy: Proxy) -> None:
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable) as unavailable:
        through.run(_COUNT, through.nonce(), deadline=2)
    assert 2 <= time.monotonic() - began < SOON
    assert isinstance(unavailable.value.__cause__, Silent)
    assert unavailable.value.address == proxy.address.describe()
    assert unavailable.value.tries >= 2
    proxy.heal()
    assert through.run(_READ) == b"1"


def test_refused_is_tried_three_times_and_ends_in_a_named_error(through: Store, proxy: Proxy) -> None:
    through.on_refused.append(lambda: told.append(1))
    told: list[int] = []
    proxy.refuse()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="refused the connection") as unavailable:
        through.run(_READ, deadline=0.5)
    assert 0.5 <= time.monotonic() - began < SOON
    assert unavailable.value.tries >= 3
    assert isinstance(unavailable.value.__cause__, Refused)
    assert told == [1]
    proxy.heal()
    assert through.run(_READ) == b"1"


def test_a_redis_that_comes_back_in_time_is_no_error(through: Store, proxy: Proxy) -> None:
    proxy.refuse()
    refused = threading.Event()
    through.on_refused.append(refused.set)

    def heal() -> None:
        refused.wait(SOON)
        proxy.heal()

    healer = threading.Thread(target=heal)
    healer.start()
    assert through.run(_READ) == b"1"
    healer.join()


def test_a_deadline_of_the_callers_own_holds(through: Store, proxy: Proxy) -> None:
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        through.run(_READ, deadline=0.2)
    assert 0.2 <= time.monotonic() - began < SOON


def test_reset_connections_are_made_again(through: Store, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.reset()
        assert through.command("PING") == b"PONG"
        assert through.pipeline([("PING",), ("ECHO", 1)]) == [b"PONG", b"1"]


def test_client_kill_and_script_flush_are_survived(store: Store, redis_address: Address) -> None:
    assert store.run(_COUNT, "") == 1
    with Link(redis_address) as other:
        other.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        other.command("SCRIPT", "FLUSH")
    assert store.run(_COUNT, "") == 2


def test_out_of_memory_is_named_at_once_and_ending_still_works(tmp_path_factory: pytest.TempPathFactory) -> None:
    from_here = assemble(
        "free", "-- include: prefix\n-- flags: allow-oom\nreturn redis.call('SET', T .. 'name:f', '1')"
    )
    with _own_server(tmp_path_factory) as store:
        store.run(_COUNT, "")
        store.command("CONFIG", "SET", "maxmemory", "1mb")
        began = time.monotonic()
        with pytest.raises(OutOfMemory, match="maxmemory") as full:
            store.run(_COUNT, store.nonce())
        assert time.monotonic() - began < SOON
        assert full.value.answered
        assert "onserver dev" not in str(full.value)
        assert store.run(from_here) == b"OK"
        assert store.run(_READ) == b"1"
        store.close()
        with pytest.raises(OutOfMemory):
            store.run(_COUNT, store.nonce())


def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    command = [str(find_server().path), "--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--save", "", "--enable-debug-command", "yes"], stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(socket.exists)
            with Store(unix_address(str(socket)), "own", command_seconds=60) as store, store.link() as slow:
                store.pipeline([("SET", store.key(f"name:{n}"), n) for n in range(2000)])
                store.command("CONFIG", "SET", "key-load-delay", "300")
                store.command("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
                slow.send("DEBUG", "RELOAD")
                assert store.run(_COUNT, "") == 1
                assert slow.receive(60) == b"OK"
        finally:
            server.kill()


def told_of(store: Store, count: int, told: list[str]) -> Iterator[list[str]]:
    """Arguments for `_COUNT`, of which is told when they are asked for."""
    for n in range(count):
        told.append(f"asked {n}")
        yield [store.nonce()]


def test_each_of_a_row_is_sent_before_the_last_is_answered(store: Store) -> None:
    store.run(_COUNT, "")
    told: list[str] = []
    for n, answer in enumerate(run_each(store, _COUNT, told_of(store, 3, told))):
        told.append(f"heard {n}: {answer}")
    assert told == ["asked 0", "asked 1", "heard 0: 2", "asked 2", "heard 1: 3", "heard 2: 4"]
    assert list(run_each(store, _COUNT, [])) == []
    assert list(run_each(store, _COUNT, [[store.nonce()]])) == [5]


@pytest.mark.parametrize("nth", [1, 2, 5, 9])
def test_a_reply_of_a_row_that_is_lost_is_asked_for_again(through: Store, proxy: Proxy, nth: int) -> None:
    proxy.swallow_reply(nth, matching=lambda words: _is_script(words) and words[1] == _COUNT.sha)
    assert list(run_each(through, _COUNT, [[through.nonce()] for _ in range(9)])) == list(range(2, 11))
    assert proxy.broken == 1


@pytest.mark.parametrize("nth", [1, 4])
def test_a_row_whose_connection_falls_silent_goes_on_by_another(redis_address: Address, proxy: Proxy, nth: int) -> None:
    with Store(proxy.address, f"t{uuid4().hex[:8]}", connect_seconds=20, command_seconds=3) as store:
        store.run(_COUNT, "")
        proxy.swallow_reply(nth, matching=lambda words: _is_script(words) and words[1] == _COUNT.sha, cut=False)
        assert list(run_each(store, _COUNT, [[store.nonce()] for _ in range(6)])) == list(range(2, 8))
        assert proxy.broken == 1


def test_a_row_of_a_script_that_redis_has_forgotten(store: Store) -> None:
    assert list(run_each(store, _COUNT, [[store.nonce()] for _ in range(4)])) == [1, 2, 3, 4]

    def forgotten() -> Iterator[list[str]]:
        for n in range(6):
            if n == 3:
                store.command("SCRIPT", "FLUSH")
            yield [store.nonce()]

    assert list(run_each(store, _COUNT, forgotten())) == list(range(5, 11))


def test_what_is_refused_in_a_row_is_told_in_its_place(store: Store) -> None:
    odd = assemble("odd", "if ARGV[1] % 2 == 1 then return redis.error_reply('ONS 4106 odd') end return ARGV[1]")
    store.run(odd, 0)
    answers = list(run_each(store, odd, [[n] for n in range(5)]))
    assert [str(answer.rest) if isinstance(answer, ScriptRefused) else answer for answer in answers] == [
        b"0", "4106 odd", b"2", "4106 odd", b"4",
    ]  # fmt: skip


def test_who_asks_for_no_more_of_a_row_leaves_no_connection(store: Store) -> None:
    def connections() -> int:
        return len(store.command("CLIENT", "LIST").splitlines())

    store.run(_COUNT, "")
    before = connections()
    row = run_each(store, _COUNT, [[store.nonce()] for _ in range(9)])
    assert [next(row), next(row)] == [2, 3]
    assert connections() == before + 1
    row.close()
    wait_for(lambda: connections() == before)
    with pytest.raises(ZeroDivisionError):
        list(run_each(store, _COUNT, ([store.nonce() * (1 // n)] for n in (1, 1, 0))))
    wait_for(lambda: connections() == before)


def test_a_row_that_finds_redis_full_ends_there_and_what_was_answered_is_done(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with _own_server(tmp_path_factory) as store:
        store.run(_COUNT, "")

        def rows() -> Iterator[list[str]]:
            for n in range(6):
                if n == 3:
                    store.command("CONFIG", "SET", "maxmemory", "1mb")
                yield [store.nonce()]

        answers: list[int] = []
        with pytest.raises(OutOfMemory):
            answers.extend(run_each(store, _COUNT, rows()))
        store.command("CONFIG", "SET", "maxmemory", "0")
        assert answers[:2] == [2, 3]
        assert store.run(_COUNT, store.nonce()) == answers[-1] + 1


def test_in_a_row_each_is_confirmed_by_replicas_where_that_is_asked_for(redis_address: Address) -> None:
    with Store(redis_address, f"t{uuid4().hex[:8]}", command_seconds=2, wait_for_replicas=1) as store:
        assert list(run_each(store, _READ, [[], []])) == [None, None]
        with pytest.raises(BrokerUnavailable, match="0 of 1 replicas"):
            list(run_each(store, _COUNT, [[store.nonce()]]))


def test_replicas_that_do_not_confirm_are_told(redis_address: Address) -> None:
    with (
        Store(redis_address, f"t{uuid4().hex[:8]}", command_seconds=2, wait_for_replicas=1) as store,
        pytest.raises(BrokerUnavailable, match="0 of 1 replicas"),
    ):
        store.run(_COUNT, store.nonce())


def test_an_answer_of_a_script_of_its_own_kind_is_raised_at_once(store: Store) -> None:
    with pytest.raises(ScriptRefused) as refused:
        store.run(assemble("x", "return redis.error_reply('ONS 4106 old')"))
    assert (refused.value.word, refused.value.rest) == ("ONS", "4106 old")


def test_each_thread_has_a_connection_and_each_child(store: Store) -> None:
    ids = [store.command("CLIENT", "ID")]
    thread = threading.Thread(target=lambda: ids.append(store.command("CLIENT", "ID")))
    thread.start()
    thread.join()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(store.command("CLIENT", "ID")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    ids.append(int(os.read(read, 100)))
    os.close(read)
    os.close(write)
    assert len(set(ids)) == 3
    assert store.command("CLIENT", "ID") == ids[0]


def test_connections_of_ended_threads_are_closed(store: Store, redis_address: Address) -> None:
    with Link(redis_address) as watcher:
        before = watcher.command("CLIENT", "LIST").count(b"\n")
        threads = [threading.Thread(target=lambda: store.command("PING")) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: watcher.command("CLIENT", "LIST").count(b"\n") <= before, what="the connections to go")


def test_a_link_of_ones_own_is_greeted(store: Store) -> None:
    with store.link() as link:
        assert link.run(store.script("greet"), store.prefix, "0" * 15, LAYOUT)[0] == 0
        assert link.command("HEXISTS", store.key("server"), "run") == 1


def test_a_fragment_says_how_it_is_used() -> None:
    assert "local no = guard(holder) if no then return no end" in read_fragment("ground")


def test_a_script_is_named_or_given(store: Store) -> None:
    assert isinstance(store.script("greet"), Script)
    assert store.script("greet") is store.script("greet")
    with pytest.raises(FileNotFoundError):
        store.run("no such script")


def test_lost_is_no_answer() -> None:
    assert not Lost("unix:///x", 1, 0.0, "closed").answered
    assert unix_address("/x").describe() == "unix:///x"


@contextmanager
def _own_server(factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store on a Redis of its own, for a test that breaks it."""
    with Embedded(factory.mktemp("own"), linger_seconds=0) as own:
        own.start()
        address = unix_address(str(own.home.socket))
        with Store(address, "own", connect_seconds=20, command_seconds=60) as store:
            yield store
