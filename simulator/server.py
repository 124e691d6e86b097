"""Serving a simulator, in a process of its own or beside a test."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator
from typing import Protocol

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Extension of a scope in which the server puts the connection's transport.
TRANSPORT = "simulator.transport"

#: Idle connections are kept for this long, so that a client rarely sends into a closing one.
_KEEP_ALIVE_S = 75

#: How long the end waits for requests that are being answered.
_SHUTDOWN_S = 1


class App(Protocol):
    """An ASGI application with a lifespan. ``let_go`` drops the connections whose answers are held
    back, as the server is about to stop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def let_go(self) -> None: ...


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application, which breaks connections on demand."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class Server(uvicorn.Server):
    """Leaves signals alone, tells when it listens, and stops at once."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        super().__init__(config)
        self._app = app
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests that are under way, and wait for nothing else."""
        self._app.let_go()
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            _, late = await asyncio.wait(state.tasks, timeout=_SHUTDOWN_S)
            for task in late:
                task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: App, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[str, Server]]:
    """Serve while the context is open; gives the URL, without a slash at its end, and the server.
    Port 0: any free one."""
    server = Server(app)
    with _listen(host, port) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if task.done():
            raise RuntimeError("the simulator did not start") from task.exception()
        try:
            yield _url(listener), server
        finally:
            server.stop()
            await task


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
