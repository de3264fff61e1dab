"""`options(after_commit=…)`: a start that is put once a transaction of a database has committed.

A process that was put within a transaction may run before that has committed, and finds nothing of what it is about;
or it runs although everything was rolled back. So the start waits in this program until the transaction has committed,
and is forgotten with a transaction that does not. Arguments are checked and copied, and who asks is kept, at the time
of the call; the put itself is an ordinary one, after the commit, in the thread that commits. When that raises, the
transaction has committed all the same, and the error comes out of the commit.

Until then the handle has no number. Between commit and put there is a moment in which a program that is killed loses
the start: nobody but it knew of it. Who cannot bear that gives the start a `key` and asks again.

Who tells of the commit: of Django's databases Django itself (`django_app.commit`), of SQLAlchemy's sessions their
events (`sqlalchemy_commit`). Both are loaded when first asked for, and only where the program has loaded them itself.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any

from onserver.errors import BadDeclaration, ProcessNotStarted
from onserver.lazy import load
from onserver.process.authority import require_ask
from onserver.process.handle import Process
from onserver.process.put import Order, Sender
from onserver.server import Server
from onserver.values import decode


class Waiting(Process[Any]):
    """The handle of a start that waits for a commit: whatever is asked of it before raises `ProcessNotStarted`."""

    __slots__ = ("_known", "_why")

    def __init__(self, server: Server, order: Order) -> None:
        self._known, self._why = 0, ""
        super().__init__(server, 0, name=order.name, procedure=order.procedure)

    @property
    def _number(self) -> int:  # a slot of the handle, which all that it does reads
        if not self._known:
            raise ProcessNotStarted(self._procedure, self._why)
        return self._known

    @_number.setter
    def _number(self, number: int) -> None:
        self._known = number

    def __repr__(self) -> str:
        return super().__repr__() if self._known else f"<Process, not started, {self._name or self._procedure}>"


def check(procedure: str, after_commit: object) -> None:
    """Refuse what is no transaction that can be waited for.

    Raises:
        BadDeclaration: ONS-1009.
    """
    if after_commit is None or (isinstance(after_commit, str) and "django" in sys.modules and after_commit):
        return
    if isinstance(after_commit, str):
        problem = f"waits for the database `{after_commit}` of Django, which this program does not use"
        raise BadDeclaration(procedure, problem, "Give a name of `DATABASES`, or a session of SQLAlchemy.")
    _ = _session(procedure, after_commit)


def put_after_commit(server: Server, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
    """Answer the handle of a start that is put once its transaction has committed."""
    # here and not out of the commit, where it is looked at again
    require_ask(server, order.procedure, order.requires, order.resource)
    sender = server.part(Sender)
    body = sender.body(order, args, kwargs)
    handle, transaction = Waiting(server, order), order.after_commit
    step = partial(copy_context().run, _put, sender, replace(order, after_commit=None), body, handle)
    if isinstance(transaction, str):
        load("onserver.django_app.commit:on_commit")(transaction, step)
    else:
        session = _session(order.procedure, transaction)
        load("onserver.process.sqlalchemy_commit:on_commit")(session, step)
    return handle


def _put(sender: Sender, order: Order, body: bytes, handle: Waiting) -> None:
    args, kwargs = decode(body)
    try:
        process = sender.put(order, args, kwargs)
    except BaseException as error:
        handle._why = f"its transaction has committed, and then {type(error).__name__}: {error}"
        raise
    handle._number, handle.how = process.number, process.how


def _session(procedure: str, given: object) -> Any:
    """Answer SQLAlchemy's session: the one given, that of an asynchronous one, or the present one of a scoped one."""
    if "sqlalchemy.orm" in sys.modules:
        kind: type = load("sqlalchemy.orm:Session")
        scoped: Callable[[], object] | None = getattr(given, "registry", None)
        present = scoped() if callable(scoped) else given
        session = getattr(present, "sync_session", present)
        if isinstance(session, kind):
            return session
    problem = f"cannot wait for the commit of {given!r}"
    raise BadDeclaration(procedure, problem, "Give a session of SQLAlchemy, or the name of a database of Django's.")
