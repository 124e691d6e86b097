"""An OpenTelemetry collector, as far as tests need one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson

from sidecar.spans import SPANS, Spans
from tests.threaded_server import ThreadedServer

Span = dict[str, Any]


class Collector:
    """Keeps what is posted, and answers ``status``; nothing while it is not ``open``."""

    def __init__(self) -> None:
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.requests: list[dict[str, Any]] = []
        self.types: set[str | None] = set()
        self._server = ThreadedServer(self._handler())

    @property
    def url(self) -> str:
        return f"{self._server.url}/v1/traces"

    @property
    def spans(self) -> list[Span]:
        """Return the spans of all requests."""
        return [
            span
            for request in list(self.requests)
            for resource in request["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def close(self) -> None:
        self.open.set()
        self._server.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.open.wait(20)
                collector.types.add(self.headers["Content-Type"])
                if collector.status == 200:
                    collector.requests.append(orjson.loads(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing: the test says what is wrong."""

        return Handler


@contextmanager
def recording() -> Iterator[Spans]:
    """Have this process record every span inside the block."""
    SPANS.record(1.0)
    try:
        yield SPANS
    finally:
        SPANS.record(0)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()
