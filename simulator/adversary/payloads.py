"""What attackers post: webhooks that look right up to a point, and others."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from contracts.cloud_api.webhook import sign
from simulator.backend.seed import SeededVendor

Json = dict[str, Any]

#: What stands for bytes that no JSON library writes.
_RAW = "\ue000raw\ue000"


@dataclass(frozen=True, slots=True)
class Post:
    """A webhook. It goes out ``at_s`` after the attack has begun. ``wamids`` are well-formed
    messages to the vendor's own number, which must be found again if it is acknowledged."""

    at_s: float
    vendor_uid: str
    body: bytes
    signature: str
    wamids: tuple[str, ...] = ()


class Pen:
    """Writes one attacker's webhooks. ``tag`` is what its wamids begin with, and nobody else's."""

    def __init__(self, vendor: SeededVendor, rng: Random, tag: str) -> None:
        self.vendor = vendor
        self.rng = rng
        self._tag = tag
        self._last = 0
        self._now = str(int(time.time()))

    @property
    def number(self) -> str:
        return self.vendor.phone_number_ids[0]

    def wamid(self) -> str:
        self._last += 1
        return f"wamid.{self._tag}{self._last}"

    def sender(self) -> str:
        return f"1666{self.rng.randrange(10**7):07d}"

    def message(self, text: str = "hello", from_: str | None = None, **more: Any) -> Json:
        content = {"type": "text", "text": {"body": text}}
        head = {"from": from_ or self.sender(), "id": self.wamid(), "timestamp": self._now}
        return {**head, **content, **more}

    def status(self, wamid: str | None = None, status: str = "delivered", **more: Any) -> Json:
        head = {"id": wamid or self.wamid(), "status": status, "timestamp": self._now}
        return {**head, "recipient_id": self.sender(), **more}

    def post(
        self,
        at_s: float,
        messages: Sequence[Json] | str = (),
        statuses: Sequence[Json] | str = (),
        *,
        number: str | None = None,
        account: str | None = None,
        raw: bytes | None = None,
        **more: Any,
    ) -> Post:
        """Return a webhook with these. ``number`` and ``account`` are the vendor's own, if not
        given; ``raw`` is put where a value is :data:`RAW`; ``more`` stands beside the messages."""
        value: Json = {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": "9990000",
                "phone_number_id": number or self.number,
            },
            "contacts": [{"wa_id": m["from"]} for m in messages[:1] if isinstance(m, dict)],
        }
        if messages:
            value["messages"] = messages
        if statuses:
            value["statuses"] = statuses
        change = {"field": "messages", "value": {**value, **more}}
        entry = {"id": account or self.vendor.business_account_id, "changes": [change]}
        body = orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})
        wamids: tuple[str, ...] = ()
        if raw is not None:
            body = body.replace(orjson.dumps(_RAW), raw)
        elif number is None:
            wamids = tuple(message["id"] for message in messages if isinstance(message, dict))
        return self.signed(at_s, body, wamids)

    def signed(self, at_s: float, body: bytes, wamids: tuple[str, ...] = ()) -> Post:
        """Return any bytes as a webhook of the vendor's."""
        signature = sign(self.vendor.app_secret.encode(), body)
        return Post(at_s, self.vendor.uid, body, signature, wamids)


RAW = _RAW
