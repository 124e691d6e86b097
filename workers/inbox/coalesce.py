"""Dropping duplicates within a batch, and folding the statuses of one message into the highest."""

from dataclasses import dataclass, field
from typing import Any

from contracts.backend import UpdateKind
from contracts.cloud_api.webhook import higher_status
from workers.inbox.update import Item


@dataclass(slots=True)
class Folded:
    """``items`` are to be handed over; ``duplicates`` and ``lower`` stand for no more than what
    is among the items already. Every item that came in is in exactly one of the three."""

    items: list[Item] = field(default_factory=list)
    duplicates: list[Item] = field(default_factory=list)
    lower: list[Item] = field(default_factory=list)


def fold(items: list[Item]) -> Folded:
    """Fold a batch. The order of what remains is the order in which it came.

    A status takes the place of the first one of its message, and carries the lower ones along
    (their times matter: ``delivered`` sets when the message arrived).
    """
    folded = Folded()
    places: dict[tuple[str, str, str | None], int] = {}
    seen_statuses: set[tuple[str, str, str | None]] = set()
    for item in items:
        if item.wamid is None or item.kind is None:
            folded.items.append(item)
            continue
        if item.kind is not UpdateKind.STATUS:
            _keep_first(folded, places, item)
            continue
        if item.status is None:  # whatever it says instead, nothing else stands for it
            folded.items.append(item)
            continue
        exact = (item.vendor_uid, item.wamid, item.status)
        if exact in seen_statuses:
            folded.duplicates.append(item)
            continue
        seen_statuses.add(exact)
        message = (item.vendor_uid, item.wamid, None)
        place = places.get(message)
        if place is None:
            places[message] = len(folded.items)
            folded.items.append(item)
        else:
            folded.items[place] = _merge(folded, folded.items[place], item)
    return folded


def _keep_first(folded: Folded, places: dict[tuple[str, str, str | None], int], item: Item) -> None:
    assert item.wamid is not None
    assert item.kind is not None
    key = (item.vendor_uid, item.wamid, item.kind.value)
    if key in places:
        folded.duplicates.append(item)
    else:
        places[key] = len(folded.items)
        folded.items.append(item)


def _merge(folded: Folded, kept: Item, new: Item) -> Item:
    """Return the higher of two statuses of one message, with the other one inside."""
    assert new.status is not None
    if higher_status(kept.status, new.status):
        high, low = new, kept
    else:
        high, low = kept, new
    folded.lower.append(low)
    high.lower_statuses = [*kept.lower_statuses, *new.lower_statuses, _status_object(low)]
    high.attempts = max(kept.attempts, new.attempts)
    failed_at = [at for at in (kept.first_failed_at, new.first_failed_at) if at is not None]
    high.first_failed_at = min(failed_at, default=None)
    high.callback_data = high.callback_data or low.callback_data
    return high


def _status_object(item: Item) -> dict[str, Any]:
    assert item.payload is not None
    status: dict[str, Any] = item.payload["entry"][0]["changes"][0]["value"]["statuses"][0]
    return status
