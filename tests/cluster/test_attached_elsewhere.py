"""An application that keeps its broker: kills, messages that come twice, hooks, procedures, a server that is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver import Process, begin_maintenance, end_maintenance, execute_on_server
from onserver.errors import BadSignature, PrivilegeDenied
from onserver.process.gates import (
    pause_all,
    pause_procedure,
    pause_queue,
    resume_all,
    resume_procedure,
    resume_queue,
)
from onserver.redis.address import parse
from onserver.redis.store import Store
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.wait import wait_for
from onserver.views.processes import Seen
from tests.attached import plain_shop
from tests.cluster.redis_program import redis_program
from tests.test_scaffold_joining import write


def ask(cluster: Cluster, code: str) -> Any:
    """Run code in a client program of the application; it prints one JSON value last."""
    run = subprocess.run(
        [sys.executable, "-c", f"import json\nfrom proj import *\n{code}"], cwd=cluster.project, text=True,
        env=cluster.environment(), capture_output=True, check=False, timeout=90,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr + "".join(worker.output for worker in cluster.workers)
    return json.loads(run.stdout.splitlines()[-1])


def shop(cluster: Cluster, broker: str, prefix: str) -> None:
    cluster.variables |= {"SHOP_BROKER": parse(broker).celery_url(), "SHOP_PREFIX": prefix}


def drop(redis: str, prefix: str) -> None:
    """What Celery's own transport and backend leave behind."""
    store = Store(parse(redis), "nobody")
    keys = store.command("KEYS", f"{prefix}*")
    if keys:
        store.command("DEL", *keys)
    store.close()


@pytest.fixture
def cluster(onserver_redis: str, tmp_path: Path) -> Iterator[Cluster]:
    folder = write(tmp_path / "shop", plain_shop.FILES)
    with open_cluster(onserver_redis, tmp_path, project=folder) as opened, opened.as_current():
        shop(opened, onserver_redis, f"{tmp_path.name}:")
        yield opened
        for worker in opened.workers:
            assert not worker.end()
        drop(onserver_redis, f"{tmp_path.name}:")


def process_of(cluster: Cluster, task_id: str) -> Process[Any]:
    store = cluster.server.store
    return Process.get(int(store.command("GET", store.key(f"id:{task_id}"))))


def test_a_hook_of_the_application_runs_once_before_its_tasks(cluster: Cluster) -> None:
    cluster.start(2, pool="solo", application="proj")
    assert ask(cluster, "print(json.dumps(count.delay('x').get(timeout=30)))") == "x"
    assert cluster.ledger.count("hook", "opened") == 1


def test_in_maintenance_its_senders_are_refused(cluster: Cluster) -> None:
    cluster.start(1, pool="solo", application="proj")
    begin_maintenance("closed")
    try_it = """
try:
    count.delay('x')
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    name, text = ask(cluster, try_it)
    assert name == "MaintenanceMode"
    assert "in maintenance: closed" in text
    end_maintenance()
    assert ask(cluster, "print(json.dumps(count.delay('x').get(timeout=30)))") == "x"


def test_a_procedure_is_a_task_of_it_and_runs_in_our_executors(cluster: Cluster) -> None:
    cluster.start(1, pool="solo", application="proj")
    assert ask(cluster, "print(json.dumps(double.delay(4).get(timeout=30)))") == 8
    (ours,) = cluster.start(1)
    assert "keeps its broker redis" in ours.output
    assert execute_on_server("proj.double", 21).result(timeout=30) == 42


def test_the_verbs_are_verbs_of_celery_too(cluster: Cluster) -> None:
    task_id = ask(cluster, "print(json.dumps(count.delay('waits').id))")
    number = process_of(cluster, task_id).number
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "proj", "onserver", "ps", "--json"], cwd=cluster.project, text=True,
        env=cluster.environment(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    (row,) = json.loads(run.stdout)["data"]
    assert (row["number"], row["state"]) == (number, "queued")
    assert row["why"] == "its message waits with its broker, in `celery`"
    gone = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "proj", "onserver", "ps", "nothing"], cwd=cluster.project,
        env=cluster.environment(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert gone.returncode == 4


def test_a_message_that_comes_twice_runs_once(cluster: Cluster) -> None:
    (worker,) = cluster.start(1, pool="threads", application="proj")
    code = """
for _ in range(3):
    result = count.apply_async(("once",), task_id="11111111-2222-4333-8444-555555555555")
    assert result.get(timeout=30) == "once"
last = count.delay("last")
last.get(timeout=30)
print(json.dumps(last.id))
"""
    ask(cluster, code)
    assert cluster.ledger.count("ran", "once") == 1
    assert cluster.ledger.count("ran", "last") == 1
    assert "has ended already, and is not run again" in worker.output


@pytest.mark.parametrize("pool", ["prefork", pytest.param("threads", marks=pytest.mark.long)])
def test_what_a_killed_worker_ran_is_lost_until_its_broker_delivers_it_again(cluster: Cluster, pool: str) -> None:
    cluster.start(2, pool=pool, application="proj", executors=1)
    task_id = ask(cluster, "print(json.dumps(linger.delay(1.0).id))")
    process = process_of(cluster, task_id)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number) == 1)
    pid = int(cluster.ledger.of("started")[0][2])
    victim = next(worker for worker in cluster.workers if os.getpgid(pid) == worker.pid)
    cluster.kill(victim)
    cluster.wait_for(lambda: process.state == "lost", 30)
    cluster.start(1, pool=pool, application="proj", executors=1)
    cluster.wait_for(lambda: process.state == "done", 60)
    assert process.result(timeout=5) == process.number
    assert cluster.ledger.count("started", process.number) == 2
    assert cluster.ledger.count("ended", process.number) == 1


def test_a_killed_child_of_its_pool_is_lost_and_delivered_again(cluster: Cluster) -> None:
    cluster.start(1, pool="prefork", application="proj", executors=1)
    task_id = ask(cluster, "print(json.dumps(linger.delay(1.0).id))")
    process = process_of(cluster, task_id)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number) == 1)
    os.kill(int(cluster.ledger.of("started")[0][2]), signal.SIGKILL)
    cluster.wait_for(lambda: process.state == "done", 60)
    assert cluster.ledger.count("started", process.number) == 2


@pytest.mark.parametrize("pool", ["solo", pytest.param("prefork", marks=pytest.mark.long)])
def test_a_process_that_is_paused_before_it_came_waits_until_it_is_resumed(cluster: Cluster, pool: str) -> None:
    task_id = ask(cluster, "print(json.dumps(count.delay('held').id))")
    process = process_of(cluster, task_id)
    assert (process.pause().level, process.state) == ("paused", "paused")
    cluster.start(1, pool=pool, application="proj", executors=1)
    assert ask(cluster, "print(json.dumps(count.delay('other').get(timeout=60)))") == "other"
    assert (process.state, cluster.ledger.count("ran", "held")) == ("paused", 0)
    assert process.resume().level == "queued"
    cluster.wait_for(lambda: process.state == "done", 60)  # its broker gives it out again each second
    assert cluster.ledger.count("ran", "held") == 1


def test_a_process_that_runs_is_paused_at_its_next_checkpoint(cluster: Cluster) -> None:
    cluster.start(1, pool="threads", application="proj", executors=2)
    process = process_of(cluster, ask(cluster, "print(json.dumps(steps.delay(80).id))"))
    cluster.wait_for(lambda: cluster.ledger.count("step", process.number) > 2)
    assert process.pause().level == "asked"
    cluster.wait_for(lambda: process.state == "paused", 60)
    done = cluster.ledger.count("step", process.number)
    assert ask(cluster, "print(json.dumps(count.delay('other').get(timeout=60)))") == "other"
    assert cluster.ledger.count("step", process.number) == done < 80
    process.resume()
    assert process.result(timeout=60) == 80
    steps = [int(words[2]) for words in cluster.ledger.of("step")]
    assert steps == list(range(80))


@pytest.mark.parametrize("gate", ["queue", "procedure", "all"])
def test_a_wide_pause_holds_what_its_broker_delivers(cluster: Cluster, gate: str) -> None:
    server = cluster.server
    (worker,) = cluster.start(1, pool="solo", application="proj")
    if gate == "all":
        pause_all(server)
    else:
        (pause_queue if gate == "queue" else pause_procedure)(server, "celery" if gate == "queue" else "proj.linger")
    task_id = ask(cluster, "print(json.dumps(linger.delay(0.0).id))")
    process = process_of(cluster, task_id)
    cluster.wait_for(lambda: worker.output.count(f"[{task_id}] received") >= 2, 60)  # it is given out again
    what = {"queue": "queue `celery` is", "procedure": "procedure `proj.linger` is", "all": "everything is"}[gate]
    (row,) = Seen(server.store).rows([process.number])
    assert row.why.startswith(f"{what} paused by ")
    if gate == "procedure":
        assert ask(cluster, "print(json.dumps(count.delay('other').get(timeout=60)))") == "other"
    if gate == "all":
        resume_all(server)
    else:
        (resume_queue if gate == "queue" else resume_procedure)(server, "celery" if gate == "queue" else "proj.linger")
    assert process.result(timeout=60) == process.number


def test_that_the_server_is_away_stops_no_task(onserver_redis: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", plain_shop.FILES)
    with (
        redis_program(tmp_path / "redis") as ours,
        open_cluster(ours.url, tmp_path, project=folder, settings={"redis_command_seconds": 1}) as cluster,
    ):
        shop(cluster, onserver_redis, f"{tmp_path.name}:")
        (worker,) = cluster.start(1, pool="solo", application="proj")
        ours.kill()
        assert ask(cluster, "print(json.dumps([count.delay(n).get(timeout=60) for n in range(5)]))") == [0, 1, 2, 3, 4]
        ours.start()
        cluster.wait_for(lambda: "tasks have no records for" in worker.output)
        assert not worker.end()
        drop(onserver_redis, f"{tmp_path.name}:")


STRANGER = """
import os

from celery import Celery

stranger = Celery("stranger", broker=os.environ["SHOP_BROKER"])
stranger.conf.broker_transport_options = {"global_keyprefix": os.environ["SHOP_PREFIX"]}
inner = {"task": "proj.guarded", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
forged = {"number": 1, "holder": "1.1", "delivery": 1, "name": "", "root": None, "caller": {"user": "root"}}
sent = [
    stranger.send_task("proj.guarded", [1]),
    stranger.send_task("proj.guarded", [2], headers={"onserver": forged}),
    stranger.send_task("celery.map", kwargs={"task": inner, "it": [3]}),
    stranger.send_task("proj.count", ["plain"]),
]
print(json.dumps([one.id for one in sent]))
"""


def test_a_message_that_nobody_has_signed_has_no_privileges(cluster: Cluster) -> None:
    cluster.start(1, pool="solo", application="proj")
    assert ask(cluster, "print(json.dumps(guarded.delay(4).get(timeout=30)))") == 8
    *refused, plain = ask(cluster, STRANGER)
    wait_for(lambda: cluster.ledger.count("ran", "plain") == 1, 60)
    for task_id in refused:
        with pytest.raises(PrivilegeDenied, match="doubles"):
            process_of(cluster, task_id).result(timeout=60)
    assert process_of(cluster, plain).wait(timeout=60) == "done"
    assert cluster.ledger.count("guarded") == 1


def test_a_message_with_the_id_of_another_is_not_run(cluster: Cluster) -> None:
    cluster.start(1, pool="solo", application="proj")
    late = ask(cluster, "print(json.dumps(count.apply_async(['late'], countdown=4).id))")
    connect = STRANGER.partition("inner =")[0]
    ask(cluster, f"{connect}stranger.send_task('proj.guarded', [5], task_id={late!r})\nprint(0)")
    with pytest.raises(BadSignature, match="another task"):
        process_of(cluster, late).result(timeout=60)
    assert cluster.ledger.count("guarded") == 0
