"""When a session of SQLAlchemy has committed: from the session's own events.

Steps wait at the transaction in which they were asked for. A savepoint that is released hands its steps to the
transaction around it, one that is rolled back takes them along; when the outermost has committed and is closed, so that
the session can be used again whatever a step raises, they are done. `after_commit` alone would not do: it is told of
savepoints as well, and within the commit.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

Step = Callable[[], None]

_KEY: Final = "onserver.after_commit"


class _Steps:
    """The steps that wait in one session."""

    def __init__(self) -> None:
        self.waiting: dict[SessionTransaction, list[Step]] = {}
        self.committed: SessionTransaction | None = None

    def after_commit(self, session: Session) -> None:
        self.committed = _transaction(session)

    def after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        steps = self.waiting.pop(transaction, [])
        if self.committed is not transaction:
            return
        self.committed = None
        outer = _transaction(session)
        if outer is not None:
            self.waiting.setdefault(outer, []).extend(steps)
            return
        with ExitStack() as all_of_them:  # each is done, whatever those before it have raised
            for step in reversed(steps):
                all_of_them.callback(step)


def on_commit(session: Session, step: Step) -> None:
    """Do this once the present transaction of the session has committed; one is begun where there is none."""
    steps: _Steps | None = session.info.get(_KEY)
    if steps is None:
        steps = session.info[_KEY] = _Steps()
        event.listen(session, "after_commit", steps.after_commit)
        event.listen(session, "after_transaction_end", steps.after_transaction_end)
    transaction = _transaction(session) or session.begin()
    steps.waiting.setdefault(transaction, []).append(step)


def _transaction(session: Session) -> SessionTransaction | None:
    """Answer the innermost transaction that a program has begun; those of a flush are not among them."""
    return session.get_nested_transaction() or session.get_transaction()
