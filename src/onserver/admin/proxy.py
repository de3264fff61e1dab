"""A server in front whose word is taken: for the address of whoever asks, for the scheme, and for who it is.

Its address is named when the page is started. A header from any other address is no word of the proxy's, and is not
looked at: everybody can send one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

#: Where the scope of a request keeps who the proxy says it is from.
USER = "onserver.proxy_user"


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A server in front.

    Attributes:
        address: of its side towards this page: an address, a network as in `10.0.0.0/8`.
        user_header: in which it says who has logged in there; empty where it does not.
        role: of those whom it names and who are no users of this server.

    Raises:
        ValueError: the address is none.

    Example:
        >>> Proxy(address="10.0.0.1").trusts("10.0.0.2")
        False
    """

    address: str
    user_header: str = ""
    role: str = "viewer"

    def __post_init__(self) -> None:
        ipaddress.ip_network(self.address)

    def trusts(self, host: str) -> bool:
        """Tell whether a connection is from the proxy.

        Args:
            host: the address at its other end.
        """
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(self.address)
        except ValueError:
            return False

    def heed(self, scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the scope of a request with what the proxy says; as it is where it is not from there.

        Args:
            scope: as the connection has it.
        """
        host = (scope.get("client") or ("", 0))[0]
        if not self.trusts(host):
            return scope
        said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        heard = dict(scope)
        if forwarded := said.get("x-forwarded-for", "").rpartition(",")[2].strip():
            heard["client"] = (forwarded, 0)
        if (scheme := said.get("x-forwarded-proto", "").strip().lower()) in ("http", "https"):
            heard["scheme"] = scheme
        if self.user_header:
            heard[USER] = said.get(self.user_header.lower(), "").strip()
        return heard
