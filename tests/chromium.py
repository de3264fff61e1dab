"""A real browser, headless, and applications on real ports for it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

from onserver.testing import wait_for

CHROMIUM = shutil.which("chromium") or ""
NEEDS_CHROMIUM = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium here: scripts/packages.sh installs it")


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """The browser, with a folder for what it needs; each context of it shares nothing with the others."""
    own = {"XDG_RUNTIME_DIR": str(folder)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], env={**os.environ, **own}
        )
        yield browser
        browser.close()


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[str]:
    """Serve an application on a port of this machine, a free one by default; its URL."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()
