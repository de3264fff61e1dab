"""Runs of the command in the test's own program."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from onserver.cli import command
from onserver.server import Server


class Ran(NamedTuple):
    """What one run of the command did."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)["data"]


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Run the command with these words."""
    capsys.readouterr()
    status = command.run(words)
    return Ran(status, *capsys.readouterr())


def settle_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command find this server, by variables."""
    settings = server.settings
    facts = {"NAME": settings.name, "REDIS": settings.redis, "SIGNING_KEY": settings.signing.key}
    for key, value in facts.items():
        monkeypatch.setenv(f"ONSERVER_{key}", value)
