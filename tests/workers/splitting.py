"""Taking webhooks apart, and looking at what came out."""

from typing import Any

import orjson

from contracts.backend import UpdateKind
from sidecar.inbox.store import InboxEntry
from tests.workers.payloads import entry
from workers.inbox.split import split_webhook
from workers.inbox.update import Update

LISTS = {
    UpdateKind.MESSAGE: "messages",
    UpdateKind.ECHO: "message_echoes",
    UpdateKind.STATUS: "statuses",
}


def split(body: Any) -> list[Update]:
    return split_entry(entry(body if isinstance(body, bytes) else orjson.dumps(body)))


def split_entry(one: InboxEntry) -> list[Update]:
    """Return the updates of an entry, named as the reader names them."""
    return [
        update
        for place, webhook in enumerate(one.webhooks)
        for update in split_webhook(webhook, one, f"{one.vendor_uid}/{one.uid}/{place}")
    ]


def only_change(one: Update) -> dict[str, Any]:
    """Return the one change of an update's envelope."""
    assert one.payload is not None
    [only_account] = one.payload["entry"]
    [only] = only_account["changes"]
    found: dict[str, Any] = only
    return found


def element(one: Update) -> dict[str, Any]:
    """Return the one update of an update's envelope."""
    assert one.kind is not None
    lists = {
        name: content
        for name, content in only_change(one)["value"].items()
        if name in LISTS.values()
    }
    assert list(lists) == [LISTS[one.kind]]
    [only] = lists[LISTS[one.kind]]
    found: dict[str, Any] = only
    return found


def whole(body: bytes) -> Update:
    """Return the update of a body that is not split."""
    [one] = split(body)
    assert (one.kind, one.payload, one.wamid) == (None, None, None)
    assert not one.unreadable
    assert one.body == body
    return one


def unreadable(body: Any) -> Update:
    """Return the only update of a body, which PHP could not read."""
    [one] = split(body)
    assert one.unreadable
    assert (one.kind, one.wamid) == (None, None)
    assert one.reason
    return one
