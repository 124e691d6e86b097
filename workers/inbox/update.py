"""One update on its way to PHP, as the bytes that Meta sent."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from contracts.backend import UpdateKind
from contracts.bots import MatchedBots
from contracts.cloud_api.fields import LISTS
from sidecar.inbox.store import RawWebhook
from workers.inbox.facts import Around, dump_around, fact_of, load_around

_LIST_OF = {kind: name for name, kind in LISTS.items()}

#: What an update takes besides its bytes, wherever it is stored.
OVERHEAD_BYTES = 256

#: What an update takes in a request besides its bytes and names, with the comma behind it.
_HEAD_BYTES = len(
    b'{"id":"","vendor_uid":"","kind":"message","received_at":,"attempt":,"payload":},'
) + len("9999999999999999")
_LOWER_BYTES = len(b',"lower_statuses":[]')


#: A complete webhook with one update: what comes before it, itself, and what comes after it.
Parts = tuple[bytes, bytes, bytes]


@dataclass(slots=True)
class Update:
    """A single update of a webhook, or (``kind`` None) a whole body that cannot be split.

    ``parts`` are the bytes of a complete webhook with only this update: what comes before it,
    itself, and what comes after it. Updates of one change share the first; they are joined only
    where they are needed. ``lower_statuses`` are those that were coalesced into this one, and
    ``lower_around`` what came before and after them in webhooks of their own.

    ``order_key`` names what must stay in order: a contact for messages, a message for statuses.
    ``attempts`` counts PHP's refusals, ``refused`` those that it answered about this very update;
    ``first_failed_at`` and ``reason`` say since when and why. ``unreadable``: PHP could not read
    it, ``reason`` says why. ``ignored_reason``: nothing is to be done with it, and why. ``bots``
    are matched anew for each attempt, and not stored. ``stored_bytes`` is what it takes in Redis,
    if it was read from there. ``provisional``: the message itself may come under the same id later.
    ``status_at`` is when a status that comes from the inbox was set (unix s), and not stored.
    ``webhooks`` are those that it came in, by name, and how many bytes each has. Times are unix ms.
    """

    id: str
    vendor_uid: str
    received_at: int
    kind: UpdateKind | None
    order_key: str
    parts: Parts = (b"", b"", b"")
    body: bytes = b""
    signature: str = ""
    wamid: str | None = None
    status: str | None = None
    callback_data: str | None = None
    lower_statuses: list[bytes] = field(default_factory=list)
    lower_around: list[Around] = field(default_factory=list)
    attempts: int = 0
    refused: int = 0
    first_failed_at: int | None = None
    reason: str | None = None
    unreadable: bool = False
    ignored_reason: str | None = None
    bots: MatchedBots | None = None
    stored_bytes: int = 0
    provisional: bool = False
    status_at: int | None = None
    webhooks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def whole(cls, name: str, vendor_uid: str, received_at: int, webhook: RawWebhook) -> "Update":
        """Return a whole webhook as one update, under this id."""
        return cls(
            id=name,
            vendor_uid=vendor_uid,
            received_at=received_at,
            kind=None,
            order_key=name,
            body=webhook.body,
            signature=webhook.signature.decode("latin-1"),
            webhooks={name: len(webhook.body)},
        )

    def stand_for(self, elements: list[bytes]) -> None:
        """Make this update, which is not delivered, stand for elements that are adjacent."""
        self.body = b"\n".join(elements)
        if self.reason is not None and len(elements) > 1:
            self.reason = f"{self.reason}; and {len(elements) - 1} more after it"

    @property
    def is_aside(self) -> bool:
        """Return whether it stands under an order key of its own."""
        return self.order_key == self._aside

    def set_aside(self) -> None:
        """Let nothing wait behind it: give it an order key of its own."""
        self.order_key = self._aside

    @property
    def _aside(self) -> str:
        digest = hashlib.blake2b(self.id.encode(errors="replace"), digest_size=12).hexdigest()
        return f"{self.vendor_uid}/aside/{digest}"

    @property
    def size(self) -> int:
        """Return about how many bytes it takes, in a request or in Redis."""
        before, element, after = self.parts
        size = len(before) + len(element) + len(after) + len(self.body) + OVERHEAD_BYTES
        return size + sum(map(len, self.lower_statuses)) if self.lower_statuses else size

    @property
    def request_bytes(self) -> int:
        """Return how many bytes it takes in a request at most, without its order key and bots."""
        size = _HEAD_BYTES + len(self.id) + len(self.vendor_uid) + sum(map(len, self.parts))
        if self.lower_statuses:
            size += _LOWER_BYTES + sum(map(len, self.lower_statuses)) + len(self.lower_statuses)
        return size

    @property
    def raw_payload(self) -> bytes | None:
        """Return the webhook with only this update, None if it is whole."""
        return b"".join(self.parts) if self.kind is not None else None

    @property
    def payload(self) -> Any:
        """Return the same as values."""
        raw = self.raw_payload
        return None if raw is None else msgspec.json.decode(raw)

    @property
    def element(self) -> dict[str, Any]:
        """Return the message, echo or status itself."""
        found: dict[str, Any] = msgspec.json.decode(self.raw_element)
        return found

    @property
    def raw_element(self) -> bytes:
        """Return the message, echo or status itself, as bytes."""
        assert self.kind is not None
        if self.parts[0]:
            return self.parts[1]
        change = msgspec.json.decode(self.parts[1], type=_Found).entry[0].changes[0]
        return bytes(msgspec.json.decode(change.value[_LIST_OF[self.kind]], type=list[Raw])[0])

    @property
    def around(self) -> Around:
        """Return what comes before and after that."""
        before, element, after = self.parts
        if not before:
            before, _, after = element.partition(self.raw_element)
        return before, after

    @property
    def fact(self) -> str:
        """Return what a status says: of which message, what, when, and of whom in a group."""
        return fact_of(self.raw_element)

    def facts(self) -> dict[str, Parts]:
        """Return what this status and those that were coalesced into it say, each with its webhook;
        its own last."""
        statuses = [*self.lower_statuses, self.raw_element]
        pairs = zip(statuses, [*self.lower_around, self.around], strict=True)
        return {fact_of(status): (before, status, after) for status, (before, after) in pairs}

    def as_update(self, *, in_order: bool = False) -> bytes:
        """Return the JSON of it as :class:`contracts.backend.Update`. ``in_order``: another of the
        same order key is in the same request."""
        assert self.kind is not None
        head = {
            "id": self.id,
            "vendor_uid": self.vendor_uid,
            "kind": self.kind.value,
            "received_at": self.received_at,
            "attempt": self.attempts + 1,
        }
        if in_order:
            head["order"] = self.order_key
        pieces = [orjson.dumps(head)[:-1], b',"payload":', *self.parts]
        if self.lower_statuses:
            pieces += [b',"lower_statuses":[', b",".join(self.lower_statuses), b"]"]
        if self.bots is not None:
            pieces += [b',"bots":', self.bots.model_dump_json().encode()]
        return b"".join([*pieces, b"}"])

    def dump(self) -> bytes:
        """Return it as bytes for :meth:`load`, also of later versions. The reason comes last
        (:func:`with_reason`)."""
        raw = self.raw_payload
        return orjson.dumps(
            {
                "id": self.id,
                "vendor_uid": self.vendor_uid,
                "received_at": self.received_at,
                "kind": self.kind.value if self.kind else None,
                "order_key": self.order_key,
                "payload": None if raw is None else orjson.Fragment(raw),
                "body": base64.b64encode(self.body).decode() if self.body else "",
                "signature": self.signature,
                "wamid": self.wamid,
                "status": self.status,
                "callback_data": self.callback_data,
                "lower_statuses": [orjson.Fragment(status) for status in self.lower_statuses],
                **dump_around(self.lower_around),
                "attempts": self.attempts,
                "refused": self.refused,
                "first_failed_at": self.first_failed_at,
                "unreadable": self.unreadable,
                "provisional": self.provisional,
                "webhooks": dict(self.webhooks),
                "reason": self.reason,
            }
        )

    @classmethod
    def load(cls, data: bytes) -> "Update":
        """Read what :meth:`dump` wrote."""
        kept = msgspec.json.decode(data, type=_Kept)
        return cls(
            id=kept.id,
            vendor_uid=kept.vendor_uid,
            received_at=kept.received_at,
            kind=UpdateKind(kept.kind) if kept.kind else None,
            order_key=kept.order_key,
            parts=(b"", bytes(kept.payload) if kept.kind else b"", b""),
            body=base64.b64decode(kept.body),
            signature=kept.signature,
            wamid=kept.wamid,
            status=kept.status,
            callback_data=kept.callback_data,
            lower_statuses=[bytes(status) for status in kept.lower_statuses],
            lower_around=load_around(
                kept.around, kept.lower_around, kept.payload, len(kept.lower_statuses)
            ),
            attempts=kept.attempts,
            refused=kept.refused,
            first_failed_at=kept.first_failed_at,
            reason=kept.reason,
            unreadable=kept.unreadable,
            provisional=kept.provisional,
            webhooks=kept.webhooks,
            stored_bytes=len(data),
        )


class _Kept(msgspec.Struct):
    id: str
    vendor_uid: str
    received_at: int
    order_key: str
    kind: str | None = None
    payload: Raw = Raw(b"null")
    body: str = ""
    signature: str = ""
    wamid: str | None = None
    status: str | None = None
    callback_data: str | None = None
    lower_statuses: list[Raw] = []
    around: list[tuple[str, str]] = []
    lower_around: list[int] = []
    attempts: int = 0
    refused: int = 0
    first_failed_at: int | None = None
    unreadable: bool = False
    provisional: bool = False
    webhooks: dict[str, int] = {}
    reason: str | None = None


class _FoundChange(msgspec.Struct):
    value: dict[str, Raw]


class _FoundAccount(msgspec.Struct):
    changes: list[_FoundChange]


class _Found(msgspec.Struct):
    entry: list[_FoundAccount]


def with_reason(dumped: bytes, reason: str) -> bytes:
    """Return a dump of :meth:`Update.dump` with another reason, without parsing the rest."""
    head, name, _ = dumped.rpartition(b'"reason":')
    return head + name + orjson.dumps(reason) + b"}"
