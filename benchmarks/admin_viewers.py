"""What the admin page costs: the workers, when twenty browsers watch; and a list of 100,000 processes that have ended.

    python -m benchmarks.admin_viewers          both, as a table

Rounds without and with viewers are in turn, on one server, so that what else the machine does falls on both. Viewers
look at the overview and at the list of processes, ten at each, all over streams: what they are sent is read and thrown
away by one program.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from benchmarks.programs import Failed
from onserver import Server, execute_many
from onserver.admin.logins import Login, Logins
from onserver.process.execute import order_of

VIEWERS: Final = 20
PAGES: Final = ("/", "/processes")
PROCESSES, ROUNDS = 12_000, 7
ENDED: Final = 100_000
_SAME: Final = {"sec-fetch-site": "same-origin"}
_FILES: Final = {
    "config/onserver.toml": 'name = "watched"\nredis = "embedded"\nprocess.keep_count = 200000\n',
    "tasks/__init__.py": "",
    "tasks/work.py": "from onserver import procedure\n\n\n@procedure\ndef nothing(n: int) -> None: ...\n",
    "workers/__init__.py": "",
    "workers/server.py": "from onserver import Worker\n\nworker = Worker(executors=2)\n",
}


def main() -> int:
    """Measure both, and print them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in _FILES.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        with Server.load(folder) as server, server.as_current(), programs(folder) as url:
            server.load_tasks()
            cost = []
            print(f"{'round':>5} {'alone /s':>10} {'watched /s':>11} {'cost':>7}", flush=True)
            for n in range(1, ROUNDS + 1):
                without, with_ = watched(server, url)
                cost.append(1 - with_ / without)
                print(f"{n:>5} {without:>10.0f} {with_:>11.0f} {cost[-1]:>6.1%}", flush=True)
            lists = listed(server, url)
    print(f"\n{VIEWERS} viewers cost {statistics.median(cost):.1%} of the throughput (median of {ROUNDS} rounds)")
    for query, seconds in lists.items():
        print(f"{query or 'living':<24} {seconds * 1000:6.0f} ms of {ENDED:,} ended (median of 15, page and all)")
    return 0


def watched(server: Server, url: str) -> tuple[float, float]:
    """Return the throughput of one round without viewers, and of one with them."""
    alone = drain(server)
    with viewers(server, url):
        seen = drain(server)
    return alone, seen


def drain(server: Server) -> float:
    """Have processes run, and return how many ended in a second."""
    before = ended(server)
    run(server.project, "pause", "--all")
    execute_many("work.nothing", [(n,) for n in range(PROCESSES)])
    began = time.perf_counter()
    run(server.project, "resume", "--all")
    while ended(server) - before < PROCESSES:
        if time.perf_counter() - began > 120:
            raise Failed(f"{ended(server) - before} of {PROCESSES} processes have ended within 120 s")
        time.sleep(0.02)
    return PROCESSES / (time.perf_counter() - began)


def ended(server: Server) -> int:
    """Return how many have ended and are kept."""
    return int(server.store.command("ZCARD", server.store.key("ended")))


@contextmanager
def viewers(server: Server, url: str) -> Iterator[None]:
    """Have so many browsers watch, in one program of their own, for as long as the block lasts."""
    token = Logins(server.store).make_link(Login(user="bench", by="link", roles=("owner",)))
    with httpx.Client(base_url=url, headers=_SAME) as client:
        client.post("/login", data={"t": token})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    words = [sys.executable, "-m", "benchmarks.admin_viewers", "--watch", url, cookie]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as reader:
        try:
            assert reader.stdout is not None
            reader.stdout.readline()  # all of them have been sent something
            yield
        finally:
            reader.kill()


def watch(url: str, cookie: str) -> None:
    """Open the streams, say so once each has brought something, and read on."""
    host, port = url.removeprefix("http://").split(":")
    selector, silent = selectors.DefaultSelector(), set[socket.socket]()
    link: socket.socket
    for n in range(VIEWERS):
        link = socket.create_connection((host, int(port)))
        query = urlencode({"at": PAGES[n % len(PAGES)]}, quote_via=quote)
        link.sendall(f"GET /live?{query} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        link.setblocking(False)
        selector.register(link, selectors.EVENT_READ, link)
        silent.add(link)
    while True:
        for key, _ in selector.select():
            link = key.data
            text = link.recv(1 << 20)
            if not text:
                raise Failed("a stream has ended")
            if b"event: page" in text and link in silent:
                silent.discard(link)
                if not silent:
                    print("all", flush=True)


def listed(server: Server, url: str) -> dict[str, float]:
    """Return the seconds that a list takes where very many have ended, by its query."""
    fill(server)
    token = Logins(server.store).make_link(Login(user="bench", by="link", roles=("owner",)))
    found: dict[str, float] = {}
    with httpx.Client(base_url=url, headers=_SAME, timeout=60) as client:
        client.post("/login", data={"t": token})
        for query in ("", "state=ended", "state=ended&q=nothing", "state=failed", "state=ended&limit=200"):
            times: list[float] = []
            for _ in range(15):
                began = time.perf_counter()
                answer = client.get(f"/processes?{query}")
                times.append(time.perf_counter() - began)
                if answer.status_code != 200:
                    raise Failed(answer.text[:500])
            found[query] = statistics.median(times)
    return found


def fill(server: Server) -> None:
    """Have as many that have ended as there are to be."""
    store, have = server.store, ended(server)
    name = order_of(server, "work.nothing").procedure
    first = int(store.command("HGET", store.key("numbers"), "process")) + 1
    now = store.now_ms()
    for start in range(have, ENDED, 1000):
        numbers = range(first + start, first + start + 1000)
        facts: Sequence[Any] = ("s", "done", "t", name, "q", "default", "a", now, "g", now, "f", now)
        commands = [("HSET", store.key(f"p:{n}"), *facts) for n in numbers]
        store.pipeline([*commands, ("ZADD", store.key("ended"), *(word for n in numbers for word in (now - n, n)))])
    store.command("HSET", store.key("numbers"), "process", first + ENDED)


# -- programs


@contextmanager
def programs(folder: Path) -> Iterator[str]:
    """Run a worker and an admin page; the URL of the page."""
    command, environment = [sys.executable, "-m", "onserver.cli"], {**os.environ, "ONSERVER_PROJECT": str(folder)}
    with (folder / "log").open("wb") as log:
        worker = subprocess.Popen([*command, "worker"], cwd=folder, env=environment, stdout=log, stderr=log)
        admin = subprocess.Popen(
            [*command, "admin", "--bind", "127.0.0.1:0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    try:
        assert admin.stdout is not None
        said = re.search(r"http://127\.0\.0\.1:\d+", admin.stdout.readline().decode())
        if said is None:
            raise Failed((folder / "log").read_text())
        yield said[0]
    finally:
        for one in (admin, worker):
            one.terminate()
            with suppress(subprocess.TimeoutExpired):
                one.wait(20)
            one.kill()


def run(folder: Path | None, *words: str) -> None:
    """Run a command of the project."""
    done = subprocess.run(
        [sys.executable, "-m", "onserver.cli", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout + done.stderr)
    json.loads(done.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        watch(*sys.argv[2:])
    sys.exit(main())
