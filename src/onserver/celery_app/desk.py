"""What transport and backend of one Celery application share: its server, and in a worker its seat.

Kombu makes transports from URLs, and Celery makes backends from class paths, so neither can be handed an object: the
desk of a server is found by the server's name, which travels in the transport options.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from onserver.celery_app.holding import Holding
from onserver.celery_app.message import Stored, arguments
from onserver.celery_app.permitting import may_run, require_send
from onserver.celery_app.seat import Seat
from onserver.errors import BadSignature, ProcessTimeout, SessionError
from onserver.process.age import by_redis_time
from onserver.process.claim import Claim
from onserver.process.execute import Names
from onserver.process.failure import error_of
from onserver.process.number import number_of, task_id
from onserver.process.put import Order, parent_fields, schedule_fields
from onserver.process.runner import missing_key
from onserver.process.signing import Signer, sign_now
from onserver.process.tick import current_tick
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.context import current_run
from onserver.settings import Settings

#: Transport option that names the server.
OPTION = "onserver"


class Desk:
    """One for each server that this program has a Celery application for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        #: In whose name this program claims; None in one that runs no tasks.
        self.seat: Seat | None = None
        #: Whether the application was there before, and joined the server by `Server.attach`.
        self.attached = False
        #: Whether it keeps a broker of its own, so that its messages have records beside them.
        self.elsewhere = False
        #: In whose name this worker takes the processes of such messages, "" in other programs.
        self.holder = ""
        #: In whose names this worker's own programs run side runs.
        self.beside: list[str] = []
        #: URL of the result backend that an attached application had before; results are written there too.
        self.results_also = ""
        #: Calls something after so many seconds, in the worker's own timer.
        self.later: Callable[[float, Callable[[], Any]], Any] = _never

    @property
    def store(self) -> Store:
        """The server's Redis."""
        return self.server.store

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        return self.server.settings

    def put(
        self, queue: str, message: Stored, *, flags: str = "", deadline: float | None = None, sent: bool = False
    ) -> int:
        """Make the process of a task message, signed in the name of whoever sends it.

        An id that exists names one process: sending it again changes nothing, but for a retry of what is held.

        Args:
            queue: its queue.
            message: what goes into the record.
            flags: letters of the record besides those of the procedure.
            deadline: seconds, if not those of the settings.
            sent: the message has arrived already, whoever sent it: it is not refused in maintenance.

        Returns:
            Its number.

        Raises:
            MaintenanceMode: ONS-4104, the server takes no new work now.
        """
        writer = "!" if sent else ""
        number, how = by_redis_time(
            self.store, message.procedure, lambda: self._put(queue, message, flags, deadline, writer)
        )
        tick = current_tick()
        if tick is not None:
            tick.how = how.decode()
        return number

    def _put(self, queue: str, message: Stored, flags: str, deadline: float | None, writer: str) -> tuple[int, bytes]:
        store, run = self.store, current_run()
        if not (writer or message.retries):
            require_send(self.server, message)
        nonce, made_ms = store.nonce(), store.now_ms()
        fields: list[Word] = ["t", message.procedure, "b", message.body]
        order = self.server.part(Names).described(message.procedure, deadline)
        expires_ms = 0 if order is None or message.retries else order.expires_ms(made_ms)
        fields += ["c", sign_now(self.server, message.procedure, message.body, nonce, made_ms, expires_ms)]
        ways = flags + ("" if order is None else order.flags)
        if ways:
            fields += ["v", ways]
        if message.headers:
            fields += ["h", message.headers]
        if order is not None and message.retries:
            pass  # its record keeps the time limits of its start
        elif message.timeout_ms:
            fields += ["to", message.timeout_ms]
        elif order is not None:
            fields += order.time_fields
        if key := self._key(order, message):
            fields += ["lk", key]
        if expires_ms:
            fields += ["ex", expires_ms]
        if run is not None and run.root is not None:
            fields += ["x", run.root]
        if not message.retries:  # the next attempt is the process that asks for it
            fields += parent_fields(run)
        tick = current_tick()
        if tick is not None:
            fields += schedule_fields(tick.schedule, tick.at_ms)
        number, how, _served = store.run(
            "put", nonce, run.holder if run is not None else writer, made_ms, queue, message.priority, message.due_ms,
            "", "", ("+" if message.retries else "") + self.key_of(message.task_id), "", 0, *fields,
            deadline=deadline,
        )  # fmt: skip
        return int(number), how

    def key_of(self, identifier: str) -> str:
        """A task id as scripts take it: "#N" for one that follows from a number, else itself."""
        number = number_of(self.store.birth, identifier)
        return identifier if number is None else f"#{number}"

    def number_of(self, identifier: str) -> int:
        """The number of the process that a task id names; 0 where it names none."""
        number = number_of(self.store.birth, identifier)
        return number or int(self.store.command("GET", self.store.key(f"id:{identifier}")) or 0)

    def task_id(self, claim: Claim) -> str:
        """The task id of a claimed process."""
        return claim.task_id or task_id(self.store.birth, claim.number)

    def task_id_of(self, number: int) -> str:
        """The task id of a process that was not given one by Celery."""
        return task_id(self.store.birth, number)

    def caller_of(self, claim: Claim, holding: Holding) -> Mapping[str, Any] | None:
        """The caller for whom a claimed process was put; None when nobody signed, or nobody who may: it has failed."""
        try:
            return self.verify(claim)
        except (SessionError, ProcessTimeout) as error:
            retired = isinstance(error, BadSignature) and error.key and not claim.call
            holding.settle(claim.number, "end", "dead" if retired else "failed", error_of(error), claim.call or "{}")
            return None

    def handed_back(self, claim: Claim, holding: Holding) -> bool:
        """Whether a claimed process was not begun: its limit counts by a key that its sender could not tell."""
        given = None if claim.limit else arguments(claim.body, claim.headers)
        if given is None:
            return False
        try:
            key = missing_key(claim, self.server, *given)
        except Exception as error:  # noqa: BLE001  # whatever the key's function raises is how its process ends
            holding.settle(claim.number, "end", "failed", error_of(error), "{}")
            return True
        if key:
            holding.settle(claim.number, "back", "", key.encode(), "key")
        return bool(key)

    def _key(self, order: Order | None, message: Stored) -> str:
        """The key of the limit, as far as it can be told from the message; who runs it finds what is wrong with it."""
        given = arguments(message.body, message.headers) if order is not None and order.limit_key else None
        with suppress(TypeError):  # the arguments do not fit
            return order.key_in_limit(*given) if order is not None and given is not None else ""
        return ""

    def verify(self, claim: Claim) -> Mapping[str, Any]:
        """The caller for whom a process was put, and who may have it run.

        Raises:
            BadSignature: the record was not made by `put`.
            ProcessTimeout: it ought to have begun before now.
            CallerRevoked: its session was dropped, its user removed or revoked.
            PrivilegeDenied: its caller may not.
        """
        signer, number = self.server.part(Signer), 0 if claim.begun else claim.number
        caller = signer.verify(claim.caller, claim.procedure, claim.body, claim.accepted_ms, number=number)
        return may_run(self.server, claim, caller)


def _never(_seconds: float, _call: Callable[[], Any]) -> None:
    """There is no worker here, and no timer."""


_desks: dict[str, Desk] = {}


def open_desk(server: Server) -> Desk:
    """The desk of a server; a new `Server` of the same name takes it over."""
    desk = _desks.get(server.name)
    if desk is None or desk.server is not server:
        desk = _desks[server.name] = Desk(server)
    return desk


def desk_of(client: Any) -> Desk:
    """The desk that a Kombu connection belongs to, by its transport options; else that of the current server."""
    name = (client.transport_options or {}).get(OPTION)
    desk = _desks.get(name) if name else None
    return desk if desk is not None else open_desk(Server.current())
