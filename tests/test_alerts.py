"""The example of `docs/how-to/alerts.md` sends its mail too; that it tells a webhook is tried with the page."""

import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver.scaffold import write_project

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "alerts.md"


class Mailbox(socketserver.ThreadingTCPServer):
    """As much of a mail server as takes one letter."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.letters: list[str] = []


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Mailbox)
        self._say("220 here")
        while word := self.rfile.readline().decode().strip().upper():
            if word == "DATA":
                self._say("354 go on")
                self.server.letters.append("".join(iter(self._line, ".\r\n")))
            self._say("221 bye" if word == "QUIT" else "250 well")

    def _line(self) -> str:
        return self.rfile.readline().decode()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_the_example_sends_a_mail(tmp_path: Path, mailbox: Mailbox) -> None:
    write_project("shop", tmp_path / "shop")
    (block,) = re.findall(r"^```python\n# tasks/alerts.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop" / "tasks" / "alerts.py").write_text(block)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONSERVER_", "ALERT_"))}
    host, port = mailbox.server_address[:2]
    own = {"ALERT_MAIL": "ops@example.com", "ALERT_FROM": "shop@example.com", "ALERT_MAIL_SERVER": f"{host!s}:{port}"}
    code = "from tasks.alerts import send\nsend('worker.dead', {'worker': 'web-2', 'why': ''}, '2026-11-26 14:02')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "shop", env=kept | own, text=True, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (letter,) = mailbox.letters
    assert "To: ops@example.com" in letter
    assert "Subject: [shop] worker.dead" in letter
    assert "worker.dead: worker web-2" in letter
