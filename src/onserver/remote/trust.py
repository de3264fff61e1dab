"""What proves to a client over the web who the server is: certificates, and why one was refused."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from onserver.errors import BadArguments

#: How `connect` is called, for the errors of its arguments.
SIGNATURE = "connect(url or server, *, user, password, …)"


def trusting(verify: Any, of_system: Callable[[], Any]) -> Any:
    """Answer what a connection is checked with.

    Args:
        verify: True for the certificates of the system, the path of a file of certificates, or an `ssl.SSLContext`.
        of_system: makes the context of the system's.

    Raises:
        BadArguments: ONS-1105, it is none of these, or the file has no certificates.
    """
    if verify is True:
        return _once(of_system)
    if isinstance(verify, ssl.SSLContext):
        return verify
    if not isinstance(verify, str | Path):
        problem = f"is given verify={verify!r}, which proves nothing: True, a file of certificates or an ssl.SSLContext"
        raise BadArguments("connect", problem, SIGNATURE)
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:  # an ssl.SSLError is one
        problem = f"is given verify=`{verify}`, a file without certificates ({error.strerror or error})"
        raise BadArguments("connect", problem, SIGNATURE) from error


def refusal_in(error: BaseException) -> str:
    """Answer why the certificate of a server was refused; empty where an error has another cause.

    Args:
        error: what came of a connection.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return str(found.verify_message).rstrip(".") or str(found)
        found = found.__cause__ or found.__context__
    return ""


@cache
def _once(make: Callable[[], Any]) -> Any:
    """Read the certificates of the system: once in a program, however many clients it has."""
    return make()
