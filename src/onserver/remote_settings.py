"""The settings of remote clients: the table `[remote]` of the settings file."""

from typing import Annotated, Final

from msgspec import Meta, Struct

_DAY: Final = 86_400.0


class RemoteSettings(Struct, frozen=True, kw_only=True):
    """Remote clients, and their sessions."""

    over_web: Annotated[
        bool, Meta(description="the gateway lets remote clients in, who may call each server method; false: nobody")
    ] = False
    beat_seconds: Annotated[
        float, Meta(ge=0.1, le=300, description="a client says every so often that it is there")
    ] = 10.0
    unreachable_seconds: Annotated[
        float, Meta(ge=1, le=30 * _DAY, description="the session of a client that was not heard for so long is closed")
    ] = 900.0
    sleep_hours: Annotated[
        int, Meta(ge=1, le=8784, description="the session of a client whose machine sleeps is closed after so long")
    ] = 48
    leave_seconds: Annotated[
        float, Meta(ge=0, le=_DAY, description="how long a server that stops waits for its clients to leave")
    ] = 0.0
    client_session: Annotated[
        bool, Meta(description="`session()` in a client is an object of its own, as from 21 R3 on; false: None")
    ] = False
    max_connections: Annotated[
        int, Meta(ge=1, le=10_000, description="how many connections one client has at most")
    ] = 100
    queue: Annotated[str, Meta(min_length=1, description="where the hooks of connections wait for a worker")] = (
        "default"
    )
