"""What becomes of processes, and of those who wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from onserver.errors.facts import OnServerError
from onserver.errors.texts import count, entry


class ProcessError(OnServerError):
    """A process did not give the result that was asked of it."""

    code = 2000


class ProcessNotFound(ProcessError, LookupError):
    """No process of this number, or name, is known; an empty one stands for the one that runs here, where none does."""

    code = 2001
    number: int | str = ""
    near: Sequence[str] = ()

    @property
    def message(self) -> str:
        if self.number == "":
            return "No process is running here."
        if isinstance(self.number, str):
            return f"No process that lives is named `{self.number}`, or several are."
        return f"No process #{self.number}: it never was, or its record has expired."

    @property
    def hint(self) -> str:
        if self.number == "":
            return "Ask for it in what a procedure or a hook calls."
        if isinstance(self.number, str):
            return f"Did you mean {' or '.join(self.near)}?" if self.near else "See those that live: `onserver ps`."
        return "Ended processes are kept for `process.keep_seconds`. See those that are: `onserver ps --all`."


class CallNotFound(ProcessError, LookupError):
    """No call of a remote client is known under this id in its session, or how it ended is kept no longer."""

    code = 2004
    call_id: str

    @property
    def message(self) -> str:
        return f"No call `{self.call_id}`: it never came, or how it ended is no longer kept."

    @property
    def hint(self) -> str:
        return "Ends of calls are kept for `process.keep_seconds`, and until their client has them."


class AlreadyRunning(ProcessError):
    """A process of this name is alive, and `unique="error"` asked for none beside it."""

    code = 2101
    name: str
    number: int
    since: datetime | None = None
    state: str = "running"

    @property
    def message(self) -> str:
        since = f" since {self.since:%H:%M:%S}" if self.since else ""
        return f"`{self.name}` is {self.state} as #{self.number}{since}; nothing was started."

    @property
    def hint(self) -> str:
        return "`unique=True` returns that process instead."


class ProcessNotStarted(ProcessError):
    """A start with `after_commit` has no number: its transaction has not committed, or `why` nothing came of it."""

    code = 2102
    procedure: str
    why: str = ""

    @property
    def message(self) -> str:
        why = self.why or "the transaction that it waits for has not committed"
        return f"`{self.procedure}` has not been started: {why}."

    @property
    def hint(self) -> str:
        if self.why:
            return "Start it again; with a `key` it is started once, however often it is asked for."
        return "It is put once that commits, and never after a rollback."


class ProcedureFailed(ProcessError):
    """The procedure raised; the remote traceback is part of the text. `number` is 0 for a call of a remote client."""

    code = 2201
    number: int
    procedure: str
    remote_type: str
    remote_message: str = ""
    remote_traceback: str = ""

    @property
    def message(self) -> str:
        said = f": {self.remote_message}" if self.remote_message else ""
        number = f"#{self.number} " if self.number else ""
        return f"{number}`{self.procedure}` raised {self.remote_type}{said}"

    def __str__(self) -> str:
        trace = self.remote_traceback.rstrip()
        return f"{self.message}\n\nRemote traceback:\n{trace}" if trace else self.message


class ProcessTimeout(ProcessError, TimeoutError):
    """No result in `seconds`; `limit` names the limit of the process that ended it, if it was not only the wait.

    Of a call of a remote client, whose process it does not know, `call` is the name and `call_id` the id.
    """

    code = 2202
    number: int
    seconds: float
    state: str = ""
    limit: str = ""
    call: str = ""
    call_id: str = ""

    @property
    def message(self) -> str:
        if self.limit == "expires":
            return f"#{self.number} never began: nobody could run it within its expires of {self.seconds:g} s."
        if self.limit:
            return f"#{self.number} was ended: it reached its {self.limit} of {self.seconds:g} s."
        state = f" and is {self.state}" if self.state else ""
        return f"{_who(self.number, self.call)} gave no result within {self.seconds:g} s{state}."

    @property
    def hint(self) -> str:
        if self.call:
            return f"It goes on; `client.fetch({self.call_id!r}).result()` waits again." if self.call_id else ""
        return "" if self.limit else f"It goes on; `Process.get({self.number}).result()` waits again."


class ProcessAborted(ProcessError):
    """The process was aborted, by whom and why if that is known; `call` names a call of a remote client."""

    code = 2203
    number: int
    by: str = ""
    reason: str = ""
    call: str = ""

    @property
    def message(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"{_who(self.number, self.call)} was aborted{by}{f': {self.reason}' if self.reason else ''}."


class ProcessLost(ProcessError):
    """The process was not finished and may not be run again; `silence` is in seconds.

    `call` names a call of a remote client.
    """

    code = 2204
    number: int
    worker: str = ""
    member: int | None = None
    silence: float | None = None
    reason: str = ""
    call: str = ""

    @property
    def message(self) -> str:
        member = f" (member {self.member})" if self.member is not None else ""
        ago = f" {self.silence:.0f} s ago" if self.silence is not None else ""
        why = self.reason or f"worker {self.worker or 'of it'}{member} stopped answering{ago}"
        return f"{_who(self.number, self.call)} is lost: {why} and `rerun=False`. Its locks were released."


class ProcessDead(ProcessError):
    """The process was dead-lettered: kept with its arguments, not run again by itself.

    Without deliveries it is an exception that has brought it there (`dead_letter=True`); `reason` says which. `call`
    names a call of a remote client.
    """

    code = 2205
    number: int
    deliveries: int
    worker: str = ""
    reason: str = ""
    call: str = ""

    @property
    def message(self) -> str:
        last = f", the last on {self.worker}" if self.worker else ""
        if not self.deliveries:
            return f"{_who(self.number, self.call)} was dead-lettered: {self.reason}."
        why = f" ({self.reason})" if self.reason else ""
        times = count(self.deliveries, "delivery", "deliveries")
        return f"{_who(self.number, self.call)} was dead-lettered after {times}{last}{why}."

    @property
    def hint(self) -> str:
        if self.call:
            return ""
        return f"Look: `onserver dead show {self.number}`. Run again: `onserver dead replay {self.number}`."


class VariableTimeout(ProcessError, TimeoutError):
    """A variable was not as wanted in `seconds`, or `state` is how its process ended before it was."""

    code = 2206
    number: int
    name: str
    seconds: float
    state: str = ""

    @property
    def message(self) -> str:
        if self.state:
            return f"#{self.number} has ended ({self.state}), and its variable `{self.name}` was not as wanted by then."
        return f"Variable `{self.name}` of #{self.number} was not as wanted within {self.seconds:.3g} s."


class SignalGone(ProcessError, LookupError):
    """A one-shot signal is not there any more, or never was: nobody used it for `process.signal_seconds`."""

    code = 2003
    name: str

    @property
    def message(self) -> str:
        return f"Signal {self.name} is gone: nobody has used it for `process.signal_seconds`."

    @property
    def hint(self) -> str:
        return "Make a new one; a signal is used once."


class DeadlockDetected(ProcessError):
    """Waiting for `wanted` would never end: `holder` has it and waits for `awaited`, which `owner`, who asks, holds.

    `why` tells it otherwise, where a process is waited for.
    """

    code = 2301
    wanted: str
    holder: str
    awaited: str
    owner: str
    why: str = ""

    @property
    def message(self) -> str:
        if self.why:
            return f"Waiting for {self.wanted} would never end: {self.why}."
        asked = f'use("{self.wanted}")' if self.wanted else "use()"
        if self.wanted.startswith("semaphore "):
            asked = f'semaphore("{self.wanted.partition(" ")[2]}").acquire()'
        return (
            f"`{asked}` would deadlock: {self.holder} holds {entry(self.wanted)} and waits for "
            f"{entry(self.awaited)}; this process, {self.owner}, holds {entry(self.awaited)}."
        )

    @property
    def hint(self) -> str:
        return "" if self.why else "Take them in one order."


class SyncInAsyncError(ProcessError):
    """A blocking call inside a running event loop; `instead` is the form that does not block it."""

    code = 2302
    call: str
    instead: str

    @property
    def message(self) -> str:
        return f"`{self.call}` would block the running event loop."

    @property
    def hint(self) -> str:
        return f"Use `{self.instead}`."


def _who(number: int, call: str) -> str:
    """Name a process, or a call of a remote client, which knows no process of its own."""
    return f"Remote call `{call}`" if call else f"#{number}"
