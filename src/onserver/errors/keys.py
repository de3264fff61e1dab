"""What is wrong with a signing key, or with what somebody wants of it."""

from __future__ import annotations

from collections.abc import Sequence

from onserver.errors.setup import ConfigError
from onserver.errors.texts import count


class KeyNotFound(ConfigError, LookupError):
    """The project has no signing key of this id; `known` are those that it has."""

    code = 1013
    key: str
    known: Sequence[str] = ()

    @property
    def message(self) -> str:
        return f"There is no signing key `{self.key}`."

    @property
    def hint(self) -> str:
        return f"There is {', '.join(f'`{name}`' for name in self.known)}; see `onserver keys ls`."


class KeyInUse(ConfigError):
    """A signing key cannot be retired: it signs, or did a moment ago (`problem`), or the `processes` name it.

    `total` is how many they are; `processes` holds the numbers of some.
    """

    code = 1014
    key: str
    problem: str = ""
    total: int = 0
    processes: Sequence[int] = ()

    @property
    def message(self) -> str:
        if self.problem:
            return f"Key `{self.key}` cannot be retired: {self.problem}."
        shown = ", ".join(f"#{number}" for number in self.processes)
        more = ", …" if self.total > len(self.processes) else ""
        name = "names" if self.total == 1 else "name"
        return (
            f"Key `{self.key}` cannot be retired: {count(self.total, 'process', 'processes')} {name} it: {shown}{more}."
        )

    @property
    def hint(self) -> str:
        if self.problem:
            return ""
        return f"`onserver keys resign --key {self.key}` signs them with the newest key; or wait until they have ended."
