"""The settings of the admin page: the table `[admin]` of the settings file."""

from typing import Annotated, Final

from msgspec import Meta, Struct

#: Names of what is a secret more often than not.
MASKED: Final = (
    "*password*", "*passwd*", "*secret*", "*token*", "*credential*", "*api_key*", "*apikey*", "*access_key*",
    "*private_key*",
)  # fmt: skip


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
    nice: Annotated[
        int, Meta(ge=0, le=19, description="how far `onserver admin` stands back where workers want the same processor")
    ] = 5
    mask: Annotated[
        tuple[str, ...],
        Meta(
            description="names whose values the admin page shows to nobody, in storage and inside of what is stored; "
            "`*` stands for anything, upper and lower case are the same"
        ),
    ] = MASKED
    oidc_issuer: Annotated[
        str,
        Meta(
            description="the provider of OpenID Connect where people log in to the admin page, as it calls itself: "
            "https://…; empty: none"
        ),
    ] = ""
    oidc_client: Annotated[str, Meta(description="the id that the admin page has there")] = ""
    oidc_secret: Annotated[
        str, Meta(description="the secret that goes with that id, where it has one; only from the environment")
    ] = ""
    oidc_claim: Annotated[
        str,
        Meta(
            min_length=1,
            description="which claim of the provider is the name of a user of `onserver users`; `email` counts where "
            "it says that it is verified",
        ),
    ] = "email"

    def __repr__(self) -> str:
        """Return it without the secret: it may end up in a log."""
        names = (name for name in self.__struct_fields__ if name != "oidc_secret")
        given = [f"{name}={getattr(self, name)!r}" for name in names]
        return f"AdminSettings({', '.join(given)}, oidc_secret={'(set)' if self.oidc_secret else ''!r})"
