"""The project: its settings, its code, its signing keys, its roles."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Final

from onserver.doctor.findings import Finding, well, wrong
from onserver.doctor.roles import look_at_required, look_at_roles
from onserver.errors import OnServerError
from onserver.process.signing import Signer
from onserver.project import import_tasks
from onserver.server import Server
from onserver.session.roles_file import FILE

_PRIVATE: Final = 0o600


def look_at_project(server: Server, folder: Path) -> Iterator[Finding]:
    """Load the project as a worker does, and look at its files."""
    settings = server.settings
    told = ", ".join(sorted({source.partition(" line ")[0] for source in settings.sources.values()}))
    yield well("settings", f"settings: {len(settings.sources)} given, by {told}")
    began = perf_counter()
    try:
        import_tasks(folder, settings.components)
        server.registry.bind()
    except OnServerError as error:
        yield wrong("project", f"the project does not load: {error.message}", error.hint)
    else:
        took, count = perf_counter() - began, len(server.registry.all())
        of = f", of components: {', '.join(settings.components)}" if settings.components else ""
        yield well("project", f"project loads in {took:.2f} s: {count} procedures and hooks{of}")
        yield from look_at_required(server, folder)
    yield from _look_at_keys(server, folder)
    yield from look_at_roles(folder / FILE)


def _look_at_keys(server: Server, folder: Path) -> Iterator[Finding]:
    try:
        server.part(Signer)
    except OnServerError as error:
        yield wrong("signing", error.message, error.hint)
        return
    signing = server.settings.signing
    file = folder / signing.key_file
    if signing.key or not file.exists():
        yield well("signing", "signing key: from the environment")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if not mode & 0o077:
        yield well("signing", f"signing keys: {signing.key_file}, for its owner only")
        return

    def mend() -> str:
        file.chmod(_PRIVATE)
        return f"{signing.key_file} is for its owner only"

    text = f"others can read {signing.key_file} (mode {mode:o}): whoever has it can start processes"
    yield wrong("signing", text, f"chmod 600 {file}", mend)
