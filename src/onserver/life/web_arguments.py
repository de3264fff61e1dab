"""What the hooks of the web are told: a request, a log-in by REST, one of a mobile application, and an action of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onserver.life.hook_arguments import HookArgument


@dataclass(frozen=True, kw_only=True)
class WebRequest(HookArgument):
    """A request to a web server: what `on_web_authentication` and `on_web_connection` are told.

    Attributes:
        url: that was asked for, with its query, without the host: `/` for the root.
        content: header and body of the request as text, cut at 32 KB; without a password that came by Basic.
        browser_ip: address of the browser; one of IPv4 as `::ffff:192.168.2.34`.
        server_ip: address that was asked, in the same form.
        user: name that the browser sent by Basic, or empty.
        password: that it sent; empty where the name is that of a user of `onserver users`, whose password was right.

    Example:
        >>> WebRequest(url="/customers/add", user="ann").url
        '/customers/add'

    4D: the six texts of On Web Authentication and On Web Connection (specification 6.7, 6.8).
    """

    url: str
    content: str = field(default="", repr=False)
    browser_ip: str = ""
    server_ip: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class RestLogin(HookArgument):
    """Somebody who wants to open a session by REST: what `on_rest_authentication` is told.

    Attributes:
        user: name that was sent.
        password: that was sent; its hash where `digest` is set.
        digest: whether the password came as a hash.
        ip: address of whoever asks, in the form of `WebRequest.browser_ip`.

    Example:
        >>> RestLogin(user="ann", password="secret").digest
        False

    4D: the four arguments of On REST Authentication (specification 6.9).
    """

    user: str
    password: str = field(default="", repr=False)
    digest: bool = False
    ip: str = ""


@dataclass(frozen=True, kw_only=True)
class MobileLogin(HookArgument):
    """Somebody who opens a mobile application: what `on_mobile_app_authentication` is told.

    Attributes:
        email: address that was typed; empty for a guest.
        application: facts of the application, by name: `id`, `name`, `version`.
        device: facts of the device: `id`, `description`, `version`.
        team: facts of whoever publishes the application: `id`.
        language: facts of the language: `id`, `code`.
        parameters: what else the application sends.
        ip: address of the device, in the form of `WebRequest.browser_ip`.

    Example:
        >>> MobileLogin(email="ann@example.com").email
        'ann@example.com'

    4D: the object that On Mobile App Authentication is given.
    """

    email: str = ""
    application: Mapping[str, Any] = field(default_factory=dict[str, Any])
    device: Mapping[str, Any] = field(default_factory=dict[str, Any])
    team: Mapping[str, Any] = field(default_factory=dict[str, Any])
    language: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ip: str = ""


@dataclass(frozen=True, kw_only=True)
class MobileAction(HookArgument):
    """An action that a mobile application asks for: what `on_mobile_app_action` is told.

    Attributes:
        action: its name.
        context: what it is about: `dataClass`, `entity` and the like, as the application says.
        parameters: what was typed for it.
        user: name of the session's user, or empty.

    Example:
        >>> MobileAction(action="rate", parameters={"stars": 5}).parameters["stars"]
        5

    4D: the object that On Mobile App Action is given.
    """

    action: str
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    user: str = ""
