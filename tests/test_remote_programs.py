"""Remote clients as programs of their own, a gateway and a worker as programs, one cluster for all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from onserver.testing import wait_for
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.programs import WorkerProgram
from tests.gateway_served import Wire
from tests.remote_billing import BILLING

TASKS = """
import os, time
from onserver import on_server_close_connection, on_server_open_connection, procedure, process, server_method, session
from onserver.testing.ledger import note

@on_server_open_connection
def opened(connection):
    note("opened", session().id, connection.user, connection.connection, connection.zero)

@on_server_close_connection
def closed(connection):
    note("closed", session().id, connection.user, connection.connection, connection.zero)

@server_method
def whose():
    return [session().info.type, session().id, session().info.machine_name, session().info.host_type]

@server_method
def keep(word):
    with session().storage.use() as storage:
        storage["word"] = word

@server_method
def kept():
    return session().storage.get("word")

@server_method
def slow(word):
    note("in", word, process().deliveries)
    with open(GATE) as gate:  # whoever lets it go writes there
        gate.read()
    note("out", word, process().deliveries)
    return word

@server_method
def tally(n):
    note("begun", n, process().number, process().deliveries, os.getpid())
    time.sleep(0.01)
    note("ended", n, process().number, process().deliveries)
    return n

@server_method
def broken():
    raise Broken("no", 7)

class Broken(Exception):
    pass

@procedure
def of_server(word):
    with session().storage.use() as storage:
        before = storage.get("word")
        storage["word"] = word
    return [session().info.type, before]
"""

#: What every client program begins with: it has the code of the project, and no way to Redis.
CLIENT = """
import json, sys
from onserver import execute_on_server, mailbox, remote, session
from onserver.errors import NotConnected
from tasks.jobs import Broken, broken, keep, kept, slow, tally, whose

url, *words = sys.argv[1:]

def say(value):
    print(json.dumps(value), flush=True)
"""


class Here(NamedTuple):
    """The cluster, where its gateway is, and a wire before it."""

    cluster: Cluster
    url: str
    wire: Wire
    gate: Path

    def program(self, text: str, *words: str, trusted: bool = False) -> subprocess.Popen[str]:
        """Start a client. One that is trusted is of the project, by its environment, but for where its Redis is."""
        hidden = {"ONSERVER_REDIS"}
        if not trusted:
            hidden |= {"ONSERVER_PROJECT", "ONSERVER_SIGNING_KEY", "ONSERVER_NAME"}
        environment = {name: word for name, word in self.cluster.environment().items() if name not in hidden}
        command = [sys.executable, "-c", CLIENT + text, *words]
        folder = self.cluster.folder
        return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)  # fmt: skip

    def let_go(self) -> None:
        """Let the call go on that waits at the gate."""
        self.gate.write_text("go")


def next_line(program: subprocess.Popen[str]) -> Any:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, f"the client has ended with {program.wait(20)}"
    return json.loads(line)


@pytest.fixture(scope="module")
def here(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("programs")
    gate = folder / "gate"
    os.mkfifo(gate)
    settings = {"remote.over_web": "true", "remote.beat_seconds": 0.2, "remote.unreachable_seconds": 3}
    tasks = f"GATE = {str(gate)!r}\n{TASKS}"
    with ExitStack() as opened:
        cluster = opened.enter_context(open_cluster(onserver_redis, folder, tasks=tasks, settings=settings))
        billing = cluster.project / "tasks" / "billing.py"
        billing.write_text(f"FILE = {str(folder / 'billing.db')!r}\n{BILLING}")
        command = [sys.executable, "-m", "onserver.cli", "web", "--bind", "127.0.0.1:0"]
        web = WorkerProgram("web", command, cluster.environment(), folder / "web.log", cluster.project)
        opened.callback(web.end)
        cluster.start()
        wait_for(lambda: "serving" in web.output or not web.alive, 60)
        found = re.search(r"serving (http://\S+)", web.output)
        assert found, web.output
        wire = Wire(found.group(1))
        opened.callback(wire.close)
        yield Here(cluster, found.group(1), wire, gate)


def test_two_programs_have_sessions_of_their_own_and_share_that_of_the_server(here: Here) -> None:
    text = """
with remote.connect(url, client_session=words[0] == "side") as client:
    mine = session()
    say([whose(), mine and [mine.info.type, mine.id], kept()])
    keep(words[0])
    sys.stdin.readline()
    say([kept(), client.execute_on_server("jobs.of_server", words[0]).result(30)])
    for start in (execute_on_server, mailbox):
        try:
            start("jobs.of_server")
        except NotConnected as error:
            say([error.is_client, "client.execute_on_server" in str(error)])
    try:
        broken()
    except Broken as error:
        say([error.args, type(error.__cause__).__name__])
    if mine:
        try:
            mine.set_privileges("p")
        except Exception as error:
            say(error.code)
"""
    with here.program(text, here.url, "side") as side, here.program(text, here.url, "none") as none:
        (of_side, mine, empty), (of_none, nothing, empty_too) = next_line(side), next_line(none)
        assert of_side[0] == of_none[0] == "remote"  # row 11
        assert of_side[1] != of_none[1]
        assert mine == ["remote", of_side[1]]  # row 18
        assert nothing is None  # row 17
        assert empty is None
        assert empty_too is None
        assert of_side[2]
        assert of_side[3] in {"linux", "mac"}
        for program, before in ((side, None), (none, "side")):
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.flush()
            word = "side" if program is side else "none"
            assert next_line(program) == [word, ["storedProcedure", before]]
            assert [next_line(program), next_line(program)] == [[True, True]] * 2  # it has no server of its own
            assert next_line(program) == [["no", 7], "ProcedureFailed"]
        assert next_line(side) == 4115
        assert (side.wait(30), none.wait(30)) == (0, 0)
    ledger = here.cluster.ledger
    wait_for(lambda: len(ledger.of("closed")) >= 2, 30)
    for identity in (of_side[1], of_none[1]):
        facts = [line[2:] for line in ledger.of("opened") if line[1] == identity]
        ends = [line[2:] for line in ledger.of("closed") if line[1] == identity]
        assert facts == ends  # rows 15 and 16: the same three arguments, in the session of the client
        assert len(facts) == 1
        assert facts[0][-1] == "0"


def test_a_trusted_program_is_a_client_over_redis(here: Here) -> None:
    text = """
from onserver import Server
with remote.connect(url, user="ann") as client:
    say(whose())
    made = Server.current()
    say(made.settings.redis)
    keep("over Redis")
    say([kept(), client.process().call(kept), session()])
    say(execute_on_server("jobs.of_server", "over Redis").result(30)[0])
again = remote.connect(url)
say([client.ended, Server.current() is made])
again.close()
"""
    address = here.cluster.server.settings.redis
    with here.program(text, address, trusted=True) as program:
        kind, identity, machine, _ = next_line(program)
        assert kind == "remote"
        assert machine
        assert next_line(program) == address  # it has no other server: this is its current one
        assert next_line(program) == ["over Redis", "over Redis", None]
        assert next_line(program) == "storedProcedure"
        assert next_line(program) == ["closed", False]  # which went with its client
        assert program.wait(30) == 0
    ledger = here.cluster.ledger
    wait_for(lambda: [line for line in ledger.of("closed") if identity in line], 30)
    assert len([line for line in ledger.of("opened") if identity in line]) == 2  # two connections
    wait_for(lambda: here.cluster.server.sessions.find(identity) is None, 30)


def test_a_client_that_is_killed_leaves_its_call_running_once(here: Here) -> None:
    text = """
client = remote.connect(url)
say(whose())
client.submit(slow, "killed")
say("put")
sys.stdin.readline()
"""
    ledger = here.cluster.ledger
    with here.program(text, here.url) as program:
        identity = next_line(program)[1]
        assert next_line(program) == "put"
        wait_for(lambda: [line for line in ledger.of("in") if "killed" in line], 30)
        program.kill()
    here.let_go()
    wait_for(lambda: [line for line in ledger.of("out") if "killed" in line], 30)
    wait_for(lambda: [line for line in ledger.of("closed") if identity in line], 60)  # unreachable for too long
    assert len([line for line in ledger.of("in") if "killed" in line]) == 1
    assert len([line for line in ledger.of("closed") if identity in line]) == 1
    wait_for(lambda: here.cluster.server.sessions.find(identity) is None, 30)


def test_a_client_that_is_cut_off_gets_the_answer_and_the_call_ran_once(here: Here) -> None:
    text = """
with remote.connect(url) as client:
    pending = client.submit(slow, "cut")
    say("put")
    say(pending.result(60))
    say(whose()[0])
"""
    ledger = here.cluster.ledger
    with here.program(text, here.wire.url) as program:
        assert next_line(program) == "put"
        wait_for(lambda: [line for line in ledger.of("in") if "cut" in line], 30)
        here.wire.cut()
        here.let_go()
        wait_for(lambda: [line for line in ledger.of("out") if "cut" in line], 30)
        here.wire.mend()
        assert next_line(program) == "cut"
        assert next_line(program) == "remote"
        assert program.wait(30) == 0
    assert len([line for line in ledger.of("in") if "cut" in line]) == 1


def test_whatever_breaks_each_call_runs_once_and_in_order(here: Here) -> None:
    """A client sends on and on; its wire is cut three times, and an executor is killed. The verdict is the ledger's."""
    calls = 40
    text = f"""
with remote.connect(url) as client:
    pending = [client.submit(tally, n) for n in range({calls})]
    say([one.result(60) for one in pending])
"""
    ledger = here.cluster.ledger
    with here.program(text, here.wire.url) as program:
        for at in (8, 16, 24):
            wait_for(lambda: len(ledger.of("ended")) >= at, 60)  # noqa: B023
            here.wire.cut()
            if at == 16:
                os.kill(int(ledger.of("begun")[-1][4]), signal.SIGKILL)
            here.wire.mend()
        assert next_line(program) == list(range(calls))
        assert program.wait(30) == 0
    assert [int(line[1]) for line in ledger.of("ended")] == list(range(calls))
    begun = [(int(line[1]), int(line[3])) for line in ledger.of("begun")]
    assert begun == sorted(set(begun))  # what has begun again was cut off by its worker's death
    assert len({line[2] for line in ledger.of("begun")}) == 1  # one twin, through all of it
    assert len(begun) <= calls + 1


@pytest.mark.parametrize("side", ["side", "none"])
def test_data_is_worked_with_on_the_server_in_the_session_of_the_client(here: Here, side: str) -> None:
    text = """
from tasks.billing import Invoice, seen
with remote.connect(url, client_session=words[0] == "side") as client:
    made = Invoice.add(12)
    say([whose()[:2], made.saved_in, made.on_server(), made.on_client()])
    say(client.execute_on_server("billing.bill", 5).result(30))
"""
    with here.program(text, here.url, side) as program:
        mine, saved_in, on_server, on_client = next_line(program)
        assert mine[0] == "remote"
        assert saved_in == " ".join(mine)  # row 12: a trigger
        assert on_server == [12, mine]  # row 13
        assert on_client == [12, mine if side == "side" else None]  # row 14, as 18 and 17
        saved_in, (total, of_server) = next_line(program)
        assert of_server[0] == "storedProcedure"  # row 20
        assert saved_in == " ".join(of_server)  # row 28
        assert total == 5
        assert program.wait(30) == 0
