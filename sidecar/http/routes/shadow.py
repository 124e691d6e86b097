"""``POST /shadow/webhook/{vendor_uid}``: nginx mirrors webhooks here that go to PHP.

For installations that do not want webhooks to pass through the sidecar yet. nginx discards the
answer, but takes no further request from the connection until the mirrored one is answered; so the
answer comes at once, whatever happens to the webhook.
"""

import re

from starlette.types import Receive, Scope, Send

from sidecar.clock import now_ms
from sidecar.http.webhook import WebhookPolicy, signature_holds
from sidecar.metrics import METRICS, SHADOW_WEBHOOKS
from sidecar.php.vendors import Vendors
from sidecar.shadow.recorder import ShadowRecorder, is_compared

#: A row's ``_uid`` is char(36). PHP is not asked about anything else.
_VENDOR_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ShadowEndpoint:
    """Records webhooks of vendors in shadow, and nothing else."""

    def __init__(self, policy: WebhookPolicy, vendors: Vendors, shadow: ShadowRecorder) -> None:
        self._policy = policy
        self._vendors = vendors
        self._shadow = shadow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        vendor_uid: str = scope["path_params"]["vendor_uid"]
        signature = next((v for n, v in scope["headers"] if n == b"x-hub-signature-256"), b"")
        body = await _read(receive, self._policy.body_limit)
        if body is None or not self._is_wanted(vendor_uid, signature, body):
            METRICS.counter(SHADOW_WEBHOOKS, "ignored").add()
        else:
            self._shadow.record(vendor_uid, body, now_ms())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _is_wanted(self, vendor_uid: str, signature: bytes, body: bytes) -> bool:
        if not _VENDOR_UID.fullmatch(vendor_uid):
            return False
        asked, config = self._vendors.peek(vendor_uid)
        if not asked:
            self._vendors.wonder(vendor_uid)  # for the next one
        if config is None or not is_compared(config.modes, body):
            return False
        secrets = (secret.encode() for secret in config.app_secrets)
        return not self._policy.enforce or signature_holds(
            signature, body, (*self._policy.app_secrets, *secrets)
        )


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return the body; None if it is too large or was broken off."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)
