"""PHP's own public routes: Meta verifies and posts here when the sidecar does not stand before."""

import hmac
import re
import zlib

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign, verify_token
from simulator.backend.body import read_body, refused_answer
from simulator.backend.engine import Engine
from simulator.backend.refusal import Refused
from simulator.backend.vendors import WEBHOOK_VERIFIED_AT, Vendor
from simulator.backend.webhook_table import store_raw
from simulator.backend.work import Work

PATH = "/whatsapp-webhook/{vendor_uid}"

#: The installation's own webhook, which belongs to no vendor.
BASE_WEBHOOK = "service-whatsapp"

_NAME = "whatsapp-webhook"

_SIGNATURE = re.compile("sha256=[0-9a-fA-F]{64}")


def public_routes(engine: Engine) -> list[Route]:
    webhook = _Webhook(engine)
    return [
        Route(PATH, webhook.verify, methods=["GET"]),
        Route(PATH, webhook.receive, methods=["POST"]),
    ]


class _Webhook:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def verify(self, request: Request) -> Response:
        """Answer Meta's verification with the bare challenge, and mark the vendor as verified."""
        return self._counted(await self._verify(request))

    async def receive(self, request: Request) -> Response:
        """Put a webhook that the vendor's app signed into the webhook table."""
        return self._counted(await self._receive(request))

    def _counted(self, response: Response) -> Response:
        self._engine.report.requests[_NAME][str(response.status_code)] += 1
        return response

    async def _verify(self, request: Request) -> Response:
        vendor_uid: str = request.path_params["vendor_uid"]
        challenge = _parameter(request, "challenge")
        token = _parameter(request, "verify_token").encode()
        right = hmac.compare_digest(token, verify_token(vendor_uid).encode())
        if not right or not challenge or _parameter(request, "mode") != "subscribe":
            return PlainTextResponse("Forbidden", 403)

        def mark(work: Work) -> bool:
            vendor = work.vendors.find(vendor_uid)
            if vendor is not None:
                work.vendors.set(vendor, WEBHOOK_VERIFIED_AT, work.now)
            return vendor is not None or vendor_uid == BASE_WEBHOOK

        if not await self._engine.unsigned(mark):
            return PlainTextResponse("Forbidden", 403)
        return PlainTextResponse(challenge)

    async def _receive(self, request: Request) -> Response:
        try:
            body = await read_body(request, self._engine.config.max_body_bytes)
        except Refused as refused:
            return refused_answer(refused)
        plain = _plain(body, request, self._engine.config.max_body_bytes)
        if isinstance(plain, Response):
            return plain
        vendor_uid: str = request.path_params["vendor_uid"]
        given = request.headers.get(SIGNATURE_HEADER, "")
        dropped = ("content-encoding", "content-length")
        headers = {name: text for name, text in request.headers.items() if name not in dropped}

        def store(work: Work) -> Response:
            vendor = work.vendors.find(vendor_uid)
            if vendor is None:
                return PlainTextResponse("Not Found", 404)
            signature = _signature(vendor, given, plain, body)
            if signature is None:
                return PlainTextResponse("Unauthorized", 401)
            named = headers | {SIGNATURE_HEADER.lower(): signature}
            store_raw(work, vendor, named, plain)
            return PlainTextResponse("done")

        return await self._engine.unsigned(store)


def _parameter(request: Request, name: str) -> str:
    """Return a ``hub.*`` parameter. PHP makes underscores of the dots in their names."""
    query = request.query_params
    return query.get(f"hub.{name}") or query.get(f"hub_{name}") or ""


def _plain(body: bytes, request: Request, limit: int) -> bytes | Response:
    """Return the body without its encoding, or a refusal."""
    encoding = ",".join(request.headers.getlist("content-encoding")).strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        return PlainTextResponse("Unsupported Media Type", 415)
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        return PlainTextResponse("Bad Request", 400)
    if len(plain) > limit:
        return PlainTextResponse("Content Too Large", 413)
    whole = stream.eof and not stream.unused_data
    return plain if whole else PlainTextResponse("Bad Request", 400)


def _signature(vendor: Vendor, given: str, plain: bytes, sent: bytes) -> str | None:
    """Return the body's own signature, if one of the vendor's app secrets has made the given one:
    over the body, or over the bytes as they were sent."""
    if not _SIGNATURE.fullmatch(given):
        return None
    for secret in filter(None, vendor.app_secrets):
        own = sign(secret.encode(), plain)
        of_sent = sign(secret.encode(), sent)
        if any(hmac.compare_digest(one, given.lower()) for one in (own, of_sent)):
            return own
    return None
