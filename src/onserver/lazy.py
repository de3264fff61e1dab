"""The one place that imports late.

Everywhere else imports stand at the top of the file and point down the floors. Seven things may not be loaded before
they are asked for, and go through here; ``tests/test_layers.py`` knows them by name:

- `onserver` itself: ``import onserver`` brings a name when it is used, so that a program pays for what it needs;
- `Procedure` → Celery: a program that only enqueues never loads it;
- the command line: one verb does not load the others;
- values that are references: what a signal is, who never receives one need not know;
- what a side run runs: a floor above it has most of the framework's own procedures;
- what makes traces, where a program has loaded OpenTelemetry by itself;
- optional packages, whose absence is an error that names the extra.
"""

import importlib
import sys
from collections.abc import Callable, Container, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from onserver.errors import MissingExtra


@cache
def load(target: str, extra: str = "") -> Any:
    """Import ``module:attribute``, or a module, when it is first asked for.

    Args:
        target: As in ``onserver.process.execute:execute_on_server``.
        extra: The extra of this package that brings the module, if it is an optional one.

    Raises:
        MissingExtra: ONS-1008, the optional module is not installed.
    """
    name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only its own absence: a module that is there and imports one that is not must say so itself.
        if extra and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise MissingExtra(extra, error.name) from error
        raise
    return getattr(module, attribute) if attribute else module


def module_getattr(module: str, targets: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module whose public names are loaded at their first use (PEP 562).

    Args:
        module: The module's ``__name__``.
        targets: Public name → ``module:attribute``.
    """

    def answer(name: str) -> Any:
        if name not in targets:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        return load(targets[name])

    return answer


def keep_names(module: str, names: Container[str]) -> None:
    """Keep public names of a package that modules inside it have as well, such as `session`, which is a function.

    Python binds a module to its parent's attribute once it is imported, which would hide the function of that name from
    then on. Such a binding is passed over; ``from onserver.session import …`` does not need it.

    Args:
        module: The package's ``__name__``.
        names: Its public names.
    """

    class Front(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if not (name in names and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

    sys.modules[module].__class__ = Front
