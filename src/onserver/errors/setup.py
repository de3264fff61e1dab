"""What is wrong with the program and its configuration."""

from __future__ import annotations

from collections.abc import Sequence

from onserver.errors.facts import OnServerError
from onserver.errors.texts import place


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
        return f"Unknown setting `{self.key}` in {place(self.source, self.line)}."

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
        return f"Setting `{self.key}` is {self.value!r} in {place(self.source, self.line)}, but {self.problem}."

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
        return f"{place(self.file, self.line)}: {self.problem}."

    @property
    def hint(self) -> str:
        return "`onserver roles check` lists everything that is wrong with it."


class RoleNotFound(ConfigError, LookupError):
    """The roles file declares no role or privilege of this name; `near` holds some that resemble it, best first."""

    code = 1012
    name: str
    near: Sequence[str] = ()

    @property
    def message(self) -> str:
        return f"There is no role or privilege `{self.name}`."

    @property
    def hint(self) -> str:
        near = f"Did you mean {' or '.join(f'`{name}`' for name in self.near)}? " if self.near else ""
        return f"{near}See all: `onserver roles show`."


class NotConnected(ConfigError):
    """This program is not connected to a server, or, as it `is_client`, to one as a remote client only."""

    code = 1005
    is_client: bool = False

    @property
    def message(self) -> str:
        if self.is_client:
            return "This program is a remote client: it has no server of its own, and cannot reach that of its client."
        return "This program is not connected to a server."

    @property
    def hint(self) -> str:
        if self.is_client:
            return "`client.execute_on_server(…)` starts a process there; a server method does all else there."
        return "Run it inside a project, or call `Server.load(…)` or `Server(name, redis=…)` first."


class NotStandalone(ConfigError):
    """Only a single-user application does this in its own program; this server has workers for it."""

    code = 1015
    server: str

    @property
    def message(self) -> str:
        return (
            f"Server `{self.server}` has workers, which run its hooks: they are fired by hand in a standalone program "
            "only."
        )

    @property
    def hint(self) -> str:
        return "`Server.standalone()` opens one; in a test `onserver.fire(…)` does the same."


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


class WrongLayout(ConfigError):
    """The keys of this server are not in the layout of this release; a negative one is on its way to that layout."""

    code = 1205
    server: str
    found: int
    known: int

    @property
    def message(self) -> str:
        if self.found < 0:
            return f"The keys of server `{self.server}` are being brought into layout {-self.found}."
        return f"The keys of server `{self.server}` are in layout {self.found}; this release works with {self.known}."

    @property
    def hint(self) -> str:
        if self.found > self.known:
            return "Use the onserver that last ran here, or a newer one; or restore a backup under another name."
        return "`onserver migrate` brings them there" + (", or goes on." if self.found < 0 else ".")


class TokenNotFound(ConfigError, LookupError):
    """There is no token of this name or id for the HTTP API of the admin page, or no longer."""

    code = 6002
    name: str

    @property
    def message(self) -> str:
        return f"There is no token `{self.name}`."

    @property
    def hint(self) -> str:
        return "`onserver admin token ls` lists them."


class UnsafeBind(ConfigError):
    """The admin page was to be reachable by everybody without authentication."""

    code = 6001
    bind: str

    @property
    def message(self) -> str:
        return f"Refusing to serve the admin page on {self.bind} without authentication."

    @property
    def hint(self) -> str:
        return "Use `--bind 127.0.0.1:8765`, `onserver users add`, `--behind-proxy ADDR`, or `admin.oidc_issuer`."
