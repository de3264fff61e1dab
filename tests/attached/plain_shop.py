"""A Celery application in one module, with hooks and a procedure of ours beside its tasks: path → source."""

APP = """\
import os
import time

from celery import Celery, shared_task
from onserver import Server
from onserver import on_server_startup, procedure, process, session
from onserver.testing.ledger import note

app = Celery("proj", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
server = Server.attach(app)
app.conf.update(
    broker_transport_options={
        "global_keyprefix": os.environ["SHOP_PREFIX"],
        "visibility_timeout": 3,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_backend_transport_options={"global_keyprefix": os.environ["SHOP_PREFIX"]},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


@on_server_startup
def opened():
    note("hook", "opened")


@procedure
def double(x):
    return 2 * x


@procedure(requires="doubles.make")
def guarded(x):
    note("guarded", x)
    return 2 * x


@app.task
def linger(seconds):
    number = process().number if session() else 0
    note("started", number, os.getpid())
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)
    note("ended", number)
    return number


@app.task
def steps(count):
    me = process()
    for n in range(count):
        note("step", me.number, n)
        me.checkpoint()
        time.sleep(0.02)
    return count


@app.task
def count(name):
    note("ran", name)
    return name
"""

FILES = {"config/onserver.toml": 'celery = "proj:app"\n', "proj.py": APP}
