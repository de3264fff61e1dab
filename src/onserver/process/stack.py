"""Where a run is: its executor writes the stack of each of its threads to its error output, which is its log.

Nothing is interrupted for it, and no code of the run has a say: the executor's program does it in a signal handler in
C (`faulthandler`), also while a library in C does not return. It tells names of files, lines and functions, and no
values.
"""

from __future__ import annotations

import signal
from typing import Final

from onserver.errors import NotDone, ProcessNotFound
from onserver.process.record import State, read_record
from onserver.server import Server

#: What an order to a worker begins with; the number of the process is behind it.
ORDER: Final = "stack:"
#: What tells an executor's program to do it. By default it is ignored, and nobody else sends it.
SIGNAL: Final = signal.SIGURG
_ACTION: Final = "process.stack"


def order_stack(server: Server, number: int) -> None:
    """Have a run write where it is to its log.

    Args:
        server: whose process it is.
        number: of the process.

    Raises:
        ProcessNotFound: ONS-2001.
        NotDone: ONS-6008, it does not run, or not in an executor of its own.

    4D: the nearest thing is tracing a process from the Runtime explorer, which stops it.
    """
    record = read_record(server.store, number)
    if record is None:
        raise ProcessNotFound(number)
    store = server.store
    if record.state not in (State.RUNNING, State.WAITING):
        raise NotDone(_ACTION, f"process {number} does not run: it is {record.state}")
    places, alive = store.pipeline(
        [("HGET", store.key(f"h:{record.holder}"), "places"), ("SISMEMBER", store.key("live"), record.holder)]
    )
    if places is not None or not alive:
        raise NotDone(_ACTION, f"process {number} runs in no executor of its own, whose stack could be told")
    store.command("RPUSH", store.key(f"orders:{record.holder.partition('.')[0]}"), f"{ORDER}{number}")
