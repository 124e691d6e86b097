"""Drops a batch's duplicates, and coalesces each message's statuses into the highest."""

from dataclasses import dataclass, field

from contracts.backend import UpdateKind
from contracts.cloud_api.webhook import higher_status
from workers.inbox.update import Update


@dataclass(slots=True)
class Coalesced:
    """``updates`` are to be delivered; ``duplicates`` and ``lower`` add nothing to them. Every
    update that came in is in exactly one of the three."""

    updates: list[Update] = field(default_factory=list)
    duplicates: list[Update] = field(default_factory=list)
    lower: list[Update] = field(default_factory=list)


def coalesce(updates: list[Update]) -> Coalesced:
    """Coalesce a batch. The remaining updates keep their order.

    The highest status takes the place of its message's first one, and carries the lower ones along
    (their times matter: ``delivered`` sets when the message arrived).
    """
    coalesced = Coalesced()
    places: dict[tuple[str, str, str | None], int] = {}
    known_statuses: set[tuple[str, str]] = set()
    for update in updates:
        if update.wamid is None or update.kind is None:
            coalesced.updates.append(update)
            continue
        if update.kind is not UpdateKind.STATUS:
            _keep_first(coalesced, places, update)
            continue
        if update.status is None:  # whatever it is, nothing else replaces it
            coalesced.updates.append(update)
            continue
        exact = (update.vendor_uid, update.fact)
        if exact in known_statuses:
            coalesced.duplicates.append(update)
            continue
        known_statuses.add(exact)
        message = (update.vendor_uid, update.wamid, None)
        place = places.get(message)
        if place is None:
            places[message] = len(coalesced.updates)
            coalesced.updates.append(update)
        else:
            coalesced.updates[place] = _merge(coalesced, coalesced.updates[place], update)
    return coalesced


def _keep_first(
    coalesced: Coalesced, places: dict[tuple[str, str, str | None], int], update: Update
) -> None:
    assert update.wamid is not None
    assert update.kind is not None
    key = (update.vendor_uid, update.wamid, update.kind.value)
    # The message itself may follow what stands for it, and is no duplicate of that.
    provisional = (update.vendor_uid, update.wamid, f"provisional {update.kind.value}")
    if key in places or (update.provisional and provisional in places):
        coalesced.duplicates.append(update)
    else:
        places[provisional if update.provisional else key] = len(coalesced.updates)
        coalesced.updates.append(update)


def _merge(coalesced: Coalesced, kept: Update, new: Update) -> Update:
    """Return the higher of two statuses of one message, with the other one inside."""
    assert new.status is not None
    if higher_status(kept.status, new.status):
        high, low = new, kept
    else:
        high, low = kept, new
    coalesced.lower.append(low)
    high.lower_statuses = [*kept.lower_statuses, *new.lower_statuses, low.raw_element]
    webhook = b"".join(low.parts)
    high.lower_envelopes = [*kept.lower_envelopes, *new.lower_envelopes, webhook]
    high.webhooks = {**kept.webhooks, **new.webhooks}
    high.attempts = max(kept.attempts, new.attempts)
    failed_at = [at for at in (kept.first_failed_at, new.first_failed_at) if at is not None]
    high.first_failed_at = min(failed_at, default=None)
    high.callback_data = high.callback_data or low.callback_data
    return high
