"""What goes out, to a server that counts."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER
from simulator.adversary.flood import CONNECTIONS, Flood, dawdle
from simulator.adversary.payloads import Post
from tests.eventually import eventually


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, bytes]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client has gone, as it was meant to."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.server.at_once += 1
        self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers[SIGNATURE_HEADER], body))
        self.server.at_once -= 1
        if body == b"break":
            self.close_connection = True
            return
        self.send_response(503 if body == b"refuse" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(body: bytes, at_s: float = 0.0) -> Post:
    return Post(at_s, "vendor", body, "sha256=x")


def test_answers_are_kept(server: Server) -> None:
    flood = Flood(server.server_port)
    flood.run([post(b"take"), post(b"refuse"), post(b"break"), *[post(b"more")] * 40])
    statuses = {one.post.body: (one.status, one.acknowledged) for one in flood.posted}
    assert statuses == {
        b"take": (200, True),
        b"refuse": (503, False),
        b"break": (0, False),
        b"more": (200, True),
    }
    assert len(server.seen) == len(flood.posted) == 43
    assert server.seen[0][:2] == ("/whatsapp-webhook/vendor", "sha256=x")
    assert server.most_at_once <= CONNECTIONS


def test_each_at_its_time(server: Server) -> None:
    began = time.monotonic()
    Flood(server.server_port).run([post(b"late", 0.2), post(b"soon")])
    assert [body for *_, body in server.seen] == [b"soon", b"late"]
    assert time.monotonic() - began >= 0.2


def test_the_end(server: Server) -> None:
    flood = Flood(server.server_port)
    thread = Thread(target=flood.run, args=([post(b"soon"), *[post(b"never", 3600.0)] * 9],))
    thread.start()
    flood.end()
    thread.join()
    assert all(one.post.body != b"more" for one in flood.posted)


async def test_slow_clients_come_to_no_end(server: Server) -> None:
    over = Event()
    thread = Thread(target=dawdle, args=(server.server_port, "vendor", 4, over))
    thread.start()
    await eventually(lambda: server.connections == 4)
    assert server.seen == []
    over.set()
    thread.join()
