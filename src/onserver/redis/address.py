"""Where a Redis is: the spellings that `redis = "…"` accepts, parsed once.

    redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]        rediss:// for TLS
    unix:///PATH/OF/SOCKET[?db=N]
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/SERVICE[/DB]     rediss+sentinel:// for TLS
    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT                   rediss+cluster:// for TLS

Options after `?`: `db`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs=none`, and for Sentinel
`sentinel_username` and `sentinel_password`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from onserver.discreet import discreet
from onserver.errors import BadSetting

Kind = Literal["tcp", "unix", "sentinel", "cluster"]
Node = tuple[str, int]

_KINDS: dict[str, tuple[Kind, bool]] = {
    "redis": ("tcp", False),
    "rediss": ("tcp", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_OPTIONS = (
    "db",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "sentinel_username",
    "sentinel_password",
)


@dataclass(frozen=True, kw_only=True)
class Address:
    """One way to a Redis. Passwords are left out of `repr()` and of `describe()`."""

    kind: Kind
    nodes: tuple[Node, ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: bool = False
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def option(self, name: str) -> str:
        """The option given after `?`, or empty text."""
        return dict(self.options).get(name, "")

    def describe(self) -> str:
        """The address as messages show it: without user, password and options."""
        if self.kind == "unix":
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        return f"{self._scheme()}://{self._hosts()}{self._tail()}"

    def url(self) -> str:
        """The address as it was given, password included: for handing on to a child program, never for messages."""
        login = f"{quote(self.username, '')}:{quote(self.password, '')}@" if self.password or self.username else ""
        options = [f"{name}={quote(value, '')}" for name, value in self.options]
        if self.kind == "unix":
            options = ([f"db={self.db}"] if self.db else []) + options
            start = f"unix://{login}{self.path}"
        else:
            start = f"{self._scheme()}://{login}{self._hosts()}{self._tail()}"
        return start + ("?" + "&".join(options) if options else "")

    def celery_url(self) -> str:
        """The same place in the spelling of Kombu and of Celery's Redis backend."""
        login = f"{quote(self.username, '')}:{quote(self.password, '')}@" if self.password or self.username else ""
        if self.kind == "unix":
            return f"redis+socket://{login}{self.path}?virtual_host={self.db}"
        if self.kind == "sentinel":
            return ";".join(f"sentinel://{login}{_host_port(node)}/{self.db}" for node in self.nodes)
        return f"redis{'s' if self.tls else ''}://{login}{_host_port(self.nodes[0])}/{self.db}"

    def tls_context(self) -> ssl.SSLContext | None:
        """How to check the server's certificate, or None where the address asks for no TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.option("ssl_ca_certs") or None)
        if self.option("ssl_cert_reqs") == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.option("ssl_certfile"):
            context.load_cert_chain(self.option("ssl_certfile"), self.option("ssl_keyfile") or None)
        return context

    def _scheme(self) -> str:
        return next(scheme for scheme, value in _KINDS.items() if value == (self.kind, self.tls))

    def _hosts(self) -> str:
        return ",".join(_host_port(node) for node in self.nodes)

    def _tail(self) -> str:
        if self.kind == "cluster":
            return ""
        service = f"/{self.service}" if self.service else ""
        return f"{service}/{self.db}"


def is_address(text: str) -> bool:
    """Whether a text means to be an address of Redis, by what it begins with."""
    return text.partition("://")[0] in _KINDS and "://" in text


def unix_address(path: str, db: int = 0) -> Address:
    """The address of a server on a Unix socket."""
    return Address(kind="unix", path=path, db=db)


def parse(url: str) -> Address:
    """Read an address from a setting.

    Raises:
        BadSetting: the text is none of the spellings at the top of this module. The text of the error repeats no
            password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in _KINDS or not (separator and (rest or scheme == "redis")):
        raise _bad(url, f"an address is one of: {_spellings()}")
    kind, tls = _KINDS[scheme]
    parts = urlsplit("x://" + rest)
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise _bad(url, f"the option {unknown[0]!r} is not known; known are {', '.join(_OPTIONS)}")
    service, db = _service_and_db(url, kind, parts.path, options.pop("db", ""))
    if kind == "unix" and not parts.path:
        raise _bad(url, "it names no socket: unix:///path/of/socket")
    return Address(
        kind=kind,
        nodes=() if kind == "unix" else _nodes(url, kind, hosts),
        path=unquote(parts.path) if kind == "unix" else "",
        service=service,
        db=db,
        username=unquote(username),
        password=unquote(password),
        tls=tls,
        options=tuple(options.items()),
    )


def _nodes(url: str, kind: Kind, hosts: str) -> tuple[Node, ...]:
    default = 26379 if kind == "sentinel" else 6379
    nodes: list[Node] = []
    for text in hosts.split(","):
        host, port = text, ""
        if text.startswith("["):
            host, _, port = text[1:].partition("]")
            port = port.removeprefix(":")
        elif ":" in text:
            host, _, port = text.rpartition(":")
        if not host and kind != "tcp":
            raise _bad(url, "it names no host")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise _bad(url, f"{port!r} is no port")
        nodes.append((host or "localhost", int(port or default)))
    if kind == "tcp" and len(nodes) > 1:
        raise _bad(url, f"it names {len(nodes)} hosts: use redis+sentinel:// or redis+cluster://")
    return tuple(nodes)


def _service_and_db(url: str, kind: Kind, path: str, db_option: str) -> tuple[str, int]:
    words = [] if kind == "unix" else [unquote(word) for word in path.split("/") if word]
    service = ""
    if kind == "sentinel":
        if not words:
            raise _bad(url, "it names no service: redis+sentinel://host:26379/SERVICE")
        service = words.pop(0)
    db = db_option or (words.pop(0) if words else "0")
    if words or not db.isdecimal():
        raise _bad(url, "the database must be one number")
    if kind == "cluster" and int(db):
        raise _bad(url, "a cluster has database 0 only")
    return service, int(db)


def _host_port(node: Node) -> str:
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bad(url: str, problem: str) -> BadSetting:
    return BadSetting(key="redis", value=discreet(url), problem=problem)


def _spellings() -> str:
    return "embedded, " + ", ".join(f"{scheme}://" for scheme in _KINDS)
