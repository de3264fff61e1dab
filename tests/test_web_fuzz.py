"""Whatever is sent to the gateway: it never fails, and lets nobody in who has not logged in.

Requests are made of the gateway's own description (schemathesis: those that keep to it, and those that do not), and of
pieces of paths in every order. 500 cases here, 10,000 in `make test-long`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.music import Album, Artist, require
from tests.test_rest import CLOSED, shop_of
from tests.test_rest_data import shop

#: Cases of each of the two tests, and of each in `make test-long`.
FEW, MANY = 250, 5_000
LONG = [pytest.mark.long, pytest.mark.timeout(1800)]

#: Pieces that paths are made of: what means something, what nearly does, and what other programs stumble over.
PIECES = [
    b"/", b"//", b"/rest", b"/rest/", b"$catalog", b"$info", b"$singleton", b"$getWebForm", b"authentify",
    b"shop.authentify", b"shop.read", b"shop.closed", b"shop.hidden", b"$directory", b"login", b"Company", b"(1)", b"(",
    b")", b"..", b".", b"%2e%2e", b"%2f", b"%252f", b"%5c", b"\\", b"%00", b"%", b"%zz", b"%c3%28", b"%ff", b"\xff",
    b"%0d%0a", b";", b"?", b"$method=entityset", b"&", b"=", b"#", b"$4DSID", b"$", b" ", b"%20", b"\xc3\xa9", b"~",
    b"/action/", b"/4DACTION/", b"/processes/", b"1", b"99999999999999999999", b"/events", b"/openapi.json", b"*",
]  # fmt: skip


#: What an album costs the shop, which guests are not told.
SECRET = Decimal("4711.17")

#: Requests as the description has them, and others.
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

PIECE = st.one_of(st.sampled_from(PIECES), st.binary(max_size=4))
#: Paths that mean something, of which a place is replaced by a piece.
MEANT = [
    b"/rest/$info", b"/rest/$catalog", b"/rest/$catalog/shop.read", b"/rest/$catalog/authentify", b"/rest/Company(1)",
    b"/rest/$catalog/shop.nothing", b"/rest/Company?$method=entityset", b"/rest/$singleton/Basket/add",
    b"/action/shop.authentify?user=ann&password=a", b"/processes/1/events", b"/rest/$directory/login",
]  # fmt: skip


def spoiled(path: bytes, place: int, length: int, piece: bytes) -> bytes:
    """Replace some letters of a path."""
    place %= len(path) + 1
    return path[:place] + piece + path[place + length :]


PATHS = st.one_of(
    st.lists(PIECE, max_size=8).map(b"".join),
    st.sampled_from(MEANT),
    st.builds(spoiled, st.sampled_from(MEANT), st.integers(0, 40), st.integers(0, 4), PIECE),
)
BODIES = st.one_of(st.just(b""), st.just(b"[1]"), st.just(b'["ann", "close sesame"]'), st.binary(max_size=20))
#: What may be in a cookie.
COOKIES = st.one_of(
    st.just(b""), st.binary(max_size=40), st.text("0123456789ABCDEF", min_size=32, max_size=32).map(str.encode)
)


class Answer(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


@pytest.fixture
def closed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A project where everybody has to log in before anything else, and nothing is open by default."""
    yield from shop_of(request, monkeypatch, tmp_path, CLOSED)


def cases(number: int, of: int) -> settings:
    """So many cases of all: always the same ones in `make test`, new ones in `make test-long`."""
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=of == FEW,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def require_shut(opened: OnServer) -> None:
    """Nothing has run but `authentify`, and no session has anything."""
    ran = {"shop.read", "shop.closed", "shop.nothing", "shop.fails", "shop.hidden", "shop.report"}
    assert [name for name in ran if opened.calls(name)] == []
    assert [record.id for record in opened.server.sessions.listed("web", limit=10_000) if record.granted] == []


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=LONG)])
def test_requests_of_the_description_and_against_it(closed: OnServer, number: int) -> None:
    app = Gateway(closed.server)
    schema: Any = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]
    statuses: set[int] = set()
    for operation in operations:
        ways = [
            operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        ]

        @cases(number // len(operations) + 1, number)
        @given(st.one_of(ways))
        def ask(case: Any) -> None:
            answer = case.call()
            statuses.add(answer.status_code)
            assert answer.status_code < 500, case.as_curl_command()

        ask()
    require_shut(closed)
    assert {200, 400, 401, 403} <= statuses  # all doors were tried


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=LONG)])
def test_paths_of_pieces(closed: OnServer, number: int) -> None:
    app = Gateway(closed.server)
    statuses: set[int] = set()

    @cases(number, number)
    @given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]), PATHS, BODIES, COOKIES)
    def ask(method: str, path: bytes, body: bytes, cookie: bytes) -> None:
        answer = runner.run(asked(app, method, path, body, cookie))
        statuses.add(answer.status)
        assert answer.status < 500, (method, path, answer)

    with asyncio.Runner() as runner:
        ask()
    require_shut(closed)
    assert {400, 401, 404} <= statuses


#: What a request for data is made of: attributes, comparators, values, and what is none of these.
ATTRIBUTES = ["name", "cost", "id", "price", "released", "live", "artist.name", "albums.cost", "artist", "label", "no"]
COMPARATORS = ["=", "!=", ">", "<=", "begin", "in", "#", "==", "like", ""]
VALUES = [
    "1", "-1.5", "9" * 25, "1e999", "2026-11-26", "true", "null", "@", "al@", "%", "Ann", "'a b'", '"', "'", "(", ":1",
    ":9", "", "\\", "\0", "ä",
]  # fmt: skip
PARAMS = ["[1]", '["a", null]', "[[1]]", "[[]]", "[{}]", "{}", "[", '["\\u0000"]']
COMPARE = st.builds("{} {} {}".format, *map(st.sampled_from, (ATTRIBUTES, COMPARATORS, VALUES)))
FILTER = st.lists(COMPARE | st.sampled_from(["NOT", "(", ")", "AND", "OR", "EXCEPT"]), min_size=1, max_size=5).map(
    " ".join
)
LISTED = st.lists(st.sampled_from([*ATTRIBUTES, "*", "artist.*", "albums.*", "__class__", ""]), max_size=3).map(
    ",".join
)
SAID = {
    "$filter": COMPARE | FILTER | st.text(max_size=10),
    "$params": st.sampled_from(PARAMS),
    "$orderby": st.builds("{} {}".format, st.sampled_from(ATTRIBUTES), st.sampled_from(["", "desc", "up"])),
    "$top": st.sampled_from(VALUES),
    "$attributes": LISTED,
    "$expand": LISTED,
    "$method": st.sampled_from(["entityset", "update", "delete", "release", "no"]),
    "$timeout": st.sampled_from(VALUES),
}
QUERIES = st.lists(st.one_of(*(st.tuples(st.just(word), said) for word, said in SAID.items())), max_size=2).map(dict)
PLACES = [
    "Album", "Album", "Album(1)", "Album(x)", "Album/name", "Album(1)/name,cost", "Artist", "Artist(1)/albums", "Place",
    "Place(A,1)", "Place(A)", "Album/$entityset/" + "A" * 32, "Nothing", "$catalog/Album", "$catalog/Nothing",
]  # fmt: skip
SENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["__KEY", "__STAMP", "name", "cost", "id", "artist", "label"]), inner, max_size=3
        )
    ),
    max_leaves=6,
) | st.sampled_from([{"__KEY": "1", "cost": 1}, {"name": "New"}, [{"__KEY": "2", "name": "x"}]])


@pytest.fixture
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A shop of music that guests may look at but for what albums cost, and may change nothing of."""
    nobody = {action: ["CreateInvoices"] for action in ("create", "update", "drop")}
    rules = [
        {"applyTo": "ds", "type": "datastore", "read": ["guest"], **nobody},
        {"applyTo": "Album.cost", "type": "attribute", "read": ["CreateInvoices"]},
    ]
    roles = json.loads(CLOSED) | {"permissions": {"allowed": rules}, "forceLogin": False}
    yield from shop(request, monkeypatch, tmp_path, json.dumps(roles))


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=LONG)])
def test_requests_for_data(guarded: OnServer, number: int) -> None:
    app, music = Gateway(guarded.server), require(guarded.server)
    statuses: set[int] = set()
    with music.session() as data:
        data.execute(sa.update(Album).values(cost=SECRET))

    @cases(number, number)
    @given(st.sampled_from(["GET", "GET", "POST"]), st.sampled_from(PLACES), QUERIES, SENT)
    def ask(method: str, place: str, query: dict[str, str], sent: object) -> None:
        target = f"/rest/{quote(place, '/$(),')}?{urlencode(query, errors='replace')}".encode()
        answer = runner.run(asked(app, method, target, json.dumps(sent).encode(), b""))
        statuses.add(answer.status)
        assert answer.status < 500, (method, target, sent, answer)
        assert str(SECRET).encode() not in answer.body

    with asyncio.Runner() as runner:
        ask()
    with music.session() as data:
        assert data.scalars(sa.select(Album.name).where(Album.cost == SECRET).order_by(Album.id)).all() == [
            "Alpha", "Beta", "Gamma", "alp",
        ]  # fmt: skip
        assert data.scalar(sa.select(sa.func.count()).select_from(Artist)) == 3
    assert {200, 400, 403, 404} <= statuses


async def asked(app: Gateway, method: str, target: bytes, body: bytes, cookie: bytes) -> Answer:
    """Ask as a server of ASGI does with what has come over the wire."""
    raw, _, query = target.partition(b"?")
    raw = raw if raw.startswith(b"/") else b"/" + raw
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(raw.decode("latin-1")), "raw_path": raw, "query_string": query, "root_path": "",
        "headers": [(b"host", b"shop.example"), (b"cookie", b"4DSID_shop=" + cookie),
                    (b"content-type", b"application/json")],
        "client": ("192.0.2.9", 50000), "server": ("shop.example", 80), "state": {},
    }  # fmt: skip
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    status, answered = 0, b""

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, answered
        status = message.get("status", status)
        answered += message.get("body", b"")

    await app(scope, receive, send)
    return Answer(status, answered)
