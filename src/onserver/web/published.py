"""What a web server offers: the published procedures and server methods of the project, or of one component.

What is not published is not there: whoever asks for it is told what is told of a name that nothing has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from onserver.process.procedure import Procedure
from onserver.registry import find_name
from onserver.server import Server


def published(server: Server, component: str = "") -> list[Procedure[..., Any]]:
    """Answer everything that is published, in the order of declaration.

    Args:
        server: the loaded project.
        component: only what this component declares; empty for everything, as the project's own web server offers it.
    """
    declared = [cast("Procedure[..., Any]", one) for one in server.registry.all() if isinstance(one, Procedure)]
    found = [one for one in declared if one.published]
    return [one for one in found if not component or is_of(one.function, component)]


def find_published(server: Server, name: str, component: str = "") -> Procedure[..., Any] | None:
    """Answer what is published under a name, or an unambiguous end of one; None where nothing is.

    Args:
        server: the loaded project.
        name: as in a URL.
        component: see `published`.
    """
    offered = published(server, component)
    names = {known: one for one in offered for known in (one.name, *one.aliases)}
    full, _ = find_name(name, names)
    return None if full is None else names[full]


def is_of(function: Callable[..., Any], component: str) -> bool:
    """Whether a function is of a component."""
    return f"{function.__module__}.".startswith(f"{component}.")
