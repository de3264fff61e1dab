"""The settings of the admin page: the table `[admin]` of the settings file."""

from typing import Annotated

from msgspec import Meta, Struct


class AdminSettings(Struct, frozen=True, kw_only=True):
    """The admin page."""

    read_only: Annotated[
        bool, Meta(description="nothing can be changed, from the admin page, its HTTP API or the command line")
    ] = False
    open_metrics: Annotated[
        bool,
        Meta(
            description="programs of this machine get `/metrics` without a token; behind a proxy and in another "
            "application, nobody does"
        ),
    ] = False
