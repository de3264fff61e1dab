"""Django, set up for the tests of this program: settings are made once for each program, whoever needs them first."""

import django
from django.conf import settings


def set_up() -> None:
    """Let Django have two databases, in the memory of this program."""
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        DATABASES={
            name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"file:{name}?mode=memory&cache=shared"}
            for name in ("default", "archive")
        },
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "onserver.django_app"],
        SECRET_KEY="only the tests have it",
        SESSION_ENGINE="onserver.django_app.sessions",
        USE_TZ=True,
    )
    django.setup()
