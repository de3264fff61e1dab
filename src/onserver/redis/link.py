"""One raw connection to Redis with one owner: every command has a deadline, and nothing is retried behind its back.

A link connects when it is first used and whenever it finds itself disconnected; `on_connect` then runs on it before
anything else. After an error that leaves the state of the connection unknown (a deadline, a broken pipe, an exception
out of a signal handler) it is closed, so that no later command reads an earlier one's answer. A link never sends a
command twice, with two exceptions that Redis itself asks for and that are known not to have run: a script that it does
not know is sent whole, and a node of a cluster that points to another is left for that one.

For a blocking read, `send()` a command and `receive()` its answer as often as it takes: a deadline of `receive` leaves
the link as it is, and the answer may still come.

After a fork the child's links are closed in the child and connect anew when used; the parent's are untouched.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NoReturn, Self

from onserver.interrupt import shielded
from onserver.redis.address import Address, Node
from onserver.redis.answers import (
    Denied,
    LinkError,
    Lost,
    Moved,
    NoScript,
    ReadOnly,
    Refused,
    ScriptRefused,
    Silent,
    Unconfirmed,
    Unreachable,
    translate,
)
from onserver.redis.locate import candidates, master
from onserver.redis.resp import ErrorReply, Word, pack
from onserver.redis.scripts import Script
from onserver.redis.streak import Streak, pays
from onserver.redis.wire import Wire, dial

_HOPS = 5
#: Seconds after which a link asks Sentinel again whether its node is still the master. In a fail-over that was asked
#: for, the old master takes writes, which are lost, until Sentinel makes it a replica ten seconds later.
_TRUST_SECONDS = 1.0
_NEVER = float("inf")


class Link:
    """See the top of this module.

    Args:
        address: where.
        connect_seconds: deadline of connecting: log-in and `on_connect` included.
        command_seconds: deadline of a command for which no other is given.
        on_connect: runs on each new connection, before anything else is sent. If it raises, the connection is closed.
        replicas: how many replicas must confirm what a script wrote before `run` answers; else `Unconfirmed`.
        eager: look for answers instead of sleeping where one exchange follows another (see `streak`).
    """

    def __init__(
        self,
        address: Address,
        connect_seconds: float = 3.0,
        command_seconds: float = 5.0,
        on_connect: Callable[[Link], object] | None = None,
        replicas: int = 0,
        *,
        eager: bool = False,
    ) -> None:
        self.address = address
        self.connect_seconds = connect_seconds
        self.command_seconds = command_seconds
        self.replicas = replicas
        self._on_connect = on_connect
        self._welcome = _NEVER
        self._target: Node | None = None
        self._failed = 0
        self._sentinel, self._ask_at = 0, 0.0
        self._wire: Wire | None = None
        #: How many connections it has made: after another one, Redis may be another that knows less.
        self.connections = 0
        self._functions = True
        self._streak = Streak() if eager and pays() else None
        _links.add(self)

    # -- one command, one answer

    def command(self, *words: Word, timeout: float | None = None) -> Any:
        """Send a command and return its answer.

        Args:
            words: the command and its arguments.
            timeout: seconds until `Silent` is raised and the link closed; `command_seconds` when None.

        Raises:
            LinkError: one of the classes in `answers`.
            MemberFenced: the holder in whose name a script was to write is dead.
            ScriptRefused: any other error reply.
        """
        with shielded():
            packed = pack(words)
        return self.exchange(packed, 1, timeout)

    def run(self, script: Script, prefix: str, *arguments: Word, timeout: float | None = None) -> Any:
        """Run a script on the server with this key prefix; otherwise as `command`."""
        return self.run_packed(script, self.pack(script, prefix, arguments), timeout)

    def pack(self, script: Script, prefix: str, arguments: Sequence[Word]) -> bytes:
        """The bytes that run a script, for `run_packed`."""
        form = self.form(script)
        with shielded():  # hiredis does not survive what a handler of a signal raises while it writes a number down
            packed = pack((form.command, form.sha, 1, prefix, *arguments))
            if self.replicas and script.writes:
                # well before the deadline: what is not confirmed must be told from silence
                packed += pack(("WAIT", self.replicas, int(self.command_seconds * 1000 / 3)))
            return packed

    def run_packed(self, script: Script, packed: bytes, timeout: float | None = None) -> Any:
        """Send what `pack` made. The caller may send the same bytes again after an error of `answers`."""
        ask = self._confirmed if self.replicas and script.writes else self._answered
        try:
            return ask(packed, timeout)
        except NoScript:
            form = self.load(script, timeout)
            if form is not script:
                packed = packed.replace(pack((script.command, script.sha))[4:], pack((form.command, form.sha))[4:], 1)
            return ask(packed, timeout)

    def load(self, script: Script, timeout: float | None = None) -> Script:
        """Make a script known to Redis, and return it as it can be run there; see `form`."""
        form = self.form(script)
        try:
            self.command(*form.loading, timeout=timeout)
        except (Denied, ScriptRefused):
            if form.plain is None:
                raise
            self._functions = False
            self.command(*form.plain.loading, timeout=timeout)
        return self.form(script)

    def form(self, script: Script) -> Script:
        """What is run for a script: itself, or where functions may not be loaded what stands for it."""
        return script if self._functions or script.plain is None else script.plain

    def _answered(self, packed: bytes, timeout: float | None) -> Any:
        return self.exchange(packed, 1, timeout)

    def _confirmed(self, packed: bytes, timeout: float | None) -> Any:
        started = monotonic()
        answer, confirmed = self.exchange(packed, 2, timeout)
        if confirmed < self.replicas:
            self.close()  # an old primary has no replicas: look again where the new one is
            reason = f"wrote it, but {confirmed} of {self.replicas} replicas confirmed it"
            raise Unconfirmed(self.name, 1, monotonic() - started, reason)
        return answer

    def pipeline(self, commands: Sequence[Sequence[Word]], timeout: float | None = None) -> list[Any]:
        """Send several commands at once and return their answers; the first error reply among them is raised."""
        if not commands:
            return []
        with shielded():
            packed = b"".join([pack(tuple(words)) for words in commands])
        answers = self.exchange(packed, len(commands), timeout)
        return answers if len(commands) > 1 else [answers]

    def exchange(self, packed: bytes, replies: int, timeout: float | None = None) -> Any:
        """Send bytes and return the one reply to them, or the list of replies when there are more than one."""
        deadline = self._deadline(self.command_seconds if timeout is None else timeout)
        hops = 0
        while True:
            self._connect(deadline)
            try:
                return self._exchange(packed, replies, deadline)
            except Moved as moved:
                hops += 1
                if hops > _HOPS:
                    raise ReadOnly(self.name, hops, 0.0, "sends from node to node in a circle") from moved
                self._move(moved)

    def _exchange(self, packed: bytes, replies: int, deadline: float) -> Any:
        started = monotonic()
        streak = self._streak
        until = 0.0 if streak is None else streak.begins(started)
        try:
            with shielded():
                wire = self._open_wire()
                wire.send(packed, deadline)
                if until:
                    wire.look(min(until, deadline))
                if replies == 1:
                    answer = wire.reply(deadline, (deadline - started) * 1000)
                else:
                    answer = [wire.reply(deadline, _left_ms(deadline)) for _ in range(replies)]
        except TimeoutError as error:
            self.close()
            raise Silent(self.name, 1, monotonic() - started, "gave no answer") from error
        except OSError as error:
            farewell = self._farewell()
            self.close()
            raise farewell or self._broken(error) from error
        except BaseException:
            self.close()
            raise
        if streak is not None:
            streak.ends(monotonic())
        if isinstance(answer, ErrorReply):
            self._refused(answer)
        if replies > 1:
            for part in answer:
                if isinstance(part, ErrorReply):
                    self._refused(part)
        return answer

    # -- blocking reads and subscriptions

    def send(self, *words: Word) -> None:
        """Send a command without waiting for its answer; `receive` gets it. `Lost` when the master is another now."""
        if self._wire is None:
            self.connect()
        elif self._moved_away(monotonic() + self.connect_seconds):
            raise Lost(self.name, 1, 0.0, "is no longer the master")  # who reads must know that it is a new connection
        try:
            with shielded():
                self._open_wire().send(pack(words), monotonic() + self.command_seconds)
        except OSError as error:
            self._lost(error)
        except BaseException:
            self.close()
            raise

    def hear(self, timeout: float) -> Any:
        """`receive` for who waits alone: an eager link looks for what comes, where one follows another (`streak`)."""
        streak = self._streak
        if streak is None:
            return self.receive(timeout)
        started = monotonic()
        if until := streak.begins(started):
            self._open_wire().look(min(until, started + timeout))
        heard = self.receive(timeout)
        streak.ends(monotonic())
        return heard

    def receive(self, timeout: float) -> Any:
        """The next answer or message. `Silent` after `timeout` seconds without one; the link stays open."""
        try:
            answer = self._open_wire().reply(monotonic() + timeout, timeout * 1000)
        except TimeoutError as error:
            raise Silent(self.name, 1, timeout, "gave no answer") from error
        except OSError as error:
            self._lost(error)
        except BaseException:
            self.close()
            raise
        if isinstance(answer, ErrorReply):
            try:
                self._refused(answer)
            except Moved as moved:  # a blocking read ends so when its slot goes to another node
                self._move(moved)
                raise Lost(self.name, 1, 0.0, "sent on to another node") from moved
        return answer

    def arrived(self) -> list[Any]:
        """Everything that has arrived, without waiting: for the owner of a poll loop, when `fileno()` is readable."""
        messages: list[Any] = []
        try:
            while True:
                messages.append(self.receive(0))
        except Silent:
            return messages

    # -- for a loop that watches `fileno()`: it has to cease to watch it before it is closed, and closes it itself

    def offer(self, data: bytes | bytearray) -> int:
        """Send of these bytes what the socket takes without waiting; answer how many that is."""
        try:
            return self._open_wire().offer(data)
        except OSError as error:
            raise self._broken(error) from error

    def replies(self) -> list[Any]:
        """What has arrived, without waiting: some of it, where that is much. Refusals are `ErrorReply` objects."""
        try:
            return self._open_wire().arrived()
        except OSError as error:
            raise self._broken(error) from error

    def fileno(self) -> int:
        """The file descriptor of the connection, made if need be, for `poll`."""
        self.connect()
        return self._open_wire().fileno()

    # -- the connection

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known without using it."""
        return self._wire is not None

    def connect(self) -> None:
        """Connect if there is no connection; every command does this by itself.

        Raises:
            LinkError: `Refused`, `Unreachable`, `Silent`, `Denied`, or what the server said instead of welcome.
        """
        self._connect(monotonic() + self.connect_seconds)

    def close(self) -> None:
        """Close the connection if there is one. The link may be used again: it connects anew."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, deadline: float) -> None:
        if self._wire is not None and not self._moved_away(deadline):
            return
        outer, self._welcome = self._welcome, min(deadline, monotonic() + self.connect_seconds)
        try:
            with shielded():
                self._open(self._welcome)
            if self._on_connect is not None:
                self._on_connect(self)
        except (Silent, Lost):
            # A node that takes connections and answers nothing, or breaks them: begin with another the next time.
            self.close()
            self._target, self._failed = None, self._failed + 1
            raise
        except BaseException:
            self.close()
            raise
        finally:
            self._welcome = outer

    def _deadline(self, timeout: float) -> float:
        # What `on_connect` sends belongs to connecting, and ends with its deadline.
        return min(monotonic() + timeout, self._welcome)

    @property
    def name(self) -> str:
        """Where it leads, for messages."""
        described = self.address.describe()
        if self._target is None or self.address.kind in ("tcp", "unix"):
            return described
        return f"{described} (node {self._target[0]}:{self._target[1]})"

    @property
    def _host(self) -> str:
        return self._target[0] if self._target is not None else self.address.nodes[0][0]

    def _move(self, moved: Moved) -> None:
        self.close()
        self._target = (moved.host or self._host, moved.port)

    def _moved_away(self, deadline: float) -> bool:
        """Whether Sentinel names another master by now; asked now and then, and the link is closed if so."""
        if self.address.kind != "sentinel" or monotonic() < self._ask_at:
            return False
        was = self._target
        with suppress(Unreachable), shielded():  # no Sentinel answers: as long as the master does, nothing is amiss
            self._ask_sentinel(deadline)
        if self._target == was:
            return False
        self.close()
        return True

    def _ask_sentinel(self, deadline: float) -> None:
        self._ask_at = monotonic() + _TRUST_SECONDS
        self._target, self._sentinel = master(self.address, deadline, self._sentinel)

    def _open(self, deadline: float) -> None:
        if self.address.kind == "sentinel":
            self._ask_sentinel(deadline)
        nodes = candidates(self.address, self._failed) if self._target is None else [self._target]
        while True:
            node = nodes.pop(0)
            try:
                self._greet_node(node, deadline)
                return
            except (Refused, Unreachable, Silent):
                self.close()
                self._target = None  # a node that a cluster or a Sentinel named may be gone: ask again the next time
                if not nodes:
                    raise

    def _greet_node(self, node: Node | None, deadline: float) -> None:
        started = monotonic()
        try:
            wire = dial(self.address, node, deadline)
        except TimeoutError as error:
            raise Silent(self.name, 1, monotonic() - started, "did not accept the connection") from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise Refused(self.name, 1, monotonic() - started, "refused the connection") from error
        except OSError as error:
            raise Unreachable(self.name, 1, monotonic() - started, f"cannot be reached: {error}") from error
        self._wire, self.connections = wire, self.connections + 1
        if self.address.kind == "cluster":
            self._target = node
        self._log_in(deadline)

    def _log_in(self, deadline: float) -> None:
        commands: list[tuple[Word, ...]] = []
        if self.address.password:
            user = (self.address.username,) if self.address.username else ()
            commands.append(("AUTH", *user, self.address.password))
        if self.address.db:
            commands.append(("SELECT", self.address.db))
        if commands:
            packed = b"".join([pack(words) for words in commands])
            self._exchange(packed, len(commands), deadline)

    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise ConnectionAbortedError("this link was closed")
        return self._wire

    def _refused(self, reply: ErrorReply) -> NoReturn:
        error = translate(reply, self.name)
        if isinstance(error, ReadOnly):
            self.close()  # the master is elsewhere now: look for it the next time
        raise error

    def _farewell(self) -> LinkError | None:
        """What was said before the connection was closed: who is not welcome is told why, and not listened to."""
        said: list[Any] = []
        with suppress(OSError), shielded():
            said = self._open_wire().arrived()
        errors = (translate(one, self.name) for one in said if isinstance(one, ErrorReply))
        return next((error for error in errors if isinstance(error, LinkError)), None)

    def _lost(self, error: OSError) -> NoReturn:
        self.close()
        raise self._broken(error) from error

    def _broken(self, error: OSError) -> Lost:
        return Lost(self.name, 1, 0.0, f"closed the connection: {error}")


def _left_ms(deadline: float) -> float:
    return max(0.0, (deadline - monotonic()) * 1000)


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _drop_in_child() -> None:
    for link in list(_links):
        link.close()


os.register_at_fork(after_in_child=_drop_in_child)
