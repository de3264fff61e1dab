"""A project with pages, roles and published methods, and a browser that asks its web server, all in this program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from onserver.registry import keep, kept
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway

ROLES = """{
  "privileges": [{"privilege": "CreateInvoices", "includes": []}, {"privilege": "ReadInvoices", "includes": []}],
  "roles": [{"role": "clerk", "privileges": ["CreateInvoices"]}],
  "permissions": {"allowed": []}, "restrictedByDefault": false, "forceLogin": false
}"""


def make_project(folder: Path, pages: dict[str, str] | None = None, settings: str = "", roles: str = ROLES) -> Path:
    """Write a project without tasks: its procedures are those that a test declares."""
    (folder / "config").mkdir(parents=True)
    (folder / "config/onserver.toml").write_text(f'name = "shop"\n{settings}\n')
    (folder / "config/roles.json").write_text(roles)
    for name, text in (pages or {}).items():
        (folder / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pages" / name).write_text(text)
    return folder


@contextmanager
def declaring() -> Iterator[None]:
    """Forget at the end what is declared inside: a hook of one test is not asked in the next."""
    before = kept()
    try:
        yield
    finally:
        keep(before)


def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, project: Path) -> OnServer:
    """Open a project in this program; processes run where they are started."""
    monkeypatch.setenv("ONSERVER_PROJECT", str(project))
    opened: OnServer = request.getfixturevalue("onserver")
    return opened


def browser(app: Gateway, ip: str = "192.0.2.7") -> httpx.AsyncClient:
    """A browser: it keeps its cookies, and is at this address."""
    transport = httpx.ASGITransport(app=app, client=(ip, 50000), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://shop.example")
