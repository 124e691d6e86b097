"""Splits a webhook into updates: entry x change x message, echo or status.

PHP's own routine looks only at the first element of each list; so each update gets an envelope of
its own, with the metadata and the contact that belong to it. Which lists hold updates follows from
the change's field (``contracts/cloud_api/fields.py``); any other change is one update, as it is. A
body of an unexpected shape is not split: PHP gets it as it is. An element that is not a valid
update is *unreadable*, and one that carries nothing is ignored; neither affects its neighbours.

Splitting works on the bytes. Only what makes up an update is copied, and only for as many updates
as are requested: the cost is linear in the size of the webhook, whatever its shape.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from contracts.backend import UpdateKind
from contracts.cloud_api.fields import kind_of
from contracts.cloud_api.people import identifier
from sidecar.inbox.status_times import second_of
from sidecar.inbox.store import InboxEntry, RawWebhook
from workers.inbox.clean import clean
from workers.inbox.contacts import Contact, Links, who
from workers.inbox.envelopes import NULL, runs_of
from workers.inbox.rawjson import NOT_READ, decode, decoded
from workers.inbox.runs import Run
from workers.inbox.update import Update

_CHANGE, _STATUS = UpdateKind.CHANGE, UpdateKind.STATUS

#: Maximum length of an order key, which is part of a Redis key; longer ones are hashed.
MAX_NAME = 128

#: Maximum elements that are inspected in one go, readable or not.
MAX_LOOKED_AT = 20_000

#: Messages of these types stand for what may come under the same id later.
_PROVISIONAL = ("unsupported", "unknown")


def split_webhook(webhook: RawWebhook, entry: InboxEntry, name: str) -> list[Update]:
    """Return all updates of one webhook; ``name`` becomes the front part of their ids."""
    parsed = Parsed(webhook, entry, name)
    updates: list[Update] = []
    place = 0
    while place < parsed.length:
        some, place = parsed.take(place, None)
        updates += some
    return updates


@dataclass(frozen=True, slots=True)
class _Left:
    """Why an element is no update: it cannot be read, or is ignored on purpose."""

    reason: str
    is_ignored: bool = False


class Parsed:
    """A webhook whose lists are known. ``name`` becomes the front part of its updates' ids."""

    def __init__(self, webhook: RawWebhook, entry: InboxEntry, name: str) -> None:
        self._webhook = webhook
        self._vendor_uid, self._received_at = entry.vendor_uid, entry.received_at
        self._name = name
        self._source = {name: len(webhook.body)}
        self._runs = runs_of(clean(webhook.body))
        self._known_links: Links | None = None
        #: Where each run begins, and where the last one ends.
        self._places = [0, *accumulate([len(run.elements) for run in self._runs])]
        self.length = self._places[-1] or 1

    def take(
        self, start: int, most: int | None, most_bytes: int | None = None
    ) -> tuple[list[Update], int]:
        """Return the updates from place ``start`` on, at most so many and (but for one) so many
        bytes; and the place of the next one, which is ``length`` when none is left.

        Elements that are left out for like reasons and stand side by side are one update.
        """
        if not self._runs:
            whole = Update.whole(self._name, self._vendor_uid, self._received_at, self._webhook)
            return ([whole] if start == 0 else []), 1
        updates: list[Update] = []
        left: list[tuple[Update, list[bytes]]] = []
        goes_on = False
        size = 0
        place = start
        for run, before, index in self._from(start):
            raw = bytes(run.elements[index])
            found = self._read(run, before, index, raw, place)
            if isinstance(found, _Left):
                if goes_on and _goes_with(left[-1][0], found):
                    left[-1][1].append(raw)
                    size += len(raw)
                else:
                    if most is not None and len(updates) >= most:
                        break
                    updates.append(self._left(place, found))
                    left.append((updates[-1], [raw]))
                    goes_on = True
                    size += len(raw)
            else:
                full = most is not None and len(updates) >= most
                if updates and most_bytes is not None and size + found.size > most_bytes:
                    full = True
                if full:
                    break
                updates.append(found)
                size += found.size
                goes_on = False
            place += 1
            if place - start >= MAX_LOOKED_AT:
                break
        for update, elements in left:
            update.stand_for(elements)
        return updates, place

    def _from(self, start: int) -> Iterator[tuple[Run, bytes, int]]:
        first = bisect_right(self._places, start) - 1
        index = start - self._places[first]
        for run in self._runs[first:]:
            before = b"".join(run.front)
            for place in range(index, len(run.elements)):
                yield run, before, place
            index = 0

    def _read(self, run: Run, before: bytes, index: int, raw: bytes, place: int) -> Update | _Left:
        """Return an element as an update, or why it is none."""
        if run.ignored is not None or raw == b"null":
            return _Left(run.ignored or NULL, is_ignored=True)
        if run.kind is None or run.fault is not None:
            return _Left(f"{run.what}[{index}] cannot be read: {run.fault}")
        try:
            values = decode(raw)
        except NOT_READ as error:
            return _Left(f"{run.what}[{index}] cannot be read: {error}")
        if run.kind is _CHANGE:
            return self._new(place, run.kind, "change", (before, raw, run.after))
        fault = "it is no object"
        if isinstance(values, dict):
            wamid = identifier(values.get("id"))
            if wamid is not None:
                return self._element(run, values, wamid, (before, raw, place))
            fault = "it has no id, or one that is neither text nor a number"
        return _Left(f"{run.what}[{index}] cannot be read: {fault}")

    def _element(
        self, run: Run, values: dict[str, Any], wamid: str, at: tuple[bytes, bytes, int]
    ) -> Update:
        """Return a message, an echo or a status."""
        assert run.kind is not None
        before, raw, place = at
        after = run.after
        kind = kind_of(run.kind, values)
        if kind is _CHANGE:
            return self._new(place, kind, "change", (before, raw, after))
        contact = run.contacts.of(values, kind, alone=run.alone)
        if contact is not None:
            after = b'],"contacts":[' + contact.raw + b"]" + after[1:]
        if kind is _STATUS:
            update = self._new(place, kind, wamid, (before, raw, after))
            update.status = _text(values, "status")
            update.status_at = second_of(values.get("timestamp"))
            update.callback_data = _text(values, "biz_opaque_callback_data")
        else:
            update = self._new(place, kind, self._who(values, kind, contact), (before, raw, after))
            update.provisional = values.get("type") in _PROVISIONAL
        update.wamid = wamid
        return update

    def _who(self, values: dict[str, Any], kind: UpdateKind, contact: Contact | None) -> str:
        """Return whose messages stay in order."""
        name, is_user = who(values, kind, contact)
        if name is None or self.length == 1:  # a single update names all that is known of them
            return name or "unknown"
        return self._links().name(name, is_user=is_user)

    def _links(self) -> Links:
        if self._known_links is None:
            self._known_links = Links()
            if b"user_id" in self._webhook.body or b'"system"' in self._webhook.body:
                for run in self._runs:
                    _learn(run, self._known_links)
        return self._known_links

    def _new(
        self, place: int, kind: UpdateKind | None, who: str, parts: tuple[bytes, bytes, bytes]
    ) -> Update:
        vendor_uid = self._vendor_uid
        return Update(
            id=f"{self._name}/{place}",
            vendor_uid=vendor_uid,
            received_at=self._received_at,
            kind=kind,
            order_key=f"{vendor_uid}/{_name(who)}",
            parts=parts,
            webhooks=self._source,
        )

    def _left(self, place: int, left: _Left) -> Update:
        update = self._new(place, None, "change", (b"", b"", b""))
        update.unreadable = not left.is_ignored
        if left.is_ignored:
            update.ignored_reason = left.reason
        else:
            update.reason = left.reason
        return update


def _goes_with(update: Update, left: _Left) -> bool:
    if update.unreadable or not left.is_ignored:
        return update.unreadable and not left.is_ignored
    return update.ignored_reason == left.reason


def _learn(run: Run, links: Links) -> None:
    for contact in run.contacts.all():
        links.add(contact.values, "contact")
    if run.kind is not None and run.kind is not _CHANGE:
        for raw in run.elements:
            values = decoded(bytes(raw))
            if isinstance(values, dict):
                links.add(values, run.kind)
                if values.get("type") == "system":
                    links.add_move(values)


def _text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None


def _name(who: str) -> str:
    if len(who) <= MAX_NAME:
        return who
    return hashlib.blake2b(who.encode(), digest_size=16).hexdigest()
