"""What goes wrong with storage and its locks."""

from __future__ import annotations

from onserver.errors.facts import OnServerError
from onserver.errors.texts import entry, named


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
        return f"Lock {entry(self.entry)} not obtained in {self.seconds:.1f} s{by}.{line}"


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
        return f"The lock on {entry(self.entry)} was lost{why}: nothing of this block was written."

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
            return f"{named(self.where)} {self.problem}."
        return f"A `{self.kind}` cannot be stored{f' ({named(self.where)})' if self.where else ''}."

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
        return f"{entry(self.entry)} would take {self.size:,} bytes; at most {self.limit:,} are allowed."

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
        return f"{entry(self.entry)} is at version {self.found}, not {self.expected}: somebody changed it meanwhile."

    @property
    def hint(self) -> str:
        return "Read it again, then write."


class EntityNotFound(StorageError, LookupError):
    """There is no entity of this key in a class of data, or not any more."""

    code = 3110
    dataclass: str
    key: str

    @property
    def message(self) -> str:
        return f"There is no `{self.dataclass}` of the key {self.key!r}."

    @property
    def hint(self) -> str:
        return "Somebody may have dropped it meanwhile: ask for what there is."


class ChangesNotLogged(StorageError):
    """Changes of the storage are to be logged, and `waiting` of them are in no file yet; 1274 of the original."""

    code = 3109
    waiting: int

    @property
    def message(self) -> str:
        return f"The change was refused (1274): {self.waiting:,} changes wait to be written to the log."

    @property
    def hint(self) -> str:
        return (
            "The leader of the workers writes it: is one up, and is there room in `backup.folder`? "
            "`backup.log = false` ends logging."
        )
