"""Nobody without the key of a project starts a process: what is forged, altered, copied or stale is refused."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, as_server, procedure
from onserver.errors import BadSignature, ProcessDead
from onserver.process.caller import Caller
from onserver.process.signing import Signer, sign_now
from onserver.redis.address import Address
from onserver.redis.answers import ScriptRefused
from onserver.settings import Settings, SigningSettings
from onserver.values import decode, encode
from tests.inline_worker import make_server, working

ran: list[int] = []
#: How many bytes of a signature are its HMAC.
MAC = 32


@procedure
def note(n: int) -> int:
    ran.append(n)
    return n


@procedure
def other(n: int) -> int:
    ran.append(-n)
    return n


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    ran.clear()
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made


class Message:
    """A message as somebody sends it who may write to Redis: signed by a program of the project, or changed since."""

    def __init__(self, server: Server, n: int = 1, signer: Server | None = None) -> None:
        self.server = server
        store = server.store
        self.nonce, self.made_ms = store.nonce(), store.now_ms()
        self.name, self.body = note.name, body_of(n)
        self.envelope = sign_now(signer or server, self.name, self.body, self.nonce, self.made_ms)

    def put(self, *more: str, queue: str = "default") -> int:
        words = (self.nonce, "", self.made_ms, queue, 5, 0, "", "", "", "", 0)
        fields: tuple[str | bytes, ...] = ("t", self.name, "b", self.body, "c", self.envelope, *more)
        number, _, _ = self.server.store.run("put", *words, *fields)
        return int(number)

    def say(self, at: int, fact: Any) -> None:
        """Make up one of the facts beside the signature: nonce, key id, made, expires, caller."""
        facts = decode(self.envelope[:-MAC])
        facts[at] = fact
        self.envelope = encode(facts) + self.envelope[-MAC:]


def body_of(n: int) -> bytes:
    return encode([[n], {}])


def refused(message: Message, *fields: str) -> str:
    """It is refused when its turn comes, and its record says why."""
    number = message.put(*fields)
    with pytest.raises((BadSignature, ProcessDead)) as raised:
        Process.get(number).result(timeout=60)
    error = raised.value
    record = Process.get(number).record()
    assert record.state == ("failed" if isinstance(error, BadSignature) else "dead")
    store = message.server.store
    kept = decode(store.command("HGET", store.key(f"p:{number}"), "e"))
    assert kept["type"] == "BadSignature"
    assert ran == []
    return str(kept["message"])


def test_a_signed_message_runs(server: Server) -> None:
    assert Process.get(Message(server).put()).result(timeout=60) == 1


@pytest.mark.parametrize("envelope", [b"", b"x", b"x" * 100, encode(["n", "k", 1, 0, {}]) + b"x" * MAC])
def test_a_message_that_is_not_signed(server: Server, envelope: bytes) -> None:
    message = Message(server)
    message.envelope = envelope
    assert "signed" in refused(message) or "damaged" in refused(message)


def test_a_message_that_was_altered(server: Server) -> None:
    altered, elsewhere = Message(server), Message(server)
    altered.body = body_of(2)
    elsewhere.name = other.name
    assert "does not fit" in refused(altered)
    assert "does not fit" in refused(elsewhere)


def test_a_caller_that_was_made_up(server: Server) -> None:
    ann = Caller(user="ann", kind="web", roles=("owner",), login="ann", session="A" * 32, asked_ms=2**40)
    for caller in (Caller(user="root").snapshot(), Caller(user="ann", kind="web", privileges=("all",)).snapshot(),
                   ann.snapshot(), {}):  # fmt: skip
        message = Message(server)
        message.say(4, caller)
        assert "does not fit" in refused(message)


def test_a_record_cannot_be_turned_into_a_hook(server: Server) -> None:
    """What is signed is the name: it decides, and not the fields beside it, which whoever puts can write."""
    for fields in (("hk", "1 on_server_startup shop.load"), ("hk", f"1 procedure {note.name}")):
        message = Message(server)
        assert "another process" in refused(message, *fields)


def test_a_message_of_another_server_or_key(server: Server, redis_address: Address) -> None:
    url = f"unix://{redis_address.path}"
    elsewhere = Server("elsewhere", settings=Settings(name="elsewhere", redis=url, signing=server.settings.signing))
    stranger = Settings(name=server.name, redis=url, signing=SigningSettings(key="another key, of a stranger"))
    for foreign, why in ((elsewhere, "does not fit"), (Server(server.name, settings=stranger), "does not have")):
        with foreign:
            message = Message(server, signer=foreign)
        server.make_current()
        assert why in refused(message)


def test_the_id_of_a_key_that_is_there_does_not_help(server: Server, redis_address: Address) -> None:
    stranger = Settings(
        name=server.name, redis=f"unix://{redis_address.path}", signing=SigningSettings(key="a stranger's own key")
    )
    with Server(server.name, settings=stranger) as foreign:
        message = Message(server, signer=foreign)
    server.make_current()
    message.say(1, server.part(Signer).keys.active())
    assert "does not fit" in refused(message)


def test_a_message_that_comes_too_late(server: Server) -> None:
    late = Message(server)
    late.made_ms -= 31_000
    late.envelope = sign_now(server, late.name, late.body, late.nonce, late.made_ms)
    with pytest.raises(ScriptRefused, match="4106 age"):
        late.put()
    late.made_ms = server.store.now_ms()
    assert "another process" in refused(late)  # with a made-up time beside it


def test_a_message_that_is_sent_again_is_one_process(server: Server) -> None:
    message = Message(server)
    numbers = {message.put() for _ in range(3)}
    assert len(numbers) == 1
    assert Process.get(numbers.pop()).result(timeout=60) == 1
    assert ran == [1]


def test_a_signature_is_good_for_its_own_message_only(server: Server) -> None:
    message = Message(server)
    assert Process.get(message.put()).result(timeout=60) == 1
    ran.clear()
    own = message.nonce
    for nonce in (server.store.nonce(), "", own[:-1], own + "0", own * 3, own * 20, "é"):
        message.nonce = nonce
        assert "another message" in refused(message)


def test_a_signature_of_many_is_good_for_its_place_only(server: Server) -> None:
    store, nonce, made = server.store, server.store.nonce(), server.store.now_ms()
    bodies = [body_of(n) for n in (1, 2)]
    first, second = (sign_now(server, note.name, body, f"{nonce}/{at}", made) for at, body in enumerate(bodies))
    words = (nonce, "", made, "default", 5, 2, "t", note.name, bodies[0], first, "", "", bodies[0], first, "", "")
    start, end, _ = store.run("put_many", *words, bodies[1], second, "", "")
    assert end - start == 2
    assert Process.get(start).result(timeout=60) == 1
    for number in (start + 1, end):  # the first once more, and the second in the place of a third
        with pytest.raises(BadSignature, match="another message"):
            Process.get(number).result(timeout=60)
    assert ran == [1]


def test_the_clock_of_a_program_may_be_wrong(server: Server) -> None:
    server.store._ahead += 3_600  # an hour ahead: it is refused, Redis is asked, and it is signed once more
    assert note.start(1).result(timeout=10) == 1


# ---- messages changed at random


def mutated(rng: random.Random, server: Server) -> Message:
    """A signed message, changed in one way or another."""
    message = Message(server, n=rng.randrange(1_000_000))
    before = (message.name, message.body, message.envelope)
    while (message.name, message.body, message.envelope) == before:
        rng.choice(CHANGES)(rng, message)
    return message


def anything(rng: random.Random) -> Any:
    """A value of any kind, some of them large or deep."""
    deep: Any = rng.randbytes(4)
    for _ in range(rng.choice((0, 1, 20))):
        deep = [deep]
    kinds: tuple[Any, ...] = (
        None,
        True,
        -1,
        0,
        2**63,
        10**30,
        -0.5,
        float("nan"),
        "",
        "é" * 300,
        b"\xff",
        [],
        {},
        {"a": 1},
        deep,
    )
    return rng.choice(kinds)


def flip(rng: random.Random, message: Message) -> None:
    at = rng.randrange(len(message.envelope))
    message.envelope = message.envelope[:at] + bytes([message.envelope[at] ^ (1 << rng.randrange(8))]) + (
        message.envelope[at + 1 :]
    )  # fmt: skip


def cut(rng: random.Random, message: Message) -> None:
    message.envelope = message.envelope[: rng.randrange(len(message.envelope))]


def drop(rng: random.Random, message: Message) -> None:
    at = rng.randrange(len(message.envelope))
    message.envelope = message.envelope[:at] + message.envelope[at + rng.randrange(1, 9) :]


def insert(rng: random.Random, message: Message) -> None:
    at = rng.randrange(len(message.envelope) + 1)
    message.envelope = message.envelope[:at] + rng.randbytes(rng.randrange(1, 40)) + message.envelope[at:]


def noise(rng: random.Random, message: Message) -> None:
    message.envelope = rng.randbytes(rng.randrange(200))


def say_anything(rng: random.Random, message: Message) -> None:
    message.say(rng.randrange(5), anything(rng))


def change_body(rng: random.Random, message: Message) -> None:
    at = rng.randrange(len(message.body))
    message.body = message.body[:at] + rng.randbytes(1) + message.body[at + 1 :]


def move_bytes(rng: random.Random, message: Message) -> None:
    """From the body to the signature: what is signed stays the same row of bytes."""
    at = rng.randrange(1, len(message.body) + 1)
    facts, mac = message.envelope[:-MAC], message.envelope[-MAC:]
    message.envelope, message.body = facts + message.body[:at] + mac, message.body[at:]


def rename(rng: random.Random, message: Message) -> None:
    message.name = other.name  # what nobody has waits on


def swap_mac(rng: random.Random, message: Message) -> None:
    message.envelope = message.envelope[:-MAC] + Message(message.server, n=7).envelope[-MAC:]


def other_facts(rng: random.Random, message: Message) -> None:
    with as_server():
        message.envelope = Message(message.server, n=7).envelope[:-MAC] + message.envelope[-MAC:]


CHANGES = (
    flip, flip, flip, cut, drop, insert, noise, say_anything, say_anything, change_body, move_bytes, rename, swap_mac,
    other_facts,
)  # fmt: skip


def storm(server: Server, seed: int, count: int) -> None:
    rng = random.Random(seed)
    store = server.store
    numbers = [mutated(rng, server).put() for _ in range(count)]
    assert Process.get(Message(server, n=-1).put()).result(timeout=240) == -1  # what is good runs among them
    for number in numbers:
        assert Process.get(number).wait(timeout=60).ended
        kind = decode(store.command("HGET", store.key(f"p:{number}"), "e"))["type"]
        assert kind == "BadSignature", (seed, number, kind)
    assert ran == [-1]


def test_500_mutated_messages_are_refused(server: Server) -> None:
    storm(server, 20261126, 500)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_10_000_mutated_messages_are_refused(server: Server, seed: int) -> None:
    storm(server, seed, 1000)
