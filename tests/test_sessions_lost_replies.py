"""A reply about a session that is lost on the way: what is asked again is done once, and answered as the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.session.sessions import Sessions
from onserver.testing.proxy import RUNS, Proxy
from tests.inline_worker import make_server


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as made:
        made.store.command("PING")
        yield made
        assert [str(orphan) for orphan in find_orphans(made.store)] == []


def opened(sessions: Sessions) -> None:
    session = sessions.open("web", login="ann")
    assert [one.id for one in sessions.listed(login="ann")] == [session.id]


def written(sessions: Sessions) -> None:
    session = sessions.open("web")
    sessions.records.write(session.id, login="ann", quotas={"nbEntitySets": 3})
    assert [one.quotas for one in sessions.listed(login="ann")] == [{"nbEntitySets": 3}]


def kept(sessions: Sessions) -> None:
    session = sessions.open("web", user="ann", data={"cart": b"[1]", "old": b"1"})
    facts = sessions.records.keep(session.id, {"cart": b"[2]", "old": None})
    record = sessions.records.read(session.id)
    assert record is not None
    assert (record.data, record.user) == ({"cart": b"[2]"}, "ann")
    assert {name: getattr(record, name) for name in facts} == {**facts, "read_ms": record.read_ms}


def rotated(sessions: Sessions) -> None:
    session = sessions.open("web", login="ann")
    other = sessions.rotate(session.id)
    assert other.record.earlier == (session.id,)
    assert [one.id for one in sessions.listed()] == [other.id]


def closed(sessions: Sessions) -> None:
    assert sessions.close(sessions.open("web").id)
    assert sessions.listed() == []


def dropped(sessions: Sessions) -> None:
    session = sessions.open("web")
    assert sessions.drop(session.id, by="root")
    assert sessions.dropped(session.id) is not None


def dropped_of_a_user(sessions: Sessions) -> None:
    of_ann = {sessions.open("web", login="ann").id for _ in range(25)}
    assert set(sessions.drop_user("ann", by="root")) == of_ann


def told(sessions: Sessions) -> None:
    session = sessions.open("web")
    assert sessions.message(session.id, "hello")
    assert [one.text for one in sessions.messages(session.id)] == ["hello"]
    assert sessions.messages(session.id) == []


def led(sessions: Sessions) -> None:
    session = sessions.open("web")
    token = sessions.records.new_token(session.id, 60)
    found = sessions.records.redeem(token)
    assert found is not None
    assert found.id == session.id
    assert sessions.records.redeem(token) is None


def counted(sessions: Sessions) -> None:
    session = sessions.open("web")
    assert [session.storage.counter("n").add(2) for _ in range(2)] == [2, 4]
    with session.storage.use("cart") as cart:
        cart["chair"] = 1
    assert dict(session.storage) == {"cart": {"chair": 1}, "n": 4}
    assert session.storage.version("cart") == 1


def noted(sessions: Sessions) -> None:
    session = sessions.open("web", user="ann")
    found = sessions.records.note(session.id)
    assert found is not None
    assert found.user == "ann"


CASES: list[tuple[str, int, Callable[[Sessions], None]]] = [
    ("session_open", 1, opened), ("session_write", 1, written), ("session_rotate", 1, rotated),
    ("session_keep", 1, kept),
    ("session_end", 1, closed), ("session_end", 1, dropped), ("session_end", 1, dropped_of_a_user),
    ("session_end", 2, dropped_of_a_user), ("session_post", 1, told), ("session_mail", 1, told),
    ("session_token", 1, led), ("session_redeem", 1, led), ("add", 2, counted), ("commit", 1, counted),
    ("session_note", 1, noted),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nth", "scene"), CASES, ids=[f"{scene.__name__}-{nth}" for _, nth, scene in CASES])
def test_a_lost_reply(client: Server, proxy: Proxy, name: str, nth: int, scene: Callable[[Sessions], None]) -> None:
    sha = script(name).sha
    proxy.swallow_reply(nth, matching=lambda words: words[0] in RUNS and words[1] == sha)
    scene(client.sessions)
    assert proxy.broken == 1


@pytest.fixture
def meanwhile(
    client: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[Sessions], object]], AbstractContextManager[None]]]:
    """Lose the reply to what is asked in a block, and let another program do something before it is asked again."""
    insist = client.store._insist

    @contextmanager
    def block(does: Callable[[Sessions], object]) -> Iterator[None]:
        def twice(attempt: Callable[[float], Any], link: Any, seconds: Any) -> Any:
            def lost(timeout: float) -> Any:
                attempt(timeout)
                does(other.sessions)
                return attempt(timeout)

            return insist(lost, link, seconds)

        with monkeypatch.context() as patched:
            patched.setattr(client.store, "_insist", twice)
            yield

    with make_server(client.name, f"unix://{proxy.address.path}") as other:
        yield block


def test_what_is_asked_again_undoes_nothing_that_was_changed_since(client: Server, meanwhile: Any) -> None:
    """Privileges that somebody has taken away meanwhile do not come back."""
    session = client.sessions.open("web")
    with meanwhile(lambda others: others.records.write(session.id, privileges=(), user="bob")):
        answer = client.sessions.records.write(session.id, privileges=("all",), user="ann")
    record = client.sessions.records.read(session.id)
    assert record is not None
    assert (record.privileges, record.user) == ((), "bob") == (answer.privileges, answer.user)


def test_what_a_framework_keeps_and_asks_again_undoes_nothing_either(client: Server, meanwhile: Any) -> None:
    """And who has signed in meanwhile is told."""
    session = client.sessions.open("web", data={"old": b"1"})

    def other_request(others: Sessions) -> None:
        others.records.keep(session.id, {"cart": b"[7]", "old": b"2"})
        others.records.write(session.id, privileges=("all",), user="bob", is_set=True)

    with meanwhile(other_request):
        facts = client.sessions.records.keep(session.id, {"cart": b"[1]", "old": None})
    record = client.sessions.records.read(session.id)
    assert record is not None
    assert record.data == {"cart": b"[7]", "old": b"2"}
    assert (facts["privileges"], facts["user"], facts["is_set"]) == (("all",), "bob", True)
