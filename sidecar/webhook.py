"""The webhook routes: what Meta calls.

A POST is checked, put into the inbox and answered with exactly 200 when it is on disk. Nothing in
it is parsed: a body of any shape that carries a valid signature is kept. This is a plain ASGI
endpoint, without request and response objects, because it is the busiest one.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Iterable
from urllib.parse import parse_qs, quote

import aiohttp
import structlog
from starlette.types import Receive, Scope, Send
from yarl import URL

from contracts.cloud_api.webhook import verify_token
from contracts.jobs import Lane
from sidecar.backend import Backend, BackendError
from sidecar.inbox import Inbox, InboxUnavailable
from sidecar.logs import Trouble
from sidecar.settings import SignatureMode
from sidecar.tally import ACK_SECONDS, TALLY, WEBHOOKS, WEBHOOKS_UNSIGNED
from sidecar.vendors import Vendors

log = structlog.get_logger()

_STATUSES = re.compile(rb'"statuses"\s*:')
_MESSAGES = re.compile(rb'"(?:messages|message_echoes)"\s*:')

#: ``_uid`` of a row is char(36). Anything else in its place names no vendor, and PHP is not asked.
_VENDOR_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: How long a webhook waits for what PHP says of its vendor. Then it is kept without.
VENDOR_WAIT_S = 2.0

#: Statuses with which PHP answers a verification; any other comes from something in between.
_VERIFIED = (200, 403, 404)

#: What may stand in a query as it is.
_QUERY = "!$&'()*+,;=:@/?%-._~[]"

#: What PHP answers to a webhook, and so what Meta has always got.
DONE = b"done"

#: How long PHP may take to answer a verification. Below what nginx waits for us, so that a PHP that
#: hangs does not make nginx take the sidecar for dead.
VERIFICATION_TIMEOUT_S = 3.0


def lane_of(body: bytes) -> Lane:
    """Tell the lane by a look at the bytes. Only a body that certainly holds nothing but
    statuses may wait; a wrong guess costs time and nothing else."""
    if _STATUSES.search(body) and not _MESSAGES.search(body):
        return Lane.STATUSES
    return Lane.MESSAGES


def signature_holds(signature: bytes, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Tell whether Meta's header fits the exact bytes under one of the app secrets. One that is
    empty counts for nothing: anybody could sign with it."""
    given = signature.removeprefix(b"sha256=")
    if len(given) != 64 or given == signature:
        return False
    return any(
        hmac.compare_digest(hmac.digest(secret, body, "sha256").hex().encode(), given)
        for secret in secrets
        if secret
    )


class _Refused(Exception):
    """The body is not taken: answer so, with this reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class WebhookEndpoint:
    """ASGI endpoint for ``GET|POST /webhook/{vendor_uid}`` and its older name."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        vendors: Vendors,
        backend: Backend,
        backend_url: str,
        app_secrets: tuple[bytes, ...],
        mode: SignatureMode,
        body_limit: int,
    ) -> None:
        self._inbox = inbox
        self._vendors = vendors
        self._backend = backend
        self._backend_url = backend_url
        self._app_secrets = app_secrets
        self._enforce = mode is SignatureMode.ENFORCE
        self._body_limit = body_limit
        self._inbox_trouble = Trouble("inbox_unavailable")
        self._acknowledged = TALLY.counter(WEBHOOKS, "acknowledged")
        self._ack_seconds = TALLY.histogram(ACK_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        vendor_uid: str = scope["path_params"]["vendor_uid"]
        if not _VENDOR_UID.fullmatch(vendor_uid):
            status, answer = self._answer(404, "vendor_unknown", vendor_uid=vendor_uid[:64])
        elif scope["method"] == "POST":
            status, answer = await self._take(vendor_uid, scope, receive)
        else:
            status, answer = await self._verify(vendor_uid, scope)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(answer)),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    # -- POST --

    async def _take(self, vendor_uid: str, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        started_at = time.perf_counter()
        signature = b""
        for name, value in scope["headers"]:
            if name == b"x-hub-signature-256":
                signature = value
            elif name == b"content-length" and _exceeds(value, self._body_limit):
                return self._answer(413, "body_too_large")
        try:
            body = await _read(receive, self._body_limit)
        except _Refused as refused:
            return self._answer(refused.status, refused.reason)
        refusal = await self._refusal(vendor_uid, signature, body)
        if refusal is not None:
            return self._answer(*refusal, vendor_uid=vendor_uid)
        try:
            await self._inbox.put(lane_of(body), vendor_uid, signature[:128], body)
        except InboxUnavailable as error:
            self._inbox_trouble.failed(str(error))
            return self._answer(503, "inbox_unavailable")
        self._inbox_trouble.worked()
        self._acknowledged.add()
        self._ack_seconds.observe(time.perf_counter() - started_at)
        return 200, DONE

    async def _refusal(
        self, vendor_uid: str, signature: bytes, body: bytes
    ) -> tuple[int, str] | None:
        """Return why the webhook cannot be kept, as status and reason, or None."""
        signed = signature_holds(signature, body, self._app_secrets)
        asked, config = self._vendors.peek(vendor_uid)
        if not asked and (signed or signature or not self._enforce):
            try:
                async with asyncio.timeout(VENDOR_WAIT_S):
                    config = await self._vendors.get(vendor_uid)
                asked = True
            except (BackendError, TimeoutError):
                asked = False
        if not signed and config is not None:
            secrets = (secret.encode() for secret in config.app_secrets)
            signed = signature_holds(signature, body, secrets)
        if not signed:
            if not self._enforce:
                TALLY.counter(WEBHOOKS_UNSIGNED).add()
                log.warning("webhook_signature_wrong", vendor=vendor_uid, accepted=True)
            elif asked or not signature:
                return 401, "signature_missing" if not signature else "signature_wrong"
            else:
                # The vendor's own secrets are not known while PHP is down: Meta comes again.
                return 503, "secrets_unavailable"
        if asked and config is None:
            return 404, "vendor_unknown"
        return None

    def _answer(
        self, status: int, reason: str, *, vendor_uid: str | None = None
    ) -> tuple[int, bytes]:
        TALLY.counter(WEBHOOKS, reason).add()
        if status in (401, 404):
            log.warning("webhook_refused", reason=reason, vendor=vendor_uid)
        return status, reason.encode()

    # -- GET --

    async def _verify(self, vendor_uid: str, scope: Scope) -> tuple[int, bytes]:
        """Hand the verification to PHP, which marks the vendor as verified. While PHP is down,
        answer from the rule that it follows: the token is the SHA-1 of the vendor's uid."""
        query = quote(scope["query_string"], safe=_QUERY)
        url = f"{self._backend_url}/whatsapp-webhook/{vendor_uid}?{query}"
        try:
            async with self._backend.session.get(
                URL(url, encoded=True),
                timeout=aiohttp.ClientTimeout(total=VERIFICATION_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                if response.status in _VERIFIED:
                    return response.status, await response.read()
                reason = f"PHP answered {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        log.warning("verification_without_php", vendor=vendor_uid, reason=reason)
        given = parse_qs(query)
        token = given.get("hub.verify_token", [""])[0]
        challenge = given.get("hub.challenge", [""])[0]
        right = hmac.compare_digest(token.encode(), verify_token(vendor_uid).encode())
        if right and challenge:
            return 200, challenge.encode()
        return 403, b"verify_token_wrong"


def _exceeds(content_length: bytes, limit: int) -> bool:
    """Tell whether the header announces more. One that is no number is left to the server."""
    return content_length.isdigit() and (len(content_length) > 18 or int(content_length) > limit)


async def _read(receive: Receive, limit: int) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, "body_broken_off")  # nobody reads it, and nothing is kept
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _Refused(413, "body_too_large")
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
