"""What is on its way out of whatever a query names: rows in a ledger, effects in an outbox; and who
gets nothing for a while."""

from contextlib import suppress
from typing import Any, cast

import orjson
from pydantic import ValidationError

from contracts.backend import SendOutcome, SendResult
from contracts.effects import EffectKind
from sidecar.clock import utc_text
from sidecar.ops.event import Event, Part, Source, Step
from sidecar.ops.failures import explain
from sidecar.ops.found_in_php import ACCEPTED, RESULTS
from sidecar.ops.wanted import Wanted
from sidecar.php.reasons import scrub
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.row_states import RowState, load

_ROW_TEXTS = {
    RowState.CLAIMED: "claimed, and certainly not sent yet",
    RowState.SENDING: "being sent right now",
    RowState.KNOWN: "sent or refused; PHP is about to be told",
}


class SendSearch:
    """One search, which adds to ``part`` what it finds."""

    def __init__(self, redis: Redis, wanted: Wanted, part: Part) -> None:
        self._redis = redis
        self._wanted = wanted
        self.part = part

    async def run(self) -> None:
        """Look everywhere. Raises redis-py's errors."""
        await self._ledger()
        await self._outbox()
        await self._people()

    def _event(self, at: int, step: Step, text: str, vendor: str, **details: Any) -> None:
        self.part.events.append(Event(at, step, text, Source.SIDECAR, vendor, details))

    async def _ledger(self) -> None:
        ids = list(dict.fromkeys((*self._wanted.rows, *self._wanted.effects)))
        if not ids:
            return
        campaigns = await cast(Any, self._redis).hmget(keys.ROWS, ids)
        for row, campaign in zip(ids, campaigns, strict=True):
            value = campaign and await self._redis.hget(keys.ledger(campaign.decode()), row)
            if value is not None:
                await self._is_in_hand(row, campaign.decode(), cast(bytes, value))

    async def _is_in_hand(self, row: str, campaign: str, value: bytes) -> None:
        state, _, more = load(value)
        number = f", from number {more}" if state is RowState.SENDING and more else ""
        self.part.where.append(f"message {row}: {_ROW_TEXTS[state]}{number}")
        if state is RowState.KNOWN:
            with suppress(ValidationError):  # another version wrote it
                self._is_known(SendResult.model_validate_json(more.partition(":")[2]))
        waits = await self._redis.mget(keys.wait(campaign), keys.blocked(campaign))
        for reason in waits:
            if reason is not None:
                text = cast(bytes, reason).decode(errors="replace")
                self.part.where.append(f"what it belongs to waits: {text}")

    def _is_known(self, result: SendResult) -> None:
        if result.outcome is SendOutcome.ACCEPTED:
            step, text = Step.ACCEPTED, ACCEPTED.format(result.wamid)
        else:
            step, text = RESULTS[result.outcome]
            if error := result.error:
                code = None if error.code is None else str(error.code)
                text += f": {explain(code, scrub(error.message)).meaning}"
        details = {"row": result.uid, "wamid": result.wamid, "campaign_uid": result.campaign_uid}
        self._event(result.at, step, text, result.vendor_uid, **details)

    async def _outbox(self) -> None:
        """Effects that wait, by their ids. A reply is one too."""
        if not self._wanted.effects:
            return
        pipeline, places = self._redis.pipeline(transaction=False), []
        for vendor in self._wanted.vendors:
            for kind in EffectKind:
                places.append((vendor, kind))
                pipeline.hmget(keys.effects(kind, vendor), list(self._wanted.effects))
                pipeline.zmscore(keys.outbox_of(kind, vendor), list(self._wanted.effects))
        answers = await pipeline.execute() if places else []
        for (vendor, kind), values, dues in zip(places, answers[::2], answers[1::2], strict=True):
            for effect_id, value, due in zip(self._wanted.effects, values, dues, strict=True):
                if value is not None:
                    self._effect_waits(vendor, kind, effect_id, value, due)

    def _effect_waits(
        self, vendor: str, kind: EffectKind, effect_id: str, value: bytes, due: float | None
    ) -> None:
        kept = orjson.loads(value)
        text = f"PHP asked for the effect {kind}"
        self._event(kept["put_at"], Step.EFFECT, text, vendor, effect=effect_id)
        when = "" if due is None else f", due at {utc_text(int(due))}"
        why = f": {scrub(kept['reason'])}" if kept.get("reason") else ""
        tries = f", after {kept['attempts']} tries{why}" if kept.get("attempts") else ""
        self.part.where.append(f"the effect {kind} ({effect_id}) waits{when}{tries}")

    # -- people --

    async def _people(self) -> None:
        pipeline, places = self._redis.pipeline(transaction=False), []
        for vendor in self._wanted.vendors:
            for recipient in self._wanted.recipients:
                places.append(vendor)
                pipeline.get(keys.suppressed(vendor, recipient))
                pipeline.ttl(keys.suppressed(vendor, recipient))
        answers = await pipeline.execute() if places else []
        for vendor, value, left_s in zip(places, answers[::2], answers[1::2], strict=True):
            if value is not None:
                self._is_suppressed(vendor, orjson.loads(value), left_s)

    def _is_suppressed(self, vendor: str, why: dict[str, Any], left_s: int) -> None:
        text = f"messages to this person fail without a call from here on: error {why['code']}"
        self._event(why["at"], Step.SUPPRESSED, text, vendor, code=why["code"])
        self.part.where.append(f"this person gets nothing from the vendor for another {left_s:,} s")
