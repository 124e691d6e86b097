"""``/_simulator/``: what tests and integrators ask of the simulator. Unsigned; loopback only.

- ``GET report``: the counts (:func:`simulator.cloud_api.report.report`).
- ``GET messages``, ``GET inbound``: every message, one JSON object a line.
- ``GET mishaps``: every send that was refused or hit by a fault, likewise.
- ``POST inbound`` :class:`InboundOrder`: customers write.
- ``GET | POST | DELETE faults``: see, add (:class:`~simulator.cloud_api.fault.FaultSpec`), clear.
- ``POST pause-webhooks``, ``POST resume-webhooks``.
- ``POST webhook-url`` :class:`WebhookUrlOrder`: webhooks go there from now on, also those that
  wait; with a verify token, only if the URL answers Meta's GET as it should.
- ``POST webhook?signature=valid|wrong|missing&phone_number_id=&retry=false``: any body, signed and
  posted as it is. The answer says what the receiver answered to the first try; with ``retry=true``
  it is then tried again like any other webhook.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import httpx
import orjson
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.config import HttpUrl, KnownType
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.fault import Fault, FaultSpec
from simulator.cloud_api.number import Number
from simulator.cloud_api.raw_post import RawPost, Signature
from simulator.cloud_api.report import inbound_lines, message_lines, mishap_lines, report

Model = TypeVar("Model", bound=BaseModel)

_LINES_AT_ONCE = 500


class InboundOrder(StrictModel):
    """What is not given is drawn. ``per_s`` spreads the messages over time."""

    phone_number_id: str | None = None
    from_: str | None = Field(default=None, alias="from", pattern=r"^[0-9]{5,15}$")
    text: str | None = None
    type: KnownType | None = None
    count: int = Field(default=1, ge=1, le=1_000_000)
    per_s: float | None = Field(default=None, gt=0)


class WebhookUrlOrder(StrictModel):
    """For one number, for the numbers of one account, or for all."""

    url: HttpUrl
    phone_number_id: str | None = None
    account_id: str | None = None
    verify_token: str | None = None


class Control:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [
            Route("/report", self.report, methods=["GET"]),
            Route("/messages", self.messages, methods=["GET"]),
            Route("/inbound", self.inbound, methods=["GET"]),
            Route("/mishaps", self.mishaps, methods=["GET"]),
            Route("/inbound", self.write_inbound, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/pause-webhooks", self.pause_webhooks, methods=["POST"]),
            Route("/resume-webhooks", self.resume_webhooks, methods=["POST"]),
            Route("/webhook-url", self.move_webhooks, methods=["POST"]),
            Route("/webhook", self.post_webhook, methods=["POST"]),
        ]

    async def report(self, _request: Request) -> Response:
        return _json(report(self._engine))

    async def messages(self, _request: Request) -> Response:
        return _stream(message_lines(self._engine.ledger))

    async def inbound(self, _request: Request) -> Response:
        return _stream(inbound_lines(self._engine.ledger))

    async def mishaps(self, _request: Request) -> Response:
        return _stream(mishap_lines(self._engine.ledger))

    async def write_inbound(self, request: Request) -> Response:
        order = await _read(request, InboundOrder)
        number = self._number(order.phone_number_id)

        def write(_: object = None) -> str:
            customers = self._engine.customers
            return customers.write(number, order.from_, text=order.text, type_=order.type).wamid

        if order.per_s is None:
            return _json({"count": order.count, "wamids": [write() for _ in range(order.count)]})
        for at in range(order.count):
            self._engine.scheduler.after(at / order.per_s, write, None)
        return _json({"count": order.count, "wamids": []})

    async def list_faults(self, _request: Request) -> Response:
        return _json([_fault(one) for one in self._engine.faults.list()])

    async def add_fault(self, request: Request) -> Response:
        fault = self._engine.faults.add(await _read(request, FaultSpec))
        return _json(_fault(fault), 201)

    async def clear_faults(self, _request: Request) -> Response:
        return _json({"cleared": self._engine.faults.clear()})

    async def pause_webhooks(self, _request: Request) -> Response:
        self._engine.pause_webhooks(paused=True)
        return _json({"paused": True})

    async def resume_webhooks(self, _request: Request) -> Response:
        self._engine.pause_webhooks(paused=False)
        return _json({"paused": False})

    async def move_webhooks(self, request: Request) -> Response:
        order = await _read(request, WebhookUrlOrder)
        numbers = [
            one
            for one in self._engine.numbers
            if order.phone_number_id in (None, one.phone_number_id)
            and order.account_id in (None, one.account_id)
        ]
        if not numbers:
            raise HTTPException(404, "no number has this phone_number_id and account_id")
        if order.verify_token is not None:
            await _verify(order.url, order.verify_token)
        self._engine.numbers.move_webhooks(order.url, numbers)
        return _json({"url": order.url, "numbers": [one.phone_number_id for one in numbers]})

    async def post_webhook(self, request: Request) -> Response:
        query = request.query_params
        number = self._number(query.get("phone_number_id"))
        if number.subscription is None:
            raise HTTPException(409, "there is no webhook URL: set one by POST webhook-url")
        if self._engine.delivery.paused:
            raise HTTPException(409, "webhooks are paused: POST resume-webhooks first")
        try:
            signature = Signature(query.get("signature", "valid"))
        except ValueError:
            raise HTTPException(400, "signature is valid, wrong or missing") from None
        retries = query.get("retry", "false") == "true"
        body = await request.body()
        post = RawPost(body, signature, self._engine.clock.now(), retries=retries)
        post.answer = asyncio.get_running_loop().create_future()
        self._engine.delivery.push(number.subscription, post)
        return _json({"status": await post.answer})

    def _number(self, phone_number_id: str | None) -> Number:
        if phone_number_id is None:
            return self._engine.numbers.first()
        number = self._engine.numbers.get(phone_number_id)
        if number is None:
            raise HTTPException(404, f"there is no number {phone_number_id!r}")
        return number


async def _verify(url: str, verify_token: str) -> None:
    challenge = str(secrets.randbelow(10**10))
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": challenge,
        "hub.verify_token": verify_token,
    }
    try:
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            answer = await client.get(httpx.URL(url).copy_merge_params(query))
    except httpx.HTTPError as error:
        raise HTTPException(422, f"the URL did not answer: {error!r}") from error
    if answer.status_code != 200 or answer.text.strip() != challenge:
        raise HTTPException(
            422, f"the URL answered {answer.status_code}, not 200 with the challenge"
        )


async def _read(request: Request, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(400, orjson.dumps(details, default=str).decode()) from None


def _fault(fault: Fault) -> dict[str, Any]:
    return {"id": fault.id, "hits": fault.hits, **fault.spec.model_dump(mode="json")}


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _stream(lines: Iterable[bytes]) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        chunk: list[bytes] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) == _LINES_AT_ONCE:
                yield b"".join(chunk)
                chunk.clear()
                await asyncio.sleep(0)
        yield b"".join(chunk)

    return StreamingResponse(chunks(), media_type="application/x-ndjson")
