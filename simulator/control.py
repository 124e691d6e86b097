"""What a simulator that runs as a process says of itself, and is told to do (``/_simulator``)."""

from typing import Any, cast
from urllib.request import urlopen

import orjson

from simulator.processes import Process


def read(process: Process, what: str) -> dict[str, Any]:
    """Return what a simulator says of itself."""
    with urlopen(f"{process.url}/_simulator/{what}", timeout=10) as response:
        return cast("dict[str, Any]", orjson.loads(response.read()))


def lines(process: Process, what: str) -> list[dict[str, Any]]:
    """Return what a simulator tells line by line."""
    with urlopen(f"{process.url}/_simulator/{what}", timeout=60) as response:
        return [orjson.loads(line) for line in response]


def order(process: Process, what: str, order: dict[str, Any]) -> None:
    """Have a simulator do something."""
    body = orjson.dumps(order)
    with urlopen(f"{process.url}/_simulator/{what}", body, timeout=10) as response:
        response.read()
