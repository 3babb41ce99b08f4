"""What no route takes on the dashboard port: the files of the dashboard, its screens, and words for the wrong door.

Files come from the package (checkout, wheel and zipapp alike), are read when first asked for and kept. Nothing outside
`static/` can be named: a path is taken apart and every piece must be a plain name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmflow_web.net.http import ServerCall
from llmflow_web.wire.headers import tokens

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' ws: wss:; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_SECURITY = (
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "txt": "text/plain; charset=utf-8",
}
_UNPACKABLE = frozenset({"png", "ico"})
_PIECE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_SCREEN = re.compile(
    r"/(?:(?:index\.html)?|traces(?:/[^/]+)?|diff/[^/]+/[^/]+|sessions(?:/[^/]+)?"
    r"|timeline|analytics|logs|metrics|models|prompts(?:/[^/]+)?|budgets|setup)"
)
_PROXY_PATHS = re.compile(r"/(?:[a-z][a-z0-9-]*/)?v1(?:beta)?/.+|/passthrough/.*")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, ready to be sent."""

    body: bytes
    packed: bytes | None  # gzip, where it is smaller
    etag: str
    type: str
    stamp: int  # when it was last written; 0 inside an archive


class Assets:
    """Answers for everything that has no route."""

    def __init__(self, *, proxy_port: Callable[[], int], root: Traversable | None = None) -> None:
        """Serve the package's `static` folder, or `root`. proxy_port: named to whoever knocks at the wrong door."""
        self._proxy_port = proxy_port
        self._root = root
        self._assets: dict[str, Asset] = {}

    def __repr__(self) -> str:
        return f"<Assets {len(self._assets)} files read>"

    def fallback(self, call: ServerCall) -> None:
        """Answer a call that no route takes."""
        path = call.path
        if path.startswith("/api/") or path == "/api":
            call.respond_json(404, {"error": "Not Found"})
        elif _PROXY_PATHS.fullmatch(path):
            self._wrong_door(call)
        elif call.head.method not in (b"GET", b"HEAD"):
            call.respond_json(404, {"error": "Not Found"})
        else:
            self._serve(call, "index.html" if _SCREEN.fullmatch(path) else path[1:])

    def _wrong_door(self, call: ServerCall) -> None:
        port = self._proxy_port()
        sentence = (
            f"This is the dashboard's port. Calls to a provider go to the proxy on port {port}: "
            f"set the base URL to http://localhost:{port}{call.path.partition('/v1')[0]}/v1"
        )
        error = {"message": sentence, "type": "invalid_request_error", "param": None, "code": "wrong_port"}
        call.respond_json(400, {"error": error})

    def _serve(self, call: ServerCall, name: str) -> None:
        asset = self._find(name)
        if asset is None:
            call.respond(404, [("content-type", "text/plain; charset=utf-8"), *_SECURITY], b"Not Found")
            return
        headers = [("etag", asset.etag), ("vary", "accept-encoding"), *_SECURITY]
        if _is_known(call, asset.etag):
            call.respond(304, headers)
            return
        headers.append(("content-type", asset.type))
        if asset.packed is not None and _takes_gzip(call):
            call.respond(200, [*headers, ("content-encoding", "gzip")], asset.packed)
        else:
            call.respond(200, headers, asset.body)

    def _find(self, name: str) -> Asset | None:
        """Return a file, from memory unless it was changed on disk since (while somebody works on it)."""
        pieces = name.split("/")
        ending = name.rpartition(".")[2]
        if ending not in _TYPES or not all(_PIECE.fullmatch(piece) for piece in pieces):
            return None
        file = self._folder().joinpath(*pieces)
        try:
            stamp = file.stat().st_mtime_ns if isinstance(file, Path) else 0
            asset = self._assets.get(name)
            if asset is None or asset.stamp != stamp:
                asset = self._assets[name] = make_asset(file.read_bytes(), ending, stamp)
        except (OSError, KeyError):  # KeyError: a zipapp has no such file
            return None
        return asset

    def _folder(self) -> Traversable:
        if self._root is None:
            from importlib import resources  # not needed to start

            self._root = resources.files("llmflow_web") / "static"
        return self._root


def make_asset(body: bytes, ending: str, stamp: int) -> Asset:
    """Make a file ready: its tag, its type, and its gzip form where that is smaller."""
    import hashlib

    packed: bytes | None = None
    if ending not in _UNPACKABLE:
        import gzip

        packed = gzip.compress(body, 9, mtime=0)
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return Asset(body, packed if packed is not None and len(packed) < len(body) else None, etag, _TYPES[ending], stamp)


def _is_known(call: ServerCall, etag: str) -> bool:
    known = tokens(call.head.headers, b"if-none-match")
    return b"*" in known or any(tag.removeprefix(b"w/") == etag.encode() for tag in known)


def _takes_gzip(call: ServerCall) -> bool:
    for coding in tokens(call.head.headers, b"accept-encoding"):
        name, _, parameters = coding.partition(b";")
        if name.strip() in (b"gzip", b"*"):
            return re.fullmatch(rb"q=0(?:\.0*)?", parameters.strip()) is None
    return False
