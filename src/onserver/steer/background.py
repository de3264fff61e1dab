"""What takes minutes, and is done while nobody waits for it: the page shows how it goes on.

Each is told of in Redis, in the hash `admin:doing`, by the id of its line in the audit: that it goes on, in the name of
a holder of this program, and how it has ended. So every page of every admin program shows the same, and of a program
that was killed it is known that it was: its holder is dead. What has ended is told of for a day.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec import Struct, json
from msgspec.structs import replace

from onserver.errors import NotDone, OnServerError
from onserver.redis.store import Store
from onserver.server import Server
from onserver.steer.action import Outcome

LOG: Final = logging.getLogger("onserver.steer")
#: How many go on in one program at a time.
MOST: Final = 2
#: How many are told of, and for how many seconds.
_TOLD: Final = 50
_KEPT_SECONDS: Final = 86_400
_KEY: Final = "admin:doing"

JobState = Literal["running", "lost", "done", "failed"]


class Job(Struct, frozen=True, kw_only=True):
    """Something that is done, or was.

    Attributes:
        id: of its line in the audit, as long as that said that it begins.
        action: which, as in `backup.verify`.
        target: to what.
        user: who asked for it.
        at_ms: since when, milliseconds since 1970 by the clock of Redis.
        holder: in whose name it goes on.
        ended_ms: when it ended; 0 as long as it has not.
        said: what has come of it, in English, with its values in braces; empty where it has failed.
        values: of that.
        why: why it has failed.
        state: `lost` where its program was killed.
    """

    id: str
    action: str
    target: str
    user: str
    at_ms: int
    holder: str = ""
    ended_ms: int = 0
    said: str = ""
    values: dict[str, str] = {}
    why: str = ""
    state: JobState = "running"


class Background:
    """What goes on in this program. Made by `server.part(Background)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._mutex = threading.Lock()
        self._threads: list[threading.Thread] = []
        server.before_close(self.join)

    def start(self, job: Job, run: Callable[[], Outcome]) -> None:
        """Begin it, and do not wait.

        Args:
            job: what is known of it.
            run: does it; whatever it raises has been written down by then.

        Raises:
            NotDone: ONS-6008, the same is done already, or as much is going on here as there may.
        """
        store = self._server.store
        for other in jobs(store):
            if (other.action, other.target, other.state) == (job.action, job.target, "running"):
                raise NotDone(job.action, f"{other.user} is doing just that")
        with self._mutex:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) >= MOST:
                raise NotDone(job.action, f"{MOST} of this kind are going on here: wait for the end of one")
            thread = threading.Thread(target=self._run, args=(job, run), name=f"{job.action} {job.target}".strip())
            _write(store, replace(job, holder=self._server.client.holder()))  # before whoever asked sees the page again
            self._threads.append(thread)
            thread.start()

    def join(self) -> None:
        """Wait until nothing goes on any more: what has begun is brought to its end before this program ends."""
        with self._mutex:
            threads = [thread for thread in self._threads if thread.is_alive()]
        for thread in threads:
            LOG.warning("This program ends when %s has ended", thread.name)
            thread.join()

    def _run(self, job: Job, run: Callable[[], Outcome]) -> None:
        store = self._server.store
        try:
            with self._server.client.holding() as holder:
                job = replace(job, holder=holder)
                try:
                    outcome = run()
                except Exception as error:  # noqa: BLE001  # it is in the audit; who looks at the page is told as well
                    why = error.message if isinstance(error, OnServerError) else str(error) or type(error).__name__
                    job = replace(job, state="failed", why=why, ended_ms=store.now_ms())
                    LOG.warning("%s of %s has failed: %s", job.action, job.target, why)
                else:
                    said = {name: str(value) for name, value in outcome.values.items()}
                    job = replace(job, state="done", said=outcome.said, values=said, ended_ms=store.now_ms())
                _write(store, job)
        except OnServerError as error:
            LOG.error("It could not be told how %s of %s has ended: %s", job.action, job.target, error)


def jobs(store: Store, noun: str = "") -> Sequence[Job]:
    """Return what goes on and what has ended within a day, the last first. Two round trips, or one.

    Args:
        store: of the server.
        noun: only actions of this noun, as in `backup`.
    """
    found = [
        job for job in map(_read, store.command("HVALS", store.key(_KEY))) if noun in ("", job.action.split(".")[0])
    ]
    going = [job for job in found if job.state == "running"]
    alive = store.pipeline([("SISMEMBER", store.key("live"), job.holder) for job in going]) if going else []
    dead = {job.id for job, lives in zip(going, alive, strict=True) if not lives}
    told = [replace(job, state="lost") if job.id in dead else job for job in found]
    return sorted(told, key=lambda job: -job.at_ms)


def _write(store: Store, job: Job) -> None:
    key = store.key(_KEY)
    store.pipeline([("HSET", key, job.id, json.encode(job)), ("EXPIRE", key, _KEPT_SECONDS)])
    over = store.now_ms() - _KEPT_SECONDS * 1000
    known = jobs(store)
    gone = [
        one.id for place, one in enumerate(known) if one.state != "running" and (place >= _TOLD or one.at_ms < over)
    ]
    if gone:
        store.command("HDEL", key, *gone)


def _read(value: bytes) -> Job:
    return json.decode(value, type=Job)
