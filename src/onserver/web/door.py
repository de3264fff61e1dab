"""The door of a web server: who is let in before code of the project runs for a request, and what hooks are told.

| `on_web_authentication` | the request |
|---|---|
| returns True or None, or there is none | is accepted |
| returns False | is refused |
| raises, runs for too long, returns anything else | is refused; the log says why |

A browser that sends a name of `onserver users` by Basic has to send the password with it, or is refused before the hook
is asked; the hook is then told no password (specification 6.7). Several hooks have to accept, all of them.

Hooks run in a thread of their own, in the context of the request: `session()` in them is its session.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request

from onserver.interrupt import Interrupted
from onserver.life.hook import WEB_AUTHENTICATION, WEB_CONNECTION, Hook, hooks_of
from onserver.life.hook_arguments import HookArgument
from onserver.life.in_place import run_within
from onserver.life.web_arguments import WebRequest
from onserver.process import coroutines
from onserver.server import Server
from onserver.session.attempts import Attempts
from onserver.session.users import Users, key_of_name
from onserver.web.answers import LOG
from onserver.web.published import is_of

#: How much of a request a hook is told.
_TOLD_BYTES: Final = 32 * 1024
#: What stands in a path as it is (RFC 3986).
_IN_PATHS: Final = "/:@!$&'()*+,;=~"


class Refused(Exception):
    """The door stays shut: the browser is told 401; with seconds to wait 429, and these.

    Args:
        wait: seconds, where there were too many wrong passwords.
    """

    def __init__(self, wait: int = 0) -> None:
        super().__init__(wait)
        self.wait = wait


class Door:
    """The hooks of one web server.

    Args:
        server: the loaded project.
        component: whose web server it is; empty for the project's own.
    """

    def __init__(self, server: Server, component: str = "") -> None:
        self._server = server
        self._component = component

    def hooks(self, kind: str) -> Sequence[Hook]:
        """Answer the hooks of a kind that this web server asks, in their order."""
        return [hook for hook in hooks_of(self._server, kind) if self._asks(hook)]

    def answers(self, kind: str, argument: HookArgument) -> Iterator[Any]:
        """Ask the hooks of a kind, one after the other, and answer what each returns.

        Raises:
            Exception: what a hook raises.
            TimeIsUp: it runs for longer than it may.
        """
        for hook in self.hooks(kind):
            yield self._asked(hook, argument)

    def admit(self, asked: WebRequest) -> None:
        """Let a request in, or not.

        Raises:
            Refused: a password is wrong, or a hook refuses.
        """
        asked = self._known(asked)
        try:
            for hook in self.hooks(WEB_AUTHENTICATION):
                answer = self._asked(hook, asked)
                if answer is not None and answer is not True:
                    if answer is not False:
                        LOG.error("%s answered %r, which is no boolean: the request is refused", hook.name, answer)
                    raise Refused
        except (KeyboardInterrupt, Interrupted, Refused):
            raise
        except BaseException as error:
            LOG.exception("on_web_authentication has failed: the request is refused")
            raise Refused from error

    def connect(self, asked: WebRequest) -> Any:
        """Answer what the first hook `on_web_connection` sends that sends something; None where none does."""
        found = self.answers(WEB_CONNECTION, self._known(asked))
        return next((answer for answer in found if answer is not None), None)

    def _asks(self, hook: Hook) -> bool:
        if self._component:
            return is_of(hook.function, self._component)
        return not any(is_of(hook.function, name) for name in self._server.settings.components)

    def _asked(self, hook: Hook, argument: HookArgument) -> Any:
        def body() -> Any:
            return coroutines.run(hook.function(argument)) if hook.awaited else hook.function(argument)

        seconds = self._server.settings.web.answer_seconds if hook.timeout is None else hook.timeout
        return run_within(seconds, body)

    def _known(self, asked: WebRequest) -> WebRequest:
        """Check the password of somebody whom the server knows, and tell it to nobody.

        Raises:
            Refused: it is wrong, or too many were.
        """
        store = self._server.store
        if not asked.user or not store.command("HEXISTS", store.key("users"), key_of_name(asked.user)):
            return asked
        attempts = Attempts(store)
        wait = attempts.wait(asked.user, asked.browser_ip)
        if wait:
            LOG.warning("Too many attempts as %r from %s: refused for %d s", asked.user, asked.browser_ip, wait)
            raise Refused(wait)
        if Users(store).verify(asked.user, asked.password) is None:
            attempts.wrong(asked.user, asked.browser_ip)
            raise Refused
        return replace(asked, password="")


def told(request: Request, body: bytes) -> WebRequest:
    """Answer what hooks are told of a request.

    Args:
        request: as it came.
        body: of it.
    """
    user, password, basic = _credentials(request.headers.get("authorization", ""))
    query = request.scope.get("query_string", b"").decode("latin-1")
    path, query = request.scope["path"], f"?{query}" if query else ""
    line = quote(path, safe=_IN_PATHS) + query  # decoded, a path may have ends of lines: headers that nobody has sent
    head = [f"{request.method} {line} HTTP/{request.scope.get('http_version', '1.1')}"]
    head += [f"{name}: {value}" for name, value in request.headers.items() if not (basic and name == "authorization")]
    content = "\r\n".join([*head, "", ""]).encode("utf-8", "replace") + body
    return WebRequest(
        url=path + query,
        content=content[:_TOLD_BYTES].decode("utf-8", "replace"),
        browser_ip=address(request.client.host if request.client else ""),
        server_ip=address((request.scope.get("server") or ("", None))[0]),
        user=user,
        password=password,
    )


def address(host: str) -> str:
    """Answer an address as the original writes it: IPv4 in the mixed form, `::ffff:192.168.2.34`."""
    try:
        return f"::ffff:{host}" if ipaddress.ip_address(host).version == 4 else host
    except ValueError:  # the name of a socket, or of a test
        return host


def _credentials(header: str) -> tuple[str, str, bool]:
    """Answer name and password of the scheme Basic, and whether the header is of that scheme."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return "", "", False
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", "", True
    user, _, password = decoded.partition(":")
    return user, password, True
