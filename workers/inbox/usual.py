"""The short way for a webhook of the shape that nearly every one has."""

import msgspec
from msgspec import Raw

from contracts.cloud_api.fields import lists_of
from workers.inbox.contacts import NO_CONTACTS, Contacts
from workers.inbox.rawjson import NOT_READ
from workers.inbox.runs import END, FRONTS, MAX_SHARED_BYTES, Run, envelope_fault


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    messaging_product: Raw
    metadata: Raw
    contacts: Raw = Raw(b"")
    messages: list[Raw] = []
    message_echoes: list[Raw] = []
    statuses: list[Raw] = []


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    field: str
    value: _Value


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    id: Raw
    changes: list[_Change]


class _Webhook(msgspec.Struct, forbid_unknown_fields=True):
    object: Raw
    entry: list[_Account]


_webhook = msgspec.json.Decoder(_Webhook)

# How long things are without what is in them, each with the comma behind it.
_WEBHOOK = len(b'{"object":,"entry":[]}') - 1
_ACCOUNT = len(b'{"id":,"changes":[]},') - 1
_CHANGE = len(b'{"field":,"value":{"messaging_product":,"metadata":}},')
_CONTACTS = len(b',"contacts":')
_LIST = {name: len(b',"":[]') + len(name) - 1 for name in FRONTS}


def usual_runs(body: bytes, max_changes: int) -> list[Run] | None:
    """Return the lists of a webhook of the usual shape; None of any other, and of one with lists
    that are not split, with anything long, or with members that come twice."""
    try:
        webhook = _webhook.decode(body)
    except NOT_READ:
        return None
    runs: list[Run] = []
    size, copied = _WEBHOOK + len(webhook.object), 0
    for account in webhook.entry:
        size += _ACCOUNT + len(account.id)
        max_changes -= len(account.changes)
        for change in account.changes:
            front = _front(webhook, account, change)
            copied += len(front)
            found = _runs(front, change)
            if not found or len(front) > MAX_SHARED_BYTES or found[0].contacts.has_long:
                return None
            runs += found
            size += _size(change, found)
    # It is written without spaces, so nothing else can be in it: where members come twice the
    # decoder keeps one.
    return runs if size == len(body) and copied <= len(body) and max_changes >= 0 else None


def _front(webhook: _Webhook, account: _Account, change: _Change) -> bytes:
    return b"".join(
        (
            *(b'{"object":', webhook.object, b',"entry":[{"id":', account.id),
            *(b',"changes":[{"field":"', change.field.encode(), b'","value":{'),
            *(b'"messaging_product":', change.value.messaging_product),
            *(b',"metadata":', change.value.metadata, b',"'),
        )
    )


def _runs(front: bytes, change: _Change) -> list[Run]:
    value = change.value
    contacts = Contacts((value.contacts,)) if value.contacts else NO_CONTACTS
    fault = envelope_fault(front + b'":0}}]}]}')
    runs = [
        Run(name, kind, found, (front, FRONTS[name]), END, contacts, False, fault)
        for name, kind in lists_of(change.field).items()
        if (found := getattr(value, name))
    ]
    if len(runs) == 1 == len(runs[0].elements):
        runs[0].alone = True
    return runs


def _size(change: _Change, runs: list[Run]) -> int:
    value = change.value
    size = _CHANGE + len(change.field.encode()) + 2
    size += len(value.messaging_product) + len(value.metadata)
    if value.contacts:
        size += _CONTACTS + len(value.contacts)
    for run in runs:
        size += _LIST[run.what] + len(run.elements) + sum(map(len, run.elements))
    return size
