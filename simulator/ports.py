"""Loopback ports and sockets."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

#: Where ports begin. The system gives those from ``_EPHEMERAL`` on to outgoing connections, and one
#: of these may take a port between the moment that it is found and the moment that it is used.
_FIRST = 12_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

#: Independent of seeds: several processes look for ports at the same time.
_random = random.SystemRandom()
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, and that no outgoing connection takes. As long as this
    process runs, no other call gives them, in this process or in another one."""
    end = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    if end <= _FIRST + 1000:
        raise OSError(f"{_EPHEMERAL} leaves no ports to servers: let it begin above 13,000")
    found: list[int] = []
    while len(found) < count:
        port = _random.randrange(_FIRST, end)
        if port not in _given and _reserve(port) and _is_free(port):
            _given.add(port)
            found.append(port)
    return found


def _reserve(port: int) -> bool:
    """Reserve the port among the processes that look for some, until this one has ended."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _reservations() -> int:
    """Open the file whose bytes stand for ports. A lock on one is this process's alone, not its
    children's, and goes when it ends."""
    file = Path(tempfile.gettempdir()) / f"whatsapp-sidecar-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def listens(where: int | Path) -> bool:
    """Tell whether somebody takes connections on a loopback port, or on a socket file."""
    family = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
    address = ("127.0.0.1", where) if isinstance(where, int) else str(where)
    with socket.socket(family) as client:
        client.settimeout(1.0)
        try:
            client.connect(address)
        except OSError:
            return False
    return True
