"""From one key layout to the next: by a migration that this test registers, since there is none yet."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver.cli.command import run
from onserver.cluster.member import Member
from onserver.errors import WrongLayout
from onserver.process.maintenance import maintenance_on
from onserver.redis import migrations
from onserver.redis import store as stores
from onserver.redis.address import Address
from onserver.redis.migrations import MIGRATIONS, Migration
from onserver.redis.store import LAYOUT, Store
from onserver.settings import Settings

NAMES = [f"entry-{n:02}" for n in range(25)]
CHUNK = 10


class Killed(Exception):
    """Stands for the end of the program in the middle."""


class Steps:
    """A migration that writes a value anew, ten a step, and is killed where the test says."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.die_before = ""

    def step(self, store: Store, position: str) -> str:
        left = [name for name in NAMES if name > position][:CHUNK]
        for name in left:
            if name == self.die_before:
                raise Killed
            store.command("HSET", store.key("migrated-test"), name, "new")
            self.done.append(name)
        return left[-1] if len(left) == CHUNK else ""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Layout 2 is the newest, and these steps lead to it."""
    made = Steps()
    monkeypatch.setattr(migrations, "MIGRATIONS", [Migration(to=2, what="writes values anew", step=made.step)])
    monkeypatch.setattr(migrations, "NEWEST", 2)
    monkeypatch.setattr(stores, "LAYOUT", 2)
    return made


@pytest.fixture
def old(redis_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The keys of a server of layout 1, and the command that works on them."""
    name = f"t{abs(hash(tmp_path)):x}"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "onserver.toml").write_text(f'name = "{name}"\nredis = "unix://{redis_address.path}"\n')
    monkeypatch.setenv("ONSERVER_PROJECT", str(tmp_path))
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a key of sixteen or more")
    monkeypatch.chdir(tmp_path)
    with Store(redis_address, name) as store:
        store.any_layout = True
        store.command("HSET", store.key("server"), "layout", 1)
        yield store


def test_the_way_to_the_newest_layout_has_no_gap() -> None:
    assert [one.to for one in MIGRATIONS] == list(range(2, LAYOUT + 1))


def test_the_newest_layout_is_left_as_it_is(old: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--yes"]) == 0
    assert capsys.readouterr().out == "key layout 1, the newest: nothing to do\n"


def test_keys_of_an_older_layout_are_refused_until_they_were_migrated(
    old: Store, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        Store(old.address, old.name) as store,
        pytest.raises(WrongLayout, match="`onserver migrate` brings them there"),
    ):
        store.command("PING")
    assert run(["migrate", "--check"]) == 10
    out, err = capsys.readouterr()
    assert out == "nothing done (--check)\n"
    assert "key layout 1 → 2: " in err
    assert "no backup has ended well" in err
    assert "2: writes values anew" in err
    assert run(["migrate"]) == 3, "nobody is there to be asked"
    assert steps.done == []
    capsys.readouterr()
    assert run(["migrate", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["data"]
    assert (told["layout"], told["steps"]) == (2, ["writes values anew"])
    assert steps.done == NAMES
    with Store(old.address, old.name) as store:
        assert store.command("HLEN", store.key("migrated-test")) == len(NAMES)
    assert maintenance_on(old) is None


def test_killed_in_the_middle_nobody_works_with_it_and_it_goes_on_from_there(old: Store, steps: Steps) -> None:
    steps.die_before = "entry-13"
    with pytest.raises(Killed):
        run(["migrate", "--yes"])
    with Store(old.address, old.name) as store, pytest.raises(WrongLayout, match="are being brought into layout 2"):
        store.command("PING")
    steps.die_before = ""
    assert run(["migrate", "--yes"]) == 0
    assert steps.done == [*NAMES[:13], *NAMES[10:]], "what was not noted is done again"
    with Store(old.address, old.name) as store:
        assert store.layout == 2


def test_it_is_refused_while_members_are_there(old: Store, steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    member = Member.join(old, Settings(name=old.name), "worker", "w1")
    assert run(["migrate", "--yes"]) == 3
    assert "1 members are there" in capsys.readouterr().err
    assert steps.done == []
    assert maintenance_on(old) is None
    member.leave()
    assert run(["migrate", "--yes"]) == 0


def test_keys_of_a_newer_release_are_left_alone(old: Store, capsys: pytest.CaptureFixture[str]) -> None:
    old.command("HSET", old.key("server"), "layout", 99)
    assert run(["migrate", "--yes"]) == 9
    assert "this release knows layouts up to 1" in capsys.readouterr().err
    assert run(["ps"]) == 2
    assert "ONS-1205" in capsys.readouterr().err
