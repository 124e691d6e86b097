"""Customers: they answer, and they write without being asked."""

import asyncio
from typing import Any

from simulator.cloud_api import inbound_content
from simulator.cloud_api.envelope import to_json
from simulator.cloud_api.inbound_content import (
    ANSWERING_TYPES,
    MEDIA_TYPES,
    MESSAGE_TYPES,
    NAMES,
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
        self.write(message.number, message.wa_id, answered=message)

    def write(
        self,
        number: Number,
        from_: str | None = None,
        *,
        text: str | None = None,
        type_: str | None = None,
        answered: Message | None = None,
        media: Media | None = None,
    ) -> Inbound:
        """Write to ``number``; what is not given is drawn. ``media`` is of a message whose type
        has some."""
        now = self._clock.now()
        if from_ is None:
            from_ = f"1555{self._rng.randrange(self._config.inbound_customers):07d}"
        original = None
        if answered is not None:
            original = Answered(answered.wamid, number.display_phone_number)
        content = self._content(text, type_, original)
        if content["type"] in MEDIA_TYPES:
            self._name_media(number, content[content["type"]], media)
        inbound = Inbound(self._mint.incoming(from_), number, from_, content["type"], now)
        head: dict[str, Any] = {"from": from_, "id": inbound.wamid, "timestamp": str(int(now))}
        if original is not None and inbound.type in ANSWERING_TYPES:
            head["context"] = {"from": original.from_, "id": original.wamid}
        contact = {"profile": {"name": _name(from_)}, "wa_id": from_}
        if self._config.inbound_counts:
            number.bucket.has_token(now)
            number.bucket.take()
        self._ledger.create_inbound(inbound)
        self._outbox.add(InboundUpdate(inbound, to_json(contact), to_json(head | content)))
        return inbound

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


def _name(wa_id: str) -> str:
    """The same customer always has the same name."""
    return NAMES[int(wa_id[-3:]) % len(NAMES)] if wa_id[-3:].isdigit() else NAMES[0]
