"""``POST /shadow/webhook/{vendor_uid}``: nginx mirrors webhooks here that go to PHP.

For installations that do not want webhooks to pass through the sidecar yet. nginx discards the
answer, but takes no further request from the connection until the mirrored one is answered; so the
answer comes at once, whatever happens to the webhook.
"""

import re

from starlette.types import Receive, Scope, Send

from sidecar.clock import now_ms
from sidecar.http.bodies import BodyRefused, Decoder, encoding_of, read_body
from sidecar.http.post import Post
from sidecar.http.webhook import WebhookPolicy
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
        self._decoder = Decoder(policy.body_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        vendor_uid: str = scope["path_params"]["vendor_uid"]
        signature = next((v for n, v in scope["headers"] if n == b"x-hub-signature-256"), b"")
        try:
            sent = await read_body(receive, self._policy.body_limit)
            async with self._decoder.decoded(sent, encoding_of(scope["headers"])) as body:
                wanted = self._is_wanted(Post(vendor_uid, signature, body, sent, 0.0))
                if wanted:
                    self._shadow.record(vendor_uid, body, now_ms())
        except BodyRefused:
            wanted = False
        if not wanted:
            METRICS.counter(SHADOW_WEBHOOKS, "ignored").add()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _is_wanted(self, webhook: Post) -> bool:
        vendor_uid = webhook.vendor_uid
        if not _VENDOR_UID.fullmatch(vendor_uid):
            return False
        asked, config = self._vendors.peek(vendor_uid)
        if not asked:
            self._vendors.wonder(vendor_uid)  # for the next one
        if config is None or not is_compared(config.modes, webhook.body):
            return False
        secrets = (secret.encode() for secret in config.app_secrets)
        return not self._policy.enforce or webhook.holds((*self._policy.app_secrets, *secrets))
