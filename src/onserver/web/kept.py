"""What a web framework keeps in its own session (`request.session`, Flask's `session`), in a session of the server.

It is a dict as the framework has it. When the response begins, the keys that have changed are written, each by itself:
two requests of one session that change different keys at the same time both keep theirs, where a session that is stored
as one piece keeps the last. A value that was changed inside (a list in it) counts as changed as well.

| the application | the session |
|---|---|
| `clear()`, and nothing after it | ends: somebody has logged out. The browser's cookie is removed |
| `clear()`, and something after it | gets a new id |
| changes who is signed in (`_user_id`, `user_id`) | gets a new id |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from onserver.web.web_session import WebSession

#: Keys in which applications keep who is signed in: Flask-Login's, and that of most tutorials.
SIGNED_IN: Final = ("_user_id", "user_id")

_FIXED: Final = frozenset({str, int, float, bool, type(None), bytes})


class KeptDict(dict[str, Any]):
    """A framework's session: a dict that knows whether it was looked at and changed."""

    accessed = False
    modified = False
    cleared = False
    #: Values that cannot be changed inside, as they were read: one that is still there need not be written.
    fixed: Mapping[str, object] = MappingProxyType({})

    def mark_accessed(self) -> None:
        """Note that it was looked at: Starlette calls this."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Note that it was changed."""
        self.accessed = self.modified = True

    def __setitem__(self, key: str, value: Any) -> None:
        self.mark_modified()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.mark_modified()
        super().__delitem__(key)

    def clear(self) -> None:
        """Remove all."""
        self.mark_modified()
        self.cleared = True
        super().clear()

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value."""
        if key in self:
            self.mark_modified()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key and return it with its value."""
        item = super().popitem()
        self.mark_modified()
        return item

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, which is `default` from now on where there was none."""
        if key not in self:
            self.mark_modified()
        return super().setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several keys."""
        self.mark_modified()
        super().update(*args, **kwargs)

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.mark_modified()
        super().update(other)
        return self


def read(session: WebSession, made: type[KeptDict], decode: Callable[[bytes], Any]) -> KeptDict:
    """Return what a framework keeps in a session.

    Args:
        session: of the request.
        made: the class of the framework's session.
        decode: makes a value of its bytes.
    """
    session.load()
    found = made({key: decode(value) for key, value in session.data.items()})
    found.fixed = {key: value for key, value in found.items() if type(value) in _FIXED}
    return found


def write(session: WebSession, kept: KeptDict, encode: Callable[[Any], bytes], **facts: Any) -> bool:
    """Write what has changed; see the top of this module.

    Args:
        session: of the request.
        kept: what the framework has made of it.
        encode: makes bytes of a value.
        **facts: attributes of the session's record that change with it.

    Returns:
        Whether something has changed.

    Raises:
        SessionExpired: ONS-4102.
    """
    if kept.accessed:
        session.look()
    elif not facts:
        return False
    if kept.cleared and not kept:
        return session.close() if session.kept else False
    before = session.data
    changed: dict[str, bytes | None] = {key: None for key in before if key not in kept}
    fixed, kept.fixed = kept.fixed, {}
    for key, value in kept.items():
        if fixed.get(key, fixed) is value and key in before:
            continue
        data = encode(value)
        if before.get(key) != data:
            changed[key] = data
    if not changed and not facts:
        return kept.modified
    signed = any(key in changed for key in SIGNED_IN)
    if session.kept and (signed or kept.cleared):
        session.rotate()
    session.keep_data(changed, **facts)
    return True
