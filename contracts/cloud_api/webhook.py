"""The webhook envelope: what Meta posts, documented as far as it is known.

Nothing here may refuse a body. Meta adds fields and values without notice, and an answer other
than 200 is retried for up to seven days (webhooks overview; Graph API "getting started").
Timestamps of messages and statuses are strings of unix seconds; other fields use integers.
"""

import hashlib
import hmac
from typing import Any

from pydantic import Field

from contracts.lenient import Lenient, LenientModel

#: Meta's header. The value is ``sha256=<hex>``, HMAC-SHA256 over the exact bytes of the body.
SIGNATURE_HEADER = "X-Hub-Signature-256"

#: Meta sends payloads of up to 3 MB (webhooks overview).
MAX_BODY_BYTES = 3 * 1024 * 1024

#: Rank of a status: a message only ever moves to a higher one, in whatever order they come.
#: ``failed`` stands below ``delivered``: it ends a message that was not delivered yet (Meta lists
#: "unable to deliver" as a trigger, so it may follow ``sent``), and only a proof of delivery ends
#: ``failed``.
STATUS_RANK = {
    "accepted": 1,
    "held_for_quality_assessment": 2,
    "sent": 3,
    "failed": 4,
    "delivered": 5,
    "read": 6,
    "played": 7,
}


def higher_status(current: str | None, new: str) -> bool:
    """Tell whether ``new`` moves a message up from ``current`` (None: it has no status yet).

    This is a total order, so the same statuses end in the same state in any order. A status that
    is not known ranks below every known one; of two such, the one that sorts later counts as
    higher, which means nothing but does not depend on which came first.
    """
    return current is None or _height(new) > _height(current)


def _height(status: str) -> tuple[int, str]:
    return STATUS_RANK.get(status, 0), status


def sign(app_secret: bytes, body: bytes) -> str:
    """Return the value of :data:`SIGNATURE_HEADER` for these bytes."""
    return "sha256=" + hmac.digest(app_secret, body, "sha256").hex()


def verify_token(vendor_uid: str) -> str:
    """Return the token that the backend expects in ``hub.verify_token`` for this vendor."""
    return hashlib.sha1(vendor_uid.encode()).hexdigest()


class Metadata(LenientModel):
    display_phone_number: Lenient[str] = None
    phone_number_id: Lenient[str] = None


class Profile(LenientModel):
    name: Lenient[str] = None
    username: Lenient[str] = None


class Contact(LenientModel):
    """Who a message is from. ``wa_id`` may be missing for users who hide their number."""

    profile: Lenient[Profile] = None
    wa_id: Lenient[str] = None
    user_id: Lenient[str] = None
    parent_user_id: Lenient[str] = None


class WebhookError(LenientModel):
    code: Lenient[int] = None
    error_subcode: Lenient[int] = None
    title: Lenient[str] = None
    message: Lenient[str] = None
    error_data: Lenient[dict[str, Any]] = None
    href: Lenient[str] = None


class Status(LenientModel):
    """What became of a message that was sent. ``id`` is the wamid that the send returned."""

    id: Lenient[str] = None
    status: Lenient[str] = None
    timestamp: Lenient[str] = None
    recipient_id: Lenient[str] = None
    recipient_user_id: Lenient[str] = None
    biz_opaque_callback_data: Lenient[str] = None
    conversation: Lenient[dict[str, Any]] = None
    pricing: Lenient[dict[str, Any]] = None
    errors: Lenient[list[Lenient[WebhookError]]] = None


class Message(LenientModel):
    """A customer's message (or, in ``message_echoes``, one sent from the business's phone)."""

    id: Lenient[str] = None
    from_: Lenient[str] = Field(default=None, alias="from")
    from_user_id: Lenient[str] = None
    timestamp: Lenient[str] = None
    type: Lenient[str] = None
    text: Lenient[dict[str, Any]] = None
    context: Lenient[dict[str, Any]] = None
    errors: Lenient[list[Lenient[WebhookError]]] = None


class Value(LenientModel):
    """``value`` of a change. Account and template fields have neither metadata nor lists."""

    messaging_product: Lenient[str] = None
    metadata: Lenient[Metadata] = None
    contacts: Lenient[list[Lenient[Contact]]] = None
    messages: Lenient[list[Lenient[Message]]] = None
    message_echoes: Lenient[list[Lenient[Message]]] = None
    statuses: Lenient[list[Lenient[Status]]] = None
    errors: Lenient[list[Lenient[WebhookError]]] = None


class Change(LenientModel):
    field: Lenient[str] = None
    value: Lenient[Value] = None


class Entry(LenientModel):
    """``id`` is the WhatsApp business account's."""

    id: Lenient[str] = None
    time: Lenient[int] = None
    changes: Lenient[list[Lenient[Change]]] = None


class Webhook(LenientModel):
    """One POST: up to 1,000 updates, of several numbers, accounts and fields, in any order."""

    object: Lenient[str] = None
    entry: Lenient[list[Lenient[Entry]]] = None
