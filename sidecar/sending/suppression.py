"""Recipients that get nothing for a while: it was refused, and would be refused again.

They blocked the business, do not want its marketing, or cannot be reached on WhatsApp. This spares
the call, and the number's reputation. It is kept per vendor; where it is lost, the next message is
refused by the Cloud API again.
"""

from typing import cast

import orjson

from contracts.backend import SendError
from sidecar.clock import now_ms, utc_text
from sidecar.logs import LogOnce
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis


class Suppressed:
    """``window_s`` is for how long they get nothing; 0: nobody is suppressed."""

    def __init__(self, redis: Redis, window_s: int) -> None:
        self._redis = redis
        self._window_s = window_s
        self._outage = LogOnce("suppression.redis_unavailable")

    async def add(self, vendor_uid: str, errors: dict[str, SendError]) -> None:
        """Suppress recipients, each because of its error, in one round trip."""
        if not (self._window_s and errors):
            return
        pipeline = self._redis.pipeline(transaction=False)
        for recipient, error in errors.items():
            value = {"code": error.code, "message": error.message[:200], "at": now_ms()}
            key = keys.suppressed(vendor_uid, recipient)
            pipeline.set(key, orjson.dumps(value), ex=self._window_s)
        await pipeline.execute()

    async def find(self, vendor_uid: str, recipients: list[str]) -> dict[str, SendError]:
        """Return the errors that messages to those of them that are suppressed end with, in one
        round trip. While Redis is away nobody is."""
        if not (self._window_s and recipients):
            return {}
        try:
            names = [keys.suppressed(vendor_uid, recipient) for recipient in recipients]
            values = cast("list[bytes | None]", await self._redis.mget(names))
        except AnyRedisError as error:
            self._outage.failed(str(error))
            return {}
        self._outage.worked()
        return {
            recipient: _error(value)
            for recipient, value in zip(recipients, values, strict=True)
            if value is not None
        }


def _error(value: bytes) -> SendError:
    known = orjson.loads(value)
    said = f"the recipient had this error on {utc_text(known['at'])}: {known['message']}"
    return SendError(code=known["code"], message=f"not sent: {said}")
