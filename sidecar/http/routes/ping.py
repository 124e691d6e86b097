"""``POST /internal/ping``: PHP tests its connection to the sidecar. Changes nothing."""

from starlette.requests import Request

from contracts.sidecar_api import PingAnswer, PingRequest
from sidecar.clock import now_ms
from sidecar.http.signed_route import parse
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.version import VERSION

#: Lifetime of the token that ``sidecar check --deep`` leaves in Redis.
TOKEN_TTL_S = 60


class Ping:
    """Answers with version, clock, and whether it knows the token."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def answer(self, request: Request, body: bytes) -> PingAnswer:
        token = parse(PingRequest, body).token
        known = token is not None and bool(await self._redis.exists(keys.check(token)))
        return PingAnswer(version=VERSION, now=now_ms(), known=known)
