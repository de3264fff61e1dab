"""Many runs of one script, of which the next is sent before the last is answered: Redis and program work at a time.

They have a connection of their own meanwhile. Where that fails, what was not answered is run once more, one after the
other, as `Store.run` does it; the nonce in each makes that safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from time import monotonic
from typing import Any

from onserver.redis.answers import LinkError, NoScript, ScriptRefused
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.redis.scripts import Script
from onserver.redis.store import LEAST_SECONDS, REUSED_SHARE, Store


def run_each(store: Store, script: Script, rows: Iterable[Sequence[Word]]) -> Generator[Any]:
    """Run a script with each of these arguments, in their order.

    Args:
        store: where.
        script: one that Redis knows.
        rows: ARGV of the script, one row after the other; each is asked for when it can be sent.

    Yields:
        The answer to each, in their order, or the `ScriptRefused` that was the answer.

    Raises:
        BrokerUnavailable: no usable answer to one of them before its deadline.
        MemberFenced: the script was to write in the name of a holder that is dead.
    """
    under_way: deque[Sequence[Word]] = deque()
    with store.link() as link:
        row = _Row(store, link, script)
        for arguments in rows:
            row.send(arguments)
            under_way.append(arguments)
            if len(under_way) > 1:
                yield row.answer(under_way.popleft())
        while under_way:
            yield row.answer(under_way.popleft())


class _Row:
    """The runs of `run_each`: on its link as long as that does, then as any other."""

    def __init__(self, store: Store, link: Link, script: Script) -> None:
        self._store, self._link, self._script = store, link, script
        self._fails = bool(link.replicas)  # two answers each: these are run as any other

    def send(self, arguments: Sequence[Word]) -> None:
        if self._fails:
            return
        form = self._link.form(self._script)
        try:
            self._link.send(form.command, form.sha, 1, self._store.prefix, *arguments)
        except (LinkError, ScriptRefused):  # the latter can only be of the welcome
            self._give_up()

    def answer(self, arguments: Sequence[Word]) -> Any:
        began, seconds = monotonic(), self._store.command_seconds
        try:
            if not self._fails:
                try:
                    return self._link.receive(seconds * REUSED_SHARE)
                except (LinkError, NoScript):
                    self._give_up()
            left = max(began + seconds - monotonic(), LEAST_SECONDS)
            return self._store.run(self._script, *arguments, deadline=left)
        except ScriptRefused as refused:
            return refused

    def _give_up(self) -> None:
        self._fails = True
        self._link.close()
