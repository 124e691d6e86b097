"""What a simulator that runs as a process says of itself, and is told to do (``/_simulator``), and
what PHP tells the sidecar."""

from typing import Any, cast

import httpx
import orjson

from contracts.signing import Audience, Signer
from simulator.processes import Process

#: Processes are killed and started again, so no connection is kept.
_CLIENT = httpx.Client(
    timeout=60.0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
)


def read(process: Process, what: str) -> dict[str, Any]:
    """Return what a simulator says of itself. Raises ``httpx.HTTPError``, as the others do."""
    return cast("dict[str, Any]", orjson.loads(_call("GET", _url(process, what))))


def lines(process: Process, what: str) -> list[dict[str, Any]]:
    """Return what a simulator tells line by line."""
    return [orjson.loads(line) for line in _call("GET", _url(process, what)).splitlines()]


def read_list(process: Process, what: str) -> list[dict[str, Any]]:
    """Return what a simulator says of each of a few."""
    return cast("list[dict[str, Any]]", orjson.loads(_call("GET", _url(process, what))))


def requests(process: Process) -> list[dict[str, Any]]:
    """Return what a simulator of :mod:`simulator.outside` was asked."""
    return read_list(process, "requests")


def order(process: Process, what: str, order: dict[str, Any]) -> None:
    """Have a simulator do something."""
    _call("POST", _url(process, what), orjson.dumps(order))


def call_sidecar(process: Process, path: str, key: tuple[str, bytes]) -> dict[str, Any]:
    """Make one of PHP's signed calls, with an empty body. ``key``: its id and secret."""
    headers = Signer(Audience.SIDECAR, *key).headers("POST", path, b"{}")
    answer = _call("POST", process.url + path, b"{}", headers)
    return cast("dict[str, Any]", orjson.loads(answer))


def _url(process: Process, what: str) -> str:
    return f"{process.url}/_simulator/{what}"


def _call(
    method: str, url: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    response = _CLIENT.request(method, url, content=content, headers=headers)
    return response.raise_for_status().content
