"""What the server knows of a remote client, made step by step: no hooks are asked, and there is no client."""

from dataclasses import replace
from secrets import token_hex
from typing import Any

from onserver import Server
from onserver.connections.records import Connections
from onserver.process.execute import order_of
from onserver.process.put import Sender
from onserver.process.server_method import ServerMethod
from onserver.process.twin import CallEnd, put_call, wait_call
from onserver.session.context import serving
from onserver.values import decode


class Client:
    """What the server knows of a remote client: a session, and one open connection of it."""

    def __init__(self, server: Server, name: str = "Main process") -> None:
        self.server = server
        self.session = server.part(Connections).open(token_hex(16), "", user="ann").id
        self.connection = self.connect(name)

    def connect(self, name: str) -> int:
        store = self.server.store
        number, _, _ = store.run("remote_connect", self.session, token_hex(16), name, 10)
        assert store.run("remote_opened", "", self.session, number, 1) == 1
        return int(number)

    def put(self, method: ServerMethod[..., Any] | str, *args: Any, call_id: str = "", connection: int = 0) -> str:
        call_id = call_id or token_hex(16)
        self.put_again(call_id, method, *args, connection=connection)
        return call_id

    def put_again(
        self, call_id: str, method: ServerMethod[..., Any] | str, *args: Any, connection: int = 0, expires: float = 0.0
    ) -> bool:
        here = self.server.sessions.take(self.session)
        assert here is not None
        order = order_of(self.server, method)
        body = self.server.part(Sender).body(order, args, {})
        with serving(here, remote=True):
            at = connection or self.connection
            return put_call(self.server, self.session, at, replace(order, expires=expires), body, call_id)

    def end(self, call_id: str, seconds: float = 20) -> CallEnd:
        end = wait_call(self.server, call_id, self.session, seconds)
        assert end is not None
        return end

    def call(self, method: ServerMethod[..., Any] | str, *args: Any) -> Any:
        end = self.end(self.put(method, *args))
        assert end.state == "done", decode(end.error)
        return decode(end.result)
