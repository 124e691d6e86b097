"""A host of the installation: what runs there, and what it can reach."""

import socket
from collections.abc import Mapping
from pathlib import Path

from simulator.chaos.hosts import wire
from simulator.processes import Process, python


class At(Process):
    """A part that is reached from other machines, by the address of its own."""

    address = wire.SHARED

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class Host:
    """``rtt_ms``: how long its cable is, there and back. Start :attr:`cable` first."""

    def __init__(self, name: str, address: str, folder: Path, rtt_ms: float) -> None:
        self.name = name
        self.address = address
        self._folder = folder
        self._orders = folder / f"{name}.sock"
        command = python(
            *("simulator.chaos.hosts.wire", name, address, str(rtt_ms / 2), str(self._orders))
        )
        self.cable = Process(f"cable-{name}", command, folder / f"cable-{name}.log")

    def part(
        self, name: str, command: list[str], environment: Mapping[str, str], port: int = 0
    ) -> At:
        """Return a part that runs there."""
        inside = ["nsenter", f"--target={self.cable.pid}", "--net", "--uts", "--", *command]
        log = self._folder / f"{name}.log"
        part = At(name, inside, log, environment=environment, port=port)
        part.address = self.address
        return part

    def cut(self, *ports: int) -> None:
        """Have what goes to these ports, or comes from them, be lost; :data:`wire.ALL`: everything.
        None: it is whole again."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as orders:
            orders.sendto(" ".join(map(str, ports)).encode(), str(self._orders))
