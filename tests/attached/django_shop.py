"""A Django project with Celery, laid out as Celery's guide for Django has it: path → source. Written by the tests."""

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for tests only"
USE_TZ = True
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

CELERY_BROKER_URL = os.environ["SHOP_BROKER"]
CELERY_RESULT_BACKEND = os.environ["SHOP_RESULTS"]
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_ANNOTATIONS = {"shop.tasks.limited": {"rate_limit": "100/s"}}
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": os.environ["SHOP_PREFIX"]}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"global_keyprefix": os.environ["SHOP_PREFIX"]}
CELERY_TASK_ALWAYS_EAGER = "test" in os.sys.argv
"""

CELERY = """\
import os

from celery import Celery

# before the first look at the settings
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")

app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f"Request: {self.request!r}")
"""

TASKS = '''\
import os
import time

from celery import Task, shared_task

from shop.models import Widget


class Audited(Task):
    """A base of the project's own."""

    abstract = True

    def on_success(self, retval, task_id, args, kwargs):
        Widget.objects.create(name=f"audited {retval}")


@shared_task
def add(x, y):
    return x + y


@shared_task
def total(numbers):
    return sum(numbers)


@shared_task(base=Audited)
def limited(x):
    return x


@shared_task
def count_widgets():
    return Widget.objects.count()


@shared_task
def fails():
    raise LookupError("nothing there")


@shared_task(bind=True, max_retries=2)
def again(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0.2)
    return self.request.retries


@shared_task
def remember(name, value):
    from onserver import process, session

    with session().storage.use(name) as entry:
        entry["value"] = value
    return [session().id, process().number]


@shared_task
def linger(path, seconds=60):
    with open(path, "a") as ledger:
        ledger.write(f"began {os.getpid()}\\n")
    deadline = time.monotonic() + seconds
    while not os.path.exists(path + ".go") and time.monotonic() < deadline:
        time.sleep(0.02)
    with open(path, "a") as ledger:
        ledger.write(f"ended {os.getpid()}\\n")
    return "lingered"
'''

OWN_TESTS = """\
from django.test import TestCase

from shop.models import Widget
from shop.tasks import add, count_widgets, limited, total


class TaskTests(TestCase):
    def test_tasks_in_place(self):
        assert add.delay(2, 3).get() == 5
        assert total.apply(([1, 2, 3],)).get() == 6

    def test_tasks_with_the_database(self):
        Widget.objects.create(name="one")
        assert count_widgets.delay().get() == 1
        assert limited.delay(7).get() == 7
        assert Widget.objects.filter(name="audited 7").exists()
"""

FILES = {
    "manage.py": MANAGE,
    "proj/__init__.py": 'from proj.celery import app as celery_app\n\n__all__ = ("celery_app",)\n',
    "proj/settings.py": SETTINGS,
    "proj/celery.py": CELERY,
    "shop/__init__.py": "",
    "shop/models.py": "from django.db import models\n\n\n"
    "class Widget(models.Model):\n    name = models.CharField(max_length=140)\n",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": """\
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Widget",
            fields=[("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=140))],
        )
    ]
""",
    "shop/tasks.py": TASKS,
    "shop/tests.py": OWN_TESTS,
}
