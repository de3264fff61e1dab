"""What this program stands on: versions of Python, of onserver, and of the packages that are installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from onserver import __version__

#: Packages that onserver stands on, or works with where they are there.
_PACKAGES: Final = (
    "celery", "kombu", "redis", "msgspec", "click", "starlette", "jinja2", "uvicorn", "argon2-cffi", "backports.zstd",
    "obstore", "pyrage", "psutil", "joserfc", "opentelemetry-api", "fastapi", "flask", "django", "sqlalchemy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the version of each, by its name; of a package that is not installed, nothing."""
    found = {"onserver": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"python": platform.python_version()}


def machine() -> str:
    """Return on what this program runs, for people."""
    return f"{platform.system()} {platform.release()} {platform.machine()}"
