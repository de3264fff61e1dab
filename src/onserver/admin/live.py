"""What changes while somebody looks: `GET /live?at=/processes?state=running`, a stream of server-sent events.

| event | data | means |
|---|---|---|
| `page` | `at`, `now`, `regions` | these regions of that page are now so: each is all of what stands in it |
| `events` | a list of `id`, `name`, `at`, `worker` | these were told since; the id of the frame is that of the last |
| `resync` | nothing | some were told that are kept no more: read the page anew |
| `beat` | `now` | nothing has changed, and the server is looked at |
| `away` | nothing | Redis is not reached: what is shown may be old |
| `gone` | `at` | what that page is about is not there any more, or it cannot be shown |
| `reload` | nothing | somebody has logged out, or may do something else now |

One reader looks at the server for all who watch, twice a second, with one script; where nobody watches there is none. A
page of which something has changed is drawn once for all who watch the same, and its regions that differ are sent. The
more drawing takes, the longer it rests: `SHARE` of one processor is all that it takes from who works.

A frame carries how it is, and not what is to be done to what was: one that is lost costs nothing, and whoever comes
back has all of it with the first. Only the events of the feed are a sequence: their id is that of the stream in Redis,
and a browser that comes back with `Last-Event-ID` is told every one since.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import monotonic, thread_time
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from onserver.admin.identity import Asker
from onserver.admin.page import BadQuery, Look, NotThere
from onserver.admin.regions import regions_of
from onserver.admin.rendering import draw
from onserver.admin.replies import Place, Replies, problem
from onserver.admin.wsgi import ENVIRONMENT
from onserver.errors import OnServerError, ReachError
from onserver.life.events import Event
from onserver.server import Server
from onserver.views.pulse import Pulse, pulse
from onserver.web.threads import Threads

LOG: Final = logging.getLogger("onserver.admin")
#: How often the server is looked at, in seconds: also the least time between two frames of a page.
TICK_SECONDS: Final = 0.5
#: How often a page is drawn while something runs that may say how far it is; and while nothing at all has changed.
RUNNING_SECONDS, QUIET_SECONDS = 1.0, 5.0
#: What drawing may take of one processor: after it has taken some, it rests so much longer, but not for ever.
SHARE, LONGEST_REST_SECONDS = 0.03, 3.0
#: How often who watches is asked whether they still may.
_IDENTITY_SECONDS: Final = 10.0
_BEAT_SECONDS: Final = 5.0
_AWAY_SECONDS: Final = 1.0
#: Streams of one program; and pages of one stream.
MOST_STREAMS, MOST_PAGES = 200, 12
_RETRY_MS: Final = 3000
_EVENT: Final = re.compile(r"\d{1,15}-\d{1,15}", re.ASCII)
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

#: What makes two looks at one place the same.
_Same: TypeAlias = tuple[object, ...]


@dataclass(eq=False)
class _Watched:
    """A place that somebody watches.

    Attributes:
        place: which.
        look: of one of those who watch; all see the same.
        regions: as they were drawn last.
        marks: of its topics, when that was.
        drawn: when that was, by the monotonic clock.
        streams: of those who watch.
    """

    place: Place
    look: Look
    regions: Mapping[str, str] = field(default_factory=dict[str, str])
    marks: Sequence[str | None] = ()
    drawn: float = -1e9
    streams: set[_Stream] = field(default_factory=set["_Stream"])

    def is_due(self, seen: Pulse, now: float) -> bool:
        age = now - self.drawn
        topics = self.place.page.live
        changed = [seen.marks.get(topic) for topic in topics] != list(self.marks)
        return changed or age >= (RUNNING_SECONDS if seen.runs and "process" in topics else QUIET_SECONDS)


@dataclass(frozen=True)
class _Shown:
    """Regions of a page; they are put into a frame once, for all who watch.

    Attributes:
        at: the page.
        now_ms: when they were so.
        regions: by their names.
    """

    at: str
    now_ms: int
    regions: Mapping[str, str]

    @cached_property
    def frame(self) -> bytes:
        return _frame("page", {"at": self.at, "now": self.now_ms, "regions": self.regions})


class _Stream:
    """One browser that watches: what is still to be sent to it, the newest of each kind."""

    def __init__(self, known: str) -> None:
        self.known = known
        self.pages: dict[str, _Shown] = {}
        self.events: list[Event] = []
        self.words: dict[str, Any] = {}
        self._news = asyncio.Event()

    def show(self, page: _Shown) -> None:
        """Have the regions of a page sent, with those that have not been yet."""
        waits = self.pages.get(page.at)
        self.pages[page.at] = page if waits is None else _Shown(page.at, page.now_ms, {**waits.regions, **page.regions})
        self._news.set()

    def tell(self, seen: Pulse) -> None:
        """Have the events sent that were told since; to one who has seen none yet, those that come from now on."""
        if not self.known:
            self.known = seen.last
            return
        if seen.missed:
            self.say("resync")
        fresh = [event for event in seen.events if _order(event.id) > _order(self.known)]
        self.known = seen.last
        if fresh:
            self.events += fresh
            self._news.set()

    def say(self, word: str, data: Any = None) -> None:
        """Have a word sent."""
        self.words[word] = data
        self._news.set()

    async def frames(self, seconds: float) -> list[bytes]:
        """Wait for what is to be sent, so long at most, and take it."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return []
        self._news.clear()
        words, pages, events = self.words, self.pages, self.events
        self.words, self.pages, self.events = {}, {}, []
        found = [_frame(word, data) for word, data in words.items()]
        found += [page.frame for page in pages.values()]
        if events:
            told = [{"id": one.id, "name": one.name, "at": one.at_ms, "worker": one.worker} for one in events]
            found.append(_frame("events", told, self.known))
        return found


class Hub:
    """The one reader of an admin program, and all who watch. It lives on one event loop.

    Args:
        replies: of the page.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._server: Server = replies.server
        self._watched: dict[_Same, _Watched] = {}
        self._streams: set[_Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._known = ""
        self._rests_until = 0.0
        #: How often the server was looked at, and how often a page was drawn.
        self.looks = self.draws = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return len(self._streams) >= MOST_STREAMS

    @property
    def streams(self) -> int:
        """How many browsers watch."""
        return len(self._streams)

    @property
    def watched(self) -> int:
        """How many pages are watched."""
        return len(self._watched)

    @property
    def reads(self) -> bool:
        """Whether the server is looked at: whether somebody watches."""
        return self._task is not None

    async def watch(self, request: Request, asker: Asker, places: Sequence[Place]) -> AsyncGenerator[bytes]:
        """Yield what a browser is sent, until it goes, or has to."""
        known = request.headers.get("last-event-id") or request.query_params.get("since", "")
        stream = _Stream(known if _EVENT.fullmatch(known) else "")
        looks = [self._replies.look(request, asker, place) for place in places]
        keys = [_same(place, look) for place, look in zip(places, looks, strict=True)]
        while stream.known and _order(stream.known) < _order(self._known or "0-0"):
            stream.tell(await self._run(pulse, self._server.store, stream.known))
        stream.known = stream.known or self._known  # of one who is new: what comes from the last look on
        self._streams.add(stream)
        try:
            for key, place, look in zip(keys, places, looks, strict=True):
                watched = self._watched.setdefault(key, _Watched(place, look))
                watched.streams.add(stream)
                if watched.regions:
                    stream.show(_Shown(place.asked, look.now_ms, watched.regions))
            self._begin()
            yield f"retry: {_RETRY_MS}\n\n".encode()
            async for frame in self._sent(request, asker, stream):
                yield frame
        finally:
            self._streams.discard(stream)
            for key in keys:
                watching = self._watched.get(key)
                if watching is not None:
                    watching.streams.discard(stream)
                    if not watching.streams:
                        del self._watched[key]

    async def _sent(self, request: Request, asker: Asker, stream: _Stream) -> AsyncGenerator[bytes]:
        asked = beaten = monotonic()
        while True:
            frames = await stream.frames(_BEAT_SECONDS)
            for frame in frames:
                yield frame
            now = monotonic()
            if frames:
                beaten = now
            elif now - beaten >= _BEAT_SECONDS:
                beaten = now
                yield _frame("beat", {})
            if now - asked >= _IDENTITY_SECONDS:
                asked = now
                if await self._run(self._has_changed, request, asker):
                    yield _frame("reload", None)
                    return

    def _has_changed(self, request: Request, asker: Asker) -> bool:
        """Tell whether who watches is somebody else by now, or may do something else."""
        try:
            found = self._replies.identity.who(request)
        except ReachError:
            return False  # whoever it is: nothing is shown meanwhile
        return found is None or _rights(found) != _rights(asker)

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._read(), name="onserver-admin-live")

    async def _read(self) -> None:
        """Look, and draw what has changed, as long as somebody watches."""
        try:
            while self._watched:
                began = monotonic()
                await self._look()
                await asyncio.sleep(max(0.0, TICK_SECONDS - (monotonic() - began)))
        finally:
            self._task = None
            self._known = ""

    async def _look(self) -> None:
        self.looks += 1
        try:
            known = self._known or min((one.known for one in self._streams if one.known), key=_order, default="")
            seen: Pulse = await self._run(pulse, self._server.store, known)
        except ReachError as error:
            LOG.warning("Nobody who watches sees anything new: %s", error)
            for stream in self._streams:
                stream.say("away")
            await asyncio.sleep(_AWAY_SECONDS)
            return
        for stream in self._streams:
            stream.tell(seen)
        self._known = seen.last
        now = monotonic()
        if now < self._rests_until:
            return
        took = 0.0
        for watched in [one for one in self._watched.values() if one.is_due(seen, now)]:
            took += await self._draw(watched, seen, now)
        self._rests_until = now + min(took / SHARE, LONGEST_REST_SECONDS)

    async def _draw(self, watched: _Watched, seen: Pulse, now: float) -> float:
        """Draw a page, and have sent what has changed. Returns the seconds of a processor that it took."""
        self.draws += 1
        topics = watched.place.page.live
        watched.marks, watched.drawn = [seen.marks.get(topic) for topic in topics], now
        at = watched.place.asked
        try:
            drawn: tuple[Mapping[str, str], float] = await self._run(self._drawn, watched, seen.now_ms)
        except ReachError:
            return 0.0  # the next look says so
        except Exception as error:  # whatever it was, who watches is told
            if not isinstance(error, NotThere | BadQuery | OnServerError):
                LOG.exception("The page %s has failed for who watches it", at)
            for stream in watched.streams:
                stream.say("gone", {"at": at})
            return 0.0
        regions, took = drawn
        changed = {name: text for name, text in regions.items() if watched.regions.get(name) != text}
        watched.regions = regions
        if changed:
            shown = _Shown(at, seen.now_ms, changed)
            for stream in watched.streams:
                stream.show(shown)
        return took

    def _drawn(self, watched: _Watched, now_ms: int) -> tuple[Mapping[str, str], float]:
        began = thread_time()
        page, look = watched.place.page, replace(watched.look, now_ms=now_ms)
        regions = regions_of(draw(page.look(look), look, page, self._replies.pages))
        return regions, thread_time() - began

    async def _run(self, function: Any, *args: Any) -> Any:
        return await self._server.part(Threads).run(function, *args)


class Live:
    """The route of the streams.

    Args:
        replies: of the page.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    def routes(self) -> list[Route]:
        """Answer the route."""
        return [Route("/live", self._answer, methods=["GET"], name="live")]

    def hubs(self) -> list[Hub]:
        """Answer all there are: one for each event loop on which somebody has watched."""
        return list(self._hubs.values())

    def hub(self) -> Hub:
        """Answer the hub of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._hubs.get(loop)
        if found is None:
            found = self._hubs[loop] = Hub(self._replies)
        return found

    async def _answer(self, request: Request) -> Response:
        found = await self._replies.server.part(Threads).run(self._let_in, request)
        if isinstance(found, Response):
            return found
        asker, places = found
        hub = self.hub()
        if ENVIRONMENT in request.scope:
            return problem(501, "There are no streams here: read the page itself again.")
        if hub.is_full:
            return problem(503, f"{MOST_STREAMS} browsers watch already: read the page itself again.",
                           headers={"Retry-After": "5"})  # fmt: skip
        return StreamingResponse(hub.watch(request, asker, places), media_type="text/event-stream", headers=_HEADERS)

    def _let_in(self, request: Request) -> Response | tuple[Asker, Sequence[Place]]:
        """Tell who watches, and what; or what they get in its place."""
        try:
            asker = self._replies.identity.who(request)
            if asker is None:
                return self._replies.nobody(request)
            addresses = list(dict.fromkeys(request.query_params.getlist("at") or ["/"]))
            if len(addresses) > MOST_PAGES:
                raise BadQuery("at", addresses[-1], f"is one of more than {MOST_PAGES}")
            places = [self._replies.place(address) for address in addresses]
            for place in places:
                if not asker.actor.may(place.page.privilege):
                    return self._replies.missing(request, asker, place.page.privilege)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser gets an answer
            return self._replies.failed(request, error)
        return asker, places


def _order(identity: str) -> tuple[int, int]:
    """Return what the id of an event is sorted by."""
    ms, _, number = identity.partition("-")
    return int(ms), int(number)


def _rights(asker: Asker) -> tuple[object, ...]:
    return asker.actor.user, asker.actor.privileges, asker.actor.read_only


def _same(place: Place, look: Look) -> _Same:
    query = tuple(sorted(place.query.items()))
    return (
        place.at, query, look.actor.privileges, look.actor.read_only, look.language.code, look.zone, look.prefix,
    )  # fmt: skip


def _frame(event: str, data: Any, identity: str = "") -> bytes:
    text = msgspec.json.encode(data).decode()
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {event}\ndata: {text}\n\n".encode()
