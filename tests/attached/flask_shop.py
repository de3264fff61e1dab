"""A Flask application with Celery, laid out as Flask's pattern for background tasks has it: path → source."""

PACKAGE = """\
import os

from celery import Celery, Task
from flask import Flask


def celery_init_app(app):
    class FlaskTask(Task):
        def __call__(self, *args, **kwargs):
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def create_app():
    app = Flask(__name__)
    app.config.from_mapping(
        GREETING="hello",
        CELERY={
            "broker_url": os.environ["SHOP_BROKER"],
            "result_backend": os.environ["SHOP_RESULTS"],
            "broker_transport_options": {"global_keyprefix": os.environ["SHOP_PREFIX"]},
            "result_backend_transport_options": {"global_keyprefix": os.environ["SHOP_PREFIX"]},
            "task_ignore_result": False,
        },
    )
    celery_init_app(app)

    from shop import views

    app.register_blueprint(views.bp)
    return app
"""

VIEWS = """\
from celery.result import AsyncResult
from flask import Blueprint, request

from shop.tasks import greet

bp = Blueprint("shop", __name__)


@bp.post("/greet")
def start():
    return {"id": greet.delay(request.args["name"]).id}


@bp.get("/result/<task_id>")
def result(task_id):
    found = AsyncResult(task_id)
    return {"ready": found.ready(), "value": found.result if found.ready() else None}
"""

TASKS = """\
from celery import shared_task
from flask import current_app


@shared_task
def greet(name):
    return f"{current_app.config['GREETING']} {name}"


@shared_task
def remember(name, value):
    from onserver import process, session

    with session().storage.use(name) as entry:
        entry["value"] = value
    return [session().id, process().number]
"""

FILES = {
    "shop/__init__.py": PACKAGE,
    "shop/views.py": VIEWS,
    "shop/tasks.py": TASKS,
    "make_celery.py": "from shop import create_app\n\n"
    'flask_app = create_app()\ncelery_app = flask_app.extensions["celery"]\n',
}
