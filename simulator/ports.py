"""Loopback ports and sockets."""

import random
import socket
from pathlib import Path

#: Where ports begin. The system gives those from ``_EPHEMERAL`` on to outgoing connections, and one
#: of these may take a port between the moment that it is found and the moment that it is used.
_FIRST = 12_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

#: Independent of seeds: several processes look for ports at the same time.
_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, and that no outgoing connection takes."""
    end = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    if end <= _FIRST + 1000:
        raise OSError(f"{_EPHEMERAL} leaves no ports to servers: let it begin above 13,000")
    found: list[int] = []
    while len(found) < count:
        port = _random.randrange(_FIRST, end)
        if port not in found and _is_free(port):
            found.append(port)
    return found


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
