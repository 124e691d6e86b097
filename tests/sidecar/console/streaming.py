"""What a live page sends, while somebody looks."""

import asyncio

from starlette.types import Message

from tests.sidecar.console.browser import Browser


async def first_events(browser: Browser, path: str, number: int = 1) -> dict[str, str]:
    """Open the stream of a page, and return the first events by their names; then go away."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/sidecar{path}",
        "raw_path": f"/sidecar{path}".encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"sidecar"), (b"cookie", cookies.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("sidecar", 80),
    }
    enough, body = asyncio.Event(), bytearray()

    async def receive() -> Message:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        body.extend(message.get("body", b""))
        if len(_events(body)) >= number:
            enough.set()

    async with asyncio.timeout(10):
        await browser.app(scope, receive, send)
    return _events(body)


def _events(body: bytearray) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in body.decode().split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.splitlines()]
        names = [value for field, value in fields if field == "event"]
        if names:
            found[names[0]] = "\n".join(value for field, value in fields if field == "data")
    return found
