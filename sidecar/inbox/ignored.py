"""Updates with which nothing is to be done: what is kept of them.

They are counted by vendor and reason, and the last of each reason is kept for some days. Reasons
are PHP's, so their characters and their number are bounded.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.backend import UpdateKind
from sidecar.php.reasons import scrub
from sidecar.redis import keys

#: The reasons of the split, and of the PHP sides that we know. Metrics have these as labels.
KNOWN = frozenset(
    {
        "account_not_own",
        "body_not_a_webhook",
        "body_not_json",
        "contact_unknown",
        "contact_without_id",
        "edit_without_text",
        "entry_without_changes",
        "event_not_used",
        "field_not_used",
        "message_unknown",
        "message_without_id",
        "no_contacts",
        "no_reason",
        "no_user_ids",
        "null_element",
        "own_number",
        "payload_without_update",
        "phone_number_unknown",
        "preference_not_used",
        "request_welcome",
        "status_without_id",
        "status_without_status",
        "vendor_inactive",
        "vendor_unknown",
        "webhook_without_updates",
    }
)
#: A reason beyond those that are kept apart.
OTHER = "other"
#: Reasons why even a customer's message is rightly ignored, and nobody need look. An edit or a
#: revocation may name a message that is long gone.
HARMLESS = frozenset(
    {"duplicate", "message_unknown", "own_number", "request_welcome", "vendor_inactive"}
)

#: Maximum reasons of a vendor that are kept apart, and maximum vendors: who ignored nothing for
#: longest makes room.
MAX_REASONS = 24
MAX_VENDORS = 2000
#: Maximum length of a reason as a name, and of the kept part of a payload.
MAX_NAME = 48
MAX_PAYLOAD_BYTES = 2048
#: How long the last one of a reason is kept, and counts of a vendor that has no more.
KEEP_LAST_S = 3 * 86_400
KEEP_COUNTS_S = 30 * 86_400

#: Customers' messages are counted for the last hour, in slices.
SLICE_S = 600
SLICES = 6
#: Maximum vendors and reasons in one slice.
MAX_SLICE = 2000

#: Names that stand for many vendors: anybody can make up one that PHP does not know.
UNKNOWN_VENDORS = "(unknown vendors)"

_NO_WORD = re.compile(r"[^a-z0-9]+")


def name_of(reason: str | None) -> str:
    """Return the name under which a reason is counted."""
    words = _NO_WORD.sub("_", scrub(reason or "").lower()).strip("_")
    return words[:MAX_NAME].strip("_") or "no_reason"


def label_of(name: str) -> str:
    """Return the label of a reason's name in metrics."""
    return name if name in KNOWN else OTHER


@dataclass(frozen=True, slots=True)
class Ignored:
    """An update that was ignored, with its reason as it was given, and what it holds. ``at`` is
    unix ms."""

    at: int
    vendor_uid: str
    update_id: str
    kind: UpdateKind | None
    wamid: str | None
    reason: str
    payload: bytes

    def dump(self) -> bytes:
        """Return what is kept of it."""
        payload = self.payload[:MAX_PAYLOAD_BYTES].decode(errors="replace")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            payload += f"... ({len(self.payload)} bytes)"
        return orjson.dumps(
            {
                "at": self.at,
                "vendor_uid": self.vendor_uid,
                "update": self.update_id,
                "kind": self.kind,
                "wamid": None if self.wamid is None else self.wamid[:300],
                "reason": scrub(self.reason),
                "payload": payload,
            }
        )


def words_of(name: str, count: int, messages: int, last: Ignored) -> list[str | bytes | int]:
    """Return what ``count_ignored.lua`` takes: ``count`` updates of a vendor and a reason's name,
    ``messages`` of them a customer's that somebody should look at."""
    vendor_uid = UNKNOWN_VENDORS if name == "vendor_unknown" else last.vendor_uid
    return [
        keys.IGNORED,
        keys.ignored(vendor_uid),
        keys.ignored_last(vendor_uid),
        keys.ignored_slice(last.at // (1000 * SLICE_S)),
        *(vendor_uid, name, count, messages, last.at, last.dump()),
        *(OTHER, MAX_REASONS, MAX_VENDORS, MAX_SLICE),
        *(KEEP_COUNTS_S, KEEP_LAST_S, (SLICES + 1) * SLICE_S),
        keys.ignored(""),
    ]


def slices_until(now: int) -> list[str]:
    """Return the keys of the slices of the hour that ends now (unix ms)."""
    last = now // (1000 * SLICE_S)
    return [keys.ignored_slice(last - back) for back in range(SLICES)]


def parse(data: bytes) -> dict[str, Any]:
    """Read what :meth:`Ignored.dump` wrote."""
    found: dict[str, Any] = orjson.loads(data)
    return found
