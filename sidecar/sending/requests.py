"""The call of the Cloud API that sends a message: its body, and where it goes.

What sends makes its calls here, and so does what only shows or compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from contracts.backend import ClaimedRow, VendorConfig

MARKETING = "MARKETING"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``policy`` stands in the message as ``product_policy``: what Meta does if the account is not
    onboarded to the Marketing Messages API."""

    path: Literal["messages", "marketing_messages"]
    policy: str | None = None


MESSAGES = Endpoint("messages")

#: By the vendor's ``marketing_messages``.
FOR_MARKETING = {
    "fallback": Endpoint("marketing_messages", "CLOUD_API_FALLBACK"),
    "strict": Endpoint("marketing_messages", "STRICT"),
}


class Unsendable(Exception):
    """A row that no call can be made of. The text says why."""


class Addressed(Protocol):
    """A row, as far as it says whom it is for and which it is."""

    @property
    def uid(self) -> str: ...
    @property
    def to(self) -> str | None: ...
    @property
    def recipient(self) -> str | None: ...


def number_of(row: ClaimedRow, vendor: VendorConfig) -> str:
    """Return the number that a row is sent from; empty if the vendor has none."""
    return row.from_phone_number_id or vendor.current_phone_number_id or ""


def endpoint_of(row: ClaimedRow, vendor: VendorConfig) -> Endpoint:
    """Return where a row goes by its template's category as PHP knows it."""
    is_marketing = row.template_category == MARKETING
    return FOR_MARKETING.get(vendor.marketing_messages, MESSAGES) if is_marketing else MESSAGES


def template_of(row: ClaimedRow) -> dict[str, Any]:
    """Return what a campaign's row says, without whom it is for."""
    template = {
        "name": row.template_name,
        "language": {"code": row.template_language},
        "components": row.components,
    }
    return {"type": "template", "template": template}


def request_of(
    row: Addressed, message: Mapping[str, Any], policy: str | None = None
) -> dict[str, Any]:
    """Return the body of the messages call as plain values. Raises :class:`Unsendable`."""
    body = {
        **{name: value for name, value in message.items() if name not in ("to", "recipient")},
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_address(row),
        "biz_opaque_callback_data": row.uid,
    }
    if policy is not None:
        body["product_policy"] = policy
    return body


def dump(body: dict[str, Any]) -> bytes:
    """Return a body as it is sent. Raises :class:`Unsendable`."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise Unsendable(f"the row's components cannot be sent as JSON: {error}") from None


def _address(row: Addressed) -> dict[str, str]:
    if row.to:
        return {"to": f"+{row.to.lstrip('+')}"}
    if row.recipient:
        return {"recipient": row.recipient}
    raise Unsendable("the row has neither a phone number nor a user id to send to")
