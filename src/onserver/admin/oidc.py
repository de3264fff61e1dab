"""A provider of OpenID Connect: where a browser is sent to log in, and who it is that came back.

The code flow with PKCE. Where the provider's doors are is read from it when that is first needed, and again each hour.
What it says of somebody counts if it is signed with a key that it publishes, by one of `ALGORITHMS`: never unsigned,
and never with a secret that both sides have.

`state`, `nonce` and the verifier of PKCE are made from the random value that the browser has in its cookie, each by a
word of its own: an answer that belongs to the login of another browser fits none of them, and nobody has to keep them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock
from time import monotonic, time
from typing import Any, Final, cast
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from onserver.admin.logins import FRESH_SECONDS
from onserver.errors import BadSetting
from onserver.lazy import load
from onserver.settings import Settings

EXTRA: Final = "oidc"
#: Asymmetric ones alone: whoever checks a signature cannot make it.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519",
)  # fmt: skip
#: How far the clocks of provider and page may be apart.
LEEWAY_SECONDS: Final = 60
#: Which kind of key makes a signature, by the beginning of its algorithm.
_KINDS: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_KEPT_SECONDS: Final = 3600
_ANSWER_SECONDS: Final = 10.0
_MOST_BYTES: Final = 2**20
_LOOPBACK: Final = "localhost"


class ProviderFailed(Exception):
    """The provider was not reached, or has answered what nothing can be made of."""


class NotBelieved(Exception):
    """The provider has answered what is no proof of who somebody is."""


@dataclass(frozen=True)
class Ticket:
    """What a login in flight is known by: `secret` is in the cookie of one browser, and nowhere else."""

    secret: str

    @property
    def state(self) -> str:
        """What the provider hands back."""
        return self._word("state")

    @property
    def nonce(self) -> str:
        """What it writes into the token."""
        return self._word("nonce")

    @property
    def verifier(self) -> str:
        """What proves that whoever brings the code is who began (RFC 7636)."""
        return self._word("verifier")

    @property
    def challenge(self) -> str:
        """The hash of the verifier."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    def fits(self, state: str) -> bool:
        """Tell whether an answer is for this login."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "surrogateescape"))

    def _word(self, name: str) -> str:
        return _text(hmac.digest(self.secret.encode("utf-8", "surrogateescape"), name.encode(), "sha256"))


@dataclass(frozen=True, kw_only=True)
class Known:
    """Who somebody is, by the word of the provider.

    Attributes:
        name: of the claim that the settings name.
        recent: whether it says that they have proved it just now, and not hours ago.
    """

    name: str
    recent: bool


@dataclass(frozen=True, kw_only=True)
class _Doors:
    """What the provider says of itself."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    by_form: bool
    names_itself: bool
    until: float


class Provider:
    """The provider of OpenID Connect that the settings name.

    Args:
        issuer: as it stands in its tokens.
        client: what this page is called there.
        secret: that goes with it; empty for a client without one.
        claim: by which somebody is found among the users.

    Raises:
        MissingExtra: ONS-1008, `pip install 'onserver[oidc]'`.
    """

    def __init__(self, issuer: str, client: str, secret: str, claim: str) -> None:
        self.claim = claim
        self._issuer, self._client, self._secret = issuer, client, secret
        self.host = urlsplit(issuer).netloc
        self._http, self._jwt = load("httpx2", EXTRA), load("joserfc.jwt", EXTRA)
        self._import_key: Callable[[Any], Any] = load("joserfc.jwk:import_key", EXTRA)
        self._bad: type[Exception] = load("joserfc.errors:JoseError", EXTRA)
        self._lock = Lock()
        self._read: _Doors | None = None
        self._failure = (0.0, "")
        self._keys: list[dict[str, Any]] | None = None

    def address(self, ticket: Ticket, back: str, *, again: bool) -> str:
        """Return where a browser is sent to log in.

        Args:
            ticket: of this login.
            back: the address that it is sent back to.
            again: whether somebody who has logged in there already has to prove it once more.

        Raises:
            ProviderFailed: it does not say where that is.
        """
        door = self._doors().authorization
        words = {
            "response_type": "code", "client_id": self._client, "redirect_uri": back, "scope": "openid email profile",
            "state": ticket.state, "nonce": ticket.nonce,
            "code_challenge": ticket.challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        if again:
            words |= {"prompt": "login", "max_age": "0"}
        return f"{door}{'&' if '?' in door else '?'}{urlencode(words)}"

    def who(self, ticket: Ticket, code: str, back: str, issuer: str) -> Known:
        """Ask the provider who somebody is that it has sent back.

        Args:
            ticket: of this login.
            code: that the browser has brought.
            back: the address that it was sent back to.
            issuer: who has sent it, where the provider says so (RFC 9207).

        Raises:
            ProviderFailed: it was not reached, or has answered something else.
            NotBelieved: what it says is no proof, or not about anybody whom the claim could name.
        """
        doors = self._doors()
        if issuer != self._issuer and (issuer or doors.names_itself):
            raise NotBelieved(f"it was sent by {issuer[:200]!r}, and not by {self._issuer}")
        given = self._redeemed(doors, ticket, code, back)
        claims = self._proven(_text_of(given, "id_token"), ticket)
        about = claims if self.claim in claims else self._more(doors, given, claims)
        name, proved = about.get(self.claim), claims.get("auth_time")
        if not isinstance(name, str) or not name:
            raise NotBelieved(f"nothing has the claim `{self.claim}`")
        if self.claim == "email" and about.get("email_verified") is not True:
            raise NotBelieved("the address is not verified")
        recent = isinstance(proved, int | float) and proved >= time() - FRESH_SECONDS
        return Known(name=name, recent=recent)

    # -- what it says of somebody

    def _redeemed(self, doors: _Doors, ticket: Ticket, code: str, back: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": ticket.verifier,
            "client_id": self._client,
        }  # fmt: skip
        login: tuple[str, str] | None = None
        if self._secret and doors.by_form:
            form["client_secret"] = self._secret
        elif self._secret:
            login = (quote_plus(self._client), quote_plus(self._secret))  # RFC 6749, 2.3.1
        status, given = self._answer("POST", doors.token, data=form, auth=login)
        if status != 200:
            raise NotBelieved(f"it takes no code (HTTP {status}): {str(given.get('error'))[:100]!r}")
        return given

    def _proven(self, token: str, ticket: Ticket) -> dict[str, Any]:
        """Return the claims of a token that is signed, for this page and of this login."""
        try:
            found = self._jwt.decode(token, self._key_of, algorithms=list(ALGORITHMS))
            claims: dict[str, Any] = found.claims
            self._jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self._issuer}, aud={"essential": True, "value": self._client},
                sub={"essential": True}, exp={"essential": True}, iat={"essential": True},
                nonce={"essential": True, "value": ticket.nonce},
            ).validate(claims)  # fmt: skip
        except (self._bad, ValueError) as error:
            raise NotBelieved(f"its token is not good: {error}") from error
        audience, party = claims["aud"], claims.get("azp")
        several = isinstance(audience, list) and audience != [self._client]
        if party != self._client and (several or party is not None):
            raise NotBelieved(f"its token is for {str(party)[:200]!r}")
        return claims

    def _key_of(self, token: Any) -> Any:
        """Return the key that a token names, of those that are published; read anew where it is none of them."""
        headers: Mapping[str, Any] = token.headers()
        way = str(headers.get("alg"))
        if way not in ALGORITHMS:
            raise NotBelieved(f"its token is signed by {way[:40]!r}")
        for fresh in (False, True):
            keys = [one for one in self._published(fresh=fresh) if one.get("kty") == _KINDS[way[:2]]]
            fitting = [one for one in keys if "kid" not in headers or one.get("kid") == headers["kid"]]
            if len(fitting) == 1:
                return self._import_key(fitting[0])
        raise NotBelieved("its token names no key that it publishes")

    def _more(self, doors: _Doors, given: Mapping[str, Any], claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for what is not in the token, as some providers want it."""
        if not doors.userinfo:
            return {}
        headers = {"Authorization": f"Bearer {_text_of(given, 'access_token')}"}
        status, told = self._answer("GET", doors.userinfo, headers=headers)
        if status != 200 or told.get("sub") != claims["sub"]:
            raise NotBelieved(f"it says nothing more of whom its token is about (HTTP {status})")
        return told

    # -- what it says of itself

    def _doors(self) -> _Doors:
        asked = monotonic()
        with self._lock:
            if self._read is None or self._read.until < monotonic():
                at, why = self._failure
                if at > asked:  # somebody has tried it meanwhile: many who wait wait once
                    raise ProviderFailed(why)
                try:
                    self._read, self._keys = self._discovered(), None
                except ProviderFailed as error:
                    self._failure = (monotonic(), str(error))
                    raise
            return self._read

    def _discovered(self) -> _Doors:
        at = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        status, told = self._answer("GET", at)
        if status != 200 or told.get("issuer") != self._issuer:
            raise ProviderFailed(f"{at} says HTTP {status}, and that the issuer is {str(told.get('issuer'))[:200]!r}")
        ways = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return _Doors(
            authorization=self._door(told, "authorization_endpoint"), token=self._door(told, "token_endpoint"),
            keys=self._door(told, "jwks_uri"),
            userinfo=self._door(told, "userinfo_endpoint") if told.get("userinfo_endpoint") else "",
            by_form="client_secret_basic" not in ways,
            names_itself=told.get("authorization_response_iss_parameter_supported") is True,
            until=monotonic() + _KEPT_SECONDS,
        )  # fmt: skip

    def _door(self, told: Mapping[str, Any], name: str) -> str:
        url = _text_of(told, name)
        if wrong := wrong_address(url):
            raise ProviderFailed(f"its {name} {wrong}: {url[:200]!r}")
        return url

    def _published(self, *, fresh: bool) -> list[dict[str, Any]]:
        doors = self._doors()
        with self._lock:
            if self._keys is None or fresh:
                status, told = self._answer("GET", doors.keys)
                keys = told.get("keys")
                if status != 200 or not isinstance(keys, list):
                    raise ProviderFailed(f"{doors.keys} has no keys (HTTP {status})")
                listed: list[Any] = keys  # pyright: ignore[reportUnknownVariableType]
                every = [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]
                self._keys = [one for one in every if one.get("use", "sig") == "sig"]
            return self._keys

    def _answer(self, method: str, url: str, **asked: Any) -> tuple[int, dict[str, Any]]:
        """Ask the provider; answer the status and the object of JSON."""
        headers = {"Accept": "application/json", **asked.pop("headers", {})}
        body, ends = bytearray(), monotonic() + _ANSWER_SECONDS
        try:
            with (
                self._http.Client(verify=_trusted(), timeout=_ANSWER_SECONDS / 2, follow_redirects=False) as client,
                client.stream(method, url, headers=headers, **asked) as answer,
            ):
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES or monotonic() > ends:
                        raise ProviderFailed(f"the answer of {url} is too long, or takes too long")
                status = int(answer.status_code)
        except (self._http.HTTPError, self._http.InvalidURL) as error:
            raise ProviderFailed(f"{url}: {error or type(error).__name__}") from error
        try:
            return status, msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProviderFailed(f"the answer of {url} is no object of JSON (HTTP {status})") from error


def provider_of(settings: Settings) -> Provider | None:
    """Return the provider that the settings name, without asking it; None where they name none.

    Raises:
        BadSetting: ONS-1007, something is missing, or the address is none that can be trusted.
        MissingExtra: ONS-1008, `pip install 'onserver[oidc]'`.
    """
    given = settings.admin
    issuer, client = given.oidc_issuer, given.oidc_client
    if not issuer:
        for name in ("client", "secret"):
            if getattr(given, f"oidc_{name}"):
                raise _bad(settings, f"oidc_{name}", "(set)", "no `admin.oidc_issuer` says whom it is for")
        return None
    if wrong := wrong_address(issuer):
        raise _bad(settings, "oidc_issuer", issuer, f"it {wrong}")
    if "?" in issuer or "#" in issuer:
        raise _bad(settings, "oidc_issuer", issuer, "it has to be the address alone, as in https://login.example.com")
    if not client:
        raise _bad(settings, "oidc_issuer", issuer, "`admin.oidc_client`, the name of this page there, is missing")
    return Provider(issuer, client, given.oidc_secret, given.oidc_claim)


def wrong_address(url: str) -> str:
    """Tell what is wrong with an address of a provider: HTTPS alone, except on this machine; empty for nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no address"
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        return "is no address"
    if "@" in parts.netloc:
        return "may have no login in it"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)):
        return ""
    return "has to begin with https://, except on this machine"


@cache
def _trusted() -> Any:
    """The authorities of this machine, which take a while to read."""
    return load("httpx2:create_ssl_context", EXTRA)()


def _is_here(host: str) -> bool:
    try:
        return host == _LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad(settings: Settings, name: str, value: str, problem: str) -> BadSetting:
    key = f"admin.{name}"
    return BadSetting(key, value, problem, settings.sources.get(key, "the settings").partition(" line ")[0])


def _text_of(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise ProviderFailed(f"its answer has no `{name}`")
    return value


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
