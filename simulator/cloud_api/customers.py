"""Customers: they answer, and they write without being asked."""

import asyncio
from typing import Any

from simulator.cloud_api import inbound_content
from simulator.cloud_api.customer import Customer, hidden, hiding
from simulator.cloud_api.envelope import to_json
from simulator.cloud_api.inbound_content import (
    ANSWERING_TYPES,
    MEDIA_TYPES,
    MESSAGE_TYPES,
    Answered,
)
from simulator.cloud_api.media import Media
from simulator.cloud_api.message import Inbound, InboundUpdate, Message
from simulator.cloud_api.number import Number, Numbers
from simulator.cloud_api.platform import Platform
from simulator.cloud_api.wamid import WamidMint


class Customers:
    def __init__(self, platform: Platform, mint: WamidMint, numbers: Numbers) -> None:
        self._config = config = platform.config
        self._clock = platform.clock
        self._rng = platform.rng
        self._ledger = platform.ledger
        self._outbox = platform.outbox
        self._media = platform.media
        self._people = platform.people
        self._windows = platform.windows
        self._mint = mint
        self._numbers = list(numbers)
        self._types = list(config.inbound_types)
        self._weights = list(config.inbound_types.values())
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        #: Unprompted messages still to come, where their total is set.
        self.remaining = config.inbound_total if config.inbound_per_s else None

    @property
    def is_finished(self) -> bool:
        """Whether no unprompted message is to come, or there is no end to them."""
        return not self.remaining

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let unprompted messages come, at random times."""
        if self._config.inbound_per_s and self.remaining != 0:
            self._next_at = loop.time()
            self._wait(loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reply(self, message: Message) -> None:
        """Answer a message that was delivered."""
        customer = self._people.find(message.wa_id or message.user_id or "")
        self.write(message.number, customer, answered=message)

    def write(
        self,
        number: Number,
        customer: Customer | None = None,
        *,
        text: str | None = None,
        type_: str | None = None,
        answered: Message | None = None,
        media: Media | None = None,
    ) -> Inbound:
        """Write to ``number``; what is not given is drawn. ``media`` is of a message whose type
        has some."""
        now = self._clock.now()
        customer = self._people.learn(customer or self._draw())
        original = None
        if answered is not None:
            original = Answered(answered.wamid, number.display_phone_number)
        content = self._content(text, type_, original)
        if content["type"] in MEDIA_TYPES:
            self._name_media(number, content[content["type"]], media)
        if original is not None and content["type"] in ANSWERING_TYPES:
            content["context"] = {"from": original.from_, "id": original.wamid}
        if self._config.inbound_counts:
            number.bucket.has_token(now)
            number.bucket.take()
        self._windows.open(number.phone_number_id, customer, now)
        return self._post(number, customer, content, now)

    def change(self, number: Number, old: Customer, new: Customer) -> Inbound:
        """Have a customer change the number or the user id, and let the business know."""
        self._people.replace(old, new)
        self._windows.move(old, new)
        content = inbound_content.changed(old, new)
        sender = old if content["system"]["type"] == "user_changed_number" else new
        return self._post(number, sender, content, self._clock.now())

    def _post(
        self, number: Number, customer: Customer, content: dict[str, Any], now: float
    ) -> Inbound:
        wamid = self._mint.incoming(customer.address)
        inbound = Inbound(wamid, number, customer, content["type"], now)
        head = {**customer.sender(), "id": wamid, "timestamp": str(int(now))}
        self._ledger.create_inbound(inbound)
        contact = None if inbound.type == "system" else to_json(customer.contact())
        self._outbox.add(InboundUpdate(inbound, contact, to_json(head | content)))
        return inbound

    def _draw(self) -> Customer:
        number = f"1555{self._rng.randrange(self._config.inbound_customers):07d}"
        share = self._config.hidden_share
        return hiding(number) if share and hidden(number, share) else Customer(wa_id=number)

    def _content(
        self, text: str | None, type_: str | None, original: Answered | None
    ) -> dict[str, Any]:
        if text is not None:
            return inbound_content.text(text)
        if type_ is None:
            type_ = self._rng.choices(self._types, self._weights)[0]
        return MESSAGE_TYPES[type_](self._rng, original)

    def _name_media(self, number: Number, content: dict[str, Any], media: Media | None) -> None:
        if media is None:
            size = self._rng.randint(*self._config.inbound_media_bytes)
            media = self._media.add(number, content["mime_type"], size)
        content |= {"id": media.id, "sha256": media.webhook_sha256, "mime_type": media.mime_type}

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_at += self._rng.expovariate(self._config.inbound_per_s)
        self._timer = loop.call_at(self._next_at, self._write_unprompted, loop)

    def _write_unprompted(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.remaining is not None:
            self.remaining -= 1
        self.write(self._rng.choice(self._numbers))
        if self.remaining == 0:
            self._timer = None
        else:
            self._wait(loop)
