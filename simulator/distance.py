"""A way to a server that is further away than it is: TCP, in both directions so much later.

``python -m simulator.distance PORT MS`` leads to this port of the loopback address. It has threads,
because an event loop's timers are no finer than a millisecond.
"""

import queue
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import click

from simulator.processes import Process, python

_CHUNK = 256 * 1024


class Distance(Process):
    """The same as a process. ``port`` is where it listens."""

    def __init__(self, folder: Path, to: int, ms: float) -> None:
        command = python("simulator.distance", str(to), str(ms))
        super().__init__("distance", command, folder / "distance.log")


def main() -> None:
    to, delay_s = int(sys.argv[1]), float(sys.argv[2]) / 1000
    with socket.create_server(("127.0.0.1", 0)) as listening:
        click.echo(f"listening on http://127.0.0.1:{listening.getsockname()[1]}")
        while True:
            near, _ = listening.accept()
            try:
                far = socket.create_connection(("127.0.0.1", to))
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _pass_on(one, other, delay_s)


def _pass_on(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    """Pass on what comes, in two threads: one takes the time at which it came."""
    came: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            came.put((time.monotonic(), data))

    def write() -> None:
        with suppress(OSError):
            while True:
                at, data = came.get()
                time.sleep(max(0.0, at + delay_s - time.monotonic()))
                if not data:
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    main()
