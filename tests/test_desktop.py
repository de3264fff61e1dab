"""The desktop client of docs/how-to/desktop.md, with real Qt and no screen, against a gateway and a worker."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from onserver.testing import wait_for
from onserver.testing.cluster import CELERY_APP, open_cluster
from onserver.testing.programs import WorkerProgram
from tests.pages import ROOT, blocks

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        find_spec("PySide6") is None,
        reason="PySide6 is not installed: `python3 scripts/bootstrap.py desktop` has said why it cannot be",
    ),
]

#: Presses the buttons, and says what the window shows.
DRIVER = """
import sys
from PySide6.QtWidgets import QApplication
from desktop import Window
from onserver import remote, session
from onserver.testing import wait_for

application = QApplication(sys.argv)
with remote.connect(sys.argv[1], client_session=True) as client:
    window = Window(client)
    window.show()

    def shown(label, wanted):
        wait_for(lambda: application.processEvents() or label.text() == wanted, 60, wanted)
        print(label.text(), flush=True)

    window.count.click()
    shown(window.answer, "Total: 5")
    window.sell.click()
    shown(window.answer, "Failed: sold out")
    client.register("till")
    print(session().id, flush=True)
    shown(window.message, "ann: closing time")
    window.pool.waitForDone()
print(client.ended, application.platformName(), flush=True)
"""


def test_a_window_calls_the_server(onserver_redis: str, tmp_path: Path) -> None:
    page = blocks(ROOT / "docs" / "how-to" / "desktop.md")
    files = {found[1]: block.text for block in page if (found := re.match(r"# (\S+\.py)\n", block.text))}
    project = tmp_path / "shop"
    texts = {
        "config/onserver.toml": 'name = "shop"\n',
        "tasks/__init__.py": "",
        "workers/__init__.py": CELERY_APP,
        "workers/server.py": "from onserver import Worker\n\nworker = Worker()\n",
        "tasks/shop.py": files["tasks/shop.py"],
        "desktop.py": files["desktop.py"],
    }
    for name, text in texts.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    with open_cluster(onserver_redis, tmp_path, project=project, settings={"remote.over_web": "true"}) as cluster:
        command = [sys.executable, "-m", "onserver.cli", "web", "--bind", "127.0.0.1:0"]
        web = WorkerProgram("web", command, cluster.environment(), tmp_path / "web.log", project)
        try:
            cluster.start()
            wait_for(lambda: "serving" in web.output or not web.alive, 60)
            found = re.search(r"serving (http://\S+)", web.output)
            assert found, web.output
            environment = cluster.environment() | {"QT_QPA_PLATFORM": "offscreen"}
            with subprocess.Popen([sys.executable, "-c", DRIVER, found.group(1)], env=environment, text=True,
                                  cwd=project, stdout=subprocess.PIPE) as window:  # fmt: skip
                assert window.stdout is not None
                lines = [window.stdout.readline().strip() for _ in range(3)]
                assert lines[:2] == ["Total: 5", "Failed: sold out"]
                assert cluster.server.sessions.message(lines[2], "closing time", by="ann")
                assert window.stdout.read().split("\n")[:2] == ["ann: closing time", "closed offscreen"]
                assert window.wait(60) == 0
        finally:
            web.end()
