"""An error is its facts: what all errors are made of."""

from __future__ import annotations

from typing import ClassVar, dataclass_transform

from onserver.errors.texts import plain


@dataclass_transform(eq_default=False)
class Facts:
    """Binds the annotated facts of a class to what it was called with, as a dataclass would, at no import cost."""

    code: ClassVar[int] = 1000
    _names: ClassVar[tuple[str, ...]] = ()
    args: tuple[object, ...]

    def __init_subclass__(cls) -> None:
        cls._names = (*cls._names, *cls.__annotations__)
        if cls.__module__.startswith("onserver.errors."):
            cls.__module__ = "onserver.errors"  # where users import it from, and what a traceback shows

    def __init__(self, *args: object, **kwargs: object) -> None:
        if len(args) > len(self._names):
            raise TypeError(f"{type(self).__name__} takes {len(self._names)} facts, {len(args)} were given")
        facts = dict(zip(self._names, args, strict=False)) | kwargs
        for name in facts.keys() - set(self._names):
            raise TypeError(f"{type(self).__name__} has no fact {name!r}, only {', '.join(self._names)}")
        # Not by super().__init__: an OSError would read two facts as errno and text.
        self.args = tuple(facts[name] if name in facts else getattr(type(self), name) for name in self._names)
        self.__dict__.update(zip(self._names, self.args, strict=True))

    @property
    def message(self) -> str:
        """What happened, with the value in question."""
        return (type(self).__doc__ or "").partition("\n")[0]

    @property
    def hint(self) -> str:
        """The next step for whoever reads this, or an empty text."""
        return ""

    @property
    def docs(self) -> str:
        """Where the documentation explains this code."""
        return f"docs/reference/errors.md#ons-{self.code}"

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, object]:
        """Return code, message, hint, docs and facts, ready for JSON."""
        return {
            "code": f"ONS-{self.code}",
            "message": self.message,
            "hint": self.hint,
            "docs": self.docs,
            "facts": {name: plain(getattr(self, name)) for name in self._names},
        }


class OnServerError(Facts, Exception):
    """Something went wrong in onserver."""
