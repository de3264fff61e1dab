"""The edge list of the specification (4.10), row by row; rows that differ on purpose say why.

It is the same for the storage of the stored-procedure session and for that of a session of the web.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from onserver import Server, Storage
from onserver.errors import NotInUse, NotShareable
from onserver.redis.address import Address
from onserver.testing.wait import wait_for


@pytest.fixture(params=["stored procedure", "web"])
def storage(redis_address: Address, request: pytest.FixtureRequest) -> Iterator[Storage]:
    with Server(f"t{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}") as server:
        storage = server.storage if request.param == "stored procedure" else server.sessions.open("web").storage
        with storage.use() as root:
            root["x"] = {"y": 1, "deep": {"z": 2}}
            root["other"] = {"member": {"v": 1}}
        yield storage


class InThread:
    """Something that another thread does meanwhile."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.done = threading.Event()
        self.answer: object = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.answer = self._call()
        self.done.set()

    def join(self) -> object:
        self._thread.join(60)
        assert self.done.is_set()
        return self.answer


def waiting(storage: Storage, key: str) -> bool:
    return bool(storage._store.command("ZCARD", storage._store.key(f"{storage._space}w:{key}")))


def write_without_use(storage: Storage) -> None:
    with pytest.raises(NotInUse):
        storage["x"]["y"] = 2
    with pytest.raises(NotInUse):
        storage["x"]["deep"]["z"] = 3
    assert storage["x"] == {"y": 1, "deep": {"z": 2}}


def write_in_an_entry_holding_only_the_root(storage: Storage) -> None:
    with storage.use() as root, pytest.raises(NotInUse):
        root["x"]["y"] = 2


def write_to_a_grandchild_in_use_of_its_entry(storage: Storage) -> None:
    with storage.use("x") as x:
        x["deep"]["z"] = 3
    assert storage["x"]["deep"]["z"] == 3


def use_while_another_holds_waits(storage: Storage) -> None:
    def change() -> int:
        with storage.use("x") as x:
            x["y"] += 10
            return int(x["y"])

    with storage.use("x") as x:
        other = InThread(change)
        wait_for(lambda: waiting(storage, "x"))
        assert not other.done.is_set()
        x["y"] = 5
    assert other.join() == 15


def read_while_another_holds_is_immediate(storage: Storage) -> None:
    with storage.use("x") as x:
        x["y"] = 5
        assert InThread(lambda: storage["x"]["y"]).join() == 1


def put_an_ordinary_object_into_a_shared_one(storage: Storage) -> None:
    """Ours: plain dicts and lists are shareable, by value; what is no value is refused by name."""
    with storage.use("x") as x:
        x["plain"] = {"a": [1, 2]}
    assert storage["x"]["plain"] == {"a": [1, 2]}
    with pytest.raises(NotShareable, match="set"), storage.use("x") as x:
        x["bad"] = {1, 2}
    assert "bad" not in storage["x"]


def attach_a_member_of_one_group_to_another(storage: Storage) -> None:
    """Ours: there are no permanent groups; a value is copied, and belongs to the entry that holds the copy."""
    with storage.use("x") as x:
        x["borrowed"] = storage["other"]["member"]
    with storage.use("x") as x:
        x["borrowed"]["v"] = 2
    assert storage["other"]["member"]["v"] == 1


def attach_it_after_it_was_removed(storage: Storage) -> None:
    """Ours: as above, whatever it was part of before."""
    member = dict(storage["other"]["member"])
    with storage.use("other") as other:
        del other["member"]
    with storage.use("x") as x:
        x["moved"] = member
    assert storage["x"]["moved"] == {"v": 1}


def a_plain_value_at_the_root(storage: Storage) -> None:
    """Ours: the root takes plain values, which only its own lock can change."""
    with storage.use() as root:
        root["n"] = 3
    assert storage["n"] == 3
    with pytest.raises(NotShareable), storage.use("n"):
        raise AssertionError("a number has no lock of its own")


def an_entry_put_at_the_root_has_a_lock_of_its_own(storage: Storage) -> None:
    with storage.use() as root:
        root["new"] = {"a": 1}

        def change() -> str:
            with storage.use("x", timeout=60) as x:
                x["y"] = 9
            return "not locked by the root"

        assert InThread(change).join() == "not locked by the root"
    assert storage["x"]["y"] == 9


def a_copy_is_ordinary(storage: Storage) -> None:
    copy = dict(storage["x"])
    copy["y"] = 100
    assert storage["x"]["y"] == 1


def two_nested_uses_one_end_is_still_locked(storage: Storage) -> None:
    with storage.use("x") as outer:
        with storage.use("x") as inner:
            inner["y"] = 2
        assert storage["x"]["y"] == 1  # nothing is written before the outermost end
        other = InThread(lambda: _times_out(storage))
        assert other.join() is True
        assert outer["y"] == 2
    assert storage["x"]["y"] == 2


def _times_out(storage: Storage) -> bool:
    try:
        with storage.use("x", timeout=0.05):
            return False
    except TimeoutError:
        return True


ROWS: list[tuple[str, Callable[[Storage], None]]] = [
    ("write without Use", write_without_use),
    ("write Storage.x.y holding only Use(Storage)", write_in_an_entry_holding_only_the_root),
    ("write to grandchild inside Use of its group", write_to_a_grandchild_in_use_of_its_entry),
    ("Use in process B while A holds", use_while_another_holds_waits),
    ("read in B while A holds", read_while_another_holds_is_immediate),
    ("put an ordinary object in a shared one", put_an_ordinary_object_into_a_shared_one),
    ("attach a member of group 2 to group 1", attach_a_member_of_one_group_to_another),
    ("same after removing it from group 2", attach_it_after_it_was_removed),
    ("Storage.x := 3 inside Use(Storage)", a_plain_value_at_the_root),
    ("Storage.x := <shared> and Use(Storage)", an_entry_put_at_the_root_has_a_lock_of_its_own),
    ("copy of a shared object", a_copy_is_ordinary),
    ("two nested Use, one End use", two_nested_uses_one_end_is_still_locked),
]


@pytest.mark.parametrize(
    "row", [row for _, row in ROWS], ids=[f"row {n} {name}" for n, (name, _) in enumerate(ROWS, 1)]
)
def test_the_edge_list(storage: Storage, row: Callable[[Storage], None]) -> None:
    row(storage)
