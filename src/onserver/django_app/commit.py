"""When a database of Django's has committed: Django tells."""

from collections.abc import Callable

from django.db import transaction


def on_commit(using: str, step: Callable[[], None]) -> None:
    """Do this once the present transaction of that database has committed; at once where there is none."""
    transaction.on_commit(step, using=using)
