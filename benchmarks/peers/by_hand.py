"""The loop that one writes by hand: at least once, results kept, nothing else. A library can come near to it.

The worker reads up to so many messages of a stream, calls the function, and sends for all of them at once: the results,
whom to wake, the acknowledgements. `BENCH_COUNT` says how many. It has no retries, no limits, no states, no logs, and
nobody gives what a killed worker held to another.
"""

import json
import os
import sys
import threading
import uuid
from contextlib import suppress
from typing import Any

import redis

from benchmarks import clients
from benchmarks.counter import tick
from benchmarks.peers.at import PORT

STREAM, GROUP = "stream", "group"
_COUNT = int(os.environ.get("BENCH_COUNT", "1"))
_KEPT_SECONDS = 3600
_CHUNK = 1000

connection = redis.Redis(port=PORT, protocol=2)


def noop(number: int) -> int:
    tick()
    return number


PROCEDURES = {"noop": noop}


def group() -> None:
    with suppress(redis.ResponseError):  # it is there
        connection.xgroup_create(STREAM, GROUP, id="0", mkstream=True)


def work() -> None:
    """Run what comes, until somebody kills this."""
    group()
    name = f"worker{os.getpid()}"
    while True:
        found: Any = connection.xreadgroup(GROUP, name, {STREAM: ">"}, count=_COUNT, block=2000)
        if found:
            run(found[0][1])


def run(entries: Any) -> None:
    pipe, ids = connection.pipeline(transaction=False), []
    for entry, fields in entries:
        message = json.loads(fields[b"m"])
        value = PROCEDURES[message["task"]](*message["args"])
        body = json.dumps({"id": message["id"], "status": "SUCCESS", "result": value})
        pipe.set(f"result:{message['id']}", body, ex=_KEPT_SECONDS)
        pipe.publish(f"result:{message['id']}", body)
        ids.append(entry)
    pipe.xack(STREAM, GROUP, *ids)
    pipe.xdel(STREAM, *ids)
    pipe.execute()


def message(number: int) -> tuple[str, str]:
    identity = str(uuid.uuid4())
    return identity, json.dumps({"id": identity, "task": "noop", "args": [number]})


def one_by_one(total: int) -> None:
    for number in range(total):
        connection.xadd(STREAM, {"m": message(number)[1]})


def many(total: int) -> None:
    for first in range(0, total, _CHUNK):
        pipe = connection.pipeline(transaction=False)
        for number in range(first, min(total, first + _CHUNK)):
            pipe.xadd(STREAM, {"m": message(number)[1]})
        pipe.execute()


class Inbox:
    """One subscription for a program; a thread reads it and wakes whoever waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, Any] = {}
        self._listening = connection.pubsub()
        self._listening.psubscribe("result:*")
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, number: int) -> int:
        identity, body = message(number)
        lock = threading.Lock()
        lock.acquire()
        self._waiting[identity] = [lock, b""]
        connection.xadd(STREAM, {"m": body})
        if not lock.acquire(timeout=30):
            raise TimeoutError(identity)
        return int(json.loads(self._waiting.pop(identity)[1])["result"])

    def _read(self) -> None:
        for told in self._listening.listen():
            if told["type"] == "pmessage":
                waiting = self._waiting.get(told["channel"].decode().removeprefix("result:"))
                if waiting:
                    waiting[1] = told["data"]
                    waiting[0].release()


class Channel:
    """One subscription for a call, where one thread calls: nothing has to be handed from thread to thread."""

    def __init__(self) -> None:
        self._listening = connection.pubsub()

    def call(self, number: int) -> int:
        identity, body = message(number)
        self._listening.subscribe(f"result:{identity}")
        connection.xadd(STREAM, {"m": body})
        while True:
            told = self._listening.get_message(timeout=30)
            if told and told["type"] == "message":
                break
        self._listening.unsubscribe(f"result:{identity}")
        return int(json.loads(told["data"])["result"])


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work()
    else:
        group()
        call = Channel().call if sys.argv[1] == "call" else Inbox().call
        clients.main({"one": one_by_one, "many": many, "batch": many}, {"call": call})
