"""A Flask application with Celery, in Flask's own pattern, joins a server: its tasks are processes, its views go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onserver import Process
from onserver.redis.address import parse
from onserver.testing.cluster import open_cluster
from tests.attached import flask_shop
from tests.test_scaffold_joining import init, without_the_lines, write

#: Uses the application's views, as a browser would.
CLIENT = """
import json, time
from make_celery import flask_app
from shop.tasks import remember
client = flask_app.test_client()
task_id = client.post("/greet?name=ann").json["id"]
deadline = time.monotonic() + 30
while not (answer := client.get(f"/result/{task_id}").json)["ready"] and time.monotonic() < deadline:
    pass
with flask_app.app_context():
    session, number = remember.delay("shade", "blue").get(timeout=60)
print(json.dumps([task_id, answer["value"], session, number]))
"""


@pytest.mark.parametrize("broker", ["keep", "onserver"])
def test_a_flask_application_joins(onserver_redis: str, tmp_path: Path, broker: str) -> None:
    folder = write(tmp_path / "shop", flask_shop.FILES)
    url, prefix = parse(onserver_redis).celery_url(), f"flask-{broker}:"
    shop = {"SHOP_BROKER": url, "SHOP_RESULTS": url, "SHOP_PREFIX": prefix}
    assert init(folder, "--celery", "make_celery:celery_app", "--broker", broker).returncode == 0
    settings = {"celery": "make_celery:celery_app"}
    with open_cluster(onserver_redis, tmp_path, project=folder, settings=settings) as cluster, cluster.as_current():
        cluster.variables |= shop
        cluster.start(1, pool="" if broker == "onserver" else "threads", application="make_celery")
        environment = cluster.environment()
        run = subprocess.run(
            [sys.executable, "-c", CLIENT], cwd=folder, env=environment, text=True, capture_output=True, check=False,
            timeout=90,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr + cluster.worker(0).output
        task_id, greeting, session, number = json.loads(run.stdout.splitlines()[-1])
        assert greeting == "hello ann", "the task ran in the context of the Flask application"
        assert cluster.storage["shade"]["value"] == "blue"
        assert session == cluster.server.session().id
        assert Process.get(number).result(timeout=60) == [session, number]
        store = cluster.server.store
        greeted = Process.get(int(store.command("GET", store.key(f"id:{task_id}"))))
        assert greeted.result(timeout=60) == "hello ann"
        told = subprocess.run(
            [sys.executable, "-m", "onserver.cli", "compat", "--json"], cwd=folder, env=environment, text=True,
            capture_output=True, check=False, timeout=90,
        )  # fmt: skip
        data = json.loads(told.stdout)["data"]
        assert data["application"] == "make_celery:celery_app"
        assert (told.returncode, data["broker"]) == ((0, "onserver") if broker == "onserver" else (10, "redis"))
        assert not cluster.worker(0).end()
        keys = store.command("KEYS", f"{prefix}*")
        if keys:
            store.command("DEL", *keys)


def test_a_flask_application_leaves_as_it_came(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", flask_shop.FILES)
    assert init(folder, "--celery", "make_celery:celery_app").returncode == 0
    made = folder / "make_celery.py"
    assert made.read_text() != flask_shop.FILES["make_celery.py"]
    made.write_text(without_the_lines(made.read_text()))
    assert made.read_text() == flask_shop.FILES["make_celery.py"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}
    shop = {"SHOP_BROKER": "memory://", "SHOP_RESULTS": "cache+memory://", "SHOP_PREFIX": ""}
    code = "import sys, make_celery; assert not [name for name in sys.modules if name.startswith('onserver')]"
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=plain | shop, check=True, timeout=60)
