"""A thousand light clients on one gateway: `python -m benchmarks.remote_clients [CLIENTS] [CALLS]`.

One gateway and one worker on a private Redis, all on this machine. A crowd of clients, in a program of its own,
connects over HTTP; each has a wish that waits at the gateway, as clients have. First they do nothing: what the gateway
and Redis hold for each, and what their beats cost, in CPU time. Then some more clients call, at times that nobody has
arranged, as often as a thousand people would of whom each asks for something every 20 s: how long a call takes, among
all the others.
"""

import asyncio
import json
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.counter import folder
from benchmarks.engine import Engine, running
from benchmarks.programs import ROOT, Failed, Place, Worker
from onserver import remote
from onserver.remote import Client

_CLIENTS, _CALLS = 1000, 1500
#: How many connect at a time.
_TOGETHER = 32
#: How many call, and how many calls there are in a second.
_CALLERS, _RATE = 50, 50.0
_IDLE_SECONDS = 20.0
_START_SECONDS = 60.0
#: Open files for each client here and at the gateway: a wish that waits, and one that is sent.
_FILES = 4


def main(words: Sequence[str]) -> int:
    """Measure, and print one line of JSON."""
    if words[:1] == ["crowd"]:
        return asyncio.run(_crowd(words[1], int(words[2])))
    clients, calls = (int(words[0]), int(words[1])) if len(words) == 2 else (_CLIENTS, _CALLS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _FILES * clients + 500), most))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder()) as place:
        print(json.dumps(_measured(Path(place), clients, calls)))
    return 0


def _measured(place: Path, clients: int, calls: int) -> dict[str, float]:
    with running(place / "redis") as engine, socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        found.close()
        variables = {
            "ONSERVER_REDIS": f"unix://{engine.socket}", "ONSERVER_PROJECT": str(ROOT / "benchmarks" / "project"),
            "ONSERVER_SIGNING_KEY": "only for the benchmarks", "ONSERVER_REMOTE_OVER_WEB": "true",
        }  # fmt: skip
        work, web = (_place(place / name, variables) for name in ("work", "web"))
        with (
            Worker(work, ["-m", "onserver.cli", "worker"]),
            Worker(web, ["-m", "onserver.cli", "web", "--bind", f"127.0.0.1:{port}"]) as gateway,
        ):
            _wait_for(work.folder, " ready")
            url = _wait_for(web.folder, r"serving (http://\S+)")
            return asyncio.run(_all(url, clients, calls, gateway, engine))


async def _all(url: str, clients: int, calls: int, gateway: Worker, engine: Engine) -> dict[str, float]:
    callers = await _connected(url, _CALLERS)
    await asyncio.gather(*(caller.acall("remote.echo", 0) for caller in callers))
    before, redis_before = gateway.memory()["pss"], engine.memory()
    command = [sys.executable, "-m", "benchmarks.remote_clients", "crowd", url, str(clients)]
    crowd = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if crowd.stdout is None:
            raise Failed("the crowd has no output")
        took = float(await crowd.stdout.readline() or "nan")
        after, redis_after = gateway.memory()["pss"], engine.memory()
        cpu, counts = gateway.cpu(), engine.counts()
        await asyncio.sleep(_IDLE_SECONDS)
        idle = gateway.cpu() - cpu, engine.counts().since(counts).cpu
        times = await _called(callers, calls)
    finally:
        crowd.kill()  # a thousand farewells are not what is measured
        await crowd.wait()
    await asyncio.gather(*(caller.aclose() for caller in callers))
    return {
        "clients": clients,
        "connects_per_s": clients / took,
        "gateway_kb_each": (after - before) * 1024 / clients,
        "redis_kb_each": (redis_after - redis_before) / 1024 / clients,
        "idle_gateway_cpu_pct": 100 * idle[0] / _IDLE_SECONDS,
        "idle_redis_cpu_pct": 100 * idle[1] / _IDLE_SECONDS,
        "calls_per_s": _RATE,
        "call_p50_ms": 1000 * times[len(times) // 2],
        "call_p95_ms": 1000 * times[len(times) * 95 // 100],
    }


async def _crowd(url: str, clients: int) -> int:
    """Be many clients that only are there, until killed."""
    began = time.perf_counter()
    crowd = await _connected(url, clients)
    print(time.perf_counter() - began, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return 0 if crowd else 1


async def _connected(url: str, clients: int) -> list[Client]:
    doors = asyncio.Semaphore(_TOGETHER)

    async def one() -> Client:
        async with doors:
            return await remote.aconnect(url)

    return await asyncio.gather(*(one() for _ in range(clients)))


async def _called(clients: Sequence[Client], calls: int) -> list[float]:
    """Answer how long each call took, in order of length; they begin at times of chance."""
    chance = random.Random(1)

    async def one(number: int) -> float:
        began = time.perf_counter()
        answer: Any = await clients[number % len(clients)].acall("remote.echo", number)
        if answer != number:
            raise Failed(f"call {number} was answered by {answer!r}")
        return time.perf_counter() - began

    made: list[asyncio.Task[float]] = []
    for number in range(calls):
        made.append(asyncio.create_task(one(number)))
        await asyncio.sleep(chance.expovariate(_RATE))
    return sorted(await asyncio.gather(*made))


def _place(where: Path, variables: dict[str, str]) -> Place:
    where.mkdir()
    return Place(where, where / "count", variables)


def _wait_for(where: Path, wanted: str) -> str:
    """Wait until a program has written this, and answer its first group."""
    log, until = where / "worker.log", time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = re.search(wanted, log.read_text(errors="replace")) if log.exists() else None
        if found:
            return found[found.lastindex or 0]
        time.sleep(0.05)
    raise Failed(f"it never wrote `{wanted}`: {log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
