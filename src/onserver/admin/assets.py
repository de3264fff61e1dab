"""What browsers load besides pages: style, scripts and pictures, from the package, and from nowhere else.

They stand under a folder whose name is the hash of all of them, so that a browser may keep them for ever, a module that
imports its neighbour gets the one of the same release, and a new release is seen at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Assets:
    """All files of `admin/static`, read once.

    Attributes:
        version: the hash of all of them.
        contents: of each, by its path.
    """

    version: str
    contents: Mapping[str, bytes]

    def path(self, name: str) -> str:
        """Return the path below the prefix of a file.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self.contents:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def __contains__(self, name: str) -> bool:
        return name in self.contents


@cache
def assets() -> Assets:
    """Read the files of the package."""
    contents = dict(sorted(_found(files("onserver.admin") / "static")))
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Assets(digest.hexdigest()[:16], contents)


def routes() -> list[Route]:
    """Answer the route of the files; they are the same for everybody, so nobody has to log in for them."""
    return [Route("/static/{version}/{name:path}", _answer, methods=["GET"], name="static")]


async def _answer(request: Request) -> Response:
    name, known = request.path_params["name"], assets()
    content = known.contents.get(name)
    if content is None:
        return Response("Not found.", 404, media_type="text/plain")
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    right = request.path_params["version"] == known.version
    headers = {"ETag": tag, "Cache-Control": _FOR_EVER if right else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers={**headers, "Content-Type": _TYPES.get(name.rpartition(".")[2], "text/plain")})


def _found(folder: Traversable, above: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _found(entry, f"{above}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((above + entry.name, entry.read_bytes()))
    return found
