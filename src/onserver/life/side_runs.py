"""Side runs: processes that a worker runs in a child of its own, beyond its executors.

Start-up hooks always ran so; this is the same for what comes later in the life of a server: hooks of system events and
of backups, and the framework's own procedures. A side run is a process like any other, with a record, a number, a log,
a time limit, and another delivery where its runner was killed. It differs in where it waits:

    !once   for any worker
    !M      for member M, and no other: what happened on a machine is heard there

Both have a root, so they are admitted in every state of the server, in pauses and under maintenance, and no executor
serves them, so they wait for nothing that runs. Whoever puts one orders a worker to look; the beat, which is made
anyway, tells whether any waits, so a lost order is a late one, and an idle worker makes no trip more. `take_side`
claims one in the name of a new holder, which is buried with the child that is forked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from onserver import values
from onserver.cluster.member import Member
from onserver.crash import crash_point
from onserver.life.crew import Crew
from onserver.life.executor import Executor
from onserver.life.hook import Hook, side_name
from onserver.process.claim import Claim
from onserver.process.put import Sender, parent_fields
from onserver.process.signing import sign_now
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.context import current_run

Where = Literal["once", "here", "every"]

#: How many children for side runs one worker has at a time; what comes beyond waits, or is taken by another worker.
MOST: Final = 8


def start_side(
    server: Server,
    what: Hook | str,
    args: Sequence[Any] = (),
    *,
    where: Where = "once",
    member: int | None = None,
    timeout: float | None = None,
    name: str = "",
    rerun: bool = True,
) -> list[int]:
    """Start side runs, and return their numbers at once.

    Args:
        server: whose workers run them.
        what: a hook, which is given one argument at most, or the name of a built-in procedure.
        args: arguments by position; what can be sent is listed at `onserver.values`.
        where: `once`, by any worker; `here`, by the one of `member`; `every`, by each worker that there is now.
        member: for `here`, the number of the worker; by default the one in which this is called.
        timeout: seconds that one may run, None for no limit. A hook keeps its own limit besides.
        name: of the process, for people.
        rerun: whether it is run again when its runner was killed; else it is LOST.

    Returns:
        The numbers; none for a worker that has gone meanwhile.

    Raises:
        NotSendable: ONS-1106, an argument cannot be sent.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.
    """
    run, store = current_run(), server.store
    procedure = what if isinstance(what, str) else side_name(what)
    nothing: dict[str, Any] = {}
    body = values.encode([list(args), nothing])
    if where == "every":
        places = sorted(worker.decode() for worker in store.command("SMEMBERS", store.key("workers")))
    elif where == "here":
        places = [str(member if member is not None else _member_here())]
    else:
        places = ["once"]
    root: tuple[Word, ...] = () if run is None or run.root is None else ("x", run.root)

    def put_at(place: str) -> int:
        def words(nonce: str, now: int) -> list[Word]:
            fields = side_fields(server, procedure, body, nonce, now, timeout=timeout, name=name, rerun=rerun)
            return [place, *fields, *root, *parent_fields(run)]

        return int(server.part(Sender).send("put_side", words))  # whose clock is put right where it is found wrong

    return [number for place in places if (number := put_at(place))]


def side_fields(
    server: Server,
    procedure: str,
    body: bytes,
    nonce: str,
    made_ms: int,
    *,
    timeout: float | None = None,
    name: str = "",
    rerun: bool = True,
) -> list[Word]:
    """Answer field, value … of a side run's record, signed here and now: for scripts that put one among other things.

    Args:
        server: whose workers run it.
        procedure: as a side run is named: see `side_name`.
        body: arguments, encoded as `[[…], {}]`.
        nonce: what the script gets.
        made_ms: now, by the clock of Redis.
        timeout: seconds that it may run, None for no limit.
        name: of the process, for people.
        rerun: whether it is run again when its runner was killed.
    """
    signed = sign_now(server, procedure, body, nonce, made_ms)
    words: list[Word] = ["t", procedure, "b", body, "c", signed]
    words += ["to", max(1, int(timeout * 1000))] if timeout is not None else []
    words += ["n", name] if name else []
    return words if rerun else [*words, "v", "R"]


def _member_here() -> int:
    """Answer the member in which this runs: a holder is "member.incarnation"."""
    run = current_run()
    if run is None:
        raise ValueError("`here` without a member means the worker that runs this, and no process is running here")
    return int(run.holder.partition(".")[0])


class Sides:
    """The side runs of one worker: takes them and forks children for them.

    Args:
        server: the loaded project.
        member: of the worker.
        crew: its children.
    """

    def __init__(self, server: Server, member: Member, crew: Crew) -> None:
        self._server, self._member, self._crew = server, member, crew
        #: Whether any waits, as the last beat told.
        self.waiting = False

    def take(self, code: str) -> None:
        """Take what waits and this code can run, as far as there is room; one trip more than there are, or none."""
        while self.waiting and self._crew.may_fork and self._count() < MOST:
            taken = self._member.take_side(code)
            if taken is None:
                self.waiting = False
            else:
                holder, message = taken
                self._run(holder, Claim.read(message))

    def _count(self) -> int:
        return sum(child.role == "side" for child in self._crew.children.values())

    def _run(self, holder: str, claim: Claim) -> None:
        crash_point("before_side")
        self._crew.run_side(holder, lambda executor: run_side(executor, claim))


def run_side(executor: Executor, claim: Claim) -> int:
    """Run one side run, in the child that was forked for it. Returns the exit status."""
    crash_point("in_side")
    return executor.run_one(claim)
