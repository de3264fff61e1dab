"""Remote clients over TLS, with certificates of an authority of the tests' own, and users who log in."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from uuid import uuid4

import argon2
import pytest

from onserver import Server, remote, server_method, session
from onserver.connections.facts import Opening
from onserver.connections.wire import Open
from onserver.errors import BadArguments, CertificateRefused, LoginRefused, OnServerError, ServerUnreachable
from onserver.redis.address import Address
from onserver.redis.keys import all_keys
from onserver.redis.store import Store
from onserver.remote_settings import RemoteSettings
from onserver.session import users as users_module
from onserver.session.users import Users
from onserver.settings import MemberSettings, Settings, SigningSettings
from tests.authority import Authority, needs_openssl
from tests.gateway_served import served
from tests.inline_worker import KEY, working
from tests.web_project import make_project

pytestmark = needs_openssl

PASSWORD = "correct horse battery"
WRONG = "wrong horse and cart"
#: Far longer than a client may take to say that it does not believe somebody, in seconds.
LATE = 30.0


@server_method(name="till.who")
def who() -> list[Any]:
    here = session()
    return [here.info.type, here.user_name, here.has_privilege("CreateInvoices"), here.has_privilege("ReadInvoices")]


class Here(NamedTuple):
    """A server with one user, Ann, and its gateway behind two certificates, of which one is good for this machine."""

    server: Server
    authority: Path
    url: str
    of_another: str

    @property
    def by_name(self) -> str:
        return self.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def here(embedded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    address: Address = embedded.start()
    folder = tmp_path_factory.mktemp("tls")
    project = make_project(folder / "shop")
    authority = Authority(folder)
    settings = Settings(
        project=project,
        name=f"tls{uuid4().hex[:6]}",
        redis=f"unix://{address.path}",
        signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=60.0),
        remote=RemoteSettings(over_web=True, beat_seconds=0.2),
    )
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # the real hash, that keeps nobody long
    nobody = hasher.hash("a password that nobody has")
    with (
        pytest.MonkeyPatch.context() as patched,
        Server(project=project, settings=settings) as server,
        server.as_current(),
        working(server),
        served(server, authority.sign("ours", "DNS:localhost", "IP:127.0.0.1")) as url,
        served(server, authority.sign("another", "DNS:shop.example")) as of_another,
    ):
        patched.setattr(users_module, "_hasher", lambda: hasher)
        patched.setattr(users_module, "_nobody", lambda: nobody)
        Users(server.store).add("Ann", PASSWORD, ["clerk"])
        yield Here(server, authority.file, url, of_another)


def clients(server: Server) -> int:
    return sum(found.kind == "remote" for found in server.sessions.listed())


# -- who is trusted


@pytest.mark.parametrize("kind", ["a file by its path", "a file", "a context"])
def test_a_user_logs_in_over_tls(here: Here, kind: str) -> None:
    proofs: Mapping[str, Any] = {
        "a file by its path": here.authority,
        "a file": str(here.authority),
        "a context": ssl.create_default_context(cafile=here.authority),
    }
    for url in (here.url, here.by_name):
        with remote.connect(url, user="Ann", password=PASSWORD, verify=proofs[kind]) as client:
            assert who() == ["remote", "Ann", True, False]
            assert client.user == "Ann"
            assert repr(client) == f"<Client of {url} for Ann>"


async def test_it_is_the_same_on_a_loop(here: Here) -> None:
    async with await remote.aconnect(here.url, user="ann", password=PASSWORD, verify=here.authority) as client:
        assert await client.acall(who) == ["remote", "Ann", True, False]
    with pytest.raises(CertificateRefused):
        await remote.aconnect(here.url, user="ann", password=PASSWORD)


PROGRAM = """
import sys
from onserver import remote

with remote.connect(sys.argv[1], user="ann", password=sys.stdin.readline().strip()) as client:
    print(client.call("till.who"))
"""


@pytest.mark.parametrize("trusts", [True, False])
def test_a_program_trusts_what_its_environment_says(here: Here, tmp_path: Path, trusts: bool) -> None:
    kept = {name: word for name, word in os.environ.items() if not name.startswith(("ONSERVER_", "SSL_CERT_"))}
    environment = kept | ({"SSL_CERT_FILE": str(here.authority)} if trusts else {})
    command = [sys.executable, "-c", PROGRAM, here.url]
    done = subprocess.run(
        command, input=f"{PASSWORD}\n", env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert PASSWORD not in done.stdout + done.stderr
    if trusts:
        assert (done.returncode, done.stdout) == (0, "['remote', 'Ann', True, False]\n"), done.stderr
    else:
        assert done.returncode == 1
        assert f"CertificateRefused: The certificate of {here.url} was refused: " in done.stderr


def test_an_authority_that_nobody_trusts_is_refused_at_once(here: Here) -> None:
    before, began = clients(here.server), monotonic()
    with pytest.raises(CertificateRefused) as caught:
        remote.connect(here.url, user="ann", password=PASSWORD)  # with patience for a minute
    assert monotonic() - began < LATE
    assert caught.value.url == here.url
    assert "certificate" in caught.value.reason
    assert 'verify="ca.pem"' in str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    assert clients(here.server) == before


def test_a_certificate_of_another_host_is_refused_at_once(here: Here) -> None:
    began = monotonic()
    with pytest.raises(CertificateRefused, match="mismatch") as caught:
        remote.connect(here.of_another, user="ann", password=PASSWORD, verify=here.authority)
    assert monotonic() - began < LATE
    assert "Connect to a name that it was made for" in str(caught.value)


def test_no_tls_where_tls_is_spoken_is_no_answer(here: Here) -> None:
    with served(here.server) as plain, pytest.raises(ServerUnreachable, match="SSL"):
        remote.connect(plain.replace("http:", "https:"), user="ann", password=PASSWORD, patience=0.0)
    with pytest.raises(ServerUnreachable):
        remote.connect(here.url.replace("https:", "http:"), user="ann", password=PASSWORD, patience=0.0)


def test_a_client_whose_server_is_no_longer_believed_ends_all_the_same(here: Here) -> None:
    with remote.connect(here.by_name, user="ann", password=PASSWORD, verify=here.authority) as client:
        assert who()[0] == "remote"
        client._trips.way.url = here.of_another  # type: ignore[misc]
        with pytest.raises(CertificateRefused):
            who()
    assert client.ended == ""  # nobody could be told; its session ends when it is not heard of


# -- without TLS


def test_http_to_another_machine_needs_a_word(here: Here) -> None:
    """0.0.0.0 stands for another machine: it is none of the loopback, and is reached all the same."""
    with served(here.server) as plain:
        other = plain.replace("127.0.0.1", "0.0.0.0")
        before = clients(here.server)
        for url in (other, "http://shop.example"):
            with pytest.raises(BadArguments, match="anybody on the way reads: https://, or insecure=True"):
                remote.connect(url, user="ann", password=PASSWORD)
        assert clients(here.server) == before
        with remote.connect(other, user="ann", password=PASSWORD, insecure=True) as client:
            assert client.user == "Ann"
        for url in (plain, plain.replace("127.0.0.1", "localhost")):
            with remote.connect(url, user="ann", password=PASSWORD) as client:
                assert client.user == "Ann"


# -- passwords


@pytest.mark.parametrize(
    ("user", "password"), [("ann", WRONG), ("ann", ""), ("bob", WRONG), ("", WRONG), ("bob", PASSWORD)]
)
def test_who_has_not_the_password_is_not_let_in_and_it_is_told_nowhere(
    here: Here, user: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = clients(here.server)
    with pytest.raises(LoginRefused) as caught:
        remote.connect(here.url, user=user, password=password, verify=here.authority)
    error: OnServerError = caught.value
    wanted = f"User `{user}` was not let in: no such name and password." if user else "Who connects has to log in."
    assert error.message == wanted  # which of the two it was is not told
    assert clients(here.server) == before
    said = "".join(traceback.format_exception(error)) + repr(error.as_dict()) + repr(vars(error)) + caplog.text
    assert "/remote/open" in caplog.text  # it was listened to
    if password:
        assert password not in said
        assert not [key for key in all_keys(here.server.store) if password in content(here.server.store, key)]


def test_the_right_password_is_kept_nowhere(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with remote.connect(here.url, user="ann", password=PASSWORD, verify=here.authority) as client:
        client.call(who)
        texts = [repr(one) for one in (client, client.main, client.watch, client._trips, client._trips.way)]
        texts += [repr(vars(one)) for one in (client, client._trips, client._trips.way)]
        assert PASSWORD not in "".join(texts) + caplog.text
        assert not [key for key in all_keys(here.server.store) if PASSWORD in content(here.server.store, key)]


def test_a_wish_that_is_shown_does_not_show_the_password() -> None:
    wish = Open(asked=Opening(attempt="0" * 32, user="ann", password=PASSWORD, machine="desk"))
    assert repr(wish) == "Open(asked=<Opening of ann from desk>)"


def content(store: Store, key: str) -> str:
    """All that a key has, as text."""
    kind = store.command("TYPE", key).decode()
    reading: Mapping[str, tuple[str | int, ...]] = {
        "string": ("GET", key),
        "hash": ("HGETALL", key),
        "list": ("LRANGE", key, 0, -1),
        "set": ("SMEMBERS", key),
        "zset": ("ZRANGE", key, 0, -1),
        "stream": ("XRANGE", key, "-", "+"),
        "none": ("GET", key),
    }
    return repr(store.command(*reading[kind]))


# -- what is given


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("https://ann:geheim@shop.example", "with a user in it: user=… and password=… say who connects"),
        ("ann:geheim@shop.example", "with a user in it"),
        ("https://shop.example/?token=1", "of which ? and # are no part"),
        ("https://shop.example#top", "of which ? and # are no part"),
        ("https://shop.example:port", "is no address"),
        ("https://[::1", "is no address"),
        ("https://", "is no https:// address"),
        ("", "is no https:// address"),
        (5, "is no address and no server"),
    ],
)
def test_an_address_that_is_none_is_refused_and_repeats_no_password(where: Any, said: str) -> None:
    with pytest.raises(BadArguments) as caught:
        remote.connect(where)
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pasword": "geheim"}, "has no option `pasword`"),
        ({"user": "ann", "password": None}, "is given a password that is no text, but NoneType"),
        ({"user": "ann", "password": b"geheim"}, "is given a password that is no text, but bytes"),
        ({"user": "ann", "password": "geheim\ud800"}, "is given a password that is no text"),
        ({"user": 5}, "is given a user that is no text, but int"),
        ({"verify": False}, "is given verify=False, which proves nothing"),
        ({"verify": 5}, "is given verify=5, which proves nothing"),
        ({"verify": "nowhere.pem"}, "is given verify=`nowhere.pem`, a file without certificates"),
        ({"verify": __file__}, "a file without certificates"),
    ],
)
def test_options_that_cannot_be_are_refused_and_repeat_no_password(options: dict[str, Any], said: str) -> None:
    for connecting in (remote.connect, lambda *words, **given: asyncio.run(remote.aconnect(*words, **given))):
        with pytest.raises(BadArguments) as caught:
            connecting("https://shop.example", **options)
        assert said in str(caught.value)
        assert "geheim" not in str(caught.value) + repr(caught.value)
