"""Real servers of Redis on loopback ports: a primary with its replica, Sentinels, a cluster. All end with the block."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from onserver.errors import BrokerUnavailable
from onserver.redis.address import parse
from onserver.redis.answers import Lost
from onserver.redis.link import Link
from onserver.redis.search import find_server
from onserver.testing.wait import wait_for

HOST = "127.0.0.1"


class Node:
    """One server, Sentinel or cluster node on a port of its own."""

    def __init__(self, folder: Path, *words: str, sentinel: bool = False) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        lines = [f"bind {HOST}", f"port {self.port}", f"dir {folder}", f"logfile {folder / 'log'}", *words]
        if not sentinel:
            lines += ['save ""', "appendonly no", "maxmemory-policy noeviction", "repl-diskless-sync-delay 0"]
        configuration = folder / "conf"
        configuration.write_text("\n".join(lines) + "\n")
        mode = ["--sentinel"] if sentinel else []
        self.program = subprocess.Popen([str(find_server().path), str(configuration), *mode], stdout=subprocess.DEVNULL)
        self._link = Link(parse(f"redis://{HOST}:{self.port}"), command_seconds=20)
        wait_for(self._answers, what=f"an answer of {self}")

    def __str__(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self, *words: str | int) -> Any:
        """What this node itself answers; asked again when a Sentinel closed the connection."""
        try:
            return self._link.command(*words)
        except Lost:
            return self._link.command(*words)

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO."""
        lines = [line.partition(":") for line in self.command("INFO", section).decode().splitlines()]
        return {name: value for name, colon, value in lines if colon}

    def signal(self, number: int) -> None:
        """Send a signal to the server."""
        os.kill(self.program.pid, number)

    def freeze(self) -> None:
        """Stand still: connections are taken by the kernel, and nothing is answered."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self.signal(signal.SIGCONT)

    def close(self) -> None:
        """kill -9, frozen or not."""
        self._link.close()
        self.program.kill()
        self.program.wait()

    def _answers(self) -> bool:
        with suppress(BrokerUnavailable):
            return bool(self.command("PING") == b"PONG")
        assert self.program.poll() is None, f"{self} ended with status {self.program.returncode}"
        return False


def free_port() -> int:
    """A port on which nobody listens, and which the kernel gives to nobody who asks for any: it stays free."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as taken, suppress(OSError):
            taken.bind((HOST, port))
            return port


@contextmanager
def primary_and_replicas(folder: Path, replicas: int = 1) -> Iterator[list[Node]]:
    """A primary, which comes first, and its replicas, which have all that it has."""
    nodes = [Node(folder / "primary")]
    with ExitStack() as ends:
        ends.callback(nodes[0].close)
        for index in range(replicas):
            nodes.append(Node(folder / f"replica{index}", f"replicaof {HOST} {nodes[0].port}"))
            ends.callback(nodes[-1].close)
        wait_for(lambda: nodes[0].command("INFO", "replication").count(b"state=online") == replicas, 60)
        yield nodes


@contextmanager
def sentinels(folder: Path, primary: Node, replicas: int, count: int = 3) -> Iterator[list[Node]]:
    """Sentinels that watch the primary as the service `shop` and know its replicas and one another."""
    watch = [
        f"sentinel monitor shop {HOST} {primary.port} {count // 2 + 1}",
        "sentinel down-after-milliseconds shop 700",
        "sentinel failover-timeout shop 1500",
    ]
    nodes: list[Node] = []
    with ExitStack() as ends:
        for index in range(count):
            nodes.append(Node(folder / f"sentinel{index}", *watch, sentinel=True))
            ends.callback(nodes[-1].close)
        for node in nodes:
            wait_for(lambda node=node: _knows(node, replicas, count), 20, what=f"{node} to know the others")  # type: ignore[misc]
        yield nodes


def _knows(sentinel: Node, replicas: int, count: int) -> bool:
    words = sentinel.command("SENTINEL", "MASTER", "shop")
    facts = dict(zip(words[::2], words[1::2], strict=True))
    known = int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])
    return known == (replicas, count - 1)


@contextmanager
def cluster_nodes(folder: Path) -> Iterator[list[Node]]:
    """A cluster of three nodes, each with a third of the slots."""
    nodes: list[Node] = []
    with ExitStack() as ends:
        buses = [free_port() for _ in range(3)]
        for index, bus in enumerate(buses):
            words = ("cluster-enabled yes", f"cluster-port {bus}", "cluster-node-timeout 2000")
            nodes.append(Node(folder / f"node{index}", *words))
            ends.callback(nodes[-1].close)
        for node, (first, last) in zip(nodes, ((0, 5460), (5461, 10922), (10923, 16383)), strict=True):
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            nodes[0].command("CLUSTER", "MEET", HOST, node.port, bus)
        for node in nodes:
            wait_for(lambda node=node: _whole(node), 20, what=f"a whole cluster, as {node} sees it")  # type: ignore[misc]
        yield nodes


def _whole(node: Node) -> bool:
    said = node.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in said and b"cluster_known_nodes:3" in said and b"cluster_slots_assigned:16384" in said
