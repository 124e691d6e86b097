"""Taking a webhook apart: entry x change x message, echo or status.

PHP's own routine looks at the first element of each list and at nothing else; so each update gets
an envelope of its own, with the metadata and the contacts that belong to it. A body that is not of
the expected shape anywhere is not split: PHP gets it as it is.
"""

from typing import Any

import orjson

from contracts.backend import UpdateKind
from sidecar.inbox import Entry, Webhook
from workers.inbox.update import Item

_LISTS = {
    "messages": UpdateKind.MESSAGE,
    "message_echoes": UpdateKind.ECHO,
    "statuses": UpdateKind.STATUS,
}

#: Levels of an envelope that is taken apart.
_DEEPEST = 170


def split_entry(entry: Entry) -> list[Item]:
    """Return the updates of all webhooks of an inbox entry, in the order in which they came."""
    items: list[Item] = []
    for index, webhook in enumerate(entry.webhooks):
        items.extend(split_webhook(webhook, entry, f"{entry.vendor_uid}/{entry.id}/{index}"))
    return items


def split_webhook(webhook: Webhook, entry: Entry, name: str) -> list[Item]:
    """Return the updates of one webhook; ``name`` becomes the front part of their ids."""
    try:
        envelope = orjson.loads(webhook.body)
        _refuse_too_deep(envelope, webhook.body)
        items = _split(envelope, entry, name)
    except (orjson.JSONDecodeError, _Shapeless):
        items = []
    if items:
        return items
    return [Item.whole(name, entry.vendor_uid, entry.received_at, webhook)]


class _Shapeless(Exception):
    """Something is not of the type that it should be, or nested too deep to be written again."""


def _refuse_too_deep(envelope: Any, body: bytes) -> None:
    """Refuse what can be read here and perhaps not where it goes. orjson writes 254 levels, and
    some readers stop at 200 (pydantic does); what we write wraps an envelope in a few more."""
    if body.count(b"{") + body.count(b"[") < _DEEPEST:
        return
    for _ in range(254 - _DEEPEST):
        envelope = [envelope]
    try:
        orjson.dumps(envelope)
    except orjson.JSONEncodeError:
        raise _Shapeless from None


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _Shapeless
    return value


def _split(envelope: Any, entry: Entry, name: str) -> list[Item]:
    items: list[Item] = []
    for account in _typed(_typed(envelope, dict).get("entry"), list):
        for change in _typed(_typed(account, dict).get("changes"), list):
            items.extend(_split_change(envelope, account, _typed(change, dict), entry, name))
    for index, item in enumerate(items):
        item.id = f"{name}/{index}"
    return items


def _split_change(
    envelope: dict[str, Any],
    account: dict[str, Any],
    change: dict[str, Any],
    entry: Entry,
    name: str,
) -> list[Item]:
    value = change.get("value")
    lists = [key for key in _LISTS if value.get(key)] if isinstance(value, dict) else []
    if not isinstance(value, dict) or not lists:
        payload = _envelope(envelope, account, change)
        return [_item(entry, UpdateKind.CHANGE, f"{entry.vendor_uid}/change", payload)]
    items = []
    for key in lists:
        base = {k: v for k, v in value.items() if k not in _LISTS and k != "contacts"}
        contacts = value.get("contacts")
        for element in _typed(value[key], list):
            single = {**base, key: [_typed(element, dict)]}
            if contacts:
                single["contacts"] = _contacts_of(element, contacts)
            payload = _envelope(envelope, account, {**change, "value": single})
            items.append(_update(entry, _LISTS[key], element, payload))
    return items


def _envelope(
    envelope: dict[str, Any], account: dict[str, Any], change: dict[str, Any]
) -> dict[str, Any]:
    return {**envelope, "entry": [{**account, "changes": [change]}]}


def _contacts_of(element: dict[str, Any], contacts: Any) -> Any:
    """Return the contacts that an update is from or to; all of them if that is not clear."""
    if not isinstance(contacts, list) or len(contacts) == 1:
        return contacts
    phones = _given(element, "from", "recipient_id", "to")
    users = _given(element, "from_user_id", "recipient_user_id", "to_user_id")
    mine = [
        contact
        for contact in contacts
        if isinstance(contact, dict)
        and (contact.get("wa_id") in phones or contact.get("user_id") in users)
    ]
    return mine or contacts


def _given(element: dict[str, Any], *names: str) -> list[Any]:
    """Return what stands under these names, of whatever type it is (so no set)."""
    return [element[name] for name in names if element.get(name) is not None]


def _update(
    entry: Entry, kind: UpdateKind, element: dict[str, Any], payload: dict[str, Any]
) -> Item:
    wamid = _text(element.get("id"))
    if kind is UpdateKind.STATUS:
        order_key = f"{entry.vendor_uid}/{wamid}"
    else:
        side = "to" if kind is UpdateKind.ECHO else "from"
        who = _text(element.get(side)) or _text(element.get(f"{side}_user_id"))
        order_key = f"{entry.vendor_uid}/{who or 'unknown'}"
    item = _item(entry, kind, order_key, payload)
    item.wamid = wamid
    if kind is UpdateKind.STATUS:
        item.status = _text(element.get("status"))
        item.callback_data = _text(element.get("biz_opaque_callback_data"))
    return item


def _item(entry: Entry, kind: UpdateKind, order_key: str, payload: dict[str, Any]) -> Item:
    return Item(
        id="",
        vendor_uid=entry.vendor_uid,
        received_at=entry.received_at,
        kind=kind,
        order_key=order_key,
        payload=payload,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
