"""The cookie of a web session: its name, read and written.

The value is the session's id, 128 random bits; whoever has it is in the session, so it is `HttpOnly` always, and what
else keeps it in one place is a setting (`[web]`). It has no signature: an id that is in Redis is right, any other is
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate

from onserver.web_settings import WebSettings

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, kw_only=True)
class CookieRules:
    """What the cookie of one web server is like.

    Attributes:
        name: of the cookie.
        path: below which it is sent.
        domain: below which it is sent; empty for the one host.
        same_site: `Strict`, `Lax` or `None`; empty leaves it to the browser.
        secure: `auto`, `always` or `never`.
        partitioned: whether it is of the site alone in which it is framed.
        seconds: how long it is kept; None until the browser is closed.
    """

    name: str
    path: str = "/"
    domain: str = ""
    same_site: str = "Strict"
    secure: str = "auto"
    partitioned: bool = False
    seconds: int | None = None

    @classmethod
    def of(cls, settings: WebSettings, server: str, web: str = "") -> CookieRules:
        """Make those of a web server.

        Args:
            settings: of the project.
            server: name of the server.
            web: name of the component whose web server it is; empty for the host's.
        """
        name = settings.cookie_name or f"4DSID_{server}"
        return cls(
            name=_NOT_IN_NAMES.sub("_", f"{name}_{web}") if web else name,
            path=settings.cookie_path,
            domain=settings.cookie_domain,
            same_site=settings.cookie_same_site,
            secure=settings.cookie_secure,
            partitioned=settings.cookie_partitioned,
            seconds=settings.cookie_seconds or None,
        )

    def read(self, header: str) -> str:
        """Return the value of this cookie in a `Cookie` header, the first one; empty where there is none."""
        for part in header.split(";"):
            name, equals, value = part.partition("=")
            if equals and name.strip() == self.name:
                return value.strip().strip('"')
        return ""

    def write(self, value: str, *, secure: bool) -> str:
        """Return a `Set-Cookie` header.

        Args:
            value: of the cookie; empty removes it from the browser.
            secure: whether the request came by HTTPS.
        """
        parts = [f"{self.name}={value}", f"path={self.path}"]
        if not value:
            parts += ["Max-Age=0", f"expires={formatdate(0, usegmt=True)}"]
        elif self.seconds is not None:
            parts.append(f"Max-Age={self.seconds}")
        parts.append("httponly")
        if self.same_site:
            parts.append(f"samesite={self.same_site}")
        if self.domain:
            parts.append(f"domain={self.domain}")
        if self.secure == "always" or (self.secure == "auto" and secure):
            parts.append("secure")
        if self.partitioned:
            parts.append("partitioned")
        return "; ".join(parts)
