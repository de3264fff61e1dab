"""Logging in to the admin page at a provider of OpenID Connect: who comes in by it, and who does not."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, expect
from starlette.routing import Route
from starlette.testclient import TestClient

from onserver import lazy
from onserver.admin import Admin
from onserver.admin.logins import LINK_SECONDS
from onserver.admin.oidc import ProviderFailed, Ticket, provider_of
from onserver.admin_settings import AdminSettings
from onserver.cli import command
from onserver.errors import BadSetting, MissingExtra, UnsafeBind
from onserver.redis.address import Address
from onserver.server import Server
from onserver.session.attempts import MOST_OF_NAME
from onserver.session.users import Users
from onserver.settings import Settings, SigningSettings, load
from onserver.steer.audit import Line, lines
from tests.admin_browser import AT, stranger
from tests.chromium import NEEDS_CHROMIUM, serving
from tests.oidc_provider import CLIENT, EC_KEY, RSA_KEY, SECRET, Provider, providing, signed

ANN = "ann@example.com"
VISITOR = httpx.Client()  # who has to be somebody for the provider alone
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})


@pytest.fixture(scope="module")
def one_provider() -> Iterator[Provider]:
    with providing() as made:
        yield made


@pytest.fixture
def provider(one_provider: Provider) -> Provider:
    issuer = one_provider.issuer
    one_provider.__init__()  # type: ignore[misc]
    one_provider.issuer = issuer
    return one_provider


@pytest.fixture
def server(provider: Provider, redis_address: Address) -> Iterator[Server]:
    with made(redis_address, provider.issuer) as server:
        Users(server.store).add(ANN, None, ["operator"])
        yield server


def made(redis_address: Address, issuer: str, **admin: Any) -> Server:
    given = {"oidc_issuer": issuer, "oidc_client": CLIENT, "oidc_secret": SECRET, **admin}
    return Server(
        settings=Settings(
            name=f"oi{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", admin=AdminSettings(**given),
            signing=SigningSettings(key="a key that only the tests have"),
        )
    )  # fmt: skip


def begin(client: TestClient, **form: str) -> str:
    """Press the button of the login page; answer where it leads."""
    begun = client.post("/login/oidc", data=form)
    assert begun.status_code == 200, begun.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', begun.text)
    assert found
    return unescape(found[1])


def sent_back(there: str) -> str:
    """Log in at the provider; answer where it sends the browser back to, below the page's address."""
    answer = VISITOR.get(there)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"].removeprefix(AT)


def come_back(client: TestClient, path: str, **other: str) -> httpx.Response:
    """Show the page that somebody comes back to, and press its button."""
    shown = client.get(path, headers={"sec-fetch-site": "cross-site"})
    assert shown.status_code == 200, shown.text
    assert "set-cookie" not in shown.headers
    form = {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text)
    }
    return client.post("/login/callback", data={**form, **other})  # type: ignore[return-value]


def log_in(client: TestClient, **form: str) -> httpx.Response:
    return come_back(client, sent_back(begin(client, **form)))


def inside(client: TestClient) -> bool:
    return client.get("/processes").status_code == 200


def line(server: Server) -> Line:
    """The last line of the audit."""
    return next(lines(server.store))


# -- who comes in


def test_who_is_a_user_comes_in_with_the_roles_of_that_user(server: Server, provider: Provider) -> None:
    ann = stranger(Admin(server))
    page = ann.get("/login?back=/processes").text
    assert f"Log in with {urlsplit(provider.issuer).netloc}" in page
    assert 'type="password"' not in page
    answer = log_in(ann, back="/processes?state=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/processes?state=failed")
    assert inside(ann)
    assert len(ann.cookies) == 1  # what the login in flight was known by is gone
    written = line(server)
    assert (written.user, written.action, written.target, written.result) == (ANN, "login", "oidc", "done")
    Users(server.store).set_roles(ANN, [])
    assert ann.get("/processes").status_code == 403  # looked up with each request
    Users(server.store).remove(ANN)
    Users(server.store).add(ANN, None, ["owner"])
    assert not inside(ann)  # another one of that name


def test_what_the_provider_is_told(server: Server, provider: Provider) -> None:
    log_in(stranger(Admin(server)))
    (told,) = provider.logins
    assert (told["response_type"], told["client_id"], told["code_challenge_method"]) == ("code", CLIENT, "S256")
    assert told["redirect_uri"] == f"{AT}/login/callback"
    assert "openid" in told["scope"].split()
    assert "prompt" not in told
    assert len({told["state"], told["nonce"], told["code_challenge"]}) == 3
    log_in(stranger(Admin(server)))
    assert not set(told.values()) & {provider.logins[1][name] for name in ("state", "nonce", "code_challenge")}


def test_redis_has_nothing_that_lets_anybody_in(server: Server) -> None:
    ann = stranger(Admin(server))
    there = begin(ann, back="/processes")
    (key,) = server.store.command("KEYS", server.store.key("admin:oidc:*"))
    assert LINK_SECONDS - 10 < server.store.command("TTL", key) <= LINK_SECONDS
    kept = key.decode() + server.store.command("GET", key).decode()
    sent = parse_qs(urlsplit(there).query)
    secrets = [*ann.cookies.values(), sent["state"][0], sent["nonce"][0], sent["code_challenge"][0]]
    assert not [one for one in secrets if one in kept]


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(server: Server) -> None:
    here = stranger(Admin(server)).post("/login/oidc").headers["set-cookie"]
    assert here.startswith(f"onserver-admin-{server.name}-oidc=")
    assert {"HttpOnly", "Path=/", "SameSite=strict", f"Max-Age={LINK_SECONDS}"} <= set(here.split("; "))
    there = stranger(Admin(server), "https://admin.example").post("/login/oidc").headers["set-cookie"]
    assert there.startswith(f"__Host-onserver-admin-{server.name}-oidc=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(there.split("; "))


def test_a_program_is_told_where_to_go(server: Server) -> None:
    answer = stranger(Admin(server)).post("/login/oidc", headers={"accept": "application/json"})
    assert answer.json()["data"]["to"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/login/callback?code=1", "/" + "x" * 3000]
)
def test_a_login_leads_nowhere_else(server: Server, back: str) -> None:
    assert log_in(stranger(Admin(server)), back=back).headers["location"] == "/"


def test_large_and_small_are_the_same_in_an_address_and_nothing_else_is(server: Server, provider: Provider) -> None:
    provider.person["email"] = "Ann@Example.com"
    assert log_in(stranger(Admin(server))).status_code == 303
    for other in ("\uff41nn@example.com", "ann@example.com ", "ann@example.co\u217f"):
        provider.person["email"] = other  # to Unicode they are the same
        assert log_in(stranger(Admin(server))).status_code == 403, other


def test_another_claim_names_users_as_they_are_spelled(provider: Provider, redis_address: Address) -> None:
    with made(redis_address, provider.issuer, oidc_claim="sub") as server:
        Users(server.store).add("7a", None, ["viewer"])
        for name, status in (("7a", 303), ("7A", 403), ("7b", 403)):
            provider.person = {"sub": name}
            assert log_in(stranger(Admin(server))).status_code == status, name


def test_a_claim_that_is_not_in_the_token_is_asked_for(server: Server, provider: Provider) -> None:
    provider.person, provider.more = {"sub": "7"}, provider.person
    assert log_in(stranger(Admin(server))).status_code == 303
    provider.more = {**provider.more, "sub": "8"}  # about somebody else
    assert log_in(stranger(Admin(server))).status_code == 403
    provider.more = {**provider.more, "sub": "7", "email_verified": "true"}
    assert log_in(stranger(Admin(server))).status_code == 403


def test_a_secret_goes_the_way_that_the_provider_takes(server: Server, provider: Provider) -> None:
    provider.changed = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert log_in(stranger(Admin(server))).status_code == 303


def test_who_has_a_password_may_use_either(server: Server) -> None:
    Users(server.store).add("bob", "correct horse", ["viewer"])
    page = stranger(Admin(server)).get("/login").text
    assert 'type="password"' in page
    assert "/login/oidc" in page


# -- logging in once more


def test_what_cannot_be_undone_takes_a_provider_that_asks_again(server: Server, provider: Provider) -> None:
    app = Admin(server)
    ann = stranger(app)
    log_in(ann)
    assert not fresh(app, ann)  # it may have known the browser since this morning
    provider.person["auth_time"] = time.time() - 3600
    log_in(ann)
    assert not fresh(app, ann)
    page = ann.get("/login?again=1&back=/backups").text
    assert '<input type="hidden" name="again" value="1">' in page
    refused = log_in(ann, again="1", back="/backups")
    assert refused.status_code == 403
    assert "has not asked you once more" in refused.text
    assert (provider.logins[-1]["prompt"], provider.logins[-1]["max_age"]) == ("login", "0")
    assert inside(ann)  # as before
    provider.person["auth_time"] = int(time.time())
    assert log_in(ann, again="1", back="/backups").headers["location"] == "/backups"
    assert fresh(app, ann)


def fresh(app: Admin, client: TestClient) -> bool:
    cookie = client.cookies[app.identity.cookie_name(secure=False)]
    login = app.identity.logins.find(cookie)
    assert login
    assert login.by == "oidc"
    return not login.stale


# -- whose login it is


def test_a_login_is_of_the_browser_that_began_it(server: Server) -> None:
    app = Admin(server)
    eve, ann, bob = stranger(app), stranger(app), stranger(app)
    path = sent_back(begin(eve))  # eve has logged in, and gives the address that she is sent back to away
    assert come_back(bob, path).status_code == 403
    assert not inside(bob)
    own = sent_back(begin(ann))
    refused = come_back(ann, path)
    assert refused.status_code == 403
    assert "begun in another browser" in refused.text
    assert not inside(ann)
    assert come_back(ann, own).status_code == 303  # which has not ended the login that is her own
    assert come_back(eve, path).status_code == 303


def test_a_code_of_another_login_is_no_proof(server: Server) -> None:
    app = Admin(server)
    eve, ann = stranger(app), stranger(app)
    stolen = parse_qs(urlsplit(sent_back(begin(ann))).query)["code"][0]
    refused = come_back(eve, sent_back(begin(eve)), code=stolen)
    assert refused.status_code == 403  # its verifier is ann's
    assert not inside(eve)


def test_a_login_is_spent_once(server: Server, provider: Provider) -> None:
    ann = stranger(Admin(server))
    there = begin(ann)
    ticket = dict(ann.cookies)
    path = sent_back(there)
    assert come_back(ann, path).status_code == 303
    ann.cookies.clear()
    ann.cookies.update(ticket)
    assert come_back(ann, path).status_code == 403
    assert come_back(ann, sent_back(there)).status_code == 403  # with a new code too
    assert not inside(ann)
    assert provider.asked.count("/token") == 1


@pytest.mark.parametrize("form", [{"state": "x"}, {"state": ""}, {"state": "\ud800", "code": "x"}])
def test_another_state_is_refused_before_the_provider_is_asked(
    server: Server, provider: Provider, form: dict[str, str]
) -> None:
    ann = stranger(Admin(server))
    path = sent_back(begin(ann))
    body = json.dumps({"code": "x", **form})
    answer = ann.post("/login/callback", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 403)
    assert "/token" not in provider.asked
    assert come_back(ann, path, state="x").status_code == 403
    assert line(server).result == "refused"


def test_a_login_that_is_too_old_is_over(server: Server, provider: Provider) -> None:
    ann = stranger(Admin(server))
    path = sent_back(begin(ann))
    (key,) = server.store.command("KEYS", server.store.key("admin:oidc:*"))
    server.store.command("PEXPIRE", key, 0)
    assert come_back(ann, path).status_code == 403
    assert "/token" not in provider.asked


def test_a_new_login_ends_the_one_before(server: Server) -> None:
    app = Admin(server)
    ann, thief = stranger(app), stranger(app)
    log_in(ann)
    thief.cookies.update(dict(ann.cookies))
    log_in(ann)
    assert not inside(thief)
    assert inside(ann)
    ann.post("/logout")
    assert not inside(ann)


def test_writes_are_taken_from_our_own_pages_alone(server: Server, provider: Provider) -> None:
    app = Admin(server)
    routes = [one for one in app.routes() if isinstance(one, Route)]
    ours = {(one.path, *sorted(one.methods or ())) for one in routes if one.path.startswith("/login/")}
    assert ours == {("/login/oidc", "POST"), ("/login/callback", "POST"), ("/login/callback", "GET", "HEAD")}
    ann = stranger(app)
    path = sent_back(begin(ann))
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}):
        assert ann.post("/login/oidc", headers=headers).status_code == 403
        form = {name: value[0] for name, value in parse_qs(urlsplit(path).query).items()}
        assert ann.post("/login/callback", data=form, headers=headers).status_code == 403
    assert ann.get("/login/oidc").status_code == 405
    before = sorted(server.store.command("KEYS", server.store.key("*")))
    assert ann.get(path).status_code == ann.get("/login/callback").status_code == 200
    assert ann.get(f"/login/callback?code={'x' * 9000}").status_code == 400
    assert sorted(server.store.command("KEYS", server.store.key("*"))) == before
    assert "/token" not in provider.asked
    assert come_back(ann, path).status_code == 303


def test_logins_that_nobody_finishes_are_bounded(server: Server) -> None:
    ann = stranger(Admin(server))
    for _ in range(MOST_OF_NAME + 2):
        assert log_in(ann).status_code == 303  # who comes back is not counted
    for _ in range(MOST_OF_NAME):
        begin(ann)
    answer = ann.post("/login/oidc")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


# -- what is no proof


def unsigned(claims: dict[str, Any]) -> str:
    return ".".join((part({"alg": "none"}), part(claims), ""))


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_hash(claims: dict[str, Any], secret: bytes) -> str:
    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims)}"
    return f"{text}.{base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), 'sha256')).rstrip(b'=').decode()}"


def with_odd_kid(claims: dict[str, Any]) -> str:
    return ".".join((part({"alg": "RS256", "kid": ["one"]}), *signed(claims).split(".")[1:]))


def with_another_text(claims: dict[str, Any]) -> str:
    head, _, sign = signed({**claims, "email": "eve@example.com"}).split(".")
    return ".".join((head, part(claims), sign))


@pytest.mark.parametrize(
    "sign",
    [
        unsigned, lambda claims: by_hash(claims, SECRET.encode()),
        lambda claims: by_hash(claims, RSA_KEY.as_pem(private=False)), with_another_text,
        lambda claims: signed(claims, OTHER_KEY), lambda claims: signed(claims, EC_KEY, kid="one"),
        lambda claims: signed(claims, kid="three"), with_odd_kid,
        lambda claims: "x.y.z", lambda claims: "", lambda claims: signed(claims)[:-8],
    ],
    ids=[
        "unsigned", "HS256 by the secret", "HS256 by the public key", "another text", "another key", "another kind",
        "unknown kid", "odd kid", "nonsense", "nothing", "cut",
    ],
)  # fmt: skip
def test_a_token_that_is_not_signed_by_the_provider_is_no_proof(
    server: Server, provider: Provider, sign: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = sign
    ann = stranger(Admin(server))
    answer = log_in(ann)
    assert answer.status_code == 403, answer.text
    assert "no proof" in answer.text
    assert not ann.cookies
    written = line(server)
    assert (written.action, written.target, written.result, written.user) == ("login", "oidc", "refused", "")


LONG_AGO, NOT_YET = 1_000_000_000, 4_000_000_000


@pytest.mark.parametrize(
    "bent",
    [
        {"nonce": "x"}, {"nonce": None}, {"aud": "another"}, {"aud": ["another"]}, {"aud": None}, {"aud": []},
        {"aud": [CLIENT, "another"]}, {"aud": [CLIENT, "another"], "azp": "another"}, {"azp": "another"},
        {"iss": "https://evil.example"}, {"iss": None}, {"exp": LONG_AGO}, {"exp": None}, {"exp": "never"},
        {"iat": NOT_YET}, {"iat": None}, {"nbf": NOT_YET}, {"sub": None},
        {"email_verified": False}, {"email_verified": None}, {"email_verified": "true"},
        {"email": ""}, {"email": 7}, {"email": [ANN]},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_that_says_something_else_is_no_proof(server: Server, provider: Provider, bent: dict[str, Any]) -> None:
    provider.bent = bent
    ann = stranger(Admin(server))
    answer = log_in(ann)
    assert answer.status_code == 403, answer.text
    assert "no proof" in answer.text
    assert not inside(ann)
    assert line(server).result == "refused"


@pytest.mark.parametrize(
    "bent", [{"aud": [CLIENT]}, {"azp": CLIENT}, {"aud": [CLIENT, "another"], "azp": CLIENT}], ids=str
)
def test_a_token_for_several_names_who_it_is_for(server: Server, provider: Provider, bent: dict[str, Any]) -> None:
    provider.bent = bent
    assert log_in(stranger(Admin(server))).status_code == 303


def test_a_key_that_was_changed_is_read_once_more(server: Server, provider: Provider) -> None:
    app = Admin(server)
    for _ in range(3):
        assert log_in(stranger(app)).status_code == 303
    assert (provider.asked.count("/keys"), provider.asked.count("/.well-known/openid-configuration")) == (1, 1)
    provider.sign = lambda claims: signed(claims, EC_KEY)
    provider.published = [EC_KEY.as_dict(private=False), RSA_KEY.as_dict(private=False)]
    for _ in range(2):
        assert log_in(stranger(app)).status_code == 303
    assert provider.asked.count("/keys") == 2
    provider.sign = lambda claims: signed(claims, kid="three")
    assert log_in(stranger(app)).status_code == 403
    assert provider.asked.count("/keys") == 3


def test_keys_that_are_for_nothing_of_ours_are_passed_over(server: Server, provider: Provider) -> None:
    shared = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "kid": "one"}
    sealing = {**OTHER_KEY.as_dict(private=False), "use": "enc"}
    provider.published = [shared, sealing, {"kty": "new", "kid": "one"}, "x", *provider.published]
    assert log_in(stranger(Admin(server))).status_code == 303
    provider.sign = lambda claims: signed(claims, kid=None)  # there is one that it can be
    assert log_in(stranger(Admin(server))).status_code == 303
    provider.published.append({**OTHER_KEY.as_dict(private=False), "kid": "four"})
    assert log_in(stranger(Admin(server))).status_code == 403


def test_who_is_no_user_is_refused_and_that_is_written_down(server: Server, provider: Provider) -> None:
    provider.person["email"] = "eve@example.com"
    ann = stranger(Admin(server))
    answer = log_in(ann)
    assert answer.status_code == 403
    assert "eve@example.com is no user of this server" in answer.text
    assert not ann.cookies
    written = line(server)
    assert (written.user, written.result, written.why) == ("", "refused", "there is no such user")


def test_an_answer_by_another_issuer_is_no_proof(server: Server, provider: Provider) -> None:
    provider.changed = {"authorization_response_iss_parameter_supported": True}
    app = Admin(server)
    for issuer in ("https://evil.example", ""):
        ann = stranger(app)
        assert come_back(ann, sent_back(begin(ann)), iss=issuer).status_code == 403
    assert "/token" not in provider.asked


# -- a provider that fails


def test_who_gives_up_at_the_provider_is_told_so(server: Server, provider: Provider) -> None:
    provider.cancels = True
    ann = stranger(Admin(server))
    path = sent_back(begin(ann))
    answer = come_back(ann, path)
    assert answer.status_code == 403
    assert "has not let you in" in answer.text
    assert "access_denied" in line(server).why
    assert come_back(ann, path).status_code == 403
    assert "/token" not in provider.asked


@pytest.mark.parametrize("path", ["/token", "/keys"])
def test_a_provider_that_fails_lets_nobody_in(server: Server, provider: Provider, path: str) -> None:
    provider.failing = {path}
    ann = stranger(Admin(server))
    answer = log_in(ann)
    assert answer.status_code == 503
    assert "has not answered as it should" in answer.text
    assert line(server).result == "refused"
    provider.failing = set()
    assert log_in(ann).status_code == 303


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"}, {"authorization_endpoint": None}, {"token_endpoint": "http://evil.example/t"},
        {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": "javascript:alert(1)"}, {"userinfo_endpoint": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_provider_that_says_something_odd_of_itself_is_not_used(
    server: Server, provider: Provider, changed: dict[str, Any]
) -> None:
    app, provider.changed = Admin(server), changed
    ann = stranger(app)
    assert ann.post("/login/oidc").status_code == 503
    assert not ann.cookies
    assert not server.store.command("KEYS", server.store.key("admin:oidc:*"))
    provider.changed = {}
    assert log_in(ann).status_code == 303  # as soon as it has come to itself


def test_a_provider_that_is_not_there_is_told_of(redis_address: Address) -> None:
    with made(redis_address, "http://127.0.0.1:9") as server:
        ann = stranger(Admin(server))
        assert ann.get("/login").status_code == 200
        answer = ann.post("/login/oidc", headers={"accept-language": "fr"})
        assert answer.status_code == 503
        assert "injoignable" in answer.text


def test_of_those_who_wait_for_a_provider_that_fails_one_asks(server: Server, provider: Provider) -> None:
    asking = provider_of(server.settings)
    assert asking
    asking._failure = (time.monotonic() + 60, "it was asked while this one waited")
    with pytest.raises(ProviderFailed, match="it was asked"):
        asking.address(Ticket("x"), f"{AT}/login/callback", again=False)
    assert not provider.asked


def test_what_the_provider_takes_no_code_of(server: Server) -> None:
    ann = stranger(Admin(server))
    answer = come_back(ann, sent_back(begin(ann)), code="made up")
    assert answer.status_code == 403
    assert "invalid_grant" in line(server).why


# -- settings


def test_without_a_provider_there_is_no_such_way(redis_address: Address) -> None:
    with made(redis_address, "", oidc_client="", oidc_secret="") as server:
        client = stranger(Admin(server))
        assert client.post("/login/oidc").status_code == client.get("/login/callback").status_code == 404
        assert "/login/oidc" not in client.get("/login").text


def test_a_page_inside_an_application_has_its_logins_alone(server: Server) -> None:
    assert stranger(Admin(server, login=lambda request: None)).post("/login/oidc").status_code == 404


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"oidc_issuer": "https://login.example"}, "`admin.oidc_client`"),
        ({"oidc_client": "x"}, "`admin.oidc_issuer`"), ({"oidc_secret": "hush"}, "`admin.oidc_issuer`"),
        ({"oidc_issuer": "http://login.example", "oidc_client": "x"}, "https://"),
        ({"oidc_issuer": "login.example", "oidc_client": "x"}, "no address"),
        ({"oidc_issuer": "https://a:b@login.example", "oidc_client": "x"}, "no login"),
        ({"oidc_issuer": "https://login.example?x", "oidc_client": "x"}, "address alone"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_the_start(given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSetting, match=re.escape(told)) as raised:
        provider_of(Settings(name="shop", admin=AdminSettings(**given)))
    assert "hush" not in str(raised.value)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(target: str, extra: str = "") -> Any:
        raise MissingExtra(extra, target)

    monkeypatch.setattr("onserver.admin.oidc.load", gone)
    with pytest.raises(MissingExtra, match="httpx2") as raised:
        provider_of(Settings(name="shop", admin=AdminSettings(oidc_issuer="https://login.example", oidc_client="x")))
    assert "onserver[oidc]" in raised.value.hint
    assert lazy.load("joserfc.jwt", "oidc")


def test_the_secret_is_of_the_environment_alone_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config/onserver.toml"
    file.write_text('[admin]\noidc_issuer = "https://login.example"\noidc_client = "x"\n')
    settings = load(tmp_path, {"ONSERVER_ADMIN_OIDC_SECRET": "hush"})
    assert settings.admin.oidc_secret == "hush"
    assert "hush" not in repr(settings) + repr(settings.admin) + str(settings.explain("admin.oidc_secret"))
    assert "oidc_claim='email'" in repr(settings.admin)
    file.write_text('[admin]\noidc_secret = "hush"\n')
    with pytest.raises(BadSetting, match="ONSERVER_ADMIN_OIDC_SECRET") as raised:
        load(tmp_path, {})
    assert "hush" not in str(raised.value)


def test_a_page_with_a_provider_may_be_reached_by_others(
    tmp_path: Path, redis_address: Address, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/onserver.toml").write_text(
        f'name = "oi{uuid4().hex[:8]}"\nredis = "unix://{redis_address.path}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a key that only the tests have")
    served: list[Any] = []
    monkeypatch.setattr("onserver.cli.admin.serve", lambda app, *_words, **_more: served.append(app))
    monkeypatch.setattr("onserver.cli.admin.os.nice", lambda _by: None)
    words = ["admin", "--bind", "0.0.0.0:0"]
    assert command.run(words) == 2
    assert command.run(["users", "add", ANN, "+owner", "--no-password"]) == 0
    assert command.run(words) == 2  # by which nobody could log in
    assert f"ONS-{UnsafeBind.code}" in capsys.readouterr().err
    monkeypatch.setenv("ONSERVER_ADMIN_OIDC_ISSUER", "http://login.example")
    monkeypatch.setenv("ONSERVER_ADMIN_OIDC_CLIENT", "x")
    assert command.run(words) == 2
    assert "https://" in capsys.readouterr().err
    monkeypatch.setenv("ONSERVER_ADMIN_OIDC_ISSUER", "https://login.example")
    assert not served
    assert command.run(words) == 0
    assert len(served) == 1


# -- in a browser


@NEEDS_CHROMIUM
@pytest.mark.parametrize("scripts", [True, False])
def test_a_browser_goes_there_and_comes_back(
    server: Server, provider: Provider, chromium: Browser, scripts: bool
) -> None:
    provider.issuer = provider.issuer.replace("127.0.0.1", "localhost")  # another site for a browser
    with made(server.store.address, provider.issuer) as other, serving(Admin(other)) as at:
        Users(other.store).add(ANN, None, ["operator"])
        context = chromium.new_context(base_url=at, java_script_enabled=scripts)
        page = context.new_page()
        page.goto("/locks")
        page.get_by_role("button", name="Log in with localhost").click()
        if not scripts:
            page.get_by_role("main").get_by_role("button").click()
        expect(page).to_have_url(f"{at}/locks")
        expect(page.get_by_role("heading", name="Locks", exact=True)).to_be_visible()
        names = {cookie["name"]: cookie["sameSite"] for cookie in context.cookies() if "admin" in cookie["name"]}
        assert names == {f"onserver-admin-{other.name}": "Strict"}
        context.close()
