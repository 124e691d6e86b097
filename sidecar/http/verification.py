"""Meta's verification of a webhook's address."""

import hmac
from urllib.parse import parse_qs

import aiohttp
import structlog

from contracts.cloud_api.webhook import verify_token
from sidecar.php.client import Backend
from sidecar.url import webhook_url

log = structlog.get_logger()

#: How long PHP may take to answer. Less than nginx waits for us, so that nginx does not take the
#: sidecar for dead when PHP hangs.
TIMEOUT_S = 3.0

#: Statuses that PHP answers with; any other comes from something in between.
_VERIFIED = (200, 403, 404)


class Verification:
    """Answers ``GET /webhook/{vendor_uid}``, whoever handles the vendor's webhooks."""

    def __init__(self, backend: Backend, backend_url: str) -> None:
        self._backend = backend
        self._backend_url = backend_url

    async def answer(self, vendor_uid: str, query: bytes) -> tuple[int, bytes]:
        """Forward the verification to PHP, which marks the vendor as verified. While PHP is down,
        answer by PHP's rule: the token is the SHA-1 of the vendor's uid."""
        url = webhook_url(self._backend_url, vendor_uid, query)
        try:
            async with self._backend.session.get(
                url,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                if response.status in _VERIFIED:
                    return response.status, await response.read()
                reason = f"PHP answered {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        log.warning("verification.php_unavailable", vendor=vendor_uid, reason=reason)
        given = parse_qs(url.raw_query_string)
        token = given.get("hub.verify_token", [""])[0]
        challenge = given.get("hub.challenge", [""])[0]
        right = hmac.compare_digest(token.encode(), verify_token(vendor_uid).encode())
        if right and challenge:
            return 200, challenge.encode()
        return 403, b"verify_token_wrong"
