"""``/_simulator/``: what tests and integrators ask of the simulator. Unsigned; loopback only.

- ``GET report``: the counts (:func:`simulator.cloud_api.report.report`).
- ``GET messages``, ``GET inbound``: every message, one JSON object a line.
- ``GET mishaps``: every send that was refused or hit by a fault, likewise.
- ``POST inbound`` :class:`InboundOrder`: customers write.
- ``GET | POST | DELETE faults``: see, add (:class:`~simulator.cloud_api.fault.FaultSpec`), clear.
- ``GET | POST | DELETE outages[?id=]``: the same for outages
  (:class:`~simulator.cloud_api.outage.OutageSpec`), which begin and end by the clock and hit reads
  as well; those that are over are listed too. ``DELETE`` ends one, or all.
- ``POST access-token`` :class:`~simulator.cloud_api.control_access.TokenOrder`: a new token takes
  the place of the old one, which gets 190, at once or after a while.
- ``POST numbers/remove``, ``numbers/restore``
  :class:`~simulator.cloud_api.control_access.NumberOrder`: meanwhile the number is gone (100 with
  subcode 33).
- ``GET | POST | DELETE account-blocks[?account_id=]``
  :class:`~simulator.cloud_api.control_access.BlockOrder`: an account is locked, or has a problem
  with its payment, until that is lifted.
- ``POST media`` :class:`~simulator.cloud_api.control_media.MediaOrder`: something to fetch,
  without a message that names it. ``GET media``: all there is, one JSON object a line.
- ``GET | POST | DELETE media-faults``: the same for fetching it
  (:class:`~simulator.cloud_api.media_fault.MediaFaultSpec`).
- ``POST pause-webhooks``, ``POST resume-webhooks``.
- ``POST webhook-url`` :class:`WebhookUrlOrder`: webhooks go there from now on, also those that
  wait; with a verify token, only if the URL answers Meta's GET as it should.
- ``POST webhook?signature=valid|upper|wrong|missing&phone_number_id=&retry=false``: any body,
  signed and posted as it is, with its Content-Encoding (``upper``: the right signature in
  capitals). The answer says what the receiver answered to the first try; with ``retry=true`` it is
  then tried again like any other webhook.
- ``GET templates``, ``POST templates`` :class:`~simulator.cloud_api.template.TemplateConfig`: see
  them, and add or change one; webhooks tell of a new state or category.
- ``GET | POST marketing`` :class:`~simulator.cloud_api.control_marketing.MarketingOrder`: whether
  accounts are onboarded to the Marketing Messages API, and refuse marketing templates otherwise.
- ``POST customers/change`` :class:`~simulator.cloud_api.control_people.ChangeOrder`: a customer
  gets another number or user id.
- ``POST odd`` :class:`~simulator.cloud_api.control_odd.OddOrder`: webhooks as they occur in the
  wild (:mod:`simulator.cloud_api.odd`). ``GET odd/kinds``; ``GET odd``: every use with what it
  should come to, one JSON object a line.
"""

import asyncio
import gzip
import secrets
import zlib
from typing import Any

import httpx
from pydantic import Field, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.config import HttpUrl, KnownType
from simulator.cloud_api.control_access import AccessControl
from simulator.cloud_api.control_http import json_answer, lines_answer, ordered_number, read_order
from simulator.cloud_api.control_marketing import MarketingControl
from simulator.cloud_api.control_media import MAX_BYTES, MediaControl, make_media
from simulator.cloud_api.control_odd import OddControl
from simulator.cloud_api.control_outages import OutageControl
from simulator.cloud_api.control_people import PeopleControl
from simulator.cloud_api.control_templates import TemplateControl
from simulator.cloud_api.customer import Customer
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.fault import Fault, FaultSpec
from simulator.cloud_api.inbound_content import MEDIA_TYPES
from simulator.cloud_api.raw_post import RawPost, Signature
from simulator.cloud_api.recipient import DIGITS, USER_ID
from simulator.cloud_api.report import inbound_lines, message_lines, mishap_lines, report


class InboundOrder(StrictModel):
    """What is not given is drawn. ``per_s`` spreads the messages over time."""

    phone_number_id: str | None = None
    from_: str | None = Field(default=None, alias="from", pattern=DIGITS)
    #: Without ``from`` of a customer who hides the number.
    user_id: str | None = Field(default=None, pattern=USER_ID)
    username: str | None = None
    text: str | None = None
    type: KnownType | None = None
    count: int = Field(default=1, ge=1, le=1_000_000)
    per_s: float | None = Field(default=None, gt=0)
    #: Of a type with media: the size of the medium that all these messages name.
    media_bytes: int | None = Field(default=None, ge=1, le=MAX_BYTES)

    @model_validator(mode="after")
    def _consistent(self) -> "InboundOrder":
        if self.media_bytes is not None and self.type not in MEDIA_TYPES:
            raise ValueError(f"`media_bytes` needs a `type` of {sorted(MEDIA_TYPES)}")
        return self


class WebhookUrlOrder(StrictModel):
    """For one number, for the numbers of one account, or for all."""

    url: HttpUrl
    phone_number_id: str | None = None
    account_id: str | None = None
    verify_token: str | None = None


class Control:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._media = MediaControl(engine.media, engine.media_faults, engine.numbers)
        self._access = AccessControl(engine.access, engine.blocks, engine.numbers)
        self._outages = OutageControl(engine.outages)
        self._marketing = MarketingControl(engine.marketing, engine.numbers)
        self._odd = OddControl(engine.odd, engine.numbers, engine.scheduler)
        self._people = PeopleControl(engine.customers, engine.people, engine.numbers)
        self._templates = TemplateControl(engine.templates, engine.numbers, engine.delivery)

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
            *self._access.routes(),
            *self._outages.routes(),
            *self._marketing.routes(),
            *self._media.routes(),
            *self._odd.routes(),
            *self._people.routes(),
            *self._templates.routes(),
        ]

    async def report(self, _request: Request) -> Response:
        return json_answer(report(self._engine))

    async def messages(self, _request: Request) -> Response:
        return lines_answer(message_lines(self._engine.ledger))

    async def inbound(self, _request: Request) -> Response:
        return lines_answer(inbound_lines(self._engine.ledger))

    async def mishaps(self, _request: Request) -> Response:
        return lines_answer(mishap_lines(self._engine.ledger))

    async def write_inbound(self, request: Request) -> Response:
        order = await read_order(request, InboundOrder)
        number = ordered_number(self._engine.numbers, order.phone_number_id)
        media = None
        if order.media_bytes is not None and order.type is not None:
            mime_type = MEDIA_TYPES[order.type]
            media = await make_media(self._engine.media, number, mime_type, order.media_bytes)

        customer = None
        if order.from_ is not None or order.user_id is not None:
            customer = Customer(order.from_, order.user_id, order.username)

        def write(_: object = None) -> str:
            customers = self._engine.customers
            return customers.write(
                number, customer, text=order.text, type_=order.type, media=media
            ).wamid

        if order.per_s is None:
            return json_answer(
                {"count": order.count, "wamids": [write() for _ in range(order.count)]}
            )
        for at in range(order.count):
            self._engine.scheduler.after(at / order.per_s, write, None)
        return json_answer({"count": order.count, "wamids": []})

    async def list_faults(self, _request: Request) -> Response:
        return json_answer([_fault(one) for one in self._engine.faults.list()])

    async def add_fault(self, request: Request) -> Response:
        fault = self._engine.faults.add(await read_order(request, FaultSpec))
        return json_answer(_fault(fault), 201)

    async def clear_faults(self, _request: Request) -> Response:
        return json_answer({"cleared": self._engine.faults.clear()})

    async def pause_webhooks(self, _request: Request) -> Response:
        self._engine.pause_webhooks(paused=True)
        return json_answer({"paused": True})

    async def resume_webhooks(self, _request: Request) -> Response:
        self._engine.pause_webhooks(paused=False)
        return json_answer({"paused": False})

    async def move_webhooks(self, request: Request) -> Response:
        order = await read_order(request, WebhookUrlOrder)
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
        return json_answer({"url": order.url, "numbers": [one.phone_number_id for one in numbers]})

    async def post_webhook(self, request: Request) -> Response:
        query = request.query_params
        number = ordered_number(self._engine.numbers, query.get("phone_number_id"))
        if number.subscription is None:
            raise HTTPException(409, "there is no webhook URL: set one by POST webhook-url")
        if self._engine.delivery.paused:
            raise HTTPException(409, "webhooks are paused: POST resume-webhooks first")
        try:
            signature = Signature(query.get("signature", "valid"))
        except ValueError:
            raise HTTPException(400, "signature is valid, upper, wrong or missing") from None
        retries = query.get("retry", "false") == "true"
        body = await request.body()
        encoding = request.headers.get("content-encoding")
        now = self._engine.clock.now()
        self._engine.windows.read(_plain(body, encoding), now)
        post = RawPost(body, signature, now, retries=retries, encoding=encoding)
        post.answer = asyncio.get_running_loop().create_future()
        self._engine.delivery.push(number.subscription, post)
        return json_answer({"status": await post.answer})


def _plain(body: bytes, encoding: str | None) -> bytes:
    if encoding != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return b""


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


def _fault(fault: Fault) -> dict[str, Any]:
    return {"id": fault.id, "hits": fault.hits, **fault.spec.model_dump(mode="json")}
