"""The admin page inside a Django project, with its login and its groups.

    # urls.py
    from onserver.django_app.admin import admin_urls

    urlpatterns = [path("onserver/", include(admin_urls())), …]

Who is staff and active may look; groups whose names are roles (`operator`, `owner`, those of `roles.json`) give more;
a superuser is `owner`. Another rule is a function. Whoever has not logged in is sent to the login of the project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from onserver.admin.app import Admin
from onserver.admin.visitor import Visitor
from onserver.admin.wsgi import VISITOR, WSGIAdmin, visitor_of
from onserver.server import Server


def admin_urls(
    login: Callable[[HttpRequest], Visitor | None] | None = None,
    *,
    server: Server | None = None,
    read_only: bool = False,
) -> list[Any]:
    """Make the patterns of the admin page, to be included below a prefix.

    Args:
        login: answers who asks; None for somebody who may not see the page. By default `staff`.
        server: None for the current one, found with the first request.
        read_only: whether nobody may change anything from here.
    """
    who = login or staff
    pages: list[WSGIAdmin] = []

    def page() -> WSGIAdmin:
        if not pages:
            pages.append(WSGIAdmin(Admin(server, read_only=read_only, login=visitor_of)))
        return pages[0]

    # writes are protected by the page itself: by Sec-Fetch-Site and Origin, on cookies that other sites do not send
    @csrf_exempt
    def view(request: Any, path: str) -> Any:
        visitor = who(request)
        answer = _answered(page(), _environment(request, path, visitor))
        if answer.status_code == 403 and request.method == "GET" and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return answer

    return [re_path(r"^(?P<path>.*)$", view, name="onserver_admin")]


def staff(request: HttpRequest) -> Visitor | None:
    """Let in who is staff, with the roles of the same names as the groups; a superuser is owner."""
    user: Any = request.user  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    if not (user.is_authenticated and user.is_active and user.is_staff):
        return None
    groups = [str(name) for name in user.groups.values_list("name", flat=True)]
    roles = ["owner"] if user.is_superuser else ["viewer", *groups]
    return Visitor(user=user.get_username(), roles=roles)


def _environment(request: HttpRequest, path: str, visitor: Visitor | None) -> dict[str, Any]:
    """Make the environment of a request, whether it came by WSGI or by ASGI."""
    body = request.body
    kept = {name: value for name, value in request.META.items() if name.isupper() and isinstance(value, str)}
    return {
        **kept,
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": _latin(request.path.removesuffix(path).rstrip("/")),
        "PATH_INFO": _latin("/" + path),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": request.scheme or "http",
        "wsgi.input": BytesIO(body),
        VISITOR: visitor,
    }


def _latin(text: str) -> str:
    """Write a text as an environment has it: its bytes in UTF-8, each of them a character."""
    return text.encode().decode("latin-1")


def _answered(page: WSGIAdmin, environ: dict[str, Any]) -> HttpResponse:
    response = HttpResponse()

    def start(status: str, headers: Iterable[tuple[str, str]]) -> None:
        response.status_code = int(status[:3])
        del response["Content-Type"]
        for name, value in headers:
            if name.lower() == "set-cookie":
                response.cookies.load(value)
            else:
                response[name] = value

    response.content = b"".join(page(environ, start))
    return response
