"""One update on its way to PHP."""

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.backend import UpdateKind
from contracts.bots import MatchedBots
from sidecar.inbox import Webhook


@dataclass(slots=True)
class Item:
    """A single update out of a webhook, or (``kind`` None) a whole body that cannot be split.

    ``order_key`` names what must stay in order: a contact for messages, a message for statuses.
    ``attempts`` counts how often PHP refused it; ``first_failed_at`` and ``reason`` tell since
    when and why. ``bots`` are found anew for each attempt, and not kept. Times are unix ms.
    """

    id: str
    vendor_uid: str
    received_at: int
    kind: UpdateKind | None
    order_key: str
    payload: dict[str, Any] | None = None
    body: bytes = b""
    signature: str = ""
    wamid: str | None = None
    status: str | None = None
    callback_data: str | None = None
    lower_statuses: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    first_failed_at: int | None = None
    reason: str | None = None
    bots: MatchedBots | None = None

    @classmethod
    def whole(cls, name: str, vendor_uid: str, received_at: int, webhook: Webhook) -> "Item":
        """Return a webhook as it is, under a name of its own."""
        return cls(
            id=name,
            vendor_uid=vendor_uid,
            received_at=received_at,
            kind=None,
            order_key=name,
            body=webhook.body,
            signature=webhook.signature.decode("latin-1"),
        )

    def whole_payload(self) -> dict[str, Any] | None:
        """Return the envelope with the statuses that were folded into this one in front of it."""
        if not (self.payload and self.lower_statuses):
            return self.payload
        account = self.payload["entry"][0]
        change = account["changes"][0]
        statuses = [*self.lower_statuses, *change["value"]["statuses"]]
        change = {**change, "value": {**change["value"], "statuses": statuses}}
        return {**self.payload, "entry": [{**account, "changes": [change]}]}

    def as_update(self) -> dict[str, Any]:
        """Return it as :class:`contracts.backend.Update`, in plain values."""
        assert self.kind is not None
        update: dict[str, Any] = {
            "id": self.id,
            "vendor_uid": self.vendor_uid,
            "kind": self.kind.value,
            "received_at": self.received_at,
            "attempt": self.attempts + 1,
            "payload": self.payload,
        }
        if self.lower_statuses:
            update["lower_statuses"] = self.lower_statuses
        if self.bots is not None:
            update["bots"] = self.bots.model_dump()
        return update

    def dump(self) -> bytes:
        """Return it as bytes that :meth:`load` understands, also in later versions. The reason
        stands last (:func:`with_reason`)."""
        return orjson.dumps(
            {
                "id": self.id,
                "vendor_uid": self.vendor_uid,
                "received_at": self.received_at,
                "kind": self.kind.value if self.kind else None,
                "order_key": self.order_key,
                "payload": self.payload,
                "body": base64.b64encode(self.body).decode() if self.body else "",
                "signature": self.signature,
                "wamid": self.wamid,
                "status": self.status,
                "callback_data": self.callback_data,
                "lower_statuses": self.lower_statuses,
                "attempts": self.attempts,
                "first_failed_at": self.first_failed_at,
                "reason": self.reason,
            }
        )

    @classmethod
    def load(cls, data: bytes) -> "Item":
        values = orjson.loads(data)
        kind = values["kind"]
        values["kind"] = UpdateKind(kind) if kind else None
        values["body"] = base64.b64decode(values["body"])
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})


def with_reason(dumped: bytes, reason: str) -> bytes:
    """Return what :meth:`Item.dump` gave with another reason, without reading the rest."""
    head, name, _ = dumped.rpartition(b'"reason":')
    return head + name + orjson.dumps(reason) + b"}"
