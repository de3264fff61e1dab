"""Calls from the web: a server method is called and waited for, in the session of whoever asks.

A call is a process like any other: it has a number, a signed caller, and a record. It must begin while somebody waits
for it, so it expires with the wait.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from onserver.errors import BadArguments, ProcessTimeout
from onserver.process.handle import Process
from onserver.process.procedure import Procedure
from onserver.process.put import Order, Sender
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.session.context import served
from onserver.web.threads import Threads
from onserver.web.web_session import WebSession


async def call_method(
    server: Server, method: ServerMethod[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call a server method in the session that is served here, and return what it returns.

    Raises:
        BadArguments: ONS-1105.
        NotSendable: ONS-1106.
        PrivilegeDenied: ONS-4103.
        SessionExpired: ONS-4102, the session has ended meanwhile.
        ProcessTimeout: ONS-2202, it has not ended within the setting `web.answer_seconds`.
    """
    order = _order(server, method)
    process: Process[Any] = await server.part(Threads).run(server.part(Sender).put, order, args, kwargs)
    limit = asyncio.timeout(order.expires)
    try:
        async with limit:
            return await process
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProcessTimeout(process.number, order.expires) from error
    finally:
        _look_again()


def call_method_here(
    server: Server, method: ServerMethod[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """The same for a thread in which no event loop runs; see `call_method`."""
    order = _order(server, method)
    try:
        return server.part(Sender).put(order, args, kwargs).result(order.expires)
    finally:
        _look_again()


def typed(method: Procedure[..., Any], texts: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """Turn the texts of a query or a form into what the parameters of a procedure are annotated with.

    Args:
        method: whose parameters they are for; where one says nothing that can be read, its text stays text.
        texts: by name of the parameter.

    Raises:
        BadArguments: ONS-1105, a text does not fit the annotation.
    """
    hints = _hints(method)
    values: dict[str, Any] = dict(texts)
    for name, text in texts.items():
        if name in hints:
            values[name] = _converted(method, name, text, hints[name])
    return values


def _order(server: Server, method: ServerMethod[..., Any]) -> Order:
    seconds = server.settings.web.answer_seconds
    order = method.call_order
    return replace(order, expires=min(seconds, order.expires) if order.expires else seconds)


def _look_again() -> None:
    """Have the session of the request read anew: what has run in it may have changed it."""
    here = served()
    if here is not None and isinstance(here.session, WebSession):
        here.session.refresh()


def _hints(method: Procedure[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(method.function)
    except Exception:  # noqa: BLE001  # an annotation that cannot be read here: its text stays text
        return {}


def _converted(method: Procedure[..., Any], name: str, text: str | list[str], wanted: Any) -> Any:
    try:
        return msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError as error:
        problem = f"is given `{name}` as {text!r}: {error}"
        raise BadArguments(method.name, problem, method.shape.text) from error
    except (TypeError, NameError):  # an annotation that says nothing to msgspec
        return text
