"""The webhook routes: what Meta calls.

A POST is checked, written to the inbox and answered with 200 once it is on disk. The body is not
parsed: any shape with a valid signature is kept. This is a plain ASGI endpoint, without request and
response objects, because it is the busiest one.

If PHP handles a vendor's webhooks (mode ``php`` or ``shadow``), they are forwarded to it
(sidecar/http/proxy.py). Webhooks that PHP fails on are kept in the inbox, if that is allowed, and
the workers deliver them like all others. New webhooks go to PHP meanwhile and may overtake them.
That breaks no promise: Meta guarantees no order, and PHP handles webhooks concurrently. The
alternative is worse: one undeliverable webhook would keep a vendor away from a PHP that works.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog
from starlette.types import Receive, Scope, Send

from contracts.backend import VendorConfig
from contracts.modes import Mode, Modes
from sidecar.clock import now_ms
from sidecar.http.bodies import BodyRefused, Decoder, encoding_of, read_body
from sidecar.http.direct import MAX_BODY_BYTES, Answer, Take
from sidecar.http.post import Post, is_signature
from sidecar.http.proxy import Proxy, ProxyAnswer
from sidecar.http.proxy_headers import PROXIED
from sidecar.http.verification import Verification
from sidecar.inbox.lanes import lane_of
from sidecar.inbox.store import Inbox, InboxUnavailable
from sidecar.logs import LogOnce
from sidecar.metrics import ACK_SECONDS, METRICS, WEBHOOKS, WEBHOOKS_UNSIGNED
from sidecar.php.client import BackendError
from sidecar.php.vendors import TooManyStrangers, Vendors
from sidecar.settings import Settings, SignatureMode
from sidecar.shadow.recorder import ShadowRecorder, is_compared

log = structlog.get_logger()

#: A row's ``_uid`` is char(36). PHP is not asked about anything else.
_VENDOR_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: How long a webhook waits for its vendor's configuration. Then it is kept without.
VENDOR_WAIT_S = 2.0

_FLOOD_S = 1.0

#: The inbox cannot take the webhook; PHP may be able to.
INBOX_UNAVAILABLE = b"inbox_unavailable"

#: PHP's answer to a webhook, which Meta has always got.
DONE = b"done"


def _count_unsigned(webhook: Post) -> None:
    METRICS.counter(WEBHOOKS_UNSIGNED).add()
    log.warning("webhook.signature_invalid", vendor=webhook.vendor_uid, accepted=True)


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Which webhooks are accepted. ``enforce``: signatures must be valid, ``enforce_proxied``: also
    those of webhooks that PHP handles. ``keep_failed``: webhooks that PHP fails on are kept."""

    app_secrets: tuple[bytes, ...]
    enforce: bool
    enforce_proxied: bool
    keep_failed: bool
    body_limit: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            app_secrets=settings.app_secret_bytes,
            enforce=settings.webhook_signature is SignatureMode.ENFORCE,
            enforce_proxied=settings.proxy_signature is SignatureMode.ENFORCE,
            keep_failed=settings.proxy_keep_failed,
            body_limit=settings.webhook_body_limit_bytes,
        )


class WebhookEndpoint:
    """ASGI endpoint for ``GET|POST /webhook/{vendor_uid}`` and its older name."""

    def __init__(
        self,
        policy: WebhookPolicy,
        vendors: Vendors,
        verification: Verification,
        inbox: Inbox,
        proxy: Proxy,
        shadow: ShadowRecorder,
    ) -> None:
        self._policy = policy
        self._vendors = vendors
        self._verification = verification
        self._inbox = inbox
        self._proxy = proxy
        self._shadow = shadow
        self._decoder = Decoder(policy.body_limit)
        self._logged_at: dict[str, float] = {}
        self._proxy_outage = LogOnce("proxy.php_unavailable")
        self._inbox_outage = LogOnce("inbox.unavailable")
        self._acknowledged = METRICS.counter(WEBHOOKS, "acknowledged")
        self._ack_seconds = METRICS.histogram(ACK_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        vendor_uid: str = scope["path_params"]["vendor_uid"]
        if not _VENDOR_UID.fullmatch(vendor_uid):
            status, answer = self._answer(404, "vendor_unknown", vendor_uid=vendor_uid[:64])
        elif scope["method"] == "POST":
            taken = await self._take(vendor_uid, scope, receive)
            if isinstance(taken, ProxyAnswer):
                await taken.send_to(send)
                return
            status, answer = taken
        else:
            status, answer = await self._verification.answer(vendor_uid, scope["query_string"])
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(answer)),
        ]
        if status == 503 and answer != INBOX_UNAVAILABLE and self._vendors.is_stranger(vendor_uid):
            headers.append((PROXIED, b"1"))  # so that nginx does not hand it to PHP either
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    # -- POST, without the application --

    def direct(self, vendor_uid: str, scope: Scope) -> Take | None:
        """Return what takes this POST when its body is complete, if its head allows it: a body as
        it is, of a known and moderate length."""
        signature, length = b"", -1
        for name, value in scope["headers"]:
            if name == b"x-hub-signature-256":
                signature = value
            elif name == b"content-length" and value.isdigit() and len(value) < 10:
                length = int(value)
            elif name == b"content-encoding":
                return None
        if not 0 <= length <= min(MAX_BODY_BYTES, self._policy.body_limit):
            return None
        return partial(self._take_directly, vendor_uid, signature, time.perf_counter())

    def _take_directly(
        self, vendor_uid: str, signature: bytes, started_at: float, body: bytes, answer: Answer
    ) -> bool:
        """Put a webhook into the inbox that is certainly accepted, and answer when it is on disk.
        Returns False, with nothing done, about any other."""
        _, config = self._vendors.peek(vendor_uid)
        if config is None or config.modes.webhooks is not Mode.SIDECAR:
            return False
        webhook = Post(vendor_uid, signature, body, body, started_at)
        if not self._is_signed(webhook, config):
            return False
        try:
            written = self._put(webhook)
        except InboxUnavailable:
            return False

        def on_disk(written: asyncio.Future[None]) -> None:
            if error := written.exception():
                self._inbox_outage.failed(str(error))
                answer(*self._answer(503, INBOX_UNAVAILABLE.decode(), vendor_uid=vendor_uid))
                return
            self._inbox_outage.worked()
            answer(*self._acknowledge(webhook, config, started_at))

        written.add_done_callback(on_disk)
        return True

    # -- POST --

    async def _take(
        self, vendor_uid: str, scope: Scope, receive: Receive
    ) -> tuple[int, bytes] | ProxyAnswer:
        started_at = time.perf_counter()
        signature, encoded = b"", False
        for name, value in scope["headers"]:
            if name == b"x-hub-signature-256":
                signature = value
            elif name == b"content-length" and _exceeds(value, self._policy.body_limit):
                return self._answer(413, "body_too_large", vendor_uid=vendor_uid)
            elif name == b"content-encoding":
                encoded = True
        try:
            sent = await read_body(receive, self._policy.body_limit)
            if not encoded:
                webhook = Post(vendor_uid, signature, sent, sent, time.perf_counter())
                return await self._judge(webhook, scope, started_at)
            async with self._decoder.decoded(sent, encoding_of(scope["headers"])) as body:
                webhook = Post(vendor_uid, signature, body, sent, time.perf_counter())
                return await self._judge(webhook, scope, started_at)
        except BodyRefused as refused:
            return self._answer(refused.status, refused.reason, vendor_uid=vendor_uid)

    async def _judge(
        self, webhook: Post, scope: Scope, started_at: float
    ) -> tuple[int, bytes] | ProxyAnswer:
        vendor_uid = webhook.vendor_uid
        asked, config = self._vendors.peek(vendor_uid)
        signed = self._is_signed(webhook, config)
        if not asked:
            try:
                asked, config = await self._ask(webhook, signed)
            except TooManyStrangers:
                return self._answer(503, "too_many_unknown_vendors", vendor_uid=vendor_uid)
            signed = signed or self._is_signed(webhook, config)
        if config is not None and config.modes.webhooks is not Mode.SIDECAR:
            return await self._pass_on(webhook, signed, config.modes, scope)
        refusal = self._refusal(webhook, signed, asked, config)
        if refusal is not None:
            return self._answer(*refusal, vendor_uid=vendor_uid)
        if not await self._keep(webhook):
            return self._answer(503, INBOX_UNAVAILABLE.decode(), vendor_uid=vendor_uid)
        return self._acknowledge(webhook, config, started_at)

    def _acknowledge(
        self, webhook: Post, config: VendorConfig | None, started_at: float
    ) -> tuple[int, bytes]:
        if config is not None:
            self._record(webhook, config.modes)
        self._acknowledged.add()
        self._ack_seconds.observe(time.perf_counter() - started_at)
        return 200, DONE

    def _put(self, webhook: Post) -> asyncio.Future[None]:
        """As :meth:`Inbox.put`."""
        body, signature = webhook.body, webhook.signature[:128]
        return self._inbox.put(lane_of(body), webhook.vendor_uid, signature, body)

    async def _keep(self, webhook: Post) -> bool:
        """Write the webhook to the inbox, and return whether it is on disk."""
        try:
            await self._put(webhook)
        except InboxUnavailable as error:
            self._inbox_outage.failed(str(error))
            return False
        self._inbox_outage.worked()
        return True

    def _is_signed(self, webhook: Post, config: VendorConfig | None) -> bool:
        """Return whether the signature is right, by our secrets or the vendor's own."""
        if webhook.holds(self._policy.app_secrets):
            return True
        own = config.app_secrets if config is not None else ()
        return webhook.holds([secret.encode() for secret in own])

    async def _ask(self, webhook: Post, signed: bool) -> tuple[bool, VendorConfig | None]:
        """Return whether PHP has answered about the vendor, and its configuration. PHP is asked if
        the vendor's own secrets may decide, but not about a malformed signature."""
        if not signed and self._policy.enforce and not is_signature(webhook.signature):
            return False, None
        ask = self._vendors.get if signed else self._vendors.find
        try:
            async with asyncio.timeout(VENDOR_WAIT_S):
                return True, await ask(webhook.vendor_uid)
        except (BackendError, TimeoutError):
            return False, None

    def _refusal(
        self, webhook: Post, signed: bool, asked: bool, config: VendorConfig | None
    ) -> tuple[int, str] | None:
        """Return why the webhook is refused, as status and reason, or None."""
        if not signed:
            if not self._policy.enforce:
                _count_unsigned(webhook)
            elif asked or not is_signature(webhook.signature):
                return 401, webhook.fault
            else:
                # The vendor's own secrets are unknown while PHP is down: Meta will retry.
                return 503, "secrets_unavailable"
        if asked and config is None:
            return 404, "vendor_unknown"
        return None

    async def _pass_on(
        self, webhook: Post, signed: bool, modes: Modes, scope: Scope
    ) -> tuple[int, bytes] | ProxyAnswer:
        """Have PHP handle the webhook; keep it if PHP fails on it. PHP decides about signatures, as
        without a sidecar, unless ``proxy_signature`` says otherwise; but a kept webhook is
        delivered as genuine, so its signature must be valid."""
        if not signed:
            if self._policy.enforce_proxied:
                return self._answer(401, webhook.fault, vendor_uid=webhook.vendor_uid)
            _count_unsigned(webhook)
        plain = {**scope, "headers": webhook.headers(scope["headers"])}
        answer = await self._proxy.ask(webhook.vendor_uid, plain, webhook.body, webhook.here_at)
        genuine = signed or not self._policy.enforce
        if answer.failure is None:
            self._proxy_outage.worked()
            METRICS.counter(WEBHOOKS, "proxied").add()
            if genuine and answer.status < 300:
                self._record(webhook, modes)
            return answer
        self._proxy_outage.failed(answer.failure)
        if self._policy.keep_failed and genuine and not answer.looped and await self._keep(webhook):
            answer.close()
            METRICS.counter(WEBHOOKS, "kept").add()
            self._record(webhook, modes)
            return 200, DONE
        METRICS.counter(WEBHOOKS, "proxy_failed").add()
        return answer

    def _record(self, webhook: Post, modes: Modes) -> None:
        """Record the webhook for comparison, if the vendor is in shadow."""
        if is_compared(modes, webhook.body):
            self._shadow.record(webhook.vendor_uid, webhook.body, now_ms())

    def _answer(self, status: int, reason: str, *, vendor_uid: str) -> tuple[int, bytes]:
        """Refuse. Each refusal is counted; it is logged too, but those that come in floods (503)
        once per second and reason."""
        METRICS.counter(WEBHOOKS, reason).add()
        now = time.monotonic()
        if status < 500 or now - self._logged_at.get(reason, -_FLOOD_S) >= _FLOOD_S:
            self._logged_at[reason] = now
            log.warning("webhook.refused", status=status, reason=reason, vendor=vendor_uid)
        return status, reason.encode()


def _exceeds(content_length: bytes, limit: int) -> bool:
    """Return whether the header announces more. An invalid number is left to the server."""
    return content_length.isdigit() and (len(content_length) > 18 or int(content_length) > limit)
