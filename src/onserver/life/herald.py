"""The herald of a worker: what it sees of itself, of its machine and of Redis, it tells, with the beat.

What is seen is put down at once and written when Redis answers, so nothing is lost while it is away, and an idle worker
makes no trip for it: disks, pressure and clocks are read where it runs, at each answered beat, and only news is sent.

Who else sees the same is settled in Redis (`News.counts`): a disk, pressure on memory, a clock and sleep are told once
for each machine, an outage of Redis once for the server. One of a single worker, whose own network was cut, looks the
same from there: it is one event as well, and names that worker.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, time

from onserver.cluster.member import Beat, Member
from onserver.errors import BrokerUnavailable
from onserver.life.event_kinds import checked
from onserver.life.events import Event, News, tell_events
from onserver.life.marks import Clocks, Level, is_remote, read_pressure, read_room, uptime
from onserver.redis.answers import LinkError, ReadOnly
from onserver.redis.store import Store
from onserver.server import Server

#: How much is put down while Redis is away; what comes then is dropped.
MOST = 100
#: By how many seconds a clock has to be changed to be told; less is set by whoever keeps time.
JUMP = 5.0
#: Where the kernel tells how much work waits for memory (PSI).
PRESSURE = Path("/proc/pressure/memory")


class Herald:
    """See the top of this module.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
    """

    def __init__(self, server: Server, store: Store) -> None:
        self._server, self._store = server, store
        self._host = socket.gethostname()
        self._news: list[News] = []
        #: Of the first of these, how many were sent, and with which nonce; it is not known whether they arrived.
        self._sent: tuple[int, str] | None = None
        self._lost: tuple[float, str] | None = None
        self._read_only = False
        self._asleep = False
        #: Whether this worker is to take no work, because memory is short.
        self.shedding = False
        self.set_marks()

    def set_marks(self) -> None:
        """Take the marks from the settings, at the start and when these were read anew."""
        marks = self._server.settings.events
        self._pressure = Level(marks.pressure_percent)
        self._shed = Level(marks.shed_percent)
        low = marks.disk_free_percent
        self._disks = {path: Level(max(0.001, 100.0 - low)) for path in self._folders()} if low > 0 else {}
        self._clocks = Clocks(JUMP)

    def _folders(self) -> list[Path]:
        """The folders whose disks are looked at: the project's, and that of backups, where it is one."""
        project, backups = self._server.project or Path.cwd(), self._server.settings.backup.folder
        folders = [project] if "://" in backups else [project, project / Path(backups).expanduser()]
        return [folder for folder in folders if not is_remote(folder.resolve())]

    @property
    def pending(self) -> bool:
        """Whether something was put down that is not written."""
        return bool(self._news)

    # -- what is seen

    def tell(self, name: str, payload: Mapping[str, object], counts: str = "") -> None:
        """Put down what is seen now; `flush` writes it."""
        if len(self._news) < MOST:
            self._news.append(News(name=name, payload=payload, seen=monotonic(), counts=counts))

    def asleep(self, *, cause: str = "sleep") -> None:
        """The machine goes to sleep, or (`signal`) this worker is stopped."""
        self._asleep = cause == "sleep"
        self.tell("background", {"cause": cause}, self._once_here(cause, "background"))

    def awake(self, *, cause: str = "sleep") -> None:
        """It is awake again, or goes on."""
        self._asleep = False
        self._clocks.slept()
        self.tell("foreground", {"cause": cause}, self._once_here(cause, "foreground"))

    def lost(self, error: BrokerUnavailable) -> None:
        """Redis gave no usable answer."""
        cause = error if isinstance(error, LinkError) else error.__cause__
        self._read_only |= isinstance(cause, ReadOnly)
        if self._lost is None:
            self._lost = monotonic(), str(error)

    def heard(self, beat: Beat, sent: float) -> None:
        """A beat was answered: whatever was away is back, and it is time to look around.

        Args:
            beat: the answer.
            sent: uptime when it was sent.
        """
        self._end_outage()
        now_up, now = uptime(), time()
        for store in (self._store, self._server.store):  # what is put in its name is signed with that
            store.note_clock(beat.now_ms, now - (now_up - sent), now)
        jump = self._clocks.heard(beat.now_ms, sent, now_up)
        if jump is not None and beat.leader:
            self.tell("redis.clock_jumped", {"seconds": round(jump, 3)}, "leads")
        self._look_at_clocks()
        self._look_at_disks()
        self._look_at_pressure()

    def flush(self, member: Member) -> list[Event]:
        """Write what was put down, in the name of this member; if that fails it is written the next time.

        Returns:
            What was news.

        Raises:
            MemberFenced: it was declared dead.
            BrokerUnavailable: Redis gave no answer in time.
        """
        told: list[Event] = []
        while self._news:
            self._sent = self._sent or (len(self._news), self._store.nonce())
            count, nonce = self._sent
            ids = tell_events(self._store, self._news[:count], member=member.number, nonce=nonce)
            told += [self._event(news, id_, member) for news, id_ in zip(self._news, ids, strict=False) if id_]
            del self._news[:count]
            self._sent = None
        return told

    def _event(self, news: News, identity: str, member: Member) -> Event:
        at_ms = self._store.now_ms() - int((monotonic() - news.seen) * 1000)
        code = checked(news.name, news.payload)
        return Event(id=identity, code=code, name=news.name, payload=news.payload, at_ms=at_ms, worker=member.node,
                     member=member.number)  # fmt: skip

    # -- looking

    def _end_outage(self) -> None:
        if self._lost is None:
            return
        (since, reason), address = self._lost, self._store.address.describe()
        seconds = round(monotonic() - since, 3)
        lost = News(name="redis.lost", payload={"address": address, "reason": reason}, seen=since, counts="outage")
        self._news.append(lost)
        if self._read_only:
            self.tell("redis.read_only", {"address": address, "seconds": seconds}, "&")
        self.tell("redis.back", {"address": address, "seconds": seconds}, "&")
        self._lost, self._read_only = None, False
        self._clocks.forget()

    def _look_at_clocks(self) -> None:
        jump, nap = self._clocks.jumped(), self._clocks.slept()
        if jump is not None:
            sign = "on" if jump > 0 else "back"
            self.tell("clock.jumped", {"seconds": round(jump, 3)}, self._window(f"clock {sign} {self._host}"))
        if nap is not None and not self._asleep:  # nobody has told that it would, so nobody will tell that it is awake
            self.asleep()
            self.awake()

    def _look_at_disks(self) -> None:
        for path, level in self._disks.items():
            room = read_room(path)
            if room is not None and level.look(100 - room.percent):
                percent = round(room.percent, 1)
                facts = {"over": level.over, "path": str(path), "free_bytes": room.free_bytes, "percent": percent}
                self.tell("disk.low", facts, self._passed(level, f"disk {self._host} {room.disk}"))

    def _look_at_pressure(self) -> None:
        pressure = read_pressure(PRESSURE)
        if pressure is None:
            return
        if self._pressure.look(pressure.some):
            facts = {"over": self._pressure.over, "some": pressure.some, "full": pressure.full}
            self.tell("memory.pressure", facts, self._passed(self._pressure, f"pressure {self._host}"))
        if self._shed.look(pressure.some) and bool(self._shed.over) != self.shedding:
            self.shedding = bool(self._shed.over)
            self.tell("load.shed", {"shed": self.shedding, "some": pressure.some})

    # -- what counts

    def _once_here(self, cause: str, name: str) -> str:
        """Of a machine's sleep all its workers hear; a signal is for one worker."""
        return self._window(f"{name} {self._host}") if cause == "sleep" else ""

    def _window(self, what: str) -> str:
        return f"window {int(3000 * self._server.settings.member.beat_seconds)} {what}"

    def _passed(self, level: Level, what: str) -> str:
        return f"{'over' if level.over else 'under'} {what}"
