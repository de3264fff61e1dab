"""What a framework keeps in its session: what is written is what has changed, in a form that the framework reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask.json.tag import TaggedJSONSerializer
from markupsafe import Markup

from onserver.redis.address import Address
from onserver.web import flask as adapter
from onserver.web import kept, web_sessions
from onserver.web.kept import KeptDict
from onserver.web.web_session import WebSession
from tests.floor import Floor, open_floor


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def taken(floor: Floor, identity: str = "") -> WebSession:
    sessions = web_sessions(floor.server)
    own = sessions.begin(cookie=f"{sessions.cookie.name}={identity}").own
    assert own is not None
    return own


@pytest.fixture
def identity(floor: Floor) -> str:
    own = taken(floor)
    first = kept.read(own, KeptDict, json.loads)
    first.update(name="ann", n=1, cart=[1], none=None)
    assert kept.write(own, first, encode)
    return own.id


def test_only_what_has_changed_is_encoded_and_written(floor: Floor, identity: str) -> None:
    own, asked = taken(floor, identity), list[Any]()
    mine = kept.read(own, KeptDict, json.loads)
    mine["n"] = 2
    mine["cart"].append(2)
    other = taken(floor, identity)
    others = kept.read(other, KeptDict, json.loads)
    others["name"] = "bob"
    assert kept.write(other, others, encode)

    def noting(value: Any) -> bytes:
        asked.append(value)
        return encode(value)

    assert kept.write(own, mine, noting)
    assert asked == [2, [1, 2]]
    found = kept.read(taken(floor, identity), KeptDict, json.loads)
    assert found == {"name": "bob", "n": 2, "cart": [1, 2], "none": None}


def test_a_value_that_is_put_back_after_a_write_is_written_again(floor: Floor, identity: str) -> None:
    own = taken(floor, identity)
    mine = kept.read(own, KeptDict, json.loads)
    before = mine["name"]
    for name in ("bob", before):
        mine["name"] = name
        assert kept.write(own, mine, encode)
        assert kept.read(taken(floor, identity), KeptDict, json.loads)["name"] == name
    del mine["name"]
    assert kept.write(own, mine, encode)
    assert "name" not in kept.read(taken(floor, identity), KeptDict, json.loads)


def test_an_equal_value_of_another_type_is_another(floor: Floor, identity: str) -> None:
    own = taken(floor, identity)
    mine = kept.read(own, KeptDict, json.loads)
    mine["n"] = True
    assert kept.write(own, mine, encode)
    assert kept.read(taken(floor, identity), KeptDict, json.loads)["n"] is True


def test_what_others_have_kept_meanwhile_is_left_by_a_second_write(floor: Floor, identity: str) -> None:
    own, other = taken(floor, identity), taken(floor, identity)
    mine, others = (kept.read(one, KeptDict, json.loads) for one in (own, other))
    others["new"] = 1
    assert kept.write(other, others, encode)
    for number in (5, 6):
        mine["n"] = number
        assert kept.write(own, mine, encode)
    found = kept.read(taken(floor, identity), KeptDict, json.loads)
    assert (found["new"], found["n"]) == (1, 6)


@pytest.mark.parametrize(
    "value",
    ["", "ann", "é\x00\n\"", "\ud800", "007", "12", 0, -7, 10**30, True, False, None, 1.5, [1, "a"], {"a": (1, b"x")},
     {" t": 1}, Markup("<b>"), (), b"1"],
    ids=repr,
)  # fmt: skip
def test_flask_and_we_read_what_the_other_has_written(value: object) -> None:
    serializer = TaggedJSONSerializer()
    with flask.Flask("shop").app_context():
        written, theirs = adapter._encode(value), serializer.dumps(value).encode()
        for found in (adapter._decode(written), adapter._decode(theirs), serializer.loads(written.decode())):
            assert (found, type(found)) == (value, type(value))
