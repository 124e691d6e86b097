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
    of_messages: dict[int, _Statuses] = {}
    for update in updates:
        if update.wamid is None or update.kind is None:
            coalesced.updates.append(update)
        elif update.kind is not UpdateKind.STATUS:
            _keep_first(coalesced, places, update)
        elif update.status is None:  # whatever it is, nothing else replaces it
            coalesced.updates.append(update)
        else:
            message = (update.vendor_uid, update.wamid, None)
            place = places.setdefault(message, len(coalesced.updates))
            if place == len(coalesced.updates):
                coalesced.updates.append(update)
            elif place in of_messages:
                of_messages[place].add(update)
            else:  # nothing is looked at of a status that is its message's only one
                of_messages[place] = _Statuses.of(coalesced.updates[place], update)
    for place, statuses in of_messages.items():
        coalesced.updates[place], lower = statuses.merge()
        coalesced.lower += lower
        coalesced.duplicates += statuses.duplicates
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


@dataclass(slots=True)
class _Statuses:
    """A message's statuses, each once by what it says; and those that say it again."""

    facts: dict[str, Update] = field(default_factory=dict)
    duplicates: list[Update] = field(default_factory=list)

    @classmethod
    def of(cls, *updates: Update) -> "_Statuses":
        statuses = cls()
        for update in updates:
            statuses.add(update)
        return statuses

    def add(self, update: Update) -> None:
        if self.facts.setdefault(update.fact, update) is not update:
            self.duplicates.append(update)

    def merge(self) -> tuple[Update, list[Update]]:
        """Return the highest with the others inside, and the others. What a duplicate carries is
        carried on: it may have been kept while others came."""
        high, *rest = self.facts.values()
        for status in rest:
            assert status.status is not None
            high = status if higher_status(high.status, status.status) else high
        lower = [status for status in self.facts.values() if status is not high]
        carrying = [*self.facts.values(), *(one for one in self.duplicates if one.lower_statuses)]
        if len(carrying) > 1:
            _carry(high, carrying, lower)
        return high, lower


def _carry(high: Update, carrying: list[Update], lower: list[Update]) -> None:
    """Put all that these statuses say and carry into the highest."""
    high.lower_statuses = [
        *(one for status in carrying for one in status.lower_statuses),
        *(status.raw_element for status in lower),
    ]
    high.lower_around = [
        *(one for status in carrying for one in status.lower_around),
        *(status.around for status in lower),
    ]
    high.webhooks = {name: size for one in carrying for name, size in one.webhooks.items()}
    high.attempts = max(status.attempts for status in carrying)
    high.refused = max(status.refused for status in carrying)
    failed_at = [at for one in carrying if (at := one.first_failed_at) is not None]
    high.first_failed_at = min(failed_at, default=None)
    named = (one.callback_data for one in (high, *carrying) if one.callback_data)
    high.callback_data = next(named, None)
