"""Who comes in to the admin page: links, users, tokens, proxies; and who does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from starlette.requests import Request

from onserver.admin import Admin, Proxy, Visitor
from onserver.admin.logins import Login, Logins
from onserver.admin.tokens import Tokens
from onserver.redis.address import Address
from onserver.server import Server
from onserver.session.attempts import MOST_OF_ADDRESS, MOST_OF_NAME, SECONDS, Attempts
from onserver.session.roles import Roles
from onserver.session.users import Users
from onserver.steer.granted import PRIVILEGES, READY, privileges_of
from onserver.testing import wait_for
from tests.admin_browser import browser, program, stranger
from tests.inline_worker import make_server


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"ad{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


def link(server: Server, **login: object) -> str:
    return Logins(server.store).make_link(Login(**{"user": "ann", "by": "link", "roles": ("owner",), **login}))  # type: ignore[arg-type]


# -- links


def test_a_link_shows_a_button_and_the_button_lets_in_once(server: Server) -> None:
    token = link(server)
    ann, bob = stranger(Admin(server)), stranger(Admin(server))
    for _ in range(3):  # a preview of a chat, a scanner, ann
        shown = ann.get(f"/login?t={token}")
        assert shown.status_code == 200
        assert f'value="{token}"' in shown.text
        assert not ann.cookies
    inside = ann.post("/login", data={"t": token})
    assert (inside.status_code, inside.headers["location"]) == (303, "/")
    again = bob.post("/login", data={"t": token})
    assert again.status_code == 403
    assert not bob.cookies
    assert "used already" in bob.get(f"/login?t={token}").text


def test_a_link_is_good_for_ten_minutes(server: Server) -> None:
    token = link(server)
    (key,) = server.store.command("KEYS", server.store.key("admin:link:*"))
    assert 590 < server.store.command("TTL", key) <= 600
    assert token not in key.decode()  # whoever reads Redis cannot log in with what is there
    assert token.encode() not in server.store.command("GET", key)


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(server: Server) -> None:
    here = stranger(Admin(server)).post("/login", data={"t": link(server)}).headers["set-cookie"]
    assert here.startswith(f"onserver-admin-{server.name}=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(here.split("; "))
    client = stranger(Admin(server), "https://admin.example")
    there = client.post("/login", data={"t": link(server)}).headers["set-cookie"]
    assert there.startswith(f"__Host-onserver-admin-{server.name}=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(there.split("; "))
    assert "Domain" not in there


def test_a_login_outlives_the_page(server: Server) -> None:
    ann = browser(server)
    after = stranger(Admin(server))
    after.cookies.update(ann.cookies)
    assert after.get("/login").headers["location"] == "/"  # the next program knows her


def test_who_logs_out_is_out(server: Server) -> None:
    ann = browser(server)
    kept = dict(ann.cookies)
    assert ann.post("/logout").headers["location"] == "/login"
    assert not ann.cookies
    thief = stranger(Admin(server))
    thief.cookies.update(kept)
    assert thief.get("/login").status_code == 200


def test_a_new_login_ends_the_one_before(server: Server) -> None:
    ann = browser(server)
    old = dict(ann.cookies)
    ann.post("/login", data={"t": link(server)})
    assert dict(ann.cookies) != old
    thief = stranger(Admin(server))
    thief.cookies.update(old)
    assert thief.get("/login").status_code == 200


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/a\nb"]
)
def test_a_login_leads_nowhere_else(server: Server, back: str) -> None:
    inside = stranger(Admin(server)).post("/login", data={"t": link(server), "back": back})
    assert inside.headers["location"] == "/"


def test_a_login_leads_where_somebody_wanted_to_go(server: Server) -> None:
    inside = stranger(Admin(server)).post("/login", data={"t": link(server), "back": "/processes?state=failed"})
    assert inside.headers["location"] == "/processes?state=failed"


# -- users


def test_a_user_logs_in_with_a_password(server: Server) -> None:
    Users(server.store).add("Ann", "correct horse", ["operator"])
    ann = stranger(Admin(server))
    assert "password" in ann.get("/login").text
    asks = {"accept": "application/json"}
    wrong = ann.post("/login", data={"user": "ann", "password": "wrong horse"}, headers=asks)
    unknown = ann.post("/login", data={"user": "nobody", "password": "wrong horse"}, headers=asks)
    assert wrong.status_code == unknown.status_code == 403
    assert wrong.text == unknown.text
    assert ann.post("/login", data={"user": "ann", "password": "correct horse"}).status_code == 303
    assert who(server, ann) == ("Ann", READY["operator"])


def test_roles_are_looked_up_with_each_request(server: Server) -> None:
    users = Users(server.store)
    users.add("ann", "correct horse", ["owner"])
    ann = stranger(Admin(server))
    ann.post("/login", data={"user": "ann", "password": "correct horse"})
    users.set_roles("ann", ["viewer"])
    assert who(server, ann) == ("ann", READY["viewer"])
    users.set_password("ann", "another horse")
    assert who(server, ann) is None


def test_a_user_who_was_removed_is_out(server: Server) -> None:
    users = Users(server.store)
    users.add("ann", "correct horse", ["owner"])
    ann = stranger(Admin(server))
    ann.post("/login", data={"user": "ann", "password": "correct horse"})
    users.remove("ann")
    assert who(server, ann) is None


def test_too_many_attempts_are_refused_before_the_password_is_looked_at(server: Server) -> None:
    Users(server.store).add("ann", "correct horse", ["owner"])
    app = Admin(server)
    for _ in range(MOST_OF_NAME):
        assert stranger(app).post("/login", data={"user": "ANN", "password": "x"}).status_code == 403
    refused = stranger(app).post("/login", data={"user": "ann", "password": "correct horse"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300
    assert stranger(app).post("/login", data={"t": link(server)}).status_code == 303  # a link is no guess


def test_a_count_of_attempts_that_has_lost_its_end_gets_another_one(server: Server) -> None:
    attempts, store = Attempts(server.store), server.store
    attempts.begin("ann", "::1")
    keys = [key.decode() for key in store.command("KEYS", store.key("tries:*"))]
    assert len(keys) == 2
    for key in keys:
        store.command("PERSIST", key)
    attempts.begin("ann", "::1")
    assert all(0 < store.command("TTL", key) <= SECONDS for key in keys)
    for key in keys:  # as a kill between the two commands leaves it, and who only looks does not count
        store.command("SET", key, MOST_OF_ADDRESS)
    assert 0 < attempts.wait("ann", "::1") <= SECONDS
    assert all(0 < store.command("TTL", key) <= SECONDS for key in keys)


def test_a_password_that_was_right_forgets_the_attempts(server: Server) -> None:
    Users(server.store).add("ann", "correct horse", ["owner"])
    for _ in range(3):
        for _ in range(MOST_OF_NAME - 5):
            stranger(Admin(server)).post("/login", data={"user": "ann", "password": "x"})
        assert (
            stranger(Admin(server)).post("/login", data={"user": "ann", "password": "correct horse"}).status_code == 303
        )


def test_who_logs_in_all_day_from_one_address_shuts_nobody_out(server: Server) -> None:
    Users(server.store).add("ann", "correct horse", ["owner"])
    for _ in range(MOST_OF_ADDRESS + 5):
        attempts = Attempts(server.store)
        assert attempts.begin("ann", "192.0.2.1") == 0
        attempts.right("ann", "192.0.2.1")
    Attempts(server.store).right("ann", "192.0.2.9")  # of which nothing was counted: its count had ended
    counts = [server.store.command("GET", key) for key in server.store.command("KEYS", server.store.key("tries:*"))]
    assert counts == [b"0"]


# -- tokens


def test_a_token_is_who_asks(server: Server) -> None:
    secret, made = Tokens(server.store).make("deploy", ["admin.view", "admin.process"], 60, by="ann")
    assert who(server, program(server, secret)) == ("token:deploy", frozenset({"admin.view", "admin.process"}))
    values = b"".join(server.store.command("HGETALL", server.store.key("admin:tokens")))
    assert secret.encode() not in values
    Tokens(server.store).revoke(made.id)
    assert who(server, program(server, secret)) is None


def test_a_token_ends_on_its_day(server: Server) -> None:
    tokens = Tokens(server.store)
    secret, _ = tokens.make("deploy", ["admin.view"], 0.001, by="ann")
    wait_for(lambda: not tokens.find(secret))
    assert who(server, program(server, secret)) is None
    assert not tokens.listed()
    tokens.make("other", ["admin.view"], 60, by="ann")
    assert server.store.command("HLEN", server.store.key("admin:tokens")) == 1  # the one that is over is gone


def test_a_wrong_token_is_nobody_even_with_a_login(server: Server) -> None:
    ann = browser(server)
    assert who(server, ann, authorization="Bearer ons_wrong") is None


# -- an application around, and a proxy in front


def test_the_application_around_decides_alone(server: Server) -> None:
    def login(request: Request) -> Visitor | None:
        name = request.headers.get("x-test-user")
        return Visitor(user=name, roles=["operator"], read_only=name == "eve") if name else None

    app = Admin(server, login=login)
    client = stranger(app)
    assert who(server, client, app=app) is None
    assert client.get("/login").status_code == 404
    assert client.get("/nowhere").status_code == 404
    assert who(server, client, app=app, x_test_user="ann") == ("ann", READY["operator"])
    assert may(app, client, "admin.process", x_test_user="ann")
    assert not may(app, client, "admin.process", x_test_user="eve")


def test_a_proxy_is_believed_and_nobody_else(server: Server) -> None:
    Users(server.store).add("ann", "correct horse", ["owner"])
    proxy = Proxy(address="127.0.0.0/8", user_header="X-Forwarded-User")
    app, other = (
        Admin(server, proxy=proxy),
        Admin(server, proxy=Proxy(address="10.1.1.1", user_header="X-Forwarded-User")),
    )
    assert seen(app, {"x-forwarded-user": "ann", "x-forwarded-for": "6.6.6.6, 192.0.2.9"}) == (
        "ann", PRIVILEGES[-1], "192.0.2.9",
    )  # fmt: skip
    assert seen(app, {"x-forwarded-user": "bob"}) == ("bob", "admin.view", "127.0.0.1")
    assert seen(other, {"x-forwarded-user": "ann"}) is None
    assert seen(app, {}) is None


def test_who_is_behind_a_proxy_with_tls_has_a_cookie_for_this_host_alone(server: Server) -> None:
    app = Admin(server, proxy=Proxy(address="127.0.0.1"))
    inside = stranger(app).post("/login", data={"t": link(server)}, headers={"x-forwarded-proto": "https"})
    assert inside.headers["set-cookie"].startswith("__Host-")


# -- what roles give


def test_ready_roles_hold_where_the_file_has_none_of_their_name() -> None:
    assert privileges_of(Roles(), ["Owner"]) == set(PRIVILEGES)
    assert privileges_of(Roles(), ["viewer", "Admin.Process"]) == {"admin.view", "admin.process"}
    assert privileges_of(Roles(), ["nothing"]) == set()
    own = Roles(privileges={"admin.view": (), "shop": ("admin.view",)}, roles={"owner": ("shop",)})
    assert privileges_of(own, ["owner"]) == {"admin.view"}


# -- writes are from our own pages


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"}, {"origin": "null"}, {},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8765"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/login", "/logout", "/display"])
def test_a_write_from_elsewhere_is_refused(server: Server, path: str, headers: dict[str, str]) -> None:
    ann = browser(server)
    del ann.headers["sec-fetch-site"]
    token = link(server)
    assert ann.post(path, data={"t": token, "theme": "dark"}, headers=headers).status_code == 403
    assert Logins(server.store).is_link(token)
    assert who(server, ann) is not None


def test_a_browser_that_says_nothing_of_sites_says_the_origin(server: Server) -> None:
    ann = stranger(Admin(server))
    del ann.headers["sec-fetch-site"]
    same = {"origin": "http://127.0.0.1:8765"}
    assert ann.post("/login", data={"t": link(server)}, headers=same).status_code == 303


def test_what_somebody_likes_is_kept_in_cookies(server: Server) -> None:
    ann = browser(server)
    kept = ann.post("/display", data={"theme": "dark", "lang": "fr", "zone": "server", "back": "/login?again=1"})
    assert kept.headers["location"] == "/login?again=1"
    page = ann.get("/login?again=1").text
    assert 'lang="fr"' in page
    assert 'data-theme="dark"' in page
    assert 'data-zone="server"' in page
    assert "irréversible" in page
    ann.post("/display", data={"theme": "<script>", "lang": "../x", "zone": "9"})
    assert 'data-theme="dark"' in ann.get("/login?again=1").text


# -- helpers


def seen(app: Admin, headers: dict[str, str]) -> tuple[str, str, str] | None:
    """Who a request is from, the greatest privilege, and the address, as the page has it."""
    found: list[tuple[str, str, str] | None] = []

    async def inside(scope: dict[str, object], receive: object, send: object) -> None:
        asker = app.identity.who(Request(scope))
        if asker is None:
            found.append(None)
            return
        greatest = max(asker.actor.privileges, key=PRIVILEGES.index)
        found.append((asker.actor.user, greatest, asker.actor.origin))

    app._router = inside  # type: ignore[assignment]
    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": "http", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "client": ("127.0.0.1", 5),
    }  # fmt: skip
    asyncio.run(app(scope, None, None))  # type: ignore[arg-type]
    return found[0]


def who(server: Server, client: object, app: Admin | None = None, **headers: str) -> tuple[str, frozenset[str]] | None:
    """Who a browser is to the page."""
    asker = (app or Admin(server)).identity.who(asking(client, **headers))
    return (asker.actor.user, asker.actor.privileges) if asker else None


def may(app: Admin, client: object, privilege: str, **headers: str) -> bool:
    asker = app.identity.who(asking(client, **headers))
    assert asker
    return asker.actor.may(privilege)


def asking(client: object, **headers: str) -> Request:
    """A request as a browser would send it, with its cookies."""
    sent = dict(client.headers) | {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[attr-defined]
    sent["cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())  # type: ignore[attr-defined]
    return Request(
        {
            "type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": "http", "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8765),
        }
    )  # fmt: skip
