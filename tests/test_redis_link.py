import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.interrupt import Interrupted, interrupt
from onserver.redis.address import Address, parse, unix_address
from onserver.redis.answers import Denied, Lost, Refused, ScriptRefused, Silent, Unreachable
from onserver.redis.embedded import Embedded
from onserver.redis.link import Link
from onserver.redis.scripts import assemble
from onserver.testing.proxy import Proxy, end_of_reply
from onserver.testing.wait import wait_for

#: What ends at a deadline ends long before this; what missed it would go on for longer, or for ever.
SOON = 20.0

_ECHO = assemble("echo", "return ARGV")
_FENCED = assemble("fenced", "return redis.error_reply('FENCED 3.7')")
_REFUSED = assemble("refused", "return redis.error_reply('ONS 4106 age 31000 ms')")


@pytest.fixture
def link(redis_address: Address) -> Iterator[Link]:
    with Link(redis_address, connect_seconds=20, command_seconds=20) as link:
        yield link


def test_a_command_and_its_answer(link: Link) -> None:
    assert link.command("PING") == b"PONG"
    assert link.command("GET", "no such key") is None
    assert link.command("ECHO", "é") == "é".encode()
    assert link.pipeline([("PING",), ("ECHO", 2), ("ECHO", b"\x00\xff")]) == [b"PONG", b"2", b"\x00\xff"]
    assert link.pipeline([]) == []


def test_large_arguments_and_answers_go_through(link: Link) -> None:
    large = os.urandom(20_000_000)
    assert link.command("ECHO", large, timeout=60) == large


def test_a_script_that_redis_does_not_know_is_sent_whole(link: Link) -> None:
    assert link.run(_ECHO, "T", "a", 1) == [b"a", b"1"]
    link.command("SCRIPT", "FLUSH")
    assert link.run(_ECHO, "T", "b") == [b"b"]


def test_error_replies_have_classes(link: Link) -> None:
    with pytest.raises(MemberFenced) as fenced:
        link.run(_FENCED, "T")
    assert fenced.value.member == "3.7"
    with pytest.raises(ScriptRefused) as refused:
        link.run(_REFUSED, "T")
    assert (refused.value.word, refused.value.rest) == ("ONS", "4106 age 31000 ms")
    with pytest.raises(ScriptRefused, match="WRONGTYPE"):
        link.pipeline([("SET", "t:link", "1"), ("LPUSH", "t:link", "1"), ("DEL", "t:link")])
    assert link.command("PING") == b"PONG"


def test_a_wrong_password_is_told_and_not_shown(embedded: Embedded) -> None:
    with Link(parse(f"unix://ann:secret@{embedded.home.socket}")) as link, pytest.raises(Denied) as denied:
        link.command("PING")
    assert "secret" not in str(denied.value)
    assert not denied.value.again


def test_a_database_is_selected(embedded: Embedded) -> None:
    with Link(unix_address(str(embedded.home.socket), db=3)) as link:
        assert b"db=3" in link.command("CLIENT", "INFO")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///no/such/socket"])
def test_nobody_there_is_an_answer(url: str) -> None:
    with Link(parse(url)) as link, pytest.raises(Refused) as refused:
        link.command("PING")
    assert refused.value.answered
    assert url in str(refused.value)


def test_an_unknown_host_is_no_answer() -> None:
    with Link(parse("redis://no-such-host.invalid")) as link, pytest.raises(Unreachable) as unreachable:
        link.command("PING")
    assert not unreachable.value.answered
    assert "no-such-host.invalid" in str(unreachable.value)


def test_a_deadline_that_is_over_before_it_is_waited_for_is_not_for_ever(proxy: Proxy) -> None:
    """As where connecting, or a busy machine, took all of the time."""
    with Link(proxy.address, connect_seconds=20, command_seconds=20) as link:
        link.command("PING")
        proxy.black_hole(new=False)
        began = time.monotonic()
        with pytest.raises(Silent):
            link.receive(-1.0)
        with pytest.raises(Silent):
            link.command("PING", timeout=-1.0)
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("seconds", [0.2, 1.2], ids=["near", "far"])  # waited for by a poll, by blocking reads as well
def test_silence_ends_at_the_deadline_and_closes_the_link(proxy: Proxy, seconds: float) -> None:
    with Link(proxy.address) as link:
        assert link.command("PING") == b"PONG"
        proxy.black_hole()
        began = time.monotonic()
        with pytest.raises(Silent) as silent:
            link.command("PING", timeout=seconds)
        assert seconds <= time.monotonic() - began < SOON
        assert not silent.value.answered
        assert not link.connected
        proxy.heal()
        assert link.command("ECHO", "new") == b"new"


@pytest.mark.parametrize("seconds", [0.3, 1.3], ids=["near", "far"])
def test_a_server_that_trickles_bytes_does_not_stretch_the_deadline(proxy: Proxy, seconds: float) -> None:
    with Link(proxy.address) as link:
        assert link.command("PING") == b"PONG"
        proxy.trickle(0.05)
        began = time.monotonic()
        with pytest.raises(Silent):
            link.command("ECHO", "x" * 1000, timeout=seconds)
        assert time.monotonic() - began < SOON  # the whole answer would take 50 s


def test_a_server_that_does_not_read_does_not_stretch_the_deadline(tmp_path: Path) -> None:
    # SIGSTOP: the kernel takes connections and bytes in its stead until its buffers are full
    with Embedded(tmp_path, linger_seconds=0) as own, Link(own.start(), command_seconds=60) as link:
        link.command("PING")
        running = own.running()
        assert running is not None
        os.kill(running.server, signal.SIGSTOP)
        try:
            for words in (("PING",), ("SET", "a", b"x" * 30_000_000)):
                began = time.monotonic()
                with pytest.raises(Silent):
                    link.command(*words, timeout=0.3)
                assert time.monotonic() - began < SOON
        finally:
            os.kill(running.server, signal.SIGCONT)
        assert link.command("PING") == b"PONG"


def test_a_broken_connection_is_lost_and_its_outcome_unknown(proxy: Proxy) -> None:
    with Link(proxy.address) as link:
        link.command("PING")
        proxy.swallow_reply(matching=lambda words: words[0] == b"INCR")
        with pytest.raises(Lost) as lost:
            link.command("INCR", "t:lost")
        assert not lost.value.answered
        assert link.command("GETDEL", "t:lost") == b"1", "it was carried out, and not sent a second time"


@pytest.mark.parametrize("after", [0, 1, 10, 30])
def test_a_request_that_was_cut_is_carried_out_whole_or_not_at_all(proxy: Proxy, after: int) -> None:
    with Link(proxy.address) as link:
        link.command("PING")
        proxy.cut_request(after)
        with pytest.raises(Lost):
            link.command("SET", "t:cut", "value")
        assert link.command("GET", "t:cut") is None


def test_a_blocking_read_may_be_waited_for_in_pieces(link: Link, redis_address: Address) -> None:
    link.send("BLPOP", "t:block", 5)
    for _ in range(3):
        with pytest.raises(Silent):
            link.receive(0.01)
    assert link.connected
    with Link(redis_address) as other:
        other.command("RPUSH", "t:block", "now")
    assert link.receive(20) == [b"t:block", b"now"]


def test_messages_that_came_together_are_all_there(link: Link, redis_address: Address) -> None:
    link.send("SUBSCRIBE", "t:channel")
    assert link.receive(20)[0] == b"subscribe"
    with Link(redis_address) as other:
        other.pipeline([("PUBLISH", "t:channel", i) for i in range(5)])
    got: list[bytes] = []

    def all_there() -> bool:
        got.extend(message[2] for message in link.arrived())
        return len(got) >= 5

    wait_for(all_there, what="five messages")
    assert got == [b"0", b"1", b"2", b"3", b"4"]
    assert link.fileno() > 0


def test_receiving_from_a_closed_link_is_an_error(link: Link) -> None:
    with pytest.raises(Lost):
        link.receive(0)


def test_on_connect_runs_on_every_new_connection_and_within_its_deadline(proxy: Proxy) -> None:
    greeted: list[object] = []
    with Link(proxy.address, connect_seconds=2, on_connect=lambda link: greeted.append(link.command("PING"))) as link:
        link.command("PING")
        link.command("PING")
        assert greeted == [b"PONG"]
        link.close()
        proxy.swallow_reply(cut=False)
        began = time.monotonic()
        with pytest.raises(Silent):
            link.command("PING", timeout=60)
        assert time.monotonic() - began < SOON
        proxy.heal()
        link.command("PING")
        assert greeted == [b"PONG"] * 2


def test_a_child_gets_a_connection_of_its_own(link: Link) -> None:
    mine = link.command("CLIENT", "ID")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(link.command("CLIENT", "ID")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(read, 100)) != mine
    assert link.command("CLIENT", "ID") == mine
    os.close(read)
    os.close(write)


def test_an_interruption_waits_for_the_answer_and_the_connection_is_dropped(proxy: Proxy) -> None:
    def handler(*_: object) -> None:
        interrupt(Interrupted("test"))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with Link(proxy.address) as link:
            link.command("SET", "t:interrupted", "1")
            proxy.delay(0.2)
            arrived = len(proxy.commands)

            def kill_when_sent() -> None:
                wait_for(lambda: len(proxy.commands) > arrived)
                os.kill(os.getpid(), signal.SIGUSR1)

            killer = threading.Thread(target=kill_when_sent)
            killer.start()
            with pytest.raises(Interrupted):
                link.command("INCR", "t:interrupted")
            killer.join()
            assert not link.connected
            proxy.heal()
            assert link.command("GETDEL", "t:interrupted") == b"2"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_goes_wrong_is_a_broker_unavailable_and_can_be_pickled() -> None:
    error = Silent("redis://h/0", 1, 2.0, "gave no answer")
    assert isinstance(error, BrokerUnavailable)
    assert isinstance(error, ConnectionError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (Silent, str(error))
    assert "gave no answer (1 try in 2.0 s)" in str(error)


def test_where_a_reply_ends() -> None:
    for whole in (
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"$2\r\nab\r\n",
        b"*-1\r\n",
        b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        b"*0\r\n",
    ):
        assert end_of_reply(whole + b"+next\r\n", 0) == len(whole)
        assert all(end_of_reply(whole[:cut], 0) is None for cut in range(len(whole)))
