"""The users of config/redis-acl.conf, on a real Redis: each may do its work, and nothing outside of its server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from onserver import Process, Server, execute_on_server
from onserver.errors import BadSignature, BrokerUnavailable, NoSigningKey, ProcessDead
from onserver.redis.address import parse
from onserver.redis.answers import Denied, LinkError, ScriptRefused
from onserver.redis.link import Link
from onserver.redis.search import find_server
from onserver.settings import Settings, SigningSettings
from onserver.testing import Cluster, wait_for
from onserver.values import encode
from tests.topologies import HOST, free_port

CONFIGURATION = Path(__file__).parents[1] / "config" / "redis-acl.conf"
USERS = ("client", "worker", "admin")
TASKS = '''
from onserver import procedure, session


@procedure
def add(x: int, y: int) -> int:
    """Add two numbers and remember the sum in the storage."""
    with session().storage.use() as storage:
        storage["sum"] = x + y
    return x + y
'''


WORKER = """
from onserver import Worker

worker = Worker(queues=["default"])
"""


class Guarded(NamedTuple):
    """A Redis that only those users can use."""

    port: int
    name: str

    def url(self, user: str) -> str:
        return f"redis://{self.name}-{user}:CHANGE-ME-{user}@{HOST}:{self.port}/0"

    def link(self, user: str) -> Link:
        return Link(parse(self.url(user)))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("acl")
    guarded = Guarded(free_port(), f"t{uuid4().hex[:8]}")
    rules = folder / "redis-acl.conf"
    rules.write_text(CONFIGURATION.read_text().replace("weather", guarded.name))
    lines = (f"bind {HOST}", f"port {guarded.port}", f"dir {folder}", f"logfile {folder / 'log'}",
             'save ""', "maxmemory-policy noeviction", f"include {rules}")  # fmt: skip
    (folder / "conf").write_text("\n".join(lines) + "\n")
    program = subprocess.Popen([str(find_server().path), str(folder / "conf")], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(guarded, program), 60)
        yield guarded
    finally:
        program.kill()
        program.wait()


def _answers(guarded: Guarded, program: subprocess.Popen[bytes]) -> bool:
    assert program.poll() is None, "it did not take the file"
    try:
        with guarded.link("admin") as link:
            return bool(link.command("PING") == b"PONG")
    except LinkError:
        return False


def denied(link: Link, *words: str) -> bool:
    """Whether Redis refuses this user a command, whatever it would have answered."""
    try:
        link.command(*words)
    except Denied:
        return True
    except ScriptRefused as error:
        return "permissions" in str(error) or "ACL" in str(error)
    return False


@pytest.mark.parametrize("user", USERS)
def test_nobody_reaches_what_is_not_of_this_server(redis: Guarded, user: str) -> None:
    with redis.link(user) as link:
        for key in ("plain", "{onserver:other}:p:1", f"{{onserver:{redis.name}0}}:p:1", f"onserver:{redis.name}:p:1"):
            own = f"{{onserver:{redis.name}}}:server"
            for words in (("GET", key), ("SET", key, "x"), ("DEL", key), ("HGETALL", key), ("RENAME", key, key + "x"),
                          ("EVAL", "return redis.call('GET', KEYS[1])", "1", key),
                          ("EVAL", "return redis.call('SET', ARGV[1], 'x')", "0", key),
                          ("SUBSCRIBE", key), ("PUBLISH", key, "x"), ("COPY", own, key)):  # fmt: skip
                assert denied(link, *words), words
        assert denied(link, "PSUBSCRIBE", "*")


@pytest.mark.parametrize("user", USERS)
def test_nobody_empties_stops_or_reconfigures_redis(redis: Guarded, user: str) -> None:
    with redis.link(user) as link:
        for text in ("FLUSHALL", "FLUSHDB", "SHUTDOWN", "KEYS *", "REPLICAOF NO ONE", "SWAPDB 0 1",
                     "ACL SETUSER default on nopass", "ACL LIST", "ACL GETUSER default", "MODULE LIST", "MONITOR",
                     "SAVE", "BGREWRITEAOF", "CLUSTER RESET", "MIGRATE h 1 k 0 1", "SYNC", "FAILOVER"):  # fmt: skip
            assert denied(link, *text.split()), text
        if user != "admin":
            for text in ("CONFIG SET maxmemory 1", "CONFIG REWRITE", "CLIENT LIST", "CLIENT KILL TYPE normal",
                         "FUNCTION FLUSH", "SCRIPT FLUSH", "FUNCTION KILL", "SCRIPT KILL"):  # fmt: skip
                assert denied(link, *text.split()), text
        if user == "client":
            for text in ("SCAN 0", "RANDOMKEY", "DBSIZE", "CONFIG GET *", "FUNCTION LIST", "PUBSUB CHANNELS",
                         "FUNCTION LOAD x"):  # fmt: skip
                assert denied(link, *text.split()), text


def test_without_a_user_nobody_gets_in(redis: Guarded) -> None:
    for url in (f"redis://{HOST}:{redis.port}/0", f"redis://:CHANGE-ME-client@{HOST}:{redis.port}/0"):
        with Link(parse(url)) as link, pytest.raises(Denied):
            link.command("PING")
    server = Server(redis.name, redis=f"redis://{redis.name}-client:wrong@{HOST}:{redis.port}/0")
    with server, pytest.raises(BrokerUnavailable):
        server.store.command("PING")


def project(folder: Path) -> Path:
    for name, text in (("config/onserver.toml", ""), ("tasks/__init__.py", ""), ("tasks/shop.py", TASKS),
                       ("workers/__init__.py", ""), ("workers/server.py", WORKER)):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_programs_do_their_work_as_these_users(redis: Guarded, tmp_path: Path) -> None:
    cluster = Cluster(project(tmp_path), redis.url("admin"), redis.name, tmp_path)
    as_client = os.environ | cluster.variables | {"ONSERVER_REDIS": redis.url("client")}
    try:
        with Server.load(tmp_path, environ=as_client) as client, client.as_current():
            with client.storage.use() as storage:  # before any worker has made a function
                storage["first"] = 1
            assert client.storage["first"] == 1
            cluster.start(ONSERVER_REDIS=redis.url("worker"))
            later = [execute_on_server("shop.add", n, 1) for n in range(20)]
            assert [one.result(timeout=60) for one in later] == list(range(1, 21))
            with client.storage.use() as storage:
                storage["note"] = {"by": "client"}
            assert client.storage["note"]["by"] == "client"
            assert client.storage["sum"] in range(1, 21)
            assert client.storage.counter("hits").add(2) == 2
            stopped = Process.get(later[0].number).record()
            assert stopped.state == "done"
            with pytest.raises(Denied):
                client.store.command("SET", "plain", "x")
            forge(client)
    finally:
        left = cluster.close()
    assert not left


def forge(client: Server) -> None:
    """Who may publish all it likes, and has no key, starts nothing."""
    store, body = client.store, encode([[1, 2], {}])
    stranger = Settings(name=client.name, redis=client.settings.redis, signing=SigningSettings(key="a stranger's key"))
    with Server(client.name, settings=stranger):
        theirs = execute_on_server("shop.add", 1, 2)
    client.make_current()
    with pytest.raises(ProcessDead, match="does not have"):
        Process.get(theirs.number).result(timeout=60)
    unsigned = ("t", "shop.add", "b", body, "c", b"")
    number, *_ = store.run("put", store.nonce(), "", store.now_ms(), "default", 5, 0, "", "", "", "", 0, *unsigned)
    with pytest.raises(BadSignature, match="not signed"):
        Process.get(int(number)).result(timeout=60)
    nowhere = Settings(name=client.name, redis=client.settings.redis, signing=SigningSettings(key_file="nowhere.json"))
    with Server(client.name, settings=nowhere), pytest.raises(NoSigningKey):
        execute_on_server("shop.add", 1, 2)
    client.make_current()
