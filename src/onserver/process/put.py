"""*put*: one start of a process, from arguments to number.

What does not change between two starts of a procedure is worked out once (`Order`); a start then is: bind, encode,
sign, one script. The script is sent again with the same nonce when its reply is lost, so it is done once however often
it is sent. Redis' clock is what counts for the age of a signature; where this program's idea of it turns out wrong,
Redis is asked for the time, and the message is signed once more (`age`).
"""

import asyncio
import json
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from time import monotonic
from typing import Any, Final, Literal

from onserver.errors import AlreadyRunning, BadArguments, NotSendable, NoWorker
from onserver.process.age import by_redis_time, heed, too_late
from onserver.process.authority import require_ask
from onserver.process.caller import snapshot_to_send
from onserver.process.handle import Process
from onserver.process.inbox import Inbox, withdraw
from onserver.process.limits import KeyOf, read_key
from onserver.process.pump import Pump
from onserver.process.recent import Recent
from onserver.process.shape import Shape
from onserver.process.signing import Signer
from onserver.process.tracing import tracing
from onserver.redis.answers import ScriptRefused
from onserver.redis.resp import Word
from onserver.redis.row import run_each
from onserver.redis.scripts import Script
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.session.roles_resources import Resource
from onserver.values import encode, encode_call

#: How often the same warning about missing workers is given, in seconds.
_WARN_SECONDS: Final = 5.0
#: How many processes one script makes.
CHUNK: Final = 100
#: From so many chunks on it pays to have a connection for them.
_FEWEST_IN_A_ROW: Final = 5

Delay = float | timedelta | datetime


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that *put* wants to know of a start, besides server and arguments.

    Attributes:
        procedure: full name.
        shape: what may be passed; None where nobody knows yet.
        flags: one capital each, as the record has them.
        queue: where it waits.
        priority: 0 to 9, 9 first.
        name: the name of the process, or empty.
        unique: what to do when a process of that name lives: start another, answer that one, or refuse.
        key: a key of the caller's own: one process for it in `key_window` seconds.
        key_window: seconds.
        delay: seconds, a timedelta, or the time before which it must not run.
        timeout: seconds that one run may take, 0 for no limit.
        grace: seconds between its interruption then and its kill.
        expires: seconds from its start within which it must begin, 0 for no limit.
        schedule: the schedule for which it is started, or empty.
        scheduled_ms: the time of that schedule for which it is, 0 for a start by hand; each time starts one process.
        limit_key: how the key of its limit is found; None where that has none, or nobody knows here.
        operator: an operator starts it: it is not refused in maintenance.
        requires: privileges that whoever asks has to have, all of them.
        resource: what it is to `roles.json`; None for the method of its name.
        after_commit: the transaction after which it is put: a database of Django's or a session of SQLAlchemy.
    """

    procedure: str
    shape: Shape | None
    flags: str = ""
    queue: str = "default"
    priority: int = 5
    name: str = ""
    unique: bool | Literal["error"] = False
    key: str = ""
    key_window: float = 86_400.0
    delay: Delay = 0.0
    timeout: float = 0.0
    grace: float = 5.0
    expires: float = 0.0
    schedule: str = ""
    scheduled_ms: int = 0
    limit_key: KeyOf | None = None
    operator: bool = False
    requires: tuple[str, ...] = ()
    resource: Resource | None = None
    after_commit: Any = None

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Field, value … of the record that do not depend on the arguments."""
        fields = ("t", self.procedure, *(("v", self.flags) if self.flags else ()))
        fields = (*fields, "k", self.key) if self.key else fields
        fields = (*fields, *self.time_fields)
        return (*fields, *schedule_fields(self.schedule, self.scheduled_ms)) if self.schedule else fields

    @property
    def time_fields(self) -> tuple[str, ...]:
        """Field, value … of the record for the time that a run may take."""
        if not self.timeout:
            return ()
        return "to", str(max(1, int(self.timeout * 1000))), "tg", str(max(1, int(self.grace * 1000)))

    def expires_ms(self, now_ms: int) -> int:
        """Until when a process that is started now must have begun, milliseconds since 1970; 0 for no limit."""
        return now_ms + int(self.expires * 1000) if self.expires else 0

    def key_in_limit(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Answer the key of the procedure's limit for these arguments; empty where there is none, or who runs it tells.

        Raises:
            BadArguments: ONS-1105, it is neither a text nor a number.
        """
        return self.limit_key(args, kwargs) if self.limit_key else ""

    @property
    def plain(self) -> bool:
        """Whether many of these can be put in one script: no name, key, delay, schedule or transaction."""
        return not (self.name or self.key or self.delay or self.schedule or self.after_commit is not None)


class Sender:
    """Puts processes on one server. Made by `server.part(Sender)`; with a store of its own for other deadlines."""

    def __init__(self, server: Server, store: Store | None = None) -> None:
        self._server = server
        self._store = store or server.store
        self._put = self._store.script("put")
        self._put_many = self._store.script("put_many")
        self._signer = server.part(Signer)
        self._inbox, self._pump = server.part(Inbox), server.part(Pump)
        self._recent = server.part(Recent)
        self._limit = server.settings.process.max_argument_bytes
        self._warned: dict[tuple[str, str], float] = {}

    def put(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        """Start one process."""
        traced = tracing()
        if traced is None:
            return self._put_one(order, args, kwargs)
        with traced.starting(order.procedure, order.queue) as span:
            process = self._put_one(order, args, kwargs)
            span.set_attribute("onserver.process.number", process.number)
            return process

    async def aput(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        """`put` for a coroutine, whose loop goes on meanwhile; only where it `asks_as_server`."""
        traced = tracing()
        if traced is None:
            return await self._aput_one(order, args, kwargs)
        with traced.starting(order.procedure, order.queue) as span:
            process = await self._aput_one(order, args, kwargs)
            span.set_attribute("onserver.process.number", process.number)
            return process

    def _put_one(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        process, words = self._made(order, args, kwargs)
        served = self._taken(order, process, self._fresh(order.procedure, self._put, words))
        if served != b"ok":
            self.warn(order, process.number, served, deeper=1)
        return process

    async def _aput_one(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        process, words = self._made(order, args, kwargs)
        answer = await self._afresh(order.procedure, self._put, words)
        if answer[1] == b"new" and not self._recent.is_due:
            served = self._taken(order, process, answer)
        else:  # Redis may have to be asked about it
            served = await asyncio.to_thread(self._taken, order, process, answer)
        if served != b"ok" and self._is_news(order):
            queues = await asyncio.to_thread(queues_with_workers, self._server)
            self._warn(order, process.number, served, queues, 6)
        return process

    def _made(
        self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Process[Any], Callable[[], list[Word]]]:
        """The handle of a process that is to be put, and the words that do so."""
        if not order.scheduled_ms:  # of a schedule's it is asked when it runs
            require_ask(self._server, order.procedure, order.requires, order.resource)
        body, key = self.body(order, args, kwargs), order.key_in_limit(args, kwargs)
        process: Process[Any] = Process(self._server, 0, name=order.name, procedure=order.procedure)
        inbox = self._inbox_here().early_address(process)
        return process, partial(self._put_words, order, body, inbox, key)

    def _taken(self, order: Order, process: Process[Any], answer: Any) -> bytes:
        """Note what `put` has answered; whether anybody serves it is answered."""
        number, how, served = answer
        process._number = number  # known only now, and its token had to be known before
        if how != b"new":
            withdraw(process)
            process.how = how.decode()
            self._refuse(order, process)
        self._recent.report()
        self._recent.note(number)
        return bytes(served)

    def put_many(self, order: Order, calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Process[Any]]:
        """Start many processes, `CHUNK` in one script; all are bound and encoded before any is sent."""
        traced = tracing()
        if traced is None:
            return self._put_all(order, calls)
        with traced.starting(order.procedure, order.queue, len(calls)):
            return self._put_all(order, calls)

    def _put_all(self, order: Order, calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Process[Any]]:
        require_ask(self._server, order.procedure, order.requires, order.resource)
        bodies = [(self.body(order, args, kwargs), order.key_in_limit(args, kwargs)) for args, kwargs in calls]
        processes: list[Process[Any]] = [Process(self._server, 0, procedure=order.procedure) for _ in bodies]
        starts = range(0, len(bodies), CHUNK)
        for start, (first, last, served) in zip(starts, self._chunks(order, bodies, processes), strict=True):
            self._recent.report()
            self._recent.note(first, last)
            for number, process in enumerate(processes[start : start + CHUNK], first):
                process._number = number  # as in `put`
            if served != b"ok":
                self.warn(order, first, served, deeper=1)
        return processes

    def _chunks(
        self, order: Order, bodies: Sequence[tuple[bytes, str]], processes: Sequence[Process[Any]]
    ) -> Iterator[Any]:
        """Send one chunk after the other, and where there are several the next one while Redis works on the last."""
        starts = range(0, len(bodies), CHUNK)
        one_by_one = len(starts) if len(starts) < _FEWEST_IN_A_ROW else 1
        here = self._inbox_here()

        def words_of(start: int) -> Callable[[], list[Word]]:
            inboxes = [here.early_address(process) for process in processes[start : start + CHUNK]]
            return partial(self._put_many_words, order, bodies[start : start + CHUNK], inboxes)

        for start in starts[:one_by_one]:
            yield self._fresh(order.procedure, self._put_many, words_of(start))
        sent: deque[Callable[[], list[Word]]] = deque()

        def rows() -> Iterator[list[Word]]:
            for start in starts[one_by_one:]:
                sent.append(words_of(start))
                yield sent[-1]()

        for answer in run_each(self._store, self._put_many, rows()) if len(starts) > one_by_one else ():
            words = sent.popleft()
            if isinstance(answer, ScriptRefused):
                heed(self._store, answer)
                with too_late(order.procedure):
                    yield self._store.run(self._put_many, *words())
            else:
                yield answer

    def send(self, script: str, words: Callable[[str, int], Sequence[Word]]) -> Any:
        """Send calls that are no processes of their own.

        Args:
            script: its first three arguments are nonce, holder of the writer, and when it was made.
            words: the rest, given nonce and time, with whatever `signed` gives for each call.
        """

        def all_words() -> list[Word]:
            nonce, now, run = self._store.nonce(), self._store.now_ms(), current_run()
            return [nonce, "" if run is None else run.holder, now, *words(nonce, now)]

        return self._fresh("", self._store.script(script), all_words)

    def signed(self, order: Order, body: bytes, nonce: str, made_ms: int) -> tuple[Word, ...]:
        """Answer field, value … of one call: procedure, arguments, signature."""
        expires = order.expires_ms(made_ms)
        fields = (*_context(order, current_run())[1], *(("ex", expires) if expires else ()))
        return ("b", body, "c", self.envelope(order, body, nonce, made_ms), *fields)

    def envelope(self, order: Order, body: bytes, nonce: str, made_ms: int) -> bytes:
        """Answer the signature of one call in the name of whoever asks here.

        Raises:
            PrivilegeDenied: ONS-4103, who asks may not.
        """
        require_ask(self._server, order.procedure, order.requires, order.resource)
        snapshot = snapshot_to_send(self._server, current_run())
        return self._signer.sign(nonce, made_ms, order.procedure, body, snapshot, order.expires_ms(made_ms))

    # -- what is sent

    def body(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """Check arguments and encode them.

        Raises:
            BadArguments: ONS-1105.
            NotSendable: ONS-1106.
        """
        if order.shape is not None:
            args, kwargs = order.shape.bind(args, kwargs)
        try:
            body = encode_call(args, kwargs)
        except NotSendable:
            _name_unsendable(order, args, kwargs)
            raise
        if len(body) > self._limit:
            self._refuse_size(order, args, kwargs, len(body))
        return body

    def _inbox_here(self) -> Inbox:
        """Where the end is to be told: the inbox of the loop that runs here, where it has one, or the program's."""
        ear = self._pump.ear()
        return self._inbox if ear is None else ear.inbox

    def _put_words(self, order: Order, body: bytes, inbox: str, key: str) -> list[Word]:
        now, nonce, run = self._store.now_ms(), self._store.nonce(), current_run()
        expires = order.expires_ms(now)
        snapshot = snapshot_to_send(self._server, run)
        envelope = self._signer.sign(nonce, now, order.procedure, body, snapshot, expires)
        unique = "1" if order.unique else ""
        due = due_ms(order.delay, now) if order.delay else 0
        holder, fields = _context(order, run)
        fields = (*fields, *parent_fields(run))
        return [
            nonce, holder, now, order.queue, order.priority, due, order.name, unique, "", order.key,
            int(order.key_window * 1000), "b", body, "c", envelope, *(("i", inbox) if inbox else ()), *fields,
            *(("ex", expires) if expires else ()), *(("lk", key) if key else ()),
        ]  # fmt: skip

    def _put_many_words(self, order: Order, calls: Sequence[tuple[bytes, str]], inboxes: Sequence[str]) -> list[Word]:
        now, nonce, run = self._store.now_ms(), self._store.nonce(), current_run()
        snapshot = snapshot_to_send(self._server, run)
        holder, fields = _context(order, run)
        expires = order.expires_ms(now)
        fields = (*fields, *parent_fields(run), *(("ex", str(expires)) if expires else ()))
        words: list[Word] = [nonce, holder, now, order.queue, order.priority, len(fields), *fields]
        for index, ((body, key), inbox) in enumerate(zip(calls, inboxes, strict=True)):
            envelope = self._signer.sign(f"{nonce}/{index}", now, order.procedure, body, snapshot, expires)
            words += (body, envelope, inbox, key)
        return words

    def _fresh(self, procedure: str, script: Script, words: Callable[[], list[Word]]) -> Any:
        return by_redis_time(self._store, procedure, lambda: self._store.run(script, *words()))

    async def _afresh(self, procedure: str, script: Script, words: Callable[[], list[Word]]) -> Any:
        try:
            return await self._store.arun(script, *words())
        except ScriptRefused as refused:
            await asyncio.to_thread(heed, self._store, refused)
        with too_late(procedure):
            return await self._store.arun(script, *words())

    # -- what is refused or warned of

    def _refuse(self, order: Order, process: Process[Any]) -> None:
        if process.how == "other":
            problem = f"was started with key `{order.key}` as #{process.number}, with other arguments"
            raise BadArguments(order.procedure, problem, order.shape.text if order.shape else order.procedure)
        if process.how == "live" and order.unique == "error":
            record = process.record()
            since = datetime.fromtimestamp((record.claimed_ms or record.accepted_ms) / 1000, UTC).astimezone()
            raise AlreadyRunning(order.name, process.number, since, record.state)

    def _refuse_size(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any], size: int) -> None:
        sizes = [(len(encode(value)), name) for name, value in _named(order, args, kwargs)]
        largest = max(sizes)[1] if sizes else order.procedure
        problem = f"makes the message {size:,} bytes; at most {self._limit:,} can be sent"
        advice = "Put it in the storage or a file and send its name, or raise `process.max_argument_bytes`."
        raise NotSendable(f"Argument {largest}", problem=problem, advice=advice)

    def warn(self, order: Order, number: int, served: bytes, deeper: int = 0) -> None:
        """Warn that nobody would take it now, unless that was just said; `deeper` by how many frames of ours."""
        if self._is_news(order):
            self._warn(order, number, served, queues_with_workers(self._server), 5 + deeper)

    def _is_news(self, order: Order) -> bool:
        last, now = self._warned.get((order.procedure, order.queue), 0.0), monotonic()
        if last and now - last < _WARN_SECONDS:
            return False
        self._warned[order.procedure, order.queue] = now
        return True

    def _warn(self, order: Order, number: int, served: bytes, queues: list[str], level: int) -> None:
        procedure = order.procedure if served == b"noproc" or (not queues and order.shape is None) else ""
        warnings.warn(NoWorker(number, order.queue, queues, procedure), stacklevel=level)


def _context(order: Order, run: Run | None) -> tuple[str, tuple[str, ...]]:
    """Answer in whose name is written, and the fields that do not depend on the arguments."""
    fields, traced = order.fields, tracing()
    if traced is not None:
        fields = (*fields, "v", traced.carried(order.flags))  # the last word of a field counts
    if run is None:
        return "!" if order.operator else "", fields
    return run.holder, fields if run.root is None else (*fields, "x", str(run.root))


def parent_fields(run: Run | None) -> tuple[str, ...]:
    """Answer the field that says which run starts a process; nothing outside of every run."""
    return () if run is None or not run.number else ("pa", str(run.number))


def due_ms(delay: Delay, now_ms: int) -> int:
    """Answer when a start with this delay is due, milliseconds since 1970 by Redis' clock."""
    if isinstance(delay, datetime):
        if delay.utcoffset() is None:
            raise NotSendable("Option delay", problem="is a `datetime` without a time zone", advice="Give it one.")
        return int(delay.timestamp() * 1000)
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    return now_ms + int(seconds * 1000) if seconds > 0 else 0


def schedule_fields(name: str, at_ms: int) -> tuple[str, ...]:
    """Answer the fields by which `put` knows what it starts for a schedule; its time is 0 for a start by hand."""
    return ("sk", name, "st", str(at_ms)) if at_ms else ("sk", name)


def queues_with_workers(server: Server) -> list[str]:
    """Answer the queues that a living worker listens on."""
    store = server.store
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    found = store.pipeline([("HGET", store.key(f"h:{holder}"), "queues") for holder in holders])
    return sorted({queue for names in found if names for queue in names.decode().split()})


def _named(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    shape = order.shape
    by_place = [(shape.argument_name(i) if shape else f"number {i + 1}", arg) for i, arg in enumerate(args)]
    return by_place + list(kwargs.items())


def _name_unsendable(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    for name, value in _named(order, args, kwargs):
        encode(value, f"Argument {name}")


def describe(order: Order, doc: str) -> dict[str, object]:
    """Answer what the server's list of procedures says of one, ready for JSON."""
    shape = order.shape.as_json() if order.shape else {}
    described: dict[str, object] = {"doc": doc, "queue": order.queue, "priority": order.priority, "flags": order.flags}
    limits = {"timeout": order.timeout, "grace": order.grace, "expires": order.expires}
    described |= {"requires": list(order.requires)} if order.requires else {}
    return shape | described | (limits if order.timeout or order.expires else {})


def read_order(name: str, description: bytes) -> Order:
    """Read what `describe` wrote, for a program that has no more than the name."""
    facts = json.loads(description)
    shape = Shape.from_json(name, facts) if "parameters" in facts else None
    return Order(
        procedure=name,
        shape=shape,
        queue=str(facts.get("queue", "default")),
        priority=int(facts.get("priority", 5)),
        flags=str(facts.get("flags", "")),
        timeout=float(facts.get("timeout", 0.0)),
        grace=float(facts.get("grace", 5.0)),
        expires=float(facts.get("expires", 0.0)),
        limit_key=read_key(facts, shape),
        requires=tuple(map(str, facts.get("requires", ()))),
    )
