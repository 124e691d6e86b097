"""The cable between hosts: what it takes, and what is cut."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.chaos.hosts import wire
from tests.chaos.hosts.hosts import require_hosts

#: Talks to a host of its own, of which it says how long a connection takes: with the cable whole,
#: with its port cut, and whole again.
LISTENER = """
import socket, time
server = socket.create_server(('10.77.0.11', 8600))
print("working on", socket.gethostname(), flush=True)
time.sleep(60)
"""
SCRIPT = f"""
import socket, sys, time
from pathlib import Path
from simulator.chaos.hosts import wire
from simulator.chaos.hosts.host import Host

LISTENER = {LISTENER!r}
wire.leave_network()
host = Host("host-a", "10.77.0.11", Path(sys.argv[1]), rtt_ms=20.0)

def connect():
    began = time.monotonic()
    try:
        socket.create_connection((host.address, 8600), timeout=0.5).close()
    except TimeoutError:
        return -1.0
    return time.monotonic() - began

with host.cable:
    with host.part("listener", [sys.executable, "-c", LISTENER], dict()):
        whole = connect()
        host.cut(8600)
        cut = connect()
        host.cut(6379)
        print(whole, cut, connect())
print(Path(sys.argv[1], "listener.out").read_text().split()[-1])
"""


def test_a_cable_is_as_long_as_is_said_and_can_be_cut(tmp_path: Path) -> None:
    require_hosts()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    times, name = done.stdout.splitlines()
    whole, cut, mended = map(float, times.split())
    assert min(whole, mended) >= 0.02
    assert cut == -1.0
    assert name == "host-a"
    # Whoever runs the tests has the network that they had.
    own = subprocess.run(["ip", "address"], capture_output=True, text=True, check=True).stdout
    assert "10.77.0.1" not in own


def packet(source: int, target: int, protocol: int = 6) -> bytes:
    header = bytes([0x45]) + bytes(8) + bytes([protocol]) + bytes(10)
    return header + struct.pack("!HH", source, target)


@pytest.mark.parametrize(
    ("ports", "of", "is_cut"),
    [
        (set(), packet(8600, 6379), False),
        ({6379}, packet(40_000, 6379), True),
        ({6379}, packet(6379, 40_000), True),
        ({6379}, packet(40_000, 8600), False),
        ({6379}, packet(40_000, 6379, protocol=17), False),
        ({wire.ALL}, packet(40_000, 8600), True),
        ({wire.ALL}, bytes([0x60]) + bytes(60), True),
        ({6379}, bytes([0x60]) + bytes(60), False),
    ],
)
def test_what_is_cut(ports: set[int], of: bytes, is_cut: bool) -> None:
    assert wire.is_cut(of, ports) is is_cut


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_who_may_not_is_told() -> None:
    assert "for root alone" in (wire.refusal() or "")
