"""Addresses at which nothing can be sent: each gives a URL for a setting such as ``cloud_api_url``.

The servers run on threads, so that processes can call them as well as tests.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from simulator.ports import free_ports
from tests.nginx.certificates import Authority

#: RFC 6761: this name never exists.
NO_SUCH_NAME = "https://graph.sidecar.invalid"


def nothing_listens(scheme: str = "http") -> str:
    """Return a URL whose port refuses connections."""
    [port] = free_ports(1)
    return f"{scheme}://127.0.0.1:{port}"


@contextmanager
def untrusted_tls(folder: Path) -> Iterator[str]:
    """Speak TLS with a certificate of an authority that nobody knows. ``folder``: for its files."""
    certificate, key = Authority(folder, "nobody").issue("server", "/CN=localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as encrypted:
            encrypted.recv(1)

    with _serving(serve) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def plain_http_behind_https() -> Iterator[str]:
    """Answer what should be TLS in plain HTTP."""

    def serve(client: socket.socket) -> None:
        client.recv(1024)
        client.sendall(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )

    with _serving(serve) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=_serve_all, args=(listener, serve), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Wakes the thread, which close() does not.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve_all(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        # A client that does not trust the certificate goes in the middle of the handshake.
        with client, suppress(OSError):
            client.settimeout(5.0)
            serve(client)
