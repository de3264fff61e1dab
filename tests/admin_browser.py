"""An admin page in this program, and browsers that have logged in there."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.testclient import TestClient
from starlette.types import ASGIApp

from onserver.admin import Admin
from onserver.admin.logins import Login, Logins
from onserver.server import Server

AT = "http://127.0.0.1:8765"
#: What a browser sends with a form of our own pages.
SAME = {"sec-fetch-site": "same-origin"}


def stranger(app: ASGIApp, at: str = AT) -> TestClient:
    """A browser that has not logged in. It follows no redirection by itself."""
    client = TestClient(app, base_url=at, follow_redirects=False, client=("127.0.0.1", 50000))
    client.headers.update({**SAME, "accept": "text/html"})
    return client


def browser(
    server: Server, roles: Sequence[str] = ("owner",), *, app: ASGIApp | None = None, prefix: str = "",
    read_only: bool = False, user: str = "ann",
) -> TestClient:  # fmt: skip
    """A browser that has logged in by a link, with these roles."""
    client = stranger(app or Admin(server))
    token = Logins(server.store).make_link(Login(user=user, by="link", roles=tuple(roles), read_only=read_only))
    answer = client.post(f"{prefix}/login", data={"t": token})
    assert answer.status_code == 303, answer.text
    return client


def program(server: Server, secret: str, *, app: ASGIApp | None = None) -> TestClient:
    """A program that uses the HTTP API with a token."""
    client = TestClient(app or Admin(server), base_url=AT, follow_redirects=False)
    client.headers.update({"authorization": f"Bearer {secret}", "accept": "application/json"})
    return client
