"""What is wrong with the wish for a process."""

from __future__ import annotations

from collections.abc import Sequence

from onserver.errors.facts import Facts, OnServerError
from onserver.errors.texts import named


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


class BadEvent(CallError, ValueError):
    """An event cannot be told so; `problem` continues the sentence that begins with its name."""

    code = 1108
    name: str
    problem: str

    @property
    def message(self) -> str:
        return f"Event `{self.name}` was not told: {self.problem}."


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
        return f"{named(self.where)} {self.problem or f'is a `{self.kind}`, which cannot be sent'}."

    @property
    def hint(self) -> str:
        return self.advice


class NoWorker(Facts, UserWarning):
    """The process is kept, but no worker would take it now; `number` is the process, `queues` those with workers."""

    code = 1202
    number: int
    queue: str
    queues: Sequence[str] = ()
    procedure: str = ""

    @property
    def message(self) -> str:
        if self.procedure and self.queue in self.queues:
            why = f"no worker on queue `{self.queue}` has `{self.procedure}`"
        elif self.procedure:
            why = f"no worker has registered procedures yet; `{self.procedure}` is checked when it is claimed"
        else:
            why = f"no worker listens on queue `{self.queue}`"
        return f"Kept as #{self.number}, but {why}."

    @property
    def hint(self) -> str:
        if self.procedure and self.queue in self.queues:
            return "`onserver reload` lets workers take the code as it is now."
        return f"Queues with workers: {', '.join(self.queues)}." if self.queues else "Start one: `onserver worker`."
