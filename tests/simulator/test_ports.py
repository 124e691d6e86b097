"""Ports for servers."""

import socket
import subprocess
import sys

from simulator.ports import _EPHEMERAL, free_ports, listens


def test_they_are_free_and_of_no_outgoing_connection() -> None:
    first = int(_EPHEMERAL.read_text().split()[0])
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < first
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_is_listened_on_is_not_free() -> None:
    [port] = free_ports(1)
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port)
    assert not listens(port)


def test_a_port_is_given_once_among_all_processes() -> None:
    [port] = free_ports(1)
    program = (
        "from simulator import ports\n"
        f"numbers = iter([{port}, {port}, {port + 1}, {port + 2}, {port + 3}])\n"
        "ports._random.randrange = lambda *_: next(numbers)\n"
        "print(*ports.free_ports(1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) != port
