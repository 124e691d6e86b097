"""Requests byte by byte, for what no client would send."""

import asyncio


async def ask(port: int, target: str, method: str = "POST", version: str = "1.1") -> int:
    """Send a request with this target, and return the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"{method} {target} HTTP/{version}\r\nHost: whatsapp.example.com\r\n"
            "Content-Length: 2\r\nConnection: close\r\n\r\n{}".encode("latin-1")
        )
        line = await asyncio.wait_for(reader.readline(), 10)
        return int(line.split()[1])
    finally:
        writer.close()
        await writer.wait_closed()
