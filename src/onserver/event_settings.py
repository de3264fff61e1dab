"""The settings of events: the table `[events]` of the settings file, which says from when on something is told."""

from typing import Annotated, Final

from msgspec import Meta, Struct

_YEAR: Final = 366 * 86_400.0


class EventSettings(Struct, frozen=True, kw_only=True):
    """From when on something is told as an event."""

    disk_free_percent: Annotated[
        int,
        Meta(ge=0, le=100, description="a disk (the project's, that of backups) with less room is told; 0: never"),
    ] = 5
    pressure_percent: Annotated[
        int, Meta(ge=0, le=100, description="so much of 10 s in which work waited for memory is told; 0: never")
    ] = 20
    shed_percent: Annotated[
        int, Meta(ge=0, le=100, description="with so much of it, a worker takes no more work; 0: it goes on")
    ] = 0
    redis_memory_percent: Annotated[
        int, Meta(ge=0, le=100, description="a Redis that uses more of what it may is told; 0: never")
    ] = 90
    queue_wait_seconds: Annotated[
        float, Meta(ge=0, le=_YEAR, description="a queue whose first has waited longer is told; 0: never")
    ] = 300.0
