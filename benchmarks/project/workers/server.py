"""Two executors, as Celery's prefork pool has two children."""

from onserver import Worker

worker = Worker(queues=["default"], executors=2)
