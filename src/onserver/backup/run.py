"""A backup from its beginning to its close: the built-in procedure `onserver.backup`.

    begin → hooks → making → its end: written down, told to the shutdown hooks, closed

Whatever ends the middle, the end is the same: `Ending` takes a result, writes it into the history and the journal,
tells the shutdown hooks, works out when the next one is tried, and lets another backup begin. How far it is with that
is kept in Redis at each step, so whoever takes over a run that was left goes on where it stands: a hook that was told
is not told again, one whose runner was killed while it was told is.

A run that was interrupted (an abort, the stop of its worker) is left at once and brought to its end by somebody else:
what was asked to stop cannot run hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from onserver.backup import changes
from onserver.backup.codes import MEANINGS, Code, number_of, reason_of
from onserver.backup.ending import Ending, result_of
from onserver.backup.journal_text import JournalText
from onserver.backup.left import how_it_ended
from onserver.backup.load import standing
from onserver.backup.making import Making, project_of
from onserver.backup.state import Ask, Going, State
from onserver.interrupt import Interrupted
from onserver.life.hook import BACKUP_STARTUP
from onserver.life.hook_arguments import Backup, BackupResult
from onserver.life.hook_call import call_hooks, refusal
from onserver.process.current import ThisProcess
from onserver.server import Server
from onserver.session.context import current_run


@dataclass(frozen=True)
class Who:
    """Who makes a backup: a process of a worker, or a program outside of workers.

    Attributes:
        holder: in whose name.
        run: names the run.
        process: number of the process, 0 outside of workers.
        delivery: which delivery of it this is.
    """

    holder: str
    run: str
    process: int = 0
    delivery: int = 1


def run_backup(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make a backup as a process: the body of `onserver.backup`. Returns its result as a value.

    Args:
        asked: an `Ask` that has travelled.
    """
    server, run = Server.current(), current_run()
    if run is None:
        raise RuntimeError("a built-in procedure runs as a process")
    who = Who(run.holder, f"p{run.number}.{run.delivery}", run.number, run.delivery)
    return perform(server, Ask.read(asked), who).__onserver_value__()


def backup_here(server: Server, ask: Ask) -> BackupResult:
    """Make a backup in this program, where no worker is up to make it, or none may: before a restore, in tests.

    The project's tasks are loaded: the hooks are theirs.

    Raises:
        BackupRunning: ONS-5210.
    """
    with server.client.holding() as holder:
        return perform(server, ask, Who(holder, f"h{server.store.nonce()}"))


def perform(server: Server, ask: Ask, who: Who) -> BackupResult:
    """Make a backup; before that, bring to its end what others left.

    Raises:
        BackupRunning: ONS-5210, somebody alive makes one.
        MemberFenced: ONS-2401, this holder was declared dead; whoever is not brings it to its end.
        Interrupted: it was aborted; likewise.
    """
    project_of(server)
    state = State(server.store)
    if who.delivery > 1 and (closed := _closed_by_another(state, who)):
        return closed
    while True:
        going = state.begin(who.holder, who.run, who.process, ask)
        if going is None:
            return BackupResult(reason="there was nothing to do")
        if not going.left:
            return _Run(server, state, going).run()
        ending = Ending(server, state, _journal(server))
        result = ending.end(going, how_it_ended(server, going, ending))
        if ask.trigger == "close" or who.process == going.process != 0:
            return result


def _closed_by_another(state: State, who: Who) -> BackupResult | None:
    """The result of an earlier delivery of this process that somebody else has brought to its end."""
    (done,) = state.facts("done")
    last = state.last()
    if last is None or not (done or b"").decode().startswith(f"p{who.process}."):
        return None
    return result_of(last)


def _journal(server: Server) -> JournalText:
    settings = server.settings.backup
    return JournalText(project_of(server) / settings.journal_folder, verbose=settings.verbose)


class _Run:
    """One backup that has begun here."""

    def __init__(self, server: Server, state: State, going: Going) -> None:
        self._server, self._state, self._going = server, state, going
        self._settings = server.settings.backup
        self._journal = _journal(server)
        self._ending = Ending(server, state, self._journal)
        self._making = Making(server, going, self._journal, reporter(server), self._step)
        self._hook = ""
        self._mark = b""

    def run(self) -> BackupResult:
        """Make it, whatever comes of it; its end is the same in every case."""
        ask = self._going.ask
        self._journal.turn()
        if ask.trigger == "missed":
            return self._end(Code.MISSED, _missed(ask), tell=False)
        if self._is_unchanged():
            return self._ending.skip(self._going, "nothing has changed since the last one")
        self._mark = changes.mark(self._server.store)
        self._journal.write(f"backup begins ({', '.join(_words(ask))})")
        try:
            code, reason = self._made()
        except Interrupted:
            raise
        except KeyboardInterrupt:
            code, reason = Code.CANCELLED, MEANINGS[Code.CANCELLED]
        except Exception as error:  # noqa: BLE001  # whatever it is: it is how the backup ended, and the hooks are told
            code, reason = number_of(error), reason_of(error)
        return self._end(code, reason)

    def _made(self) -> tuple[int, str]:
        """Ask the hooks, and make it. Answers code and reason."""
        restoring = standing(self._server.store)
        if restoring is not None:
            return Code.RESTORING, f"{MEANINGS[Code.RESTORING]}, of {restoring.path} ({restoring.stage})"
        refused = self._asked_hooks()
        if refused is not None:
            return refused
        self._making.make()
        if self._making.problems:
            return Code.NOT_SAVED, f"it is partial: {'; '.join(self._making.problems)}"
        return Code.DONE, MEANINGS[Code.DONE]

    def _asked_hooks(self) -> tuple[int, str] | None:
        self._step("hooks", self._number())
        ask = self._going.ask
        started = datetime.fromtimestamp(self._going.since_ms / 1000, UTC)
        backup = Backup(
            label=ask.label,
            number=self._making.number,
            started=started,
            forced=bool(ask.forced_by),
            attempt=ask.attempt,
        )
        no = refusal(call_hooks(self._server, BACKUP_STARTUP, backup, ask_all=bool(ask.forced_by)))
        if no is None:
            return None
        self._hook = no.name
        if ask.forced_by:
            self._journal.write(f"forced by {ask.forced_by} against {no.name}: {no.code} {no.reason}")
            return None
        return no.code, no.reason

    def _number(self) -> int:
        """The number that it will have; 0 where its folder cannot be read, which is an error once all hooks agreed."""
        try:
            return self._making.find_number()
        except Exception as error:  # noqa: BLE001  # raised again by `make`
            self._journal.write(f"its number is not known: {reason_of(error)}")
            return 0

    def _is_unchanged(self) -> bool:
        if self._going.ask.trigger != "schedule" or not self._settings.only_if_changed:
            return False
        return not changes.since(self._server.store, self._state.facts("mark")[0])

    def _end(self, code: int, reason: str, *, tell: bool = True) -> BackupResult:
        making = self._making
        operation = self._ending.operation(
            self._going,
            code,
            reason,
            hook=self._hook,
            number=making.number,
            path=making.path,
            size=making.size,
            problems=making.problems,
        )
        mark = self._mark if code == Code.DONE else b""
        return self._ending.end(self._going, operation, tell=tell, mark=mark)

    def _step(self, step: str, number: int) -> None:
        self._journal.write(step, detail=True)
        self._state.note(self._going, step=step, number=number)


def reporter(server: Server) -> Callable[[float, float | None, str], None]:
    """What tells how far the present process is; nothing outside of processes."""
    run = current_run()
    if run is None or not run.number:
        return _unheard
    return ThisProcess(server, run).report


def _unheard(_done: float, _total: float | None, _note: str) -> None:
    """Nobody follows what is no process."""


def _missed(ask: Ask) -> str:
    at = datetime.fromtimestamp(ask.date_ms / 1000, UTC)
    return f"{MEANINGS[Code.MISSED]}, {at:%Y-%m-%d %H:%M} UTC"


def _words(ask: Ask) -> list[str]:
    words = [f"by {ask.trigger}" if ask.trigger != "hand" else "by hand"]
    words += [f"asked by {ask.asked_by}"] if ask.asked_by else []
    words += [f"label {ask.label}"] if ask.label else []
    return [*words, f"attempt {ask.attempt}"] if ask.attempt > 1 else words
