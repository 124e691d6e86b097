"""Clients that never finish what they send."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

#: Addresses of this machine from which others send.
OTHERS = [f"127.0.0.{number}" for number in range(2, 12)]


@contextmanager
def file_system(folder: Path, size: str) -> Iterator[Path]:
    """Have a file system of this size, in memory, in the place of a folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Slow:
    """A connection that has sent something, and sends no more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def status(self) -> int:
        """Return the status that it is answered with in the end, 0 if it is only closed."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), 30)
        except ConnectionError:
            return 0
        return int(line.split()[1]) if line else 0

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def slow(
    port: int, sent: bytes, count: int, sources: list[str] = OTHERS
) -> AsyncIterator[list[Slow]]:
    """Hold so many connections, from these addresses in turn, each of which has sent this."""

    async def begin(number: int) -> Slow:
        source = (sources[number % len(sources)], 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
        writer.write(sent)
        with suppress(ConnectionError):  # it was refused, and has not taken all
            await writer.drain()
        return Slow(reader, writer)

    clients = await asyncio.gather(*(begin(number) for number in range(count)))
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def unfinished(path: str, size: int, sent: int) -> bytes:
    """Return a POST that announces a body of ``size`` bytes, with the first ``sent`` of them."""
    head = f"POST {path} HTTP/1.1\r\nHost: whatsapp.example.com\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + bytes(sent)
