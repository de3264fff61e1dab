"""Our client: full record, signatures, results kept, as every program gets them."""

import warnings
from functools import cache
from typing import cast

from benchmarks import clients
from onserver import Procedure, Server, execute_many, execute_on_server
from onserver.errors import NoWorker
from onserver.redis.store import Store


@cache
def procedure(name: str) -> Procedure[[int], int]:
    """Return a procedure of the benchmarks' project."""
    server = Server.current()
    server.load_tasks()
    found = server.registry.find(f"noop.{name}")
    if not isinstance(found, Procedure):
        raise TypeError(name)
    return cast("Procedure[[int], int]", found)


def redis_seconds(store: Store) -> float:
    """CPU time of Redis until now."""
    said = store.command("INFO", "cpu").decode()
    facts = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


def one_by_one(total: int) -> None:
    noop = procedure("noop")
    for number in range(total):
        execute_on_server(noop, number)


def many(total: int) -> None:
    execute_many(procedure("noop"), range(total))


def many_batched(total: int) -> None:
    execute_many(procedure("noop_batch"), range(total))


def many_turns(total: int) -> None:
    execute_many(procedure("noop_turns"), range(total))


def call(number: int) -> int:
    return execute_on_server(procedure("noop"), number).result(timeout=30)


if __name__ == "__main__":
    warnings.simplefilter("ignore", NoWorker)  # queues are filled before the workers start
    clients.main({"one": one_by_one, "many": many, "batch": many_batched, "turns": many_turns}, {"call": call})
