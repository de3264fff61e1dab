"""The workers. `app` is for Celery's own command: `celery -A workers worker`."""
