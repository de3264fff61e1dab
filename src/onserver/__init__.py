"""A stored-procedure server: procedures and hooks that share one session, on Celery and Redis."""

__version__ = "0.1.0"
