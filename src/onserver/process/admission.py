"""A claimed process before it runs: who asked for it is known by now, and may still have it run.

Hooks, and procedures of the framework's own, run for everybody: nobody asks for a hook by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onserver.process.authority import admit
from onserver.process.claim import Claim
from onserver.process.procedure import Procedure
from onserver.registry import Declared
from onserver.server import Server
from onserver.session.roles_resources import Resource


def admitted(server: Server, claim: Claim, caller: Mapping[str, Any], found: Declared | None) -> Mapping[str, Any]:
    """Refuse what its caller may not have run by now.

    Args:
        server: the loaded project.
        claim: what was claimed.
        caller: verified snapshot of who asked for it.
        found: what is to be run; None for a task of Celery's.

    Returns:
        The snapshot, less the privileges that its user has lost meanwhile.

    Raises:
        CallerRevoked: ONS-4107.
        PrivilegeDenied: ONS-4103.
    """
    if claim.hook or claim.side:
        return caller
    name = claim.procedure if found is None else found.name
    return admit(server, caller, name, requires_of(found), resource_of(found))


def requires_of(found: Declared | None) -> tuple[str, ...]:
    """Answer the privileges that a procedure takes, all of them; none for anything else."""
    return found.requires if isinstance(found, Procedure) else ()


def resource_of(found: Declared | None) -> Resource | None:
    """Answer what it is to `roles.json`; None for the method of its name."""
    return found.resource if isinstance(found, Procedure) else None
