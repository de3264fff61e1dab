"""How a worker is, for whoever supervises it: a file, an HTTP port, systemd.

The worker says what it does, at each turn of its loop and at each good beat; from that follows all the rest:

| | is | yes when |
|---|---|---|
| *ready* | it takes work | it runs, and its last good beat is younger than a lease |
| *live* | its loop turns | it has turned within three leases, but not less than 30 s |

A Redis that is away makes nobody *dead*: a restart would not bring it back. The file is there from the first moment the
worker is ready until it has left, holds one word, what the worker does, and is touched with each good beat. systemd is
told READY, STATUS when it changes, RELOADING, STOPPING, and WATCHDOG while the loop turns; a start that waits, for
Redis or for hooks, asks for more time. One of these that fails is said once, and stops nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol

from onserver import lazy
from onserver.life.notify import Notifier
from onserver.settings import Settings

#: What a worker does while it comes, and while it goes.
COMING: Final = frozenset({"joining", "waiting", "starting"})
GOING: Final = frozenset({"stopping", "draining", "last", "gone"})
#: Seconds between two tellings that the loop turns, and by which a start asks for more time.
_TURN_SECONDS, _MORE_SECONDS = 1.0, 30.0
_LEASES, _LEAST_SECONDS = 3.0, 30.0


class _Port(Protocol):
    """What `probe` has: it is loaded where there is a port."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...


class Health:
    """See the top of this module.

    Args:
        settings: of the project: the lease, and where nothing else is said the file and the address.
        node: name of the worker; `{node}` in the file's name is replaced by it.
        address: where to answer HTTP, as in "127.0.0.1:8080"; None as the settings have it, "" nowhere.
        file: likewise.
        say: told of what fails.
        environ: where systemd's socket is named.

    Raises:
        BadSetting: ONS-1007, the address cannot be listened on.
    """

    def __init__(
        self,
        settings: Settings,
        node: str,
        *,
        address: str | None = None,
        file: str | None = None,
        say: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._lease = settings.member.lease_seconds
        self._node, self._say = node, say
        name = settings.worker.health_file if file is None else file
        self._file = (settings.project or Path()) / name.replace("{node}", node) if name else None
        self._systemd = Notifier(environ)
        self._phase = "joining"
        self._facts: dict[str, Any] = {}
        self._turned = monotonic()
        self._beaten = 0.0
        self._told_at = 0.0
        self._was_ready, self._written, self._status = False, "", ""
        where = settings.worker.health if address is None else address
        self.probe: _Port | None = lazy.load("onserver.life.probe:Probe")(where, self.known) if where else None

    # -- what is known

    @property
    def ready(self) -> bool:
        """Whether the worker takes work."""
        return self._phase == "running" and monotonic() - self._beaten < self._lease

    @property
    def live(self) -> bool:
        """Whether its loop turns."""
        return monotonic() - self._turned < max(_LEASES * self._lease, _LEAST_SECONDS)

    def known(self) -> dict[str, Any]:
        """Answer all that is known; from any thread."""
        age = round(monotonic() - self._beaten, 3) if self._beaten else None
        facts = {"ready": self.ready, "live": self.live, "node": self._node, "phase": self._phase, "beat_seconds": age}
        return facts | self._facts

    # -- what the worker says

    def turn(self, phase: str, **facts: Any) -> None:
        """The loop turns.

        Args:
            phase: what the worker does: joining, waiting, starting, running, stopping, draining, last, gone.
            facts: what else is to be told: member, epoch.
        """
        now = self._turned = monotonic()
        changed = phase != self._phase or facts != self._facts
        self._phase, self._facts = phase, facts
        if changed and self.ready:
            self._touch()
        if self._systemd.listens and (changed or now - self._told_at >= _TURN_SECONDS):
            self._told_at = now
            self._tell_systemd()

    def again(self) -> None:
        """The loop turns, and nothing else is new; from any thread."""
        self.turn(self._phase, **self._facts)

    def beat(self) -> None:
        """A beat was answered."""
        self._beaten = monotonic()
        self._touch()

    def reloads(self) -> None:
        """New code is taken, until the next turn."""
        self._systemd.tell(RELOADING=1, MONOTONIC_USEC=int(monotonic() * 1e6), STATUS="takes new code")
        self._told_at, self._status = 0.0, ""

    def close(self) -> None:
        """The worker has left."""
        self._phase = "gone"
        self._systemd.tell(STOPPING=1, STATUS="gone")
        if self.probe is not None:
            self.probe.close()
        if self._file is not None:
            with suppress(OSError):  # it was never there, or its folder is gone
                self._file.unlink()

    # -- who is told

    def _touch(self) -> None:
        self._was_ready = self._was_ready or self._phase == "running"
        if self._file is not None and self._was_ready:
            self._write(self._file)

    def _tell_systemd(self) -> None:
        words: dict[str, object] = {"WATCHDOG": 1}
        if self._phase in COMING and not self._was_ready:
            words["EXTEND_TIMEOUT_USEC"] = int(_MORE_SECONDS * 1e6)
        if self._phase == "running":
            words["READY"] = 1
        if self._phase in GOING:
            words["STOPPING"] = 1
        status = " · ".join([self._phase, *(f"{name} {value}" for name, value in self._facts.items())])
        if status != self._status:
            self._status = words["STATUS"] = status
        self._systemd.tell(**words)

    def _write(self, file: Path) -> None:
        try:
            if self._written != self._phase or not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                beside = file.with_name(f".{file.name}.{os.getpid()}")
                beside.write_text(f"{self._phase}\n")
                beside.replace(file)
                self._written = self._phase
            else:
                os.utime(file)
        except OSError as error:
            if self._written != "?":
                self._say(f"cannot write {file}: {error}")
            self._written = "?"
