"""The tests of others, as they are: Starlette's of its session middleware, Flask's of its tutorial application.

They are in the source distributions of what is installed here, which the test run fetches (`sdists`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from onserver.redis.address import Address
from tests.sdists import fetch

SOURCE = Path(__file__).parents[1] / "src"
STARLETTE = """
import os
import starlette.middleware.sessions as theirs
from onserver import Server
from onserver.web.starlette import SessionMiddleware

Server(os.environ["SERVER_NAME"], redis=os.environ["SERVER_REDIS"])
theirs.SessionMiddleware = SessionMiddleware
"""

FLASK = """
import os
import flaskr
from onserver import Server
from onserver.web.flask import OnServerSessions

Server(os.environ["SERVER_NAME"], redis=os.environ["SERVER_REDIS"])
theirs = flaskr.create_app


def create_app(*arguments):
    app = theirs(*arguments)
    OnServerSessions(app)
    return app


flaskr.create_app = create_app
"""


def run_theirs(folder: Path, plugin: str, tmp_path: Path, address: Address, *arguments: str) -> str:
    """Run tests of others with a plug-in of ours, without those that are installed here; what pytest has said."""
    (tmp_path / "ours.py").write_text(plugin)
    facts = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, SOURCE, folder))),
        "SERVER_NAME": f"t{uuid4().hex[:8]}",
        "SERVER_REDIS": f"unix://{address.path}",
    }
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = [
        "-p",
        "ours",
        "-p",
        "no:cacheprovider",
        "-q",
        "-c",
        str(tmp_path / "pytest.ini"),
        "--rootdir",
        str(folder),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder, env={**os.environ, **facts}, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def passed(said: str) -> int:
    """How many tests have passed, where none was left out but those of the other event loop."""
    assert "skipped" not in said, said
    found = re.search(r"(\d+) passed", said)
    assert found, said
    return int(found[1])


def test_starlettes_tests_of_its_session_middleware_pass_with_ours_in_its_place(
    tmp_path: Path, redis_address: Address
) -> None:
    folder = fetch("starlette")
    chosen = ("-p", "anyio", "-k", "not trio", "tests/middleware/test_session.py")  # trio is not installed
    said = run_theirs(folder, STARLETTE, tmp_path, redis_address, *chosen)
    assert passed(said) >= 15


def test_flasks_tests_of_its_tutorial_pass_with_ours_in_front(tmp_path: Path, redis_address: Address) -> None:
    folder = fetch("flask") / "examples" / "tutorial"
    assert passed(run_theirs(folder, FLASK, tmp_path, redis_address, "tests")) >= 24
