"""One batch of updates, fresh from the inbox or due for a retry, and its results."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from workers.inbox.coalesce import Coalesced
from workers.inbox.delivery import Fate, Verdicts
from workers.inbox.reader import Taken
from workers.inbox.update import Update


@dataclass(slots=True)
class Batch:
    """Updates that are processed together: ``fresh`` from the inbox, and ``waited``, the first few
    of each order key that is due."""

    fresh: list[Taken] = field(default_factory=list)
    waited: dict[str, list[Update]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fresh or self.waited)

    def without(self, vendors: set[str]) -> "Batch":
        """Return what is not of these vendors."""
        return Batch(
            [taken for taken in self.fresh if taken.vendor_uid not in vendors],
            {k: some for k, some in self.waited.items() if some[0].vendor_uid not in vendors},
        )


@dataclass(slots=True)
class Handled:
    """A batch and its results. ``tried`` have a verdict each; ``early`` wait for their send to be
    recorded, ``behind`` for an earlier one of their order key; PHP has ``duplicates`` already, and
    has nothing to do with ``ignored``."""

    batch: Batch
    coalesced: Coalesced
    tried: list[Update] = field(default_factory=list)
    behind: list[Update] = field(default_factory=list)
    early: list[Update] = field(default_factory=list)
    duplicates: list[Update] = field(default_factory=list)
    unreadable: list[Update] = field(default_factory=list)
    ignored: list[Update] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=dict)

    @property
    def untouched(self) -> set[str]:
        """Return the vendors whose delivered updates were all untried. Their updates stay where
        they are."""
        tried: dict[str, bool] = {}
        for update in self.tried:
            known = self.verdicts[update.id].fate is not Fate.UNTRIED
            tried[update.vendor_uid] = tried.get(update.vendor_uid, False) or known
        return {vendor_uid for vendor_uid, known in tried.items() if not known}

    def without(self, vendors: set[str]) -> "Handled":
        """Return the same without what is of these vendors."""

        def others(updates: Iterable[Update]) -> list[Update]:
            return [update for update in updates if update.vendor_uid not in vendors]

        if not vendors:
            return self
        return Handled(
            self.batch.without(vendors),
            Coalesced(
                others(self.coalesced.updates),
                others(self.coalesced.duplicates),
                others(self.coalesced.lower),
            ),
            others(self.tried),
            others(self.behind),
            others(self.early),
            others(self.duplicates),
            others(self.unreadable),
            others(self.ignored),
            self.verdicts,
        )
