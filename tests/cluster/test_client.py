"""A client program: it joins when it first holds something, and needs no thread until then."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.cluster.conftest import Open

PROGRAM = """
import json, threading
from onserver import Server, execute_on_server

def stands():
    store = Server.current().store
    return [sorted(thread.name for thread in threading.enumerate()), store.command("ZCARD", store.key("members"))]

assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
asked = stands()
with Server.current().storage.use("x") as x:
    x["n"] = 1
print(json.dumps([asked, stands()]))
"""


def test_a_program_that_only_asks_has_no_thread_and_is_no_member(cluster_of: Open) -> None:
    cluster = cluster_of(1)
    command = [sys.executable, "-c", PROGRAM]
    program = subprocess.run(
        command, env=cluster.environment(), cwd=cluster.project, text=True, capture_output=True, check=False
    )
    assert program.returncode == 0, program.stderr
    (threads, members), (threads_then, members_then) = json.loads(program.stdout)
    assert (threads, members) == (["MainThread"], 1)
    assert "onserver-beat" in threads_then
    assert members_then == 2
    store = cluster.server.store
    cluster.wait_for(lambda: store.command("ZCARD", store.key("members")) == 1)  # it has ended, and falls by itself
