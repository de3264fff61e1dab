"""Django's own session tests, run for onserver's engine: `python -m tests.django_sessions FOLDER NAME REDIS`.

FOLDER holds `tests/sessions_tests` of Django's source distribution, unchanged. Of what is there, all that is not about
one of Django's own engines runs: the tests that every engine has to pass, those of the middleware, and those of the
base class. One of the middleware's looks into the table of Django's own database engine (`OTHERS`) and is left out;
`tests/test_django_sessions.py` has what it says.
"""

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest import TestSuite

import django
from django.conf import settings
from django.test import SimpleTestCase
from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases

from tests.inline_worker import make_server

OTHERS = {"test_empty_session_saved"}
ENGINE = "onserver.django_app.sessions"


class Runner(DiscoverRunner):  # type: ignore[misc]  # Django has no types
    """Leaves out what is about another engine."""

    def build_suite(self, *args: Any, **kwargs: Any) -> TestSuite:
        """Answer all others."""
        return TestSuite(
            test for test in iter_test_cases(super().build_suite(*args, **kwargs)) if test._testMethodName not in OTHERS
        )


def main(folder: str, name: str, redis: str) -> int:
    sys.path.insert(0, str(Path(folder) / "tests"))
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.sessions", "sessions_tests"],
        SECRET_KEY="only the tests have it",
        SESSION_ENGINE=ENGINE,
        USE_TZ=False,
    )
    django.setup()
    theirs = "sessions_tests.tests"
    engine = importlib.import_module(ENGINE).SessionStore
    mixin = importlib.import_module(theirs).SessionTestsMixin
    globals()["EngineTests"] = type("EngineTests", (mixin, SimpleTestCase), {"backend": engine})
    labels = [
        f"{__name__}.EngineTests",
        *(f"{theirs}.{name}" for name in ("SessionMiddlewareTests", "SessionBaseTests")),
    ]
    with make_server(name, redis).as_current():
        return int(Runner(verbosity=2, interactive=False).run_tests(labels))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
