"""A channel: tasks go into records, everything else into short-lived lists and broadcasts of the server's own keys.

| message | goes to | lives |
|---|---|---|
| with a `task` header, to a queue | script `put` | until its process is dropped |
| to a fanout exchange | PUBLISH on `f:EXCHANGE` or `f:EXCHANGE/KEY` | as long as it travels |
| any other, to a queue | list `mq:QUEUE` | `x-expires` of the queue (replies: 10 s), else one hour |

Direct and topic exchanges are routed by the bindings that this program declared, else by those in Redis
(`bind:EXCHANGE`, a week after their last declaration). Celery itself sends to queues by name, so that mostly there is
nothing to look up.
"""

from collections.abc import Iterator
from contextlib import suppress
from queue import Empty
from typing import Any, Final

from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.utils.json import dumps, loads

from onserver.celery_app.broadcasts import Broadcasts, is_task, refuse, sign_broadcast
from onserver.celery_app.desk import Desk, desk_of
from onserver.celery_app.message import MARK, PRIORITY, rebuild, shorten
from onserver.celery_app.qos import QoS
from onserver.celery_app.reading import Claims, Conversation, Fanout, Lists
from onserver.celery_app.revoking import PIDBOX, obey
from onserver.celery_app.seat import Seat
from onserver.process.claim import Claim

_LIST_MS: Final = 3_600_000
_BINDING_SECONDS: Final = 7 * 86_400
_SEPARATOR: Final = "\x06\x16"


class Channel(virtual.Channel):
    """See the top of this module."""

    QoS = QoS
    do_restore = False
    supports_fanout = True
    body_encoding: Any = None  # a body stays what it is; Kombu's default would make base64 of it
    default_priority = PRIORITY
    #: Where an unroutable message would go: nowhere.
    deadletter_queue: Any = None

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.desk: Desk = desk_of(connection.client)
        self.store = self.desk.store
        self._expires_ms: dict[str, int] = {}
        self._fanout_queues: dict[str, tuple[str, str]] = {}
        self._consumed: list[str] = []
        self._conversations: list[Conversation] = []
        self._claims: Claims | None = None
        self._broadcasts = Broadcasts(self.desk.server)

    @property
    def seat(self) -> Seat | None:
        """The seat of this worker, or None in a program that runs no tasks."""
        return self.desk.seat

    # -- sending

    def prepare_message(self, body: Any, priority: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Kombu's, in which priority 0 would count as none."""
        message = super().prepare_message(body, priority, *args, **kwargs)
        if priority is not None:
            message["properties"]["priority"] = priority
        return message

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        headers = message.get("headers") or {}
        if "task" in headers and "id" in headers:
            headers.pop(MARK, None)
            self.desk.put(queue, shorten(message))
            return
        key = self.store.key(f"mq:{queue}")
        lifetime = self._expires_ms.get(queue, 10_000 if queue.endswith(".reply.celery.pidbox") else _LIST_MS)
        self.store.pipeline([("RPUSH", key, dumps(message)), ("PEXPIRE", key, lifetime)])

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        if is_task(message):
            message = sign_broadcast(self.desk.server, message)
        if exchange.endswith(PIDBOX):
            obey(self.desk, message)
        self.store.command("PUBLISH", self._topic(exchange, routing_key), dumps(message))

    def _topic(self, exchange: str, routing_key: str | None) -> str:
        return self.store.key(f"f:{exchange}/{routing_key}" if routing_key else f"f:{exchange}")

    # -- queues, exchanges, bindings

    def prepare_queue_arguments(self, arguments: Any, **kwargs: Any) -> Any:
        """Queue options as RabbitMQ names them, of which `x-expires` counts here."""
        return to_rabbitmq_queue_arguments(arguments, **kwargs)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        expires = (kwargs.get("arguments") or {}).get("x-expires")
        if expires is not None:
            self._expires_ms[queue] = int(expires)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        kind = self.typeof(exchange).type
        if kind == "fanout":
            self._fanout_queues[queue] = (exchange, (routing_key or "").replace("#", "*"))
        elif not (kind == "direct" and _reply_queue(exchange, routing_key) == queue):
            key = self.store.key(f"bind:{exchange}")
            member = _SEPARATOR.join((routing_key or "", pattern or "", queue))
            self.store.pipeline([("SADD", key, member), ("EXPIRE", key, _BINDING_SECONDS)])

    def get_table(self, exchange: str) -> Any:
        """The bindings of an exchange: those declared here, else those that others declared."""
        table = self.state.exchanges.get(exchange, {}).get("table")
        if table:
            return table
        members = self.store.command("SMEMBERS", self.store.key(f"bind:{exchange}"))
        rows = [tuple(member.decode().split(_SEPARATOR)) for member in members]
        return [(routing_key, pattern or None, queue) for routing_key, pattern, queue in rows]

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> Any:
        reply = _reply_queue(exchange, routing_key)
        if reply is not None:
            return [reply]
        return super()._lookup(exchange, routing_key, default)

    def _size(self, queue: str) -> int:
        return int(self.store.run("depth", queue)) + int(self.store.command("LLEN", self.store.key(f"mq:{queue}")))

    def _purge(self, queue: str) -> int:
        dropped = int(self.store.command("LLEN", self.store.key(f"mq:{queue}")))
        self.store.command("DEL", self.store.key(f"mq:{queue}"))
        while count := int(self.store.run("purge", queue, int(self.desk.settings.process.keep_failed_seconds))):
            dropped += count
        return dropped

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        self.store.command("DEL", self.store.key(f"mq:{queue}"))
        self._expires_ms.pop(queue, None)
        if args:
            exchange, routing_key, pattern = args[:3]
            member = _SEPARATOR.join((routing_key or "", pattern or "", queue))
            self.store.command("SREM", self.store.key(f"bind:{exchange}"), member)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        text = self.store.command("LPOP", self.store.key(f"mq:{queue}"))
        if text is None:
            raise Empty
        return loads(text)

    # -- receiving

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume a queue: processes when this worker's seat serves it, else its list or broadcast."""
        self._consumed.append(queue)
        tag = super().basic_consume(queue, *args, **kwargs)
        self._converse()
        return tag

    def basic_cancel(self, consumer_tag: Any) -> None:
        """Consume a queue no longer."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue in self._consumed:
            self._consumed.remove(queue)

    def _converse(self) -> None:
        if self._conversations:
            return
        self._conversations = [
            Fanout(self.store, self._topics, self._broadcast),
            Lists(self.store, self._lists, self._listed),
        ]

    def begin(self) -> None:
        """Send what is to be sent; called at each turn of the event loop."""
        seat = self.seat
        if seat is not None and self._claims is None and self._tasks():
            self._claims = Claims(seat, self._free, self._claimed)
            self._conversations.append(self._claims)
        for conversation in self._conversations:
            conversation.begin()

    def conversations(self) -> Iterator[tuple[int, Conversation]]:
        """What to poll, and for whom."""
        for conversation in self._conversations:
            descriptor = conversation.fileno()
            if descriptor is not None:
                yield descriptor, conversation

    def _tasks(self) -> list[str]:
        seat = self.seat
        return [queue for queue in self._consumed if seat is not None and queue in seat.queues]

    def _free(self) -> int:
        qos: Any = self.qos
        return int(qos.free()) if self._tasks() else 0

    def _topics(self) -> list[str]:
        return [self._topic(*self._fanout_queues[queue]) for queue in self._consumed if queue in self._fanout_queues]

    def _lists(self) -> list[str]:
        tasks = self._tasks()
        plain = [queue for queue in self._consumed if queue not in tasks and queue not in self._fanout_queues]
        return [self.store.key(f"mq:{queue}") for queue in dict.fromkeys(plain)]

    def _listed(self, key: str, text: bytes) -> None:
        message = loads(text)
        if is_task(message):  # tasks are records: this was written by nobody who has the key
            refuse(message, "it is not signed")
        else:
            self.connection._deliver(message, key.removeprefix(self.store.key("mq:")))

    def _broadcast(self, pattern: str, text: bytes) -> None:
        message = loads(text)
        if is_task(message) and not self._broadcasts.takes(message):
            return
        for queue in list(self._consumed):
            if queue in self._fanout_queues and self._topic(*self._fanout_queues[queue]) == pattern:
                self.connection._deliver(message, queue)

    def _claimed(self, claim: Claim) -> None:
        assert self.seat is not None
        caller = self.desk.caller_of(claim, self.seat)
        if caller is None or self.desk.handed_back(claim, self.seat):
            return
        message = rebuild(claim, self.desk.task_id(claim), self.seat.holder, caller, self.seat.change)
        queue = claim.queue if claim.queue in self._consumed else self._tasks()[0]
        self.connection._deliver(message, queue)

    def close(self) -> None:
        """Close the channel; what the pool runs stays held by the seat."""
        for conversation in self._conversations:
            with suppress(OSError):  # it is being closed because it is broken
                conversation.close()
        self._conversations, self._claims = [], None
        super().close()


def _reply_queue(exchange: str, routing_key: str) -> str | None:
    """Kombu's mailbox names the queue for replies after exchange and key, so nobody has to look it up."""
    if exchange.startswith("reply.") and exchange.endswith(".pidbox"):
        return f"{routing_key}.{exchange}"
    return None
