"""What a `use` block hands out: real dicts and lists that can be changed while the block lasts, and not after it.

Every container of one block shares its `Pen`. When the block ends the pen is put down, and a write through a reference
that somebody kept raises `NotInUse` instead of getting lost in silence. What the user puts in stays the user's own
object until the commit encodes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from onserver.errors import NotInUse
from onserver.values import thaw


class Pen:
    """Whether the containers of one block may be changed."""

    __slots__ = ("down", "entry")

    def __init__(self, entry: str) -> None:
        self.entry = entry
        self.down = False


def _while_in_use(method: Callable[..., Any]) -> Any:
    def guarded(self: DraftDict | DraftList, *args: Any, **kwargs: Any) -> Any:
        if self.pen.down:
            raise NotInUse(self.pen.entry)
        return method(self, *args, **kwargs)

    return guarded


class DraftDict(dict[str, Any]):
    """A dict of an entry in use; copies of it are plain."""

    __slots__ = ("pen",)
    pen: Pen

    __setitem__ = _while_in_use(dict[str, Any].__setitem__)
    __delitem__ = _while_in_use(dict[str, Any].__delitem__)
    __ior__ = _while_in_use(dict[str, Any].__ior__)
    clear = _while_in_use(dict[str, Any].clear)
    pop = _while_in_use(dict[str, Any].pop)
    popitem = _while_in_use(dict[str, Any].popitem)
    setdefault = _while_in_use(dict[str, Any].setdefault)
    update = _while_in_use(dict[str, Any].update)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return cast("dict[str, Any]", thaw(self))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return thaw, (dict(self),)


class DraftList(list[Any]):
    """A list of an entry in use; copies of it are plain."""

    __slots__ = ("pen",)
    pen: Pen

    __setitem__ = _while_in_use(list[Any].__setitem__)
    __delitem__ = _while_in_use(list[Any].__delitem__)
    __iadd__ = _while_in_use(list[Any].__iadd__)
    __imul__ = _while_in_use(list[Any].__imul__)
    append = _while_in_use(list[Any].append)
    clear = _while_in_use(list[Any].clear)
    extend = _while_in_use(list[Any].extend)
    insert = _while_in_use(list[Any].insert)
    pop = _while_in_use(list[Any].pop)
    remove = _while_in_use(list[Any].remove)
    reverse = _while_in_use(list[Any].reverse)
    sort = _while_in_use(list[Any].sort)

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: object) -> list[Any]:
        return cast("list[Any]", thaw(self))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return thaw, (list(self),)


def draft(value: object, pen: Pen) -> Any:
    """Copy a decoded value into containers that can be changed while the pen is up."""
    if isinstance(value, dict):
        mapping = DraftDict(cast("dict[str, object]", value))
        for key, item in cast("dict[str, object]", value).items():
            if isinstance(item, (dict, list)):
                dict[str, Any].__setitem__(mapping, key, draft(cast("object", item), pen))
        mapping.pen = pen
        return mapping
    if isinstance(value, list):
        items = cast("list[object]", value)
        sequence = DraftList(
            [draft(cast("object", item), pen) if isinstance(item, (dict, list)) else item for item in items]
        )
        sequence.pen = pen
        return sequence
    return value
