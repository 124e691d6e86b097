"""The console's style sheet and script, kept by clients for as long as they do not change."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from sidecar.console.paths import ROOT

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    digest: str
    media_type: str


@cache
def _files() -> dict[str, _File]:
    """Return the files by name; there are no others."""
    return {
        path.name: _File(
            content := path.read_bytes(),
            hashlib.sha256(content).hexdigest()[:16],
            _TYPES[path.suffix],
        )
        for path in _FOLDER.iterdir()
        if path.suffix in _TYPES
    }


def static_url(name: str) -> str:
    """Return the address of a file; it changes with what is in it."""
    return f"{ROOT}/static/{_files()[name].digest}/{name}"


async def serve_static(request: Request) -> Response:
    """Answer with a file. An address of another version gets what there is now, to be asked for
    again."""
    file = _files().get(request.path_params["name"])
    if file is None:
        return Response("not found", 404)
    is_same = request.path_params["digest"] == file.digest
    caching = _FOR_EVER if is_same else "no-cache"
    return Response(file.content, media_type=file.media_type, headers={"Cache-Control": caching})
