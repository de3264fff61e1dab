"""A provider of OpenID Connect for tests, on a port of this machine: what it says can be bent as a test wants it."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.chromium import serving

CLIENT, SECRET = "onserver-admin", "a secret: of the client"
RSA_KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "two"})


class Provider:
    """The provider. `issuer` is set when it is served.

    Attributes:
        person: the claims about whoever logs in there.
        more: what it tells of them to who asks with the access token.
        bent: claims that the next tokens have instead of the right ones; None takes one out.
        changed: the same for what it says of itself.
        sign: makes a token of claims.
        published: the keys that it publishes.
        cancels: whether whoever logs in there gives up.
        failing: paths that answer 500.
        asked: paths that were asked for.
        logins: what it was sent browsers with.
    """

    def __init__(self) -> None:
        self.issuer = ""
        self.person: dict[str, Any] = {"sub": "7", "email": "ann@example.com", "email_verified": True}
        self.more: dict[str, Any] = {}
        self.bent: dict[str, Any] = {}
        self.changed: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = signed
        self.published: list[Any] = [RSA_KEY.as_dict(private=False)]
        self.cancels = False
        self.failing: set[str] = set()
        self.asked: list[str] = []
        self.logins: list[Mapping[str, str]] = []
        self._codes: dict[str, Mapping[str, str]] = {}

    def app(self) -> Starlette:
        every = {
            "/.well-known/openid-configuration": self._itself, "/authorize": self._authorize, "/token": self._token,
            "/keys": self._keys, "/userinfo": self._userinfo,
        }  # fmt: skip
        return Starlette(
            routes=[Route(path, self._heard(answer), methods=["GET", "POST"]) for path, answer in every.items()]
        )

    def _heard(self, answer: Callable[[Request, dict[str, str]], Response]) -> Callable[[Request], Any]:
        async def heard(request: Request) -> Response:
            path = request.url.path
            self.asked.append(path)
            if path in self.failing:
                return Response("it has failed", 500)
            sent = parse_qs((await request.body()).decode() or request.url.query)
            return answer(request, {name: values[0] for name, values in sent.items()})

        return heard

    def _itself(self, _request: Request, _sent: dict[str, str]) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo", **self.changed,
            }
        )  # fmt: skip

    def _authorize(self, _request: Request, sent: dict[str, str]) -> Response:
        self.logins.append(sent)
        back = {"state": sent["state"], "iss": self.issuer}
        if self.cancels:
            back["error"] = "access_denied"
        else:
            back["code"] = token_urlsafe()
            self._codes[back["code"]] = sent
        return RedirectResponse(f"{sent['redirect_uri']}?{urlencode(back)}", 302)

    def _token(self, request: Request, sent: dict[str, str]) -> Response:
        login = self._codes.pop(sent.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent.get("code_verifier", "").encode()).digest())
        by_form = "client_secret_post" in self.changed.get("token_endpoint_auth_methods_supported", ())
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(':', '%3A').replace(' ', '+')}".encode()).decode()
        wrong = [
            login is None, login and login["code_challenge"] != challenge.rstrip(b"=").decode(),
            login and login["code_challenge_method"] != "S256", login and login["redirect_uri"] != sent["redirect_uri"],
            sent.get("client_secret") != (SECRET if by_form else None),
            request.headers.get("authorization") != (None if by_form else f"Basic {basic}"),
        ]  # fmt: skip
        if login is None or any(wrong):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": login["nonce"]}
        claims = {name: value for name, value in {**self.person, **right, **self.bent}.items() if value is not None}
        return JSONResponse({"access_token": "an access token", "token_type": "Bearer", "id_token": self.sign(claims)})

    def _keys(self, _request: Request, _sent: dict[str, str]) -> Response:
        return JSONResponse({"keys": self.published})

    def _userinfo(self, request: Request, _sent: dict[str, str]) -> Response:
        known = request.headers.get("authorization") == "Bearer an access token"
        return JSONResponse(self.more, 200 if known else 401)


def signed(claims: dict[str, Any], key: Any = RSA_KEY, **header: Any) -> str:
    """A token, signed with a key as it is meant to be, or as a test says."""
    way = {"alg": "ES256" if key is EC_KEY else "RS256", "kid": key.kid, **header}
    return jwt.encode(
        {name: value for name, value in way.items() if value is not None}, claims, key, algorithms=[way["alg"]]
    )


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider for the block."""
    made = Provider()
    with serving(made.app()) as at:
        made.issuer = at
        yield made
