"""The admin page inside a Flask application, with the login of that application: `onserver.admin.flask.mount`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Flask, request
from werkzeug.wrappers import Response

from onserver.admin.app import Admin
from onserver.admin.visitor import Visitor
from onserver.admin.wsgi import VISITOR, WSGIAdmin, visitor_of
from onserver.server import Server

_METHODS: Final = ["GET", "HEAD", "POST"]


def mount(
    app: Flask,
    prefix: str,
    login: Callable[[], Visitor | None] | None = None,
    *,
    server: Server | None = None,
    read_only: bool = False,
) -> None:
    """Have the admin page answer below a prefix.

    Args:
        app: the application.
        prefix: as in `/admin`.
        login: answers who asks, in the request's context, where `flask.session` and `current_user` are; None for
            somebody who may not see the page. Without it the page has its own links and users.
        server: None for the current one.
        read_only: whether nobody may change anything from here.

    Example:
        >>> def login():
        ...     return Visitor(user=session["user"], roles=["operator"]) if session.get("staff") else None
        >>> mount(app, "/admin", login=login)  # doctest: +SKIP
    """
    prefix = "/" + prefix.strip("/")
    page = WSGIAdmin(Admin(server, read_only=read_only, login=visitor_of if login else None))

    def answer(**_path: Any) -> Response:
        path = str(request.environ.get("PATH_INFO", "")).removeprefix(prefix)
        environ = {
            **request.environ,
            "SCRIPT_NAME": str(request.environ.get("SCRIPT_NAME", "")) + prefix,
            "PATH_INFO": path,
            VISITOR: login() if login else None,
        }
        return Response.from_app(page, environ, buffered=True)

    for rule in ("/", "/<path:path>"):
        app.add_url_rule(
            prefix + rule, f"onserver_admin_{prefix}".replace(".", "_"), answer, methods=_METHODS,
            provide_automatic_options=False,
        )  # fmt: skip
