"""The settings of web sessions: the table `[web]` of the settings file, for the middleware and the gateway."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

_YEAR_MINUTES = 366 * 1440
_YEAR_SECONDS = 366 * 86_400
#: A token of RFC 6265: what the name of a cookie may be made of.
_COOKIE_NAME = r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]*\Z"
#: What may be in an attribute of a cookie.
_ATTRIBUTE = r"\A[^;,\x00-\x20\x7f]*\Z"


class WebSettings(Struct, frozen=True, kw_only=True):
    """Sessions of the web, and their cookies."""

    scalable_sessions: Annotated[
        bool, Meta(description="requests have sessions; false: `session()` is None in them, and no cookie is made")
    ] = True
    rest_sessions_always: Annotated[
        bool, Meta(description="requests of REST have sessions even so, as from 21 R4 on")
    ] = False
    idle_timeout_minutes: Annotated[
        int, Meta(ge=60, le=_YEAR_MINUTES, description="a session that is not used for so long is over")
    ] = 60
    limit_minutes: Annotated[
        int,
        Meta(ge=0, le=_YEAR_MINUTES, description="a session is over after it, however much it is used; 0: no limit"),
    ] = 0
    check_address: Annotated[
        bool, Meta(description="a session is found only by requests from the address that opened it")
    ] = False
    cookie_name: Annotated[
        str, Meta(pattern=_COOKIE_NAME, max_length=200, description="the cookie's name; empty: 4DSID_ and the server's")
    ] = ""
    cookie_domain: Annotated[
        str, Meta(pattern=_ATTRIBUTE, description="hosts below it get the cookie; empty: only the host that made it")
    ] = ""
    cookie_path: Annotated[str, Meta(pattern=_ATTRIBUTE, min_length=1, description="paths below it get the cookie")] = (
        "/"
    )
    cookie_same_site: Annotated[
        Literal["Strict", "Lax", "None"],
        Meta(description="whether the cookie comes with requests that other sites cause; None needs HTTPS"),
    ] = "Strict"
    cookie_secure: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="the cookie is for HTTPS only; auto: where the request came by HTTPS"),
    ] = "auto"
    cookie_partitioned: Annotated[
        bool, Meta(description="in a frame of another site, the cookie is of that site alone; needs HTTPS")
    ] = False
    cookie_seconds: Annotated[
        int, Meta(ge=0, le=_YEAR_SECONDS, description="how long a browser keeps the cookie; 0: until it is closed")
    ] = 0
    max_concurrent_processes: Annotated[
        int, Meta(ge=10, le=32_000, description="with one request less than so many at once, others are told 503")
    ] = 100
    answer_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="a call that has not answered by then is told 504")
    ] = 60.0
    max_body_bytes: Annotated[int, Meta(ge=1024, le=2**29, description="a request with a longer body is told 413")] = (
        2**24
    )
    code_tags: Annotated[
        bool, Meta(description="pages may have the tags 4DEVAL and 4DCODE, which run in a sandbox")
    ] = False
