"""Twins whose workers die: each call is answered, in its turn, and none runs that was not to run again."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

import pytest

from onserver import Process, Server
from onserver.process.twin import twin_number, wait_call
from onserver.testing.cluster import Cluster, open_cluster
from onserver.values import decode
from tests.twin_client import Client

TASKS = """
import os, time
from onserver import process, server_method, session
from onserver.testing.ledger import note

def tell(word, n):
    note(word, process().number, n, process().deliveries, os.getpid(), time.monotonic())

@server_method
def step(n, seconds=0.0):
    tell("in", n)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    tell("out", n)
    return [n, session().id]

@server_method
def die(n):
    tell("died", n)
    os.kill(os.getpid(), 9)

@server_method(rerun=False)
def die_once(n):
    tell("died", n)
    os.kill(os.getpid(), 9)

@server_method
def for_ever(n):
    tell("for ever", n)
    while True:
        time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def cluster(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of two executors each."""
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("twins"), tasks=TASKS) as opened:
        opened.start(2, executors=2)
        yield opened


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Server]:
    with cluster.as_current() as server:
        yield server


def spans(runs: Sequence[Sequence[str]]) -> list[tuple[float, float]]:
    """When each run began, and when it ended; one that was killed at its beginning, as far as anybody knows."""
    began: dict[tuple[str, ...], float] = {}
    ended: dict[tuple[str, ...], float] = {}
    for word, *facts, at in runs:
        (began if word == "in" else ended)[tuple(facts)] = float(at)
    return sorted((at, ended.get(run, at)) for run, at in began.items())


def test_calls_are_answered_in_order_under_kill_9(cluster: Cluster, server: Server) -> None:
    """Two clients send, and send again as if replies were lost; executors die; the answers tell nothing of it."""
    clients, again, each = [Client(server), Client(server)], Random(7), 25  # repeatable is what it is for
    calls: dict[str, tuple[Client, int]] = {}
    for n in range(each):
        for index, client in enumerate(clients):
            calls[client.put("jobs.step", 100 * index + n, 0.02)] = (client, 100 * index + n)
    for at in (6, 20, 35):
        cluster.wait_for(lambda: len(cluster.ledger.of("out")) >= at)  # noqa: B023
        os.kill(int(cluster.ledger.of("in")[-1][4]), signal.SIGKILL)
        for call in again.sample(list(calls), 10):
            client, n = calls[call]
            assert not client.put_again(call, "jobs.step", n, 0.02)
    for call, (client, n) in calls.items():
        assert decode(client.end(call, 60).result) == [n, client.session]
    runs = defaultdict[str, list[Sequence[str]]](list)
    for words in cluster.ledger:
        runs[words[1]].append(words)
    for index, client in enumerate(clients):
        mine = runs[str(twin_number(server, client.session, client.connection))]  # one process, through all of it
        begun = [(int(words[2]), int(words[3])) for words in mine if words[0] == "in"]
        assert begun == sorted(set(begun))  # in order; a call that began again did so in its turn, as a next delivery
        assert {n for n, _ in begun} == {100 * index + n for n in range(each)}
        assert all(later[0] >= earlier[1] for earlier, later in pairwise(spans(mine)))  # one at a time


def test_a_call_that_kills_its_workers_is_answered_and_those_behind_it_run(cluster: Cluster, server: Server) -> None:
    for method, state, kind, times in (("die", "dead", "ProcessDead", 3), ("die_once", "lost", "ProcessLost", 1)):
        client = Client(server)
        poison, later = client.put(f"jobs.{method}", 0), client.put("jobs.step", 1)
        end = client.end(poison, 60)
        assert (end.state, end.result, decode(end.error)["type"]) == (state, b"", kind)
        died = [words for words in cluster.ledger.of("died") if int(words[1]) == decode(end.error)["number"]]
        assert len(died) == times
        assert not client.put_again(poison, f"jobs.{method}", 0)  # nor does its client revive it
        assert decode(client.end(later, 60).result) == [1, client.session]
        assert twin_number(server, client.session, client.connection) != decode(end.error)["number"]


def test_a_call_that_runs_is_aborted_with_its_process(cluster: Cluster, server: Server) -> None:
    client = Client(server)
    endless, later = client.put("jobs.for_ever", 0), client.put("jobs.step", 1)
    cluster.wait_for(lambda: cluster.ledger.of("for ever"))
    number = twin_number(server, client.session, client.connection)
    assert number is not None
    assert wait_call(server, endless, client.session, 0) is None
    Process.get(number).abort("by the test")
    end = client.end(endless, 60)
    assert (end.state, decode(end.error)["reason"]) == ("aborted", "by the test")
    assert decode(client.end(later, 60).result) == [1, client.session]
