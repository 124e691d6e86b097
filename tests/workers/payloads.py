"""Webhooks, inbox entries and updates for the tests of the drain."""

import itertools
from typing import Any

import orjson

from contracts.backend import UpdateKind
from sidecar.inbox.store import InboxEntry, RawWebhook
from workers.inbox.update import Update

Json = dict[str, Any]

VENDOR = "vendor-1"
METADATA = {"display_phone_number": "99900000000", "phone_number_id": "110"}
#: When the test entries were taken, unix ms.
RECEIVED_AT = 1_750_000_000_123

_numbers = itertools.count(1)


def message(sender: str = "99911", wamid: str | None = None, **more: Any) -> Json:
    """Return an element of ``messages``."""
    wamid = wamid or f"wamid.in.{next(_numbers)}"
    return {"from": sender, "id": wamid, "timestamp": "1750000000", "type": "text", **more}


def status(wamid: str = "wamid.1", name: str = "sent", row: str | None = None, **more: Any) -> Json:
    """Return an element of ``statuses``."""
    update: Json = {"id": wamid, "status": name, "timestamp": "1750000000", **more}
    if row is not None:
        update["biz_opaque_callback_data"] = row
    return update


def value(**lists: Any) -> Json:
    """Return the value of a change of the field ``messages``."""
    return {"messaging_product": "whatsapp", "metadata": METADATA, **lists}


def change(content: Any, field: str = "messages") -> Json:
    return {"field": field, "value": content}


def account(*changes: Json, id_: str = "waba-1") -> Json:
    return {"id": id_, "changes": list(changes)}


def envelope(*accounts: Json) -> Json:
    return {"object": "whatsapp_business_account", "entry": list(accounts)}


def webhook(**lists: Any) -> bytes:
    """Return the body of a webhook with one change that holds these lists."""
    field = "messages"
    if "message_echoes" in lists:  # beside others only where there is no field
        field = "" if {"messages", "statuses"} & set(lists) else "smb_message_echoes"
    return orjson.dumps(envelope(account(change(value(**lists), field))))


def texts(*wamids: str, sender: str = "99911") -> list[bytes]:
    """Return webhooks with a customer's message each."""
    return [webhook(messages=[message(sender, wamid)]) for wamid in wamids]


def some_texts(count: int, sender: str = "99911", **lists: Any) -> list[bytes]:
    """Return so many webhooks with a customer's message each, that nobody has seen before."""
    return [webhook(messages=[message(sender)], **lists) for _ in range(count)]


def entry(*bodies: bytes, vendor_uid: str = VENDOR, at: int = RECEIVED_AT) -> InboxEntry:
    """Return an inbox entry that holds these bodies."""
    webhooks = tuple(RawWebhook(b"sha256=%d" % index, body) for index, body in enumerate(bodies))
    return InboxEntry(vendor_uid, f"{at}-0", webhooks, f"uid-{at}")


def make_update(
    kind: UpdateKind | None = UpdateKind.MESSAGE,
    *,
    vendor_uid: str = VENDOR,
    wamid: str | None = None,
    status_name: str | None = None,
    order_key: str | None = None,
    **more: Any,
) -> Update:
    """Return an update of its own id, with a payload that fits its kind."""
    number = next(_numbers)
    if wamid is None and kind not in (None, UpdateKind.CHANGE):
        wamid = f"wamid.{number}"
    if kind is UpdateKind.STATUS:
        status_name = status_name or "sent"
        lists: Json = {"statuses": [status(wamid or "", status_name)]}
    elif kind is UpdateKind.ECHO:
        lists = {"message_echoes": [message(wamid=wamid)]}
    else:
        lists = {"messages": [message(wamid=wamid)]}
    defaults: Json = {
        "id": f"{vendor_uid}/{number}",
        "received_at": RECEIVED_AT,
        "order_key": order_key or f"{vendor_uid}/{number}",
        "parts": (b"", webhook(**lists) if kind is not None else b"", b""),
        "body": b"not json" if kind is None else b"",
    }
    return Update(
        vendor_uid=vendor_uid,
        kind=kind,
        wamid=wamid,
        status=status_name,
        **{**defaults, **more},
    )
