"""The workers. `app` is for Celery's own command: `celery -A workers worker`."""

from onserver import Server
from onserver.celery_app.app import make_app

server = Server.load()
server.load_tasks()
app = make_app(server)
