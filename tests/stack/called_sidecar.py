"""A sidecar that PHP calls in a test."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts.signing import Audience, Verifier
from tests.contract.laravel import LaravelBackend


class CalledSidecar:
    """``calls``: path and body of each call that was signed as it should be. ``answers``: by path;
    what is not there is refused."""

    def __init__(self, url: str) -> None:
        #: With which PHP finds it.
        self.variables = {"WHATSAPP_SIDECAR_URL": url}
        self.calls: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "/internal/invalidate": {"result": "done"},
            "/internal/effects": {"taken": 1, "known": 0},
        }

    def called(self, path: str) -> list[Any]:
        """Return the bodies of the calls of a path."""
        return [body for called, body in self.calls if called == path]


@contextmanager
def called_sidecar() -> Iterator[CalledSidecar]:
    verifier = Verifier(Audience.SIDECAR, LaravelBackend.keys)
    with HTTPServer() as server:
        sidecar = CalledSidecar(server.url_for("").rstrip("/"))

        def answer(request: Request) -> Response:
            body = request.get_data()
            target = request.environ["REQUEST_URI"]
            verifier.verify(request.method, target, dict(request.headers), body)
            sidecar.calls.append((request.path, orjson.loads(body)))
            if request.path in sidecar.answers:
                return Response(orjson.dumps(sidecar.answers[request.path]), 200)
            refusal = b'{"error": {"code": "request_invalid", "message": "it says no"}}'
            return Response(refusal, 400)

        server.expect_request(re.compile(".*")).respond_with_handler(answer)
        yield sidecar
