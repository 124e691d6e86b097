"""Writes the effects that PHP requests in its answers to the outboxes, and wakes their runners."""

from collections.abc import Callable, Iterable

from contracts.effects import Effect, EffectKind
from sidecar.effects.outbox import Outbox, parse_effects, with_update
from workers.inbox.delivery import Fate, Verdicts
from workers.inbox.update import Update


class UpdateEffects:
    """``wake`` wakes the runner of a vendor's effects of a kind."""

    def __init__(self, outbox: Outbox, wake: Callable[[EffectKind, str], None]) -> None:
        self._outbox = outbox
        self._wake = wake

    async def put(self, updates: list[Update], verdicts: Verdicts) -> set[tuple[EffectKind, str]]:
        """Write the effects that PHP has requested for these updates to the outboxes, and return
        their kinds and vendors."""
        effects: dict[str, list[Effect]] = {}
        for update in updates:
            verdict = verdicts[update.id]
            if verdict.fate is Fate.DONE and verdict.effects:
                named = parse_effects(update.vendor_uid, verdict.effects)
                filled = [with_update(effect, update.whole_payload()) for effect in named]
                effects.setdefault(update.vendor_uid, []).extend(filled)
        for vendor_uid, of_vendor in effects.items():
            await self._outbox.put(vendor_uid, of_vendor)
        return {(effect.kind, vendor) for vendor, some in effects.items() for effect in some}

    def wake(self, put: Iterable[tuple[EffectKind, str]]) -> None:
        """Wake their runners."""
        for kind, vendor_uid in put:
            self._wake(kind, vendor_uid)
