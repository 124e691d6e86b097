"""The sidecar's application in this process, with its lifespan, and the calls that come in.

Every answer is held against the OpenAPI document of the sidecar.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.jobs import Lane
from contracts.signing import Audience, Signer
from sidecar.http.app import create_app
from sidecar.http.front import Front
from sidecar.http.webhook import WebhookEndpoint
from sidecar.inbox.store import InboxEntry, InboxReader
from sidecar.metrics import METRICS, WEBHOOKS, WEBHOOKS_UNSIGNED
from sidecar.redis.client import Redis, connect
from sidecar.settings import Settings
from tests import trust
from tests.contracts.conformance import assert_conforms, load

DOCUMENT = load("sidecar")
VENDOR = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"

Content = bytes | AsyncIterator[bytes]


class Service:
    """``redis`` looks at the inbox from outside."""

    def __init__(self, app: Front, client: httpx.AsyncClient, redis: Redis) -> None:
        self.app = app
        self.client = client
        self.redis = redis
        self.endpoint: WebhookEndpoint = app.state.webhook
        self._tallied = METRICS.read()
        self._signer = Signer(Audience.SIDECAR, trust.KEY_ID, trust.SIGNING_SECRET.encode())

    @property
    def counts(self) -> dict[str, float]:
        """Why webhooks were not, or should not have been, acknowledged, since this was made."""
        counts: dict[str, float] = {}
        for series, value in METRICS.read().items():
            by = value - self._tallied.get(series, 0.0)
            if by and series.name == WEBHOOKS.name and series.labels != ("acknowledged",):
                counts[series.labels[0]] = by
            elif by and series.name == WEBHOOKS_UNSIGNED.name:
                counts["signature_wrong_accepted"] = by
        return counts

    async def request(self, method: str, target: str, **options: Any) -> httpx.Response:
        """Make a request, and check that the document allows its answer."""
        answer = await self.client.request(method, target, **options)
        is_json = answer.headers["content-type"] == "application/json"
        body = orjson.loads(answer.content) if is_json else answer.text
        assert_conforms(DOCUMENT, method, target, answer.status_code, body)
        return answer

    async def webhook(
        self,
        body: bytes,
        *,
        vendor_uid: str = VENDOR,
        secret: str | None = trust.APP_SECRET,
        path: str = "/webhook",
        headers: Mapping[str, str] = {},
        content: Content | None = None,
    ) -> httpx.Response:
        """Post a webhook, signed with ``secret`` if there is one. ``content`` goes out instead
        of ``body``, under its signature."""
        signed = {SIGNATURE_HEADER: sign(secret.encode(), body)} if secret is not None else {}
        return await self.request(
            "POST",
            f"{path}/{vendor_uid}",
            content=body if content is None else content,
            headers={**signed, **headers},
        )

    def signed(self, method: str, target: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers of an internal call."""
        return self._signer.headers(method, target, body)

    async def call(self, method: str, target: str, body: bytes = b"") -> httpx.Response:
        """Make an internal call as it should be."""
        headers = self.signed(method, target, body)
        return await self.request(method, target, content=body, headers=headers)

    async def entries(
        self, lane: Lane = Lane.MESSAGES, vendor_uid: str = VENDOR
    ) -> list[InboxEntry]:
        """Return what is in the inbox."""
        found = await InboxReader(self.redis).read(lane, {vendor_uid: "0"}, 10_000)
        return found[vendor_uid]

    async def bodies(self, lane: Lane = Lane.MESSAGES, vendor_uid: str = VENDOR) -> list[bytes]:
        entries = await self.entries(lane, vendor_uid)
        return [webhook.body for entry in entries for webhook in entry.webhooks]

    async def is_empty(self) -> bool:
        """Tell whether nothing at all is in Redis, counters included."""
        return not await self.redis.keys("inbox:*") and not await self.redis.keys("count:*")


@asynccontextmanager
async def running(settings: Settings, redis_url: str) -> AsyncIterator[Service]:
    """Run the application."""
    app = create_app(settings, redis_url)
    redis = connect(redis_url, timeout_s=5.0)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client,
    ):
        yield Service(app, client, redis)
    await redis.aclose()
