"""A webhook URL with its app secret, and the webhooks that are waiting to go there."""

import asyncio
import ssl
from collections import deque
from typing import Protocol
from urllib.parse import urlsplit

from contracts.cloud_api.webhook import SIGNATURE_HEADER
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.connection import Connection
from simulator.cloud_api.post import Post

_USER_AGENT = "facebookexternalua"


class Settler(Protocol):
    """Hears how each try ended. ``paused``: nothing may be posted now."""

    paused: bool

    def starting(self) -> None: ...
    def answered(self, subscription: "Subscription", post: Post, status: int | None) -> None: ...


class Subscription:
    """Posts over kept-alive connections, as many at once as there may be connections."""

    def __init__(self, url: str, app_secret: str, config: CloudApiConfig, settler: Settler) -> None:
        self.url = url
        self.app_secret = app_secret
        self._settler = settler
        self._limit = config.webhook_connections
        self._timeout_s = config.webhook_timeout_ms / 1000
        self._stopped = False
        self._successor: Subscription | None = None
        self._queue: deque[Post] = deque()
        self._idle: list[Connection] = []
        self._connections: set[Connection] = set()
        self._posts: dict[Connection, Post] = {}
        self._connecting: dict[asyncio.Task[None], Post] = {}
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl = _context(config.webhook_tls_verify) if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nAccept: */*\r\n"
            f"User-Agent: {_USER_AGENT}\r\nContent-Type: application/json\r\n"
        ).encode()

    @property
    def in_flight(self) -> int:
        return len(self._posts) + len(self._connecting)

    def push(self, post: Post) -> None:
        """Post as soon as a connection is free."""
        if self._successor is not None:
            self._successor.push(post)
            return
        self._queue.append(post)
        self.pump()

    def _push_first(self, post: Post) -> None:
        if self._successor is not None:
            self._successor._push_first(post)
            return
        self._queue.appendleft(post)
        self.pump()

    def pump(self) -> None:
        """Start whatever can be started."""
        while self._queue and not self._settler.paused and not self._stopped:
            if self._idle:
                self._send(self._idle.pop(), self._queue.popleft())
            elif len(self._connections) + len(self._connecting) < self._limit:
                self._start_connecting(self._queue.popleft())
            else:
                break

    def move_to(self, successor: "Subscription") -> None:
        """Hand over what waits here, and what comes later."""
        self._successor = successor
        while self._queue:
            successor.push(self._queue.popleft())
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def stop(self) -> None:
        """Drop everything."""
        self._stopped = True
        self._queue.clear()
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        # Their loss is reported in the next turn of the loop.
        await asyncio.sleep(0)

    # -- connections call these --

    def answered(self, connection: Connection, status: int, *, reusable: bool) -> None:
        post = self._posts.pop(connection)
        if not reusable or self._successor is not None:
            connection.close()
        elif self._queue and not self._settler.paused:
            self._send(connection, self._queue.popleft())
        else:
            self._idle.append(connection)
        self._settler.answered(self, post, status)

    def failed(self, connection: Connection, *, stale: bool) -> None:
        post = self._posts.pop(connection)
        if stale:
            # Not a failed try: the server had closed an idle connection just now.
            self._push_first(post)
        elif not self._stopped:
            self._settler.answered(self, post, None)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self.pump()

    def _send(self, connection: Connection, post: Post) -> None:
        self._posts[connection] = post
        self._settler.starting()
        connection.send(self._request(post), self._timeout_s)

    def _request(self, post: Post) -> bytes:
        body = post.body()
        signature = post.signature(self.app_secret, body)
        signed = "" if signature is None else f"{SIGNATURE_HEADER}: {signature}\r\n"
        if post.encoding is not None:
            signed += f"Content-Encoding: {post.encoding}\r\n"
        length = f"{signed}Content-Length: {len(body)}\r\n\r\n".encode()
        return b"".join((self._head, length, body))

    def _start_connecting(self, post: Post) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(post))
        self._connecting[task] = post
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.pop(task)
        self.pump()

    async def _connect(self, post: Post) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, loop), self._host, self._port, ssl=self._ssl
                )
        except OSError:
            # TimeoutError is one.
            connection = None
        if connection is None or not connection.is_open:
            self._settler.starting()
            self._settler.answered(self, post, None)
            return
        self._connections.add(connection)
        self._send(connection, post)


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
