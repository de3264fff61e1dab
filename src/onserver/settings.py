"""The settings of a project: ``config/onserver.toml``, and ``ONSERVER_*`` over it, read once and frozen.

The classes below are the reference: each setting with its unit in its name, its range, its default and its meaning.
``process.deliveries`` is the attribute ``settings.process.deliveries``, the key ``deliveries`` of the table
``[process]``, and the variable ``ONSERVER_PROCESS_DELIVERIES``. An unknown key or variable is an error that names the
nearest one that exists; a wrong type or a value out of range is an error that names file, line, key and value.

They are msgspec's, and not pydantic's: reading them is on the way of each start, and takes 1 ms instead of 300.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from onserver.admin_settings import AdminSettings
from onserver.backup_settings import BackupSettings
from onserver.discreet import discreet
from onserver.errors import BadSetting, BadSettingsFile, ProjectNotFound, UnknownSetting
from onserver.event_settings import EventSettings
from onserver.planned import NAMED, QueueSettings, ScheduleSettings, read_named
from onserver.remote_settings import RemoteSettings
from onserver.web_settings import WebSettings

FILE: Final = "config/onserver.toml"
_DAY: Final = 86_400.0
_YEAR: Final = 366 * _DAY
_GIB: Final = 2**30
#: A package that can be imported, and is none of those that every project has.
_COMPONENT: Final = r"\A(?!(tasks|workers|onserver)\b)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z"


class MemberSettings(Struct, frozen=True, kw_only=True):
    """How long a silent member counts as alive."""

    lease_seconds: Annotated[float, Meta(ge=0.5, le=3600, description="silent for so long, a member is dead")] = 10.0
    beat_seconds: Annotated[float, Meta(ge=0.05, le=600, description="a member's heart beats every so often")] = 2.0


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """What holds for each process."""

    deliveries: Annotated[
        int, Meta(ge=1, le=1000, description="runs of one process, ended by the death of its worker, before it is DEAD")
    ] = 3
    keep_seconds: Annotated[float, Meta(ge=0, le=_YEAR, description="how long an ended process can be read")] = _DAY
    keep_failed_seconds: Annotated[
        float, Meta(ge=0, le=_YEAR, description="the same for one that failed, was lost or is dead")
    ] = 7 * _DAY
    keep_count: Annotated[
        int,
        Meta(ge=0, le=10**9, description="processes kept at most: of those that ended well, badly, and of the dead"),
    ] = 10**5
    signal_seconds: Annotated[
        float, Meta(ge=1, le=_YEAR, description="how long a signal is kept after it was last used")
    ] = _DAY
    log_lines: Annotated[
        int, Meta(ge=0, le=10**5, description="lines of its log that are kept with a process, last ones; 0 keeps none")
    ] = 1000
    log_bytes: Annotated[int, Meta(ge=1024, le=_GIB // 8, description="bytes of its log that are kept at most")] = 2**17
    exception_modules: Annotated[
        tuple[str, ...],
        Meta(description="modules whose exceptions may be raised again at the caller, besides the project's"),
    ] = ()
    max_argument_bytes: Annotated[int, Meta(ge=1024, le=_GIB // 2, description="size of one call's arguments")] = 2**24
    max_result_bytes: Annotated[int, Meta(ge=1024, le=_GIB // 2, description="size of one result")] = 2**24


class StorageSettings(Struct, frozen=True, kw_only=True):
    """The storage of the stored-procedure session."""

    keep: Annotated[bool, Meta(description="the storage survives a clean stop as well")] = False
    client_hold_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="how long a `use` block may last outside of processes")
    ] = 30.0
    max_entry_bytes: Annotated[int, Meta(ge=1024, le=_GIB // 2, description="size of one top-level entry")] = 2**24


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """How `onserver worker` runs."""

    grace_seconds: Annotated[
        float, Meta(ge=0, le=7 * _DAY, description="what runs at a stop may finish within it, then it is interrupted")
    ] = 30.0
    executors: Annotated[int, Meta(ge=1, le=1024, description="executors of a worker that does not say")] = 2
    recycle_processes: Annotated[
        int, Meta(ge=0, le=10**9, description="an executor is replaced after so many processes; 0: never")
    ] = 0
    recycle_seconds: Annotated[
        float, Meta(ge=0, le=_YEAR, description="an executor is replaced at this age; 0: never")
    ] = 0
    recycle_megabytes: Annotated[
        int, Meta(ge=0, le=10**6, description="an executor is replaced once it has taken so much memory; 0: never")
    ] = 0
    health: Annotated[
        str, Meta(description="where a worker answers /ready and /live over HTTP, as in 127.0.0.1:8080; empty: nowhere")
    ] = ""
    health_file: Annotated[
        str, Meta(description="a file that a worker touches while it is well, removed at its end; {node} is its name")
    ] = ""
    stand_ins: Annotated[
        int, Meta(ge=0, le=1024, description="executors that may be started beside those that wait for processes")
    ] = 8


class HookSettings(Struct, frozen=True, kw_only=True):
    """Start-up, shutdown and backup hooks."""

    timeout_seconds: Annotated[float, Meta(gt=0, le=7 * _DAY, description="a hook that runs longer has failed")] = 600.0


class SigningSettings(Struct, frozen=True, kw_only=True):
    """Whose messages are obeyed."""

    key_file: Annotated[str, Meta(min_length=1, description="the project's signing keys, made by `new` and `dev`")] = (
        ".onserver/keys.json"
    )
    key: Annotated[str, Meta(description="a signing key instead of the file; only from the environment")] = ""

    def __repr__(self) -> str:
        """Return it without the key: it may end up in a log."""
        return f"SigningSettings(key_file={self.key_file!r}, key={'(set)' if self.key else ''!r})"


class SessionSettings(Struct, frozen=True, kw_only=True):
    """The stored-procedure session."""

    user_name: Annotated[str, Meta(min_length=1, max_length=255, description="its virtual user")] = "server"


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one project; `project` is its folder, `sources` tells where each value that was set is from."""

    name: Annotated[
        str,
        Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", description="names the server and all its keys in Redis"),
    ]
    redis: Annotated[
        str,
        Meta(
            min_length=1, description='"embedded", or redis://, rediss://, unix://, redis+sentinel://, redis+cluster://'
        ),
    ] = "embedded"
    redis_server: Annotated[str, Meta(description="the server binary that `embedded` starts; empty: searched for")] = ""
    redis_connect_seconds: Annotated[float, Meta(gt=0, le=300, description="deadline for a connection")] = 3.0
    redis_command_seconds: Annotated[float, Meta(gt=0, le=300, description="deadline for a command's answer")] = 5.0
    wait_for_replicas: Annotated[
        int, Meta(ge=0, le=16, description="replicas that must have a write before it counts")
    ] = 0
    celery: Annotated[str, Meta(description="an existing Celery application to join, as in proj.celery:app")] = ""
    components: Annotated[
        tuple[Annotated[str, Meta(pattern=_COMPONENT)], ...],
        Meta(description="packages that have `tasks/` of their own, as in billing or acme.crm"),
    ] = ()
    member: MemberSettings = field(default_factory=MemberSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    hook: HookSettings = field(default_factory=HookSettings)
    events: EventSettings = field(default_factory=EventSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    web: WebSettings = field(default_factory=WebSettings)
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    schedule: Annotated[
        dict[str, ScheduleSettings], Meta(description="what is started at its times: one table for each, by its name")
    ] = field(default_factory=dict[str, ScheduleSettings])
    queue: Annotated[
        dict[str, QueueSettings], Meta(description="what holds for a queue: one table for each, by its name")
    ] = field(default_factory=dict[str, QueueSettings])
    project: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        """Return all of them but the passwords in addresses: it may end up in a log."""
        return discreet(super().__repr__())

    def explain(self, key: str) -> "Explanation":
        """Tell the value of a setting, without the login in an address, where it is from and what it means.

        Raises:
            UnknownSetting: ONS-1003, there is no such setting.
        """
        if key not in SETTINGS:
            raise UnknownSetting(key, "this call", _near(key))
        setting, value = SETTINGS[key], _get(self, key)
        return Explanation(
            key=key,
            value="(set)" if key in _SECRET and value else discreet(value),
            source=self.sources.get(key, "default"),
            default=setting.default,
            meaning=setting.meaning,
            variable=setting.variable,
        )


class Explanation(Struct, frozen=True, kw_only=True):
    """What `onserver config explain` tells about one setting."""

    key: str
    value: object
    source: str
    default: object
    meaning: str
    variable: str


class Setting(Struct, frozen=True):
    """One setting of the reference: its key, type with its range, default and meaning."""

    key: str
    type: Any
    default: object
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that wins over the file."""
        return "ONSERVER_" + self.key.replace(".", "_").upper()


def find_project(
    start: Path | None = None,
    explicit: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """Find the project's folder: the explicit one, else ONSERVER_PROJECT, else the nearest one from `start` upwards.

    Raises:
        ProjectNotFound: ONS-1001, no ``config/onserver.toml`` there.
    """
    named = explicit or environ.get("ONSERVER_PROJECT")
    if named:
        folder = Path(named).expanduser().resolve()
        if (folder / FILE).is_file():
            return folder
        raise ProjectNotFound(str(named))
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    raise ProjectNotFound


def load(project: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of the project in this folder; the environment wins over the file.

    Raises:
        BadSettingsFile: ONS-1011, the file is no TOML.
        UnknownSetting: ONS-1003, a key of the file or an ``ONSERVER_*`` variable is none of ours.
        BadSetting: ONS-1007, a value has the wrong type or is out of range.

    Example:
        >>> load(find_project(), {"ONSERVER_MEMBER_LEASE_SECONDS": "20"}).member.lease_seconds
        20.0
    """
    values: dict[str, object] = {"name": project.resolve().name}
    sources: dict[str, str] = {"name": "the project's folder"}
    for read in (_from_file(project / FILE), _from_environment(environ)):
        for key, value, source in read:
            values[key], sources[key] = value, source
    return _checked(_built(values, project.resolve(), sources))


# ---- the two sources


def _from_file(file: Path) -> Iterator[tuple[str, object, str]]:
    text = file.read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettingsFile(FILE, str(error)) from error
    lines = _lines(text)
    for key, value in _flat(tables):
        line = lines.get(key)
        if key in _SECTIONS:
            raise BadSetting(key, value, "it is a table of settings", FILE, line)
        if key not in SETTINGS:
            raise UnknownSetting(key, FILE, _near(key), line)
        if key in _SECRET:
            raise BadSetting(key, "…", f"it belongs in the environment ({SETTINGS[key].variable})", FILE, line)
        if key in NAMED:
            yield key, read_named(key, NAMED[key], value, FILE, lines), FILE
            continue
        yield key, _converted(key, value, FILE, line), f"{FILE} line {line}" if line else FILE


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    keys = {setting.variable: key for key, setting in SETTINGS.items()}
    for variable in sorted(environ):
        if not variable.startswith("ONSERVER_") or variable in _OTHER_VARIABLES:
            continue
        if variable not in keys:
            near = difflib.get_close_matches(variable, [*keys, *_OTHER_VARIABLES], cutoff=0.7)
            raise UnknownSetting(variable, "the environment", near)
        key, text = keys[variable], environ[variable]
        if key in NAMED:
            source = f"the environment ({variable})"
            yield key, read_named(key, NAMED[key], _json(key, text, source), source, {}), variable
            continue
        many = get_origin(SETTINGS[key].type.__origin__) is tuple
        given: object = [part.strip() for part in text.split(",") if part.strip()] if many else text
        yield key, _converted(key, given, f"the environment ({variable})"), variable


def _json(key: str, text: str, source: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadSetting(key, text, f"it has to be JSON: {error}", source) from None


def _converted(key: str, value: object, source: str, line: int | None = None) -> object:
    try:
        return msgspec.convert(value, SETTINGS[key].type, strict=line is not None or source == FILE)
    except msgspec.ValidationError as error:
        wanted = re.sub(r" - at `.*`$", "", str(error)).removeprefix("Expected ").replace(", got ", ", and is ")
        raise BadSetting(key, value, f"it has to be {wanted}", source, line) from None


def _flat(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Walk the tables of the file down to their values; a table where a setting is expected is its value."""
    for name, value in tables.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and key not in SETTINGS:
            yield from _flat(cast("dict[str, Any]", value), f"{key}.")
        else:
            yield key, value


def _lines(text: str) -> dict[str, int]:
    """Find the line of each key, for people; a spelling that this misses costs the line and nothing else."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = f"{header[1]}."
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            found.setdefault(table + key[1], number)
    return found


# ---- what was read, put together


def _built(values: Mapping[str, object], project: Path, sources: Mapping[str, str]) -> Settings:
    tables: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    top: dict[str, Any] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        (tables[section] if dot else top)[name or section] = value
    top |= {section: _SECTIONS[section](**given) for section, given in tables.items()}
    return Settings(**top, project=project, sources=sources)


def _checked(settings: Settings) -> Settings:
    """Check what no range of one setting can say, and the name where it is the folder's."""
    _converted("name", settings.name, settings.sources["name"])
    member = settings.member
    if member.beat_seconds * 3 > member.lease_seconds:
        problem = f"it may be a third of member.lease_seconds ({member.lease_seconds:g}): one late beat is no death"
        source = settings.sources.get("member.beat_seconds") or settings.sources["member.lease_seconds"]
        raise BadSetting("member.beat_seconds", member.beat_seconds, problem, source.partition(" line ")[0])
    return settings


def _get(settings: Settings, key: str) -> object:
    section, dot, name = key.partition(".")
    return getattr(getattr(settings, section), name) if dot else getattr(settings, section)


def _near(key: str) -> list[str]:
    """Return settings that resemble a key; of the same table by their own name alone, best first."""
    section, dot, name = key.rpartition(".")
    beside = [known.rpartition(".")[2] for known in SETTINGS if known.rpartition(".")[0] == section]
    if dot and (near := difflib.get_close_matches(name, beside)):
        return near
    same_name = [known for known in SETTINGS if known.rpartition(".")[2] == name]
    return same_name or difflib.get_close_matches(key, SETTINGS)


# ---- the reference, made from the classes

_SECTIONS: Final[dict[str, type[Struct]]] = {
    "member": MemberSettings,
    "process": ProcessSettings,
    "storage": StorageSettings,
    "worker": WorkerSettings,
    "hook": HookSettings,
    "events": EventSettings,
    "signing": SigningSettings,
    "session": SessionSettings,
    "backup": BackupSettings,
    "web": WebSettings,
    "remote": RemoteSettings,
    "admin": AdminSettings,
}
_SECRET: Final = frozenset({"signing.key", "admin.oidc_secret"})
#: Variables that begin like settings and are none: where the project is, and switches for tests.
_OTHER_VARIABLES: Final = frozenset({"ONSERVER_PROJECT", "ONSERVER_TESTING", "ONSERVER_CRASH_AT", "ONSERVER_CUT"})


def listed(prefix: str, kind: type[Struct]) -> Iterator[Setting]:
    """List the settings of one of the classes above; `prefix` stands before their keys."""
    hints = get_type_hints(kind, include_extras=True)
    for known in msgspec.structs.fields(kind):
        meta = getattr(hints[known.name], "__metadata__", None)
        if meta:
            default = None if known.default is msgspec.NODEFAULT else known.default
            if known.default_factory is not msgspec.NODEFAULT:
                default = known.default_factory()
            yield Setting(prefix + known.name, hints[known.name], default, meta[0].description)


_LISTED: Final = [*listed("", Settings)] + [
    setting for name, kind in _SECTIONS.items() for setting in listed(f"{name}.", kind)
]


#: Every setting by its key, in the order in which they are documented.
SETTINGS: Final[Mapping[str, Setting]] = {setting.key: setting for setting in _LISTED}
