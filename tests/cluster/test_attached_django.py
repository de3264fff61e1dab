"""A Django project with Celery joins a server: on its own broker and on ours, and leaves without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver import Process
from onserver.errors import ProcedureFailed
from onserver.redis.address import parse
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.programs import WorkerProgram
from tests.attached import django_shop
from tests.test_scaffold_joining import init, without_the_lines, write

#: Runs in a program of its own, as a view of the web application would: starts tasks, prints what came of them.
CLIENT = """
import json, os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
import django
django.setup()
from celery import chain, chord, group
from proj.celery import app
from shop import tasks
exec(sys.argv[1])
"""


class Shop:
    """The project in its folder, and programs that run in it."""

    def __init__(self, folder: Path, redis: str, broker: str) -> None:
        self.folder = folder
        self.broker = broker
        self.redis = redis
        self.prefix = f"shop-{folder.name}-{broker}:"
        url = parse(redis).celery_url()
        self.variables = {"SHOP_BROKER": url, "SHOP_RESULTS": url, "SHOP_PREFIX": self.prefix}

    def python(self, *words: str, environment: dict[str, str]) -> str:
        run = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environment | self.variables, text=True,
            capture_output=True, check=False, timeout=90,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def ask(self, code: str, environment: dict[str, str]) -> Any:
        """Run code in a client program; it prints one JSON value last."""
        return json.loads(self.python("-c", CLIENT, code, environment=environment).splitlines()[-1])


def plain() -> dict[str, str]:
    """The environment of a program that knows nothing of onserver."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}


def start_plain(shop: Shop, folder: Path) -> WorkerProgram:
    command = [sys.executable, "-m", "celery", "-A", "proj", "worker", "-P", "solo", "-n", "plain@%h", "-l", "INFO"]
    return WorkerProgram("plain", command, plain() | shop.variables, folder / "plain.log", shop.folder, 15.0)


LONG = [
    pytest.param(kind, marks=pytest.mark.long)
    for kind in ("keep-prefork", "keep-solo", "keep-threads", "onserver-prefork")
]


@pytest.fixture(scope="module", params=["onserver", *LONG])
def joined(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, Cluster]]:
    broker, _, pool = request.param.partition("-")
    folder = write(tmp_path_factory.mktemp("django") / "shop", django_shop.FILES)
    shop = Shop(folder, onserver_redis, broker)
    assert init(folder, "--django", "--broker", broker).returncode == 0
    settings = {"celery": "proj.celery:app"}
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("cluster"), project=folder, settings=settings) as cluster:
        cluster.variables |= shop.variables
        shop.python("manage.py", "migrate", environment=cluster.environment())
        cluster.start(1, pool=pool, application="proj")
        with cluster.as_current():
            yield shop, cluster
        for worker in cluster.workers:
            assert not worker.end()
        left = drop_foreign(cluster, shop.prefix)
        assert not left if broker == "onserver" else True


def drop_foreign(cluster: Cluster, prefix: str) -> list[str]:
    """Remove what Celery's own transport and backend have left; answer what that was."""
    store, found, cursor = cluster.server.store, set(), b"0"
    while True:
        cursor, keys = store.command("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1000)
        found |= set(keys)
        if int(cursor) == 0:
            break
    if found:
        store.command("DEL", *found)
    return sorted(key.decode() for key in found if b"celery-task-meta" not in key)


def process_of(cluster: Cluster, task_id: str) -> Process[Any]:
    store = cluster.server.store
    return Process.get(int(store.command("GET", store.key(f"id:{task_id}"))))


def test_its_tasks_run_and_are_processes(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = "r = tasks.add.delay(2, 3); print(json.dumps([r.get(timeout=60), r.id]))"
    value, task_id = shop.ask(code, cluster.environment())
    assert value == 5
    process = process_of(cluster, task_id)
    assert process.result(timeout=60) == 5
    listed = shop.python("-m", "onserver.cli", "ps", str(process.number), "--json", environment=cluster.environment())
    (row,) = json.loads(listed)["data"]
    assert (row["procedure"], row["state"], row["kind"]) == ("shop.tasks.add", "done", "task")


def test_the_session_is_there_in_an_ordinary_task(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = "r = tasks.remember.delay('colour', 'red'); print(json.dumps([r.get(timeout=60), r.id]))"
    (session, number), task_id = shop.ask(code, cluster.environment())
    assert cluster.storage["colour"]["value"] == "red"
    assert session == cluster.server.session().id
    assert process_of(cluster, task_id).number == number


def test_database_bases_and_annotations_of_its_own_go_on(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = "print(json.dumps([tasks.limited.delay(9).get(timeout=60), tasks.limited.rate_limit]))"
    assert shop.ask(code, cluster.environment()) == [9, "100/s"]
    code = "from shop.models import Widget; print(json.dumps(Widget.objects.filter(name='audited 9').count()))"
    cluster.wait_for(lambda: shop.ask(code, cluster.environment()) == 1)


def test_canvas_and_retries_go_on(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = """
c = chord([tasks.add.s(i, i) for i in range(5)])(tasks.total.s())
d = chain(tasks.add.s(1, 1), tasks.add.s(2))()
print(json.dumps([c.get(timeout=60), d.get(timeout=60), tasks.again.delay().get(timeout=60)]))
"""
    assert shop.ask(code, cluster.environment()) == [20, 4, 1]


def test_a_retried_task_is_one_process(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    value, task_id = shop.ask(
        "r = tasks.again.delay(); print(json.dumps([r.get(timeout=60), r.id]))", cluster.environment()
    )
    assert value == 1
    assert process_of(cluster, task_id).result(timeout=60) == 1


def test_a_failure_is_in_the_record_and_raised_as_before(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = """
r = tasks.fails.delay()
try: r.get(timeout=60)
except LookupError as error: print(json.dumps([str(error), r.state, r.id]))
"""
    text, state, task_id = shop.ask(code, cluster.environment())
    assert (text, state) == ("nothing there", "FAILURE")
    with pytest.raises((LookupError, ProcedureFailed), match="nothing there"):
        process_of(cluster, task_id).result(timeout=60)


def test_results_are_where_they_were_before(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    code = "r = tasks.add.delay(20, 22); r.get(timeout=60); print(json.dumps(r.id))"
    task_id = shop.ask(code, cluster.environment())
    key = f"{shop.prefix}celery-task-meta-{task_id}"
    kept = cluster.wait_for(lambda: cluster.server.store.command("GET", key))
    assert json.loads(kept)["result"] == 42


def test_an_abort_reaches_what_waits(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    task_id = shop.ask("print(json.dumps(tasks.add.apply_async((1, 1), countdown=3).id))", cluster.environment())
    answer = process_of(cluster, task_id).abort("changed my mind")
    assert answer.level == "removed"
    # a second task, due later, has run: the first one's time is past
    shop.ask("print(json.dumps(tasks.add.apply_async((2, 2), countdown=4).get(timeout=60)))", cluster.environment())
    assert process_of(cluster, task_id).state == "aborted"
    code = f"print(json.dumps(app.AsyncResult({task_id!r}).successful()))"
    assert shop.ask(code, cluster.environment()) is False


def test_its_own_tests_pass(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    shop.python("manage.py", "test", environment=cluster.environment())


def test_compat_tells_what_holds(joined: tuple[Shop, Cluster]) -> None:
    shop, cluster = joined
    run = subprocess.run(
        [sys.executable, "-m", "onserver.cli", "compat", "--json"], cwd=shop.folder, text=True, capture_output=True,
        env=cluster.environment(), check=False, timeout=60,
    )  # fmt: skip
    data = json.loads(run.stdout)["data"]
    assert data["application"] == "proj.celery:app"
    if shop.broker == "onserver":
        assert (run.returncode, data["broker"]) == (0, "onserver")
        assert all(row["holds"] for row in data["rows"])
    else:
        assert (run.returncode, data["broker"]) == (10, "redis")
        held = {row["what"]: row["holds"] for row in data["rows"]}
        assert held["session(), storage, locks, counters"]
        assert not held["higher priority goes first"]


def test_the_verbs_are_verbs_of_manage_py(joined: tuple[Shop, Cluster], tmp_path: Path) -> None:
    shop, cluster = joined
    settings = shop.folder / "proj/settings.py"
    before = settings.read_text()
    settings.write_text(before.replace('["shop"]', '["onserver.django_app", "shop"]'))
    try:
        manage = [sys.executable, str(shop.folder / "manage.py")]
        environment = cluster.environment() | shop.variables
        del environment["ONSERVER_PROJECT"]  # found by BASE_DIR, wherever it is called

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*manage, *words],
                cwd=tmp_path,
                env=environment,
                text=True,
                capture_output=True,
                check=False,
                timeout=60,
            )

        assert run("onserver", "storage", "set", "fruit", '"pear"').returncode == 0
        found = run("onserver", "storage", "get", "fruit", "--json")
        assert json.loads(found.stdout)["data"] == "pear", found.stderr
        assert run("onserver", "abort", "123456789").returncode == 4
        wrong = run("onserver", "pss")
        assert wrong.returncode == 2
        assert "Did you mean `ps`?" in wrong.stderr
        assert "onserver" in run("help").stdout
        called = """
from django.core.management import CommandError, call_command
call_command("onserver", "storage", "get", "fruit")
try: call_command("onserver", "abort", "123456789")
except CommandError as error: print(error.returncode)
"""
        assert run("shell", "-c", called).stdout.split()[-2:] == ["pear", "4"]
    finally:
        settings.write_text(before)


def test_without_the_two_lines_nothing_is_left(onserver_redis: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", django_shop.FILES)
    shop = Shop(folder, onserver_redis, "keep")
    before = {path: path.read_bytes() for path in folder.rglob("*.py")}
    assert init(folder, "--django").returncode == 0
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert changed == [folder / "proj/celery.py"]
    changed[0].write_text(without_the_lines(changed[0].read_text()))
    assert {path: path.read_bytes() for path in folder.rglob("*.py")} == before
    with open_cluster(onserver_redis, tmp_path, project=folder) as cluster:
        shop.python("manage.py", "migrate", environment=plain())
        shop.python("manage.py", "test", environment=plain())
        worker = start_plain(shop, tmp_path)
        try:
            loaded = "sorted(n for n in sys.modules if n.partition('.')[0] == 'onserver')"
            code = f"print(json.dumps([tasks.add.delay(2, 3).get(timeout=60), {loaded}]))"
            assert shop.ask(code, plain()) == [5, []]
        finally:
            complaint = worker.end()
        assert not complaint
        assert "onserver:" not in worker.output
        store = cluster.server.store
        assert set(store.command("KEYS", store.key("*"))) <= {
            store.key(name).encode() for name in ("server", "numbers")
        }
        drop_foreign(cluster, shop.prefix)
