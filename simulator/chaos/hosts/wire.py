"""A host, and the cable that it hangs on: ``python -m simulator.chaos.hosts.wire``.

The process makes a network namespace and stays in it: that is the host. The cable's ends are two
TUN devices, one on the host and one where the process was started. Each packet is read from one,
held up for as long as the cable is long, and written to the other. What is cut is dropped without a
word, as by a plug that is pulled. Linux's netem does the same, in kernels that have it.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The machine on which everything runs that hosts share, and how it is called from there.
SHARED = "10.77.0.1"

_NEW_NETWORK, _NEW_NAMES = 0x4000_0000, 0x0400_0000
_TUN = Path("/dev/net/tun")
_SET_INTERFACE, _IS_TUN, _BARE = 0x4004_54CA, 0x0001, 0x1000
#: Fewer and larger packets than on a cable of copper: each costs Python some 20 us.
_MTU = 9000
_TCP = 6
#: What is waited for by the millisecond must not wait for a processor.
_NICE = -10

#: Everything is cut.
ALL = -1


class CannotMake(Exception):
    """No network of one's own can be made here. The message is one line that says why."""


def leave_network(*, names: bool = False) -> None:
    """Leave this process's network for an empty one, with a loopback device that works; with
    ``names`` also what the machine is called. Only for a process without threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK | (_NEW_NAMES if names else 0)) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise CannotMake(f"no network of one's own can be made: {reason}; it is for root alone")
    _ip("link", "set", "lo", "up")


def refusal() -> str | None:
    """Return why there can be no hosts here, in one line; None if there can."""
    code = "from simulator.chaos.hosts import wire; wire.leave_network(); wire._open('try')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CannotMake("there is no ip: apt-get install iproute2") from None
    except subprocess.CalledProcessError as error:
        raise CannotMake(f"ip {' '.join(arguments)}: {error.stderr.strip()}") from None


def _open(name: str) -> int:
    """Return a TUN device of this name in the network in which the process is."""
    try:
        device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CannotMake(f"{_TUN} cannot be used: {error.strerror}") from None
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH", name.encode(), _IS_TUN | _BARE))
    return device


def _plug(name: str, here: str, there: str) -> None:
    _ip("address", "add", here, "peer", there, "dev", name)
    _ip("link", "set", name, "up", "mtu", str(_MTU))


def main(name: str, address: str, delay_ms: str, control: str) -> None:
    ends = [_open(name)]
    _plug(name, SHARED, address)
    leave_network(names=True)
    socket.sethostname(name)
    ends.append(_open("cable"))
    _plug("cable", address, SHARED)
    with suppress(PermissionError):
        os.nice(_NICE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as orders:
        orders.bind(control)
        print(f"working on {name}", flush=True)  # noqa: T201
        _carry(ends, orders, float(delay_ms) / 1000)


def _carry(ends: list[int], orders: socket.socket, delay_s: float) -> None:
    """Carry packets until the process is ended. An order is the ports that are cut from now on."""
    on_the_way: deque[tuple[float, int, bytes]] = deque()
    cut: set[int] = set()
    sources: list[Any] = [*ends, orders]
    while True:
        wait_s = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        ready = select.select(sources, [], [], wait_s)[0]
        if orders in ready:
            cut = set(map(int, orders.recv(1000).split()))
        for end, other in (ends, reversed(ends)):
            if end in ready:
                for packet in _read(end):
                    on_the_way.append((time.monotonic() + delay_s, other, packet))
        now = time.monotonic()
        while on_the_way and on_the_way[0][0] <= now:
            _, end, packet = on_the_way.popleft()
            if not is_cut(packet, cut):
                with suppress(OSError):  # a queue that is full drops packets too
                    os.write(end, packet)


def _read(end: int) -> list[bytes]:
    packets = []
    with suppress(BlockingIOError):
        while True:
            packets.append(os.read(end, _MTU))
    return packets


def is_cut(packet: bytes, cut: set[int]) -> bool:
    """Tell whether a packet goes to or comes from a TCP port that is cut. Only IPv4 is known."""
    if not cut or packet[0] >> 4 != 4:
        return ALL in cut
    header = (packet[0] & 15) * 4
    ports = struct.unpack_from("!HH", packet, header) if packet[9] == _TCP else ()
    return ALL in cut or not cut.isdisjoint(ports)


if __name__ == "__main__":
    main(*sys.argv[1:])
