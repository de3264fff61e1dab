"""What protects every response and every write: headers, and the question whether a browser writes from our own pages.

A write is taken from our own pages only. Browsers say so in `Sec-Fetch-Site`; those that do not, in `Origin`. A program
that has a token sends neither, and cannot be made to by a page somewhere else: a token is in no cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex, nofollow",
}


def shielded(send: Send) -> Send:
    """Return what sends a response with the headers that each has."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


def from_elsewhere(request: Request) -> str:
    """Tell why a write is not from our own pages; empty where it is.

    Args:
        request: that is to change something.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return "" if site == "same-origin" else f"it was sent from elsewhere (Sec-Fetch-Site: {site[:20]})"
    origin = request.headers.get("origin")
    if origin is not None:
        host = request.headers.get("host", "")
        same = host and urlsplit(origin).netloc.lower() == host.lower()
        return "" if same else f"it was sent from elsewhere (Origin: {origin[:80]})"
    if request.headers.get("authorization", "")[:7].lower() == "bearer ":
        return ""
    return "it does not say where it was sent from (neither Sec-Fetch-Site nor Origin)"
