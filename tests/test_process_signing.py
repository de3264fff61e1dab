"""Nobody without the key of a project starts a process: what is forged, altered, copied or stale is refused."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, Server, procedure
from onserver.errors import BadSetting, BadSignature
from onserver.process.put import Sender
from onserver.process.signing import make_key, read_keys, sign_now
from onserver.redis.address import Address
from onserver.redis.answers import ScriptRefused
from onserver.settings import Settings, SigningSettings
from onserver.values import encode
from tests.inline_worker import make_server, working

ran: list[int] = []


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


def put(server: Server, name: str, body: bytes, envelope: bytes, nonce: str = "", made_ms: int = 0) -> int:
    """What somebody does who may write to Redis, and has no key."""
    store = server.store
    words = (nonce or store.nonce(), "", made_ms or store.now_ms(), "default", 5, 0, "", "", "", "", 0)
    number, _, _ = store.run("put", *words, "t", name, "b", body, "c", envelope)
    return int(number)


def refused(number: int) -> BadSignature:
    with pytest.raises(BadSignature) as error:
        Process.get(number).result(timeout=60)
    assert error.value.code == 4106
    return error.value


def signed(server: Server, name: str, body: bytes) -> bytes:
    return sign_now(server, name, body, server.store.nonce(), server.store.now_ms())


def body_of(n: int) -> bytes:
    return encode([[n], {}])


def test_a_signed_message_runs(server: Server) -> None:
    body = body_of(1)
    assert Process.get(put(server, note.name, body, signed(server, note.name, body))).result(timeout=60) == 1


@pytest.mark.parametrize("envelope", [b"", b"x", b"x" * 100, encode(["n", "k", 1, 0, {}]) + b"x" * 32])
def test_a_message_that_is_not_signed(server: Server, envelope: bytes) -> None:
    refused(put(server, note.name, body_of(1), envelope))
    assert ran == []


def test_a_message_that_was_altered(server: Server) -> None:
    envelope = signed(server, note.name, body_of(1))
    assert "does not fit" in str(refused(put(server, note.name, body_of(2), envelope)))
    assert "does not fit" in str(refused(put(server, other.name, body_of(1), envelope)))
    for at in range(0, len(envelope), 7):
        changed = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        refused(put(server, note.name, body_of(1), changed))
    assert ran == []


def test_a_message_of_another_server_or_key(server: Server, redis_address: Address) -> None:
    url = f"unix://{redis_address.path}"
    elsewhere = Server("elsewhere", settings=Settings(name="elsewhere", redis=url, signing=server.settings.signing))
    stranger = Settings(name=server.name, redis=url, signing=SigningSettings(key="another key, of a stranger"))
    for foreign in (elsewhere, Server(server.name, settings=stranger)):
        with foreign:
            envelope = signed(foreign, note.name, body_of(1))
        server.make_current()
        refused(put(server, note.name, body_of(1), envelope))
    assert ran == []


def test_a_message_that_comes_too_late(server: Server) -> None:
    store, body = server.store, body_of(1)
    made = store.now_ms() - 31_000
    envelope = sign_now(server, note.name, body, store.nonce(), made)
    with pytest.raises(ScriptRefused, match="4106 age"):
        put(server, note.name, body, envelope, made_ms=made)
    assert "another process" in str(refused(put(server, note.name, body, envelope)))  # with a made-up time beside it


def test_a_message_that_is_sent_again_is_one_process(server: Server) -> None:
    store, body = server.store, body_of(1)
    nonce, made = store.nonce(), store.now_ms()
    envelope = sign_now(server, note.name, body, nonce, made)
    numbers = {put(server, note.name, body, envelope, nonce, made) for _ in range(3)}
    assert len(numbers) == 1
    assert Process.get(numbers.pop()).result(timeout=60) == 1
    assert ran == [1]


def test_keys_rotate_without_losing_what_waits(tmp_path: Path, redis_address: Address) -> None:
    path = tmp_path / "keys.json"
    first = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = Settings(
        name=f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", signing=SigningSettings(key_file=str(path))
    )
    with Server(settings.name, settings=settings) as old:
        waiting = [put(old, note.name, body_of(n), signed(old, note.name, body_of(n))) for n in range(3)]
        second = make_key(path)
        assert read_keys(path).active == second != first
        with Server(settings.name, settings=settings) as new, working(new):
            assert [Process.get(number).result(timeout=60) for number in waiting] == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"active": "a", "keys": {}}', '{"active": "a", "keys": {"a": "zz"}}'])
def test_a_key_file_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(BadSetting, match=r"signing\.key_file"):
        read_keys(path)


def test_the_clock_of_a_program_may_be_wrong(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sender: Any = server.part(Sender)
    sender._ahead_ms = 3_600_000  # an hour ahead of Redis: the refusal tells by how much, and it is signed once more
    assert note.start(1).result(timeout=10) == 1
