"""Fields of the hash `server` that spare a look: they must be true, and where one is gone nothing is lost."""

from collections.abc import Iterator

import pytest

from onserver import procedure
from onserver.backup.cut import Cut
from onserver.errors import MemberFenced
from onserver.redis.address import Address
from onserver.redis.scripts import script
from tests.floor import Floor, open_floor


@procedure(name="hints.plain")
def plain() -> None:
    """Does nothing."""


@procedure(name="hints.other")
def other() -> None:
    """Does nothing either."""


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as opened:
        yield opened
        assert not opened.orphans()


def hint(floor: Floor, field: str) -> bool:
    return bool(floor.store.command("HEXISTS", floor.store.key("server"), field))


def forget(floor: Floor, field: str) -> None:
    assert floor.store.command("HDEL", floor.store.key("server"), field) == 1


def start(floor: Floor, name: str, *fields: str, holder: str = "") -> int:
    """Start a process of that procedure by a plain `put`."""
    words = (floor.store.nonce(), holder, floor.store.now_ms(), "default", 5, 0, "", "", "", "", 0)
    return int(floor.store.run("put", *words, "t", name, "b", b"", *fields)[0])


def put_rooted(floor: Floor) -> int:
    """What a hook has started: it stands on the other side of its queue."""
    return start(floor, other.name, "x", "1")


def test_who_waits_is_handed_what_comes_and_who_does_not_is_not_looked_for(floor: Floor) -> None:
    executor = floor.executor()
    assert not hint(floor, "idle:default")
    assert executor.claim() == 0
    assert hint(floor, "idle:default")
    first = floor.put(plain)
    assert executor.given() == first
    waiting = floor.put(plain)  # finds nobody, and says so
    assert not hint(floor, "idle:default")
    assert floor.state(waiting) == "queued"
    assert executor.end(first, claim=True) == waiting
    assert executor.end(waiting, claim=True) == 0
    assert hint(floor, "idle:default")
    last = floor.put(plain)
    assert executor.given() == last


def test_who_waits_on_several_queues_is_found_on_each(floor: Floor) -> None:
    executor = floor.executor("default", "reports")
    assert executor.claim() == 0
    assert floor.put(plain, queue="reports") == executor.given()


def test_the_hint_stays_where_somebody_waits_who_may_not_begin(floor: Floor) -> None:
    executor = floor.executor()
    assert executor.claim() == 0
    start(floor, "nobody.has.it")
    assert hint(floor, "idle:default")
    assert floor.put(plain) == executor.given()


def test_what_a_hook_started_goes_first_and_its_hint_goes_with_the_last(floor: Floor) -> None:
    executor = floor.executor()
    ordinary = [floor.put(plain) for _ in range(2)]
    assert not hint(floor, "r:default")
    rooted = put_rooted(floor)
    assert hint(floor, "r:default")
    assert executor.claim() == ordinary[0]  # the lower number, on either side
    assert executor.end(ordinary[0], claim=True) == ordinary[1]
    assert executor.end(ordinary[1], claim=True) == rooted
    assert executor.end(rooted, claim=True) == 0
    assert not hint(floor, "r:default")


def test_what_a_hook_started_is_found_without_its_hint(floor: Floor) -> None:
    executor = floor.executor()
    rooted, ordinary = put_rooted(floor), floor.put(plain)
    forget(floor, "r:default")
    assert executor.claim() == ordinary
    assert executor.end(ordinary, claim=True) == rooted


def test_what_a_hook_started_and_comes_back_is_before_what_came_later(floor: Floor) -> None:
    executor, another = floor.executors(2)
    rooted, first, ordinary = put_rooted(floor), floor.put(plain), floor.put(plain)
    assert executor.claim() == rooted
    assert another.claim() == first
    assert not hint(floor, "r:default")
    claims = executor.step(1, rooted, "back", "", b"", "")
    assert [claim.number for claim in claims] == [rooted]
    assert executor.end(rooted, claim=True) == ordinary


def test_the_living_have_a_field_and_the_dead_are_refused(floor: Floor) -> None:
    executor, heir = floor.executor(), floor.executor()
    number = floor.put(plain)
    assert hint(floor, f"e:{executor.holder}")
    assert executor.claim() == number
    forget(floor, f"e:{executor.holder}")  # then the set of the living is asked
    assert executor.step(0) == []
    floor.member.bury(executor.holder, begun=number)
    with pytest.raises(MemberFenced):
        executor.end(number)
    assert hint(floor, f"e:{heir.holder}")
    floor.member.bury(heir.holder)
    assert not hint(floor, f"e:{heir.holder}")
    with pytest.raises(MemberFenced):
        heir.claim()


def test_the_dead_start_nothing(floor: Floor) -> None:
    holder = floor.executor().holder
    floor.member.bury(holder)
    with pytest.raises(MemberFenced):
        start(floor, plain.name, holder=holder)


def test_a_cut_is_noticed_and_its_hint_goes_after_it(floor: Floor) -> None:
    executor = floor.executor()
    with Cut(floor.store) as cut:
        assert hint(floor, "rare")
        number = floor.put(plain)
        dirty = floor.store.command("SMEMBERS", floor.store.key("cut:dirty"))
        assert f"p:{number}".encode() in dirty
        assert list(cut.entries())
    assert executor.claim() == number
    assert not hint(floor, "rare")


def test_logged_changes_keep_the_hint(floor: Floor) -> None:
    executor = floor.executor()
    floor.store.run("log_on")
    assert executor.claim() == 0
    assert hint(floor, "rare")
    floor.store.run("log_off")
    executor.step(0)
    assert not hint(floor, "rare")


@pytest.mark.parametrize("name", ["step", "put"])
def test_the_scripts_of_every_process_heed_what_is_rare_before_they_write(name: str) -> None:
    own = (script(name).plain or script(name)).source.decode().rpartition("-- include:")[2]
    assert 0 < own.index("heed(rare)") < own.index("answered(" if name == "put" else "settle(e")
