"""A receiver of webhooks, a client of the simulated Cloud API, and patience."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.cloud_api.clock import Clock
from simulator.cloud_api.config import (
    DEFAULT_ACCESS_TOKEN,
    DEFAULT_APP_SECRET,
    DEFAULT_PHONE_NUMBER_ID,
    CloudApiConfig,
)
from simulator.cloud_api.message import Message
from simulator.cloud_api.number import Number
from simulator.cloud_api.request import SendRequest
from simulator.cloud_api.server import Running, running

#: Nothing happens by chance, and everything at once and in order: webhooks on more than one
#: connection overtake each other.
QUIET: dict[str, Any] = {
    "seed": 1,
    "messages_per_s": 100_000,
    "sent_delay_ms": (0, 0),
    "delivered_delay_ms": (5, 5),
    "read_delay_ms": (5, 5),
    "failed_delay_ms": (5, 5),
    "reply_delay_ms": (0, 0),
    "held_delay_ms": (0, 0),
    "batch_sizes": {1: 1},
    "duplicate_share": 0,
    "reorder_share": 0,
    "early_share": 0,
    "webhook_connections": 1,
    "retry_first_ms": 20,
    "retry_max_ms": 60,
    "service_window_s": 0,
}


class HandClock(Clock):
    """Moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def now(self) -> float:
        return self.at


async def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait until something holds; fail if it does not in time."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        await asyncio.sleep(0.005)


@dataclass
class Webhook:
    at: float
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def changes(self) -> list[dict[str, Any]]:
        return [one for entry in orjson.loads(self.body)["entry"] for one in entry["changes"]]

    def updates(self, kind: str) -> list[dict[str, Any]]:
        return [one for change in self.changes for one in change["value"].get(kind, [])]

    def is_signed(self, app_secret: str = DEFAULT_APP_SECRET) -> bool:
        return self.headers.get(SIGNATURE_HEADER) == sign(app_secret.encode(), self.body)


@dataclass
class Receiver:
    """Takes webhooks. ``answers`` are used up one by one, before ``answer``."""

    url: str = ""
    answer: int = 200
    answers: list[int] = field(default_factory=list)
    delay_s: float = 0
    keep_alive: bool = True
    webhooks: list[Webhook] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    most_at_once: int = 0
    verify_token: str = "token"
    _at_once: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.connections.add(request.transport)
        body = await request.read()
        self.webhooks.append(Webhook(time.monotonic(), request.path, body, dict(request.headers)))
        await asyncio.sleep(self.delay_s)
        self._at_once -= 1
        response = web.Response(status=self.answers.pop(0) if self.answers else self.answer)
        if not self.keep_alive:
            response.force_close()
        return response

    async def verify(self, request: web.Request) -> web.Response:
        if request.query["hub.verify_token"] != self.verify_token:
            return web.Response(status=403)
        return web.Response(text=request.query["hub.challenge"])

    def updates(self, kind: str) -> list[dict[str, Any]]:
        return [one for webhook in self.webhooks for one in webhook.updates(kind)]

    def statuses(self) -> list[str]:
        return [one["status"] for one in self.updates("statuses")]


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/{path:.*}", receiver.handle)
    app.router.add_get("/{path:.*}", receiver.verify)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook/vendor"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Answer:
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> int:
        code: int = self.json["error"]["code"]
        return code

    @property
    def wamid(self) -> str:
        wamid: str = self.json["messages"][0]["id"]
        return wamid


def message(to: str = "+4915112345678", **more: Any) -> dict[str, Any]:
    template = {"name": "offer", "language": {"code": "en"}, "components": []}
    return {
        "messaging_product": "whatsapp",
        "to": to,
        "type": "template",
        "template": template,
        **more,
    }


def sent_message(number: Number, wamid: str = "wamid.x", callback: str | None = None) -> Message:
    request = SendRequest("+49151", "49151", None)
    request.callback_data = callback
    return Message(wamid, number, request)


class Api:
    """A simulator under test, as its users see it."""

    def __init__(self, simulator: Running, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    async def send(self, to: str = "+4915112345678", **more: Any) -> Answer:
        return await self.post(orjson.dumps(message(to, **more)))

    async def post(
        self,
        body: bytes,
        phone_number_id: str = DEFAULT_PHONE_NUMBER_ID,
        token: str | None = DEFAULT_ACCESS_TOKEN,
    ) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"{self.simulator.url}/v25.0/{phone_number_id}/messages"
        async with self.session.post(url, data=body, headers=headers) as answer:
            return Answer(answer.status, answer.headers["Content-Type"], await answer.read())

    async def control(self, method: str, path: str, order: Any = None) -> Answer:
        data = io.BytesIO(order if isinstance(order, bytes) else orjson.dumps(order))
        url = f"{self.simulator.control_url}/{path}"
        async with self.session.request(
            method, url, data=None if order is None else data
        ) as answer:
            return Answer(answer.status, answer.headers["Content-Type"], await answer.read())

    async def number(
        self,
        phone_number_id: str = DEFAULT_PHONE_NUMBER_ID,
        token: str | None = DEFAULT_ACCESS_TOKEN,
        query: str = "fields=id",
    ) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"{self.simulator.url}/v25.0/{phone_number_id}?{query}"
        async with self.session.get(url, headers=headers) as answer:
            return Answer(answer.status, answer.headers["Content-Type"], await answer.read())

    async def report(self) -> Any:
        return (await self.control("GET", "report")).json

    async def lines(self, path: str) -> list[Any]:
        body = (await self.control("GET", path)).body
        return [orjson.loads(line) for line in body.splitlines()]

    async def idle(self) -> Any:
        """Wait until nothing more will happen, and return the report."""
        await eventually(self.simulator.engine.is_idle)
        report = await self.report()
        assert report["idle"]
        return report


@asynccontextmanager
async def simulating(webhook_url: str | None = None, **settings: Any) -> AsyncIterator[Api]:
    """Run a quiet simulator with these settings."""
    config = CloudApiConfig(**(QUIET | {"webhook_url": webhook_url} | settings))
    async with running(config) as simulator, aiohttp.ClientSession() as session:
        yield Api(simulator, session)
