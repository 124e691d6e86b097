"""A way that takes time: everything comes, in order, and so much later."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.distance import Distance

MS = 30.0


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


def both_ends(far: socket.socket, way: Distance) -> tuple[socket.socket, socket.socket]:
    near = socket.create_connection(("127.0.0.1", way.port), timeout=10)
    there, _ = far.accept()
    there.settimeout(10)
    return near, there


def test_there_and_back(far: socket.socket, tmp_path: Path) -> None:
    with Distance(tmp_path, far.getsockname()[1], MS) as way:
        near, there = both_ends(far, way)
        with near, there:
            started = time.monotonic()
            near.sendall(b"ping")
            assert there.recv(10) == b"ping"
            there.sendall(b"pong")
            assert near.recv(10) == b"pong"
            assert time.monotonic() - started >= 2 * MS / 1000


def test_much_at_once_comes_in_order(far: socket.socket, tmp_path: Path) -> None:
    sent = bytes(range(256)) * 8000
    with Distance(tmp_path, far.getsockname()[1], 1.0) as way:
        near, there = both_ends(far, way)
        with near, there:
            near.sendall(sent)
            near.shutdown(socket.SHUT_WR)
            got = b""
            while part := there.recv(1 << 20):
                got += part
    assert got == sent


def test_an_end_that_closes_closes_the_other(far: socket.socket, tmp_path: Path) -> None:
    with Distance(tmp_path, far.getsockname()[1], 1.0) as way:
        near, there = both_ends(far, way)
        with near:
            there.close()
            assert near.recv(10) == b""
