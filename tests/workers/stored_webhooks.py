"""Webhooks in PHP's own table, and who takes them over."""

import base64
import uuid
from typing import Any

import orjson

from contracts import backend as contract
from contracts.cloud_api.webhook import sign
from contracts.jobs import Job, Lane
from sidecar.inbox.store import InboxReader
from sidecar.ops.accounting import Counters
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Vendor
from tests.workers.payloads import account, change, envelope, message, value
from tests.workers.php import Answer, Call, Php
from workers.inbox.php_backlog import Backlog

PENDING = contract.PENDING_WEBHOOKS
TABLE = "whatsapp_webhook_queue"
SIGNATURE = sign(b"secret", b"")


class Stored:
    """The embedded backend with webhooks in its table, and who takes them over."""

    def __init__(self, embedded: EmbeddedBackend, php: Php, backend: Backend, redis: Redis) -> None:
        self.embedded = embedded
        self.php = php
        self.backend = backend
        self.redis = redis
        self.vendor = embedded.seed_vendor()
        self.rung: list[Job] = []
        self.lease = Lease("test", 1)
        self.backlog = self.another()

    def another(self) -> Backlog:
        """Make who comes after the one that died."""
        return Backlog(self.redis, self.backend, self.rung.append)

    async def store(self, *bodies: bytes, vendor: Vendor | None = None) -> None:
        """Have PHP store webhooks."""
        webhooks = [
            contract.StoredWebhook(
                id=str(uuid.uuid4()),
                vendor_uid=(vendor or self.vendor).uid,
                received_at=1_750_000_000_000,
                headers={"X-Hub-Signature-256": SIGNATURE},
                body_base64=base64.b64encode(body).decode(),
            )
            for body in bodies
        ]
        request = contract.StoreWebhooksRequest(webhooks=webhooks)
        await self.backend.call(contract.STORE_WEBHOOKS, request, contract.StoreWebhooksAnswer)

    @property
    def left(self) -> int:
        """How many rows are in PHP's table."""
        return len(self.embedded.rows(TABLE))

    async def inbox(self, lane: Lane, vendor: Vendor | None = None) -> list[bytes]:
        """Return what is in a vendor's inbox."""
        vendor_uid = (vendor or self.vendor).uid
        found = await InboxReader(self.redis).read(lane, {vendor_uid: "0"}, 10_000)
        return [webhook.body for entry in found[vendor_uid] for webhook in entry.webhooks]

    def fetched(self) -> list[Any]:
        """Return the calls that asked for a page."""
        return [call for call in self.php.to(PENDING) if call.json.get("limit")]

    def named(self) -> list[list[str]]:
        """Return what PHP was told of as taken."""
        return [call.json["taken"] for call in self.php.to(PENDING) if call.json.get("taken")]

    def on_deletion(self, given: Answer | Any) -> Any:
        """Have a call that names what was taken answered so."""

        def rule(call: Call) -> Any:
            if not call.json.get("taken"):
                return None
            return given(call) if callable(given) else given

        return self.php.when(PENDING, rule)

    async def assert_balanced(self) -> None:
        for accounting in await Counters(self.redis).read():
            assert accounting.balanced, accounting


def text(wamid: str, vendor: Vendor, sender: str = "99911") -> bytes:
    """Return a webhook with a customer's message that PHP takes."""
    content = value(messages=[message(sender, wamid)], contacts=[{"wa_id": sender}])
    content["metadata"] = {"phone_number_id": vendor.phone_number_ids[0]}
    return orjson.dumps(envelope(account(change(content))))
