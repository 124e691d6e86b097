"""What a business may answer in its own words: which messages, and for how long.

Held together with PHP's ``Engine/Answering.php`` by ``contracts/vectors/answering.json``.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from contracts.cloud_api.people import Person, number_forms, phone_digits

#: Types in which a customer says something to the business. A reaction, an edit and a revoke belong
#: to another message; the others tell of the conversation, or of what Meta cannot show.
GENUINE_TYPES = frozenset(
    {
        *("text", "image", "video", "document", "audio", "sticker"),
        *("location", "contacts", "interactive", "button", "order"),
    }
)

#: Types that change the message that they name, and are none themselves.
CORRECTIONS = frozenset({"edit", "revoke"})

#: Types that stand for a message that Meta cannot show; it may come later, under the same id.
PLACEHOLDERS = frozenset({"unsupported", "unknown"})

#: Meta takes free-form answers for 24 hours from the customer's message on. The last minutes are
#: left out: an answer waits for its slot, and clocks differ.
WINDOW_MS = (24 * 60 - 5) * 60_000

_LAST_SECOND = 253402300799


class Unanswered(StrEnum):
    """Why nobody answers a message."""

    TYPE = "type"
    GROUP = "group"
    WINDOW_CLOSED = "window_closed"


def unanswered(
    message: Mapping[str, Any], types: Collection[str] = GENUINE_TYPES, *, groups: bool = False
) -> Unanswered | None:
    """Return why no bot and no AI may answer a message, however new it is; None if they may.
    ``types`` and ``groups`` are what an installation allows."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in types or is_correction(message):
        return Unanswered.TYPE
    if message.get("group_id") not in (None, "") and not groups:
        return Unanswered.GROUP
    return None


def is_correction(message: Mapping[str, Any]) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind in CORRECTIONS


def is_placeholder(message: Mapping[str, Any]) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind in PLACEHOLDERS


def sent_ms(message: Mapping[str, Any], received_ms: int) -> int:
    """Return when a message was sent, by its own timestamp: unix seconds, as text or number. What
    cannot be read, or lies after the receipt, counts as the receipt."""
    value = message.get("timestamp")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_SECOND:
        return received_ms
    return min(value * 1000, received_ms)


def answer_until(message: Mapping[str, Any], received_ms: int) -> int:
    """Return until when a message may be answered, in unix ms."""
    return sent_ms(message, received_ms) + WINDOW_MS


def is_own_number(who: Person, value: Mapping[str, Any]) -> bool:
    """Return whether somebody is the business itself: its number stands in the metadata of the
    change's ``value``."""
    metadata = value.get("metadata")
    shown = metadata.get("display_phone_number") if isinstance(metadata, Mapping) else None
    own = phone_digits(str(shown)) if isinstance(shown, str | int) else None
    return who.wa_id is not None and own is not None and own in number_forms(who.wa_id)
