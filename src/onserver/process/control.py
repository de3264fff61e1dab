"""Abort, pause, resume and replay one process: orders that are in its record before anything is done about them.

So they are remembered when no worker is up, survive restarts of everything, and are obeyed by whoever has the process
next. Each is one script. What it could do by itself it has done when it answers (take the process out of its queue);
what runs is told to stop or to pause through the beat of its worker, which looks at once.

How far an abort comes, and in which order:

| level | what happens |
|---|---|
| `removed` | it had not begun: taken out of its queue, ended |
| `asked` | it is to stop at its next checkpoint: storage, `report`, `sleep`, a wait, `checkpoint()` |
| `interrupted` | a second later: an exception (`onserver.interrupt.Interrupted`) is raised in the running code |
| `killed` | only if asked for (`force`, `force_after`): its executor is killed |
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic, sleep
from typing import Final, NamedTuple

from onserver.errors import ProcessNotFound
from onserver.process.caller import caller
from onserver.process.record import State
from onserver.server import Server


class Answer(NamedTuple):
    """What an order did, as far as that is known at once.

    Attributes:
        number: of the process.
        state: what the process is doing now, or how it has ended.
        level: `removed` or `paused` or `queued` (done at once), `asked` (its worker was told), `ended` (too late),
            `running` (a resume of what is not paused), `aborting` (a pause of what is being aborted). Of a replay
            `queued`, or why not: `running` (it has not ended), `ended` (well, or by an abort), `hook`, `elsewhere` (its
            message was another broker's), `live` (another one of its unique name lives).
        text: the same in words.
    """

    number: int
    state: State
    level: str
    text: str


#: How long a replay waits for what a pool has ended and its worker has yet to release; how often it looks. In seconds.
_HELD_SECONDS, _LOOK_SECONDS = 5.0, 0.02
_WORDS: Final = {
    "held": "has ended, but its worker has yet to release it: ask again",
    "hook": "belongs to a hook: hooks run with the server",
    "elsewhere": "came with a message of another broker: send its task again",
    "live": "has a unique name, and #{more} of that name lives",
    "ended": "has ended already: {state}",
    "removed": "removed from its queue; it never ran",
    "aborting": "is being aborted already",
    "paused": "paused; it had not begun",
    "running": "is not paused",
    "queued": "waits for its turn again",
}
_ASKED: Final = {
    "abort": "asked to stop at its next checkpoint; it is interrupted in a second",
    "pause": "asked to pause",
    "resume": "asked to go on",
}


def abort(server: Server, number: int, reason: str = "", *, force_after: float | None = None) -> Answer:
    """Ask that a process stops for good; see `Process.abort`.

    Raises:
        ProcessNotFound: ONS-2001.
    """
    kill_ms = "" if force_after is None else max(0, int(force_after * 1000))
    return _order(server, "abort", number, asked_by(server), reason, kill_ms, keep_seconds(server))


def pause(server: Server, number: int) -> Answer:
    """Ask that a process pauses; see `Process.pause`.

    Raises:
        ProcessNotFound: ONS-2001.
    """
    return _order(server, "pause", number, asked_by(server))


def resume(server: Server, number: int) -> Answer:
    """Let a paused process go on; see `Process.resume`.

    Raises:
        ProcessNotFound: ONS-2001.
    """
    return _order(server, "resume", number, keep_seconds(server))


def replay(server: Server, number: int) -> Answer:
    """Let a process that has failed, was lost or is dead run again; see `Process.replay`.

    Raises:
        ProcessNotFound: ONS-2001.
    """
    until = monotonic() + _HELD_SECONDS
    while True:
        answer = _order(server, "replay", number, asked_by(server))
        if answer.level != "held":
            return answer
        if monotonic() >= until:
            return answer._replace(level="running")
        sleep(_LOOK_SECONDS)


#: In whose name something is asked here, where that is neither a session nor this program.
_asking: ContextVar[str] = ContextVar("onserver_asking", default="")


@contextmanager
def asking_as(user: str) -> Generator[None]:
    """Let what is asked in this block be asked in the name of somebody who looks after the server.

    Args:
        user: for people.
    """
    token = _asking.set(user)
    try:
        yield
    finally:
        _asking.reset(token)


def asked_by(server: Server) -> str:
    """Answer who asks, for people: the user of the session that asks, or the login and host of this program."""
    if _asking.get():
        return _asking.get()
    asking = caller()
    own = f"{asking.os_user}@{asking.host}"
    return own if asking.user == server.settings.session.user_name and asking.os_user else asking.user


def keep_seconds(server: Server) -> int:
    """Answer how long what did not end well is kept."""
    return int(server.settings.process.keep_failed_seconds)


def _order(server: Server, verb: str, number: int, *words: str | int) -> Answer:
    store = server.store
    how, state, more = (word.decode() for word in store.run(verb, store.nonce(), number, *words))
    if how == "unknown":
        raise ProcessNotFound(number)
    if verb == "replay" and how == "running":
        return Answer(number, State(state), how, f"has not ended: it is {state}")
    text = _ASKED[verb] if how == "asked" else _WORDS[how].format(state=state, more=more)
    return Answer(number, State(state), how, text)
