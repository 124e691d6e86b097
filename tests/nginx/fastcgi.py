"""A FastCGI responder in PHP-FPM's place: records parameters and body, and answers ``done``."""

import asyncio
import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_HEADER = struct.Struct(">BBHHBx")
_END_REQUEST, _PARAMS, _STDIN, _STDOUT = 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class Called:
    parameters: dict[str, str]
    body: bytes


@dataclass
class Fpm:
    """Listens on a unix socket while it is entered."""

    path: Path
    called: list[Called] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams = {_PARAMS: bytearray(), _STDIN: bytearray()}
        request_id = 0
        while True:
            _, kind, request_id, length, padding = _HEADER.unpack(
                await reader.readexactly(_HEADER.size)
            )
            content = await reader.readexactly(length)
            await reader.readexactly(padding)
            if kind in streams:
                streams[kind] += content
            if kind == _STDIN and not length:
                break
        self.called.append(Called(_pairs(bytes(streams[_PARAMS])), bytes(streams[_STDIN])))
        answer = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\ndone"
        writer.write(_HEADER.pack(1, _STDOUT, request_id, len(answer), 0) + answer)
        writer.write(_HEADER.pack(1, _END_REQUEST, request_id, 8, 0) + bytes(8))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _pairs(data: bytes) -> dict[str, str]:
    """Return the parameters; of two with the same name, PHP-FPM takes the last."""
    pairs, at = {}, 0
    while at < len(data):
        lengths = []
        for _ in range(2):
            size = data[at]
            if size & 0x80:
                size = int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF
                at += 3
            at += 1
            lengths.append(size)
        name = data[at : at + lengths[0]]
        value = data[at + lengths[0] : at + sum(lengths)]
        pairs[name.decode()] = value.decode()
        at += sum(lengths)
    return pairs
