"""Writes the effects that PHP requests in its answers to the outboxes, and wakes their runners."""

import uuid
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw

from contracts.backend import UpdateKind
from contracts.effects import Effect, EffectKind
from sidecar.effects.outbox import Outbox, is_of_update, parse_effects, with_update
from workers.inbox.delivery import Fate, Verdict, Verdicts
from workers.inbox.update import Parts, Update

#: Namespace of the ids of forwards that tell several statuses, or not all that were asked for.
_NAMESPACE = uuid.UUID("5f1f0f0e-55c1-4d6a-9f0e-3f0a8b5f7c21")

#: PHP has said what becomes of these. It will be asked about the others again.
_SETTLED = (Fate.DONE, Fate.IGNORED)

#: What effects tell, by their ids.
Facts = dict[str, list[str]]


class UpdateEffects:
    """``wake`` wakes the runner of a vendor's effects of a kind."""

    def __init__(self, outbox: Outbox, wake: Callable[[EffectKind, str], None]) -> None:
        self._outbox = outbox
        self._wake = wake

    async def put(self, updates: list[Update], verdicts: Verdicts) -> set[tuple[EffectKind, str]]:
        """Write the effects that PHP has requested for these updates to the outboxes, and return
        their kinds and vendors."""
        effects: dict[str, list[Effect]] = {}
        facts: dict[str, Facts] = {}
        for update in updates:
            verdict = verdicts[update.id]
            if verdict.fate in _SETTLED and verdict.effects:
                told = facts.setdefault(update.vendor_uid, {})
                some = await self._filled(update, verdict, told)
                effects.setdefault(update.vendor_uid, []).extend(some)
        for vendor_uid, of_vendor in effects.items():
            await self._outbox.put(vendor_uid, of_vendor, facts[vendor_uid])
        return {(effect.kind, vendor) for vendor, some in effects.items() for effect in some}

    def wake(self, put: Iterable[tuple[EffectKind, str]]) -> None:
        """Wake their runners."""
        for kind, vendor_uid in put:
            self._wake(kind, vendor_uid)

    async def _filled(self, update: Update, verdict: Verdict, told: Facts) -> list[Effect]:
        """Return the effects, with the update in those that tell it."""
        filled: list[Effect] = []
        for effect in parse_effects(update.vendor_uid, verdict.effects):
            if not is_of_update(effect):
                filled.append(effect)
            elif update.kind is not UpdateKind.STATUS:
                filled.append(with_update(effect, update.raw_payload))
            else:
                filled += await self._statuses(update, effect, told)
        return filled

    async def _statuses(self, update: Update, effect: Effect, told: Facts) -> list[Effect]:
        """Return a forward of those statuses that no forward has told, none if there are none.

        Each is told once, whatever it is coalesced with when Meta sends it again.
        """
        facts = update.facts()
        if len(facts) > 1:
            for fact in await self._outbox.known(update.vendor_uid, list(facts)):
                del facts[fact]
        if not facts:
            return []
        effect_id = str(effect.id)
        if list(facts) != [update.fact]:
            effect_id = str(uuid.uuid5(_NAMESPACE, "\0".join((effect_id, *facts))))
        told[effect_id] = list(facts)
        named = effect.model_copy(update={"id": effect_id})
        return [with_update(named, _joined(facts.values()))]


class _Webhook(msgspec.Struct):
    object: Raw = Raw(b'"whatsapp_business_account"')
    entry: list[Raw] = []


def _joined(facts: Iterable[Parts]) -> bytes:
    """Return statuses as one webhook. Those with the same around them stand in one list, as Meta
    sends them; the others have entries of their own."""
    lists: dict[tuple[bytes, bytes], list[bytes]] = {}
    for before, status, after in facts:
        lists.setdefault((before, after), []).append(status)
    webhooks = [before + b",".join(some) + after for (before, after), some in lists.items()]
    if len(webhooks) == 1:
        return webhooks[0]
    read = [msgspec.json.decode(webhook, type=_Webhook) for webhook in webhooks]
    entries = b",".join(bytes(entry) for one in read for entry in one.entry)
    return b'{"object":' + bytes(read[-1].object) + b',"entry":[' + entries + b"]}"
