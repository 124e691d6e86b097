"""What all internal routes share: the signature check, and the form of refusals."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contracts.backend import ErrorCode
from contracts.effects import read
from contracts.signing import Refusal, SignatureRefused, Verifier
from sidecar.php.client import BackendError, BackendRefused
from sidecar.php.expiring_map import ExpiringMap
from sidecar.redis.client import Redis, RedisUnavailable
from sidecar.redis.nonces import Nonces
from sidecar.tasks import tick
from sidecar.trace import HEADER, tracing

log = structlog.get_logger()

#: Maximum body. Internal calls are small; nothing that PHP sends comes near this.
BODY_LIMIT = 1024 * 1024

#: How often to check that Redis still knows since when it has remembered nonces.
BEGIN_EVERY_S = 1.0

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[Request, bytes], Awaitable[BaseModel]]


class CallRefused(Exception):
    """Answer ``status`` with this code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Internal:
    """Wraps a handler of an internal route: verified calls reach it, others get 401.

    What stops something is taken also while Redis is away or full. Its nonce is then remembered by
    this process alone, so it may be replayed to another one: that stops what is stopped already.
    """

    def __init__(self, verifier: Verifier, redis: Redis) -> None:
        self._verifier = verifier
        self._nonces = Nonces(redis, verifier.clock)
        self._without_redis: ExpiringMap[str] = ExpiringMap(verifier.nonce_ttl_s, time.monotonic)

    async def begin(self) -> None:
        """Record that nonces are remembered from now on, unless they are already."""
        await self._nonces.begin()

    async def run(self) -> None:
        """Repeat that periodically, in case Redis is wiped."""
        while True:
            await tick(BEGIN_EVERY_S)
            await self.begin()

    def route(
        self, handler: Handler, *, stops: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that gives the handler the verified body and answers with the
        model that it returns. ``stops``: it is called also without Redis."""

        async def endpoint(request: Request) -> Response:
            try:
                body = await self._verified(request, stops=stops)
                with tracing(request.headers.get(HEADER)):
                    answer = await handler(request, body)
            except SignatureRefused as error:
                log.warning("internal_call.refused", path=request.scope["path"], reason=error.code)
                return refusal(401, error.code, str(error))
            except CallRefused as error:
                return refusal(error.status, error.code, str(error))
            except ClientDisconnect:
                return refusal(400, ErrorCode.REQUEST_INVALID, "the body was broken off")
            except BackendRefused as error:
                if error.status == 404:
                    return refusal(404, error.code, f"PHP refused: {error}")
                # Anything else is between PHP and the sidecar, and not the caller's fault.
                return refusal(503, "backend_unavailable", f"PHP refused: {error}")
            except BackendError as error:
                return refusal(503, "backend_unavailable", f"PHP cannot be asked: {error}")
            except RedisUnavailable as error:
                return refusal(503, "redis_unavailable", f"Redis cannot be used: {error}")
            return Response(answer.model_dump_json(), media_type="application/json")

        return endpoint

    async def _verified(self, request: Request, *, stops: bool) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise CallRefused(
                    413, ErrorCode.BODY_TOO_LARGE, f"the body is over {BODY_LIMIT} bytes"
                )
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["raw_path"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        verified = self._verifier.verify(request.method, target, request.headers, bytes(body))
        if self._without_redis.get(verified.nonce) is not None:
            raise SignatureRefused(Refusal.NONCE_REPEATED)
        try:
            await self._nonces.claim(verified, self._verifier.nonce_ttl_s)
        except RedisUnavailable:
            if not stops:
                raise
            self._without_redis.add(verified.nonce, "taken without Redis")
        return bytes(body)


def parse(model: type[Model], body: bytes) -> Model:
    """Return the body as a model, or refuse the call with 400. No body is an empty object."""
    try:
        return read(model, body or b"{}")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise CallRefused(400, ErrorCode.REQUEST_INVALID, f"{where}: {first['msg']}") from None


def refusal(status: int, code: str, message: str) -> Response:
    """Return an :class:`contracts.backend.ErrorAnswer`."""
    content = orjson.dumps({"error": {"code": code, "message": message}})
    return Response(content, status, media_type="application/json")
