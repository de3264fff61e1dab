"""Django's sessions, kept as onserver's: `SESSION_ENGINE = "onserver.django_app.sessions"`.

`request.session` is a session of the web: its key is the session's id, `flush` closes it, `cycle_key` gives it another
id and leaves it what it has, `set_expiry` says how long it lasts. Each key of the mapping is a field of the session's
record, in the form that `SESSION_SERIALIZER` gives it. Saved is what has changed since it was loaded, so two requests
of one session do not overwrite what the other has changed; of one key, the last to save wins.

A session is loaded in one round trip, when it is first looked at, which counts as a use of it. Unused, it lasts
`SESSION_COOKIE_AGE`; at most, `web.limit_minutes`.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.utils.module_loading import import_string

from onserver.errors import SessionExpired
from onserver.server import Server
from onserver.session.context import served
from onserver.session.records import is_identity
from onserver.session.session import Session
from onserver.session.sessions import Sessions, new_identity

P = ParamSpec("P")
T = TypeVar("T")

_EXPIRY = "_session_expiry"

_log = logging.getLogger("django.security.SuspiciousSession")


class SessionStore(SessionBase):
    """What `request.session` is. Made by Django.

    Args:
        session_key: what came as the cookie.
    """

    _session_key: str | None  # Django's: None where there is no session yet

    # Most requests look at no session: what only others need is not made for each, which took as long as all the rest.
    accessed = modified = False
    _opened: Session | None = None
    #: What is known to be in Redis: what differs from it is to be saved.
    _kept: Mapping[str, bytes] = MappingProxyType({})
    #: The request, as `HttpRequest.META` has it; None outside of every request.
    meta: Mapping[str, Any] | None = None

    def __init__(self, session_key: str | None = None) -> None:
        self._session_key = session_key

    @cached_property
    def serializer(self) -> Any:
        """Django's: by it values are written and read."""
        return import_string(settings.SESSION_SERIALIZER)

    @cached_property
    def _server(self) -> Server:
        return Server.current()

    @property
    def _sessions(self) -> Sessions:
        return self._server.sessions

    # -- as onserver has it

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the request: what `Sessions.open` wants to know of it."""
        if self.meta is None:
            return {}
        ip, agent = self.meta.get("REMOTE_ADDR", ""), self.meta.get("HTTP_USER_AGENT", "")
        return {"ip": ip, "agent": agent, "host_type": "browser"}

    @property
    def opened(self) -> Session:
        """The session of onserver that this is; opened where there is none yet."""
        self._get_session()
        if self._opened is None:
            self.create()
            assert self._opened is not None
        return self._opened

    @property
    def looked_at(self) -> bool:
        """Whether it was loaded, or something was put into it."""
        return "_session_cache" in self.__dict__

    def become(self, session: Session) -> None:
        """Be that session from now on, as by a one-time token."""
        self._session_key = session.id
        self._session_cache = self._read(session)
        self.modified = True

    # -- as Django wants it

    def load(self) -> dict[str, Any]:
        """Answer what is in it: nothing, and no key, where there is no such session."""
        key = self.session_key or ""
        ip = self.facts.get("ip") if self._server.settings.web.check_address else None
        session = self._sessions.take(key, ip=ip, renew=True)
        if session is None or session.record.kind == "storedProcedure" or session.record.web:
            self._session_key = None
            self._opened = None
            return {}
        return self._read(session)

    def exists(self, session_key: str | None) -> bool:
        """Answer whether there is such a session."""
        return bool(session_key) and self._sessions.find(str(session_key)) is not None

    def create(self) -> None:
        """Open a session, with what is in this one."""
        self._session_key = self._get_new_session_key()
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        """Save what has changed; with `must_create` as a session that must not be there yet, else one that must."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)
        encoded = {str(key): self.serializer().dumps(value) for key, value in data.items()}
        if must_create:
            self._open(encoded)
        else:
            self._write(encoded)
        self._kept = encoded

    def delete(self, session_key: str | None = None) -> None:
        """Close the session of this key, or this one."""
        key = session_key or self.session_key
        if key is None:
            return
        self._sessions.close(key)
        if key == self.session_key:
            _serve(key, None)
            self._opened, self._kept = None, {}

    def cycle_key(self) -> None:
        """Give it another id: the old one leads nowhere from now on. It keeps its storage and privileges."""
        data = self._session
        try:
            if self._opened is None:
                raise SessionExpired(self.session_key or "")
            rotated = self._sessions.rotate(self._opened.id)
            _serve(self._opened.id, rotated)
            self._opened, self._session_key = rotated, rotated.id
        except SessionExpired:
            self.create()
        self._session_cache = data
        self.modified = True

    @classmethod
    def clear_expired(cls) -> None:
        """Do nothing: sessions that are over are removed by whoever opens one, and by the workers' leader."""

    def _get_new_session_key(self) -> str:
        return new_identity()

    # -- in a running loop

    async def aload(self) -> dict[str, Any]:
        """`load` without blocking the loop."""
        return await _beside(self.load)()

    async def aexists(self, session_key: str | None) -> bool:
        """`exists` without blocking the loop."""
        return await _beside(self.exists)(session_key)

    async def acreate(self) -> None:
        """`create` without blocking the loop."""
        await _beside(self.create)()

    async def asave(self, must_create: bool = False) -> None:
        """`save` without blocking the loop."""
        await _beside(self.save)(must_create)

    async def adelete(self, session_key: str | None = None) -> None:
        """`delete` without blocking the loop."""
        await _beside(self.delete)(session_key)

    async def acycle_key(self) -> None:
        """`cycle_key` without blocking the loop."""
        await _beside(self.cycle_key)()

    @classmethod
    async def aclear_expired(cls) -> None:
        """Do nothing, as `clear_expired` does."""

    async def _aget_new_session_key(self) -> str:
        return new_identity()

    # -- the steps

    def _read(self, session: Session) -> dict[str, Any]:
        data: dict[str, Any] = {}
        self._opened, self._kept = session, dict(session.record.data)
        for key, raw in session.record.data.items():
            try:
                data[key] = self.serializer().loads(raw)
            except Exception:  # noqa: BLE001  # a serializer raises anything; what it cannot read is not there
                _log.warning("Session data corrupted: %s", key)
        return data

    def _open(self, encoded: dict[str, bytes]) -> None:
        key = str(self.session_key)
        if not is_identity(key) or self.exists(key):
            raise CreateError
        idle_ms, limit_ms = self._lasts()
        self._opened = self._sessions.open(
            "web",
            idle_seconds=idle_ms / 1000,
            limit_seconds=(limit_ms - self._server.store.now_ms()) / 1000 if limit_ms else 0,
            identity=key,
            data=encoded,
            **self.facts,
        )

    def _write(self, encoded: dict[str, bytes]) -> None:
        changed: dict[str, bytes | None] = {key: raw for key, raw in encoded.items() if self._kept.get(key) != raw}
        changed |= dict.fromkeys(self._kept.keys() - encoded.keys())
        key, records = str(self.session_key), self._sessions.records
        try:
            if _EXPIRY not in changed and self._opened is not None:
                records.keep(key, changed)
                return
            times = dict(zip(("idle_ms", "limit_ms"), self._lasts(), strict=True)) if _EXPIRY in changed else {}
            record = records.write(key, data=changed, seen_ms=self._server.store.now_ms(), **times)
        except SessionExpired as error:
            raise UpdateError from error
        self._opened = self._opened or self._sessions.of(record)

    def _lasts(self) -> tuple[int, int]:
        """Answer how long it lasts unused, and when it ends in any case; in ms, 0 for never."""
        expiry, now = self.get(_EXPIRY), self._server.store.now_ms()
        created = self._opened.record.created_ms if self._opened else now
        limit_ms = self._server.settings.web.limit_minutes * 60_000
        most = created + limit_ms if limit_ms else 0
        age_ms = int(self.get_expiry_age() * 1000)
        if isinstance(expiry, str | datetime) or age_ms <= 0:
            return 0, max(1, min(now + age_ms, most or now + age_ms))
        return age_ms, most


def _serve(identity: str, session: Session | None) -> None:
    """Let the request that is served in a session be served in another one, or in one that it has yet to open."""
    here = served()
    if here is not None and here.given is not None and here.given.id == identity:
        here.session = session


def _beside(function: Callable[P, T]) -> Any:
    """Run it beside the loop: unlike what Django does itself, not all of them in one thread after the other."""
    return sync_to_async(function, thread_sensitive=False)
