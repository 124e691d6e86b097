"""Sending a vendor's replies: messages that answer somebody, ahead of campaigns.

They come from the outbox and not from PHP's queue. Otherwise they are sent as a campaign's rows
are: at the number's slots, through the ledger, each at most once. A reply stays in the outbox until
PHP knows how it ended; while its ledger says more than that, it is not sent again.
"""

import asyncio
import uuid
from dataclasses import replace

import structlog

from contracts import backend as contract
from contracts.backend import SendError, SendOutcome, SendResult, VendorConfig
from contracts.effects import EffectKind, SendMessage
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, Queued
from sidecar.php.breaker import Breaker
from sidecar.php.client import BackendUnavailable
from sidecar.redis.client import AnyRedisError
from sidecar.redis.lease import Lease, LeaseLost
from workers.sending.ledger import Ledger
from workers.sending.pipeline import End, Pipeline, SendingFailed
from workers.sending.results import Reporter, tell_php
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend, ReplyRow
from workers.sending.services import Services

log = structlog.get_logger()

#: Replies of a vendor that may be in hand at the same time.
MAX_IN_HAND = 400
#: How often the outbox is looked at for what another process has put there.
POLL_S = 0.05

KIND = EffectKind.SEND_MESSAGE


class ReplyRun:
    """Sends a vendor's replies under their lease (:func:`sidecar.effects.outbox.effects_lease`).
    Use once."""

    def __init__(
        self, services: Services, outbox: Outbox, config: VendorConfig, lease: Lease
    ) -> None:
        self._settings = services.settings
        self._outbox = outbox
        self._config = SendConfig(services.settings, config)
        self._vendor_uid = config.vendor_uid
        self._lease = lease
        self._claim_uid = str(uuid.uuid4())
        self._ledger = Ledger(services.redis, self._config.name, config.vendor_uid, services.begun)
        self._tell_php = tell_php(services.backend)
        self._results = Reporter(self._tell, self._ledger, wait_s=self._config.result_wait_s)
        self._pipeline = Pipeline(
            services, self._config, lease, self._ledger, source=self, results=self._results
        )
        self._in_hand: dict[str, Queued | None] = {}
        self._poked = False

    def poke(self) -> None:
        """Have the outbox looked at now."""
        self._poked = True
        self._pipeline.changed()

    def follow(self, config: VendorConfig | None) -> None:
        """Take the vendor's current configuration; end the run if there is no such vendor."""
        self._pipeline.follow(config)
        self._results.wait_for(self._config.result_wait_s)

    async def run(self) -> None:
        """Send until nothing is due and all is settled, or something ends it. Raises if Redis is
        away at the beginning, and :class:`SendingFailed` for a fault: what is due would be begun
        again at once, and fail again."""
        try:
            await self._settle_leftovers()
        except LeaseLost:
            return  # whoever holds it now does all this
        try:
            await self._pipeline.run()
        finally:
            await self._shut_down()
        if self._pipeline.end_reason is End.FAILED:
            raise SendingFailed("replies: a fault, see sending.failed")

    async def _settle_leftovers(self) -> None:
        state = await self._pipeline.settle_leftovers()
        left = [*(result.uid for result in state.known), *state.sending]
        self._in_hand.update(dict.fromkeys(left))
        for reply_uid, claim_uid in state.claimed.items():
            await self._ledger.released(claim_uid, [reply_uid])

    # -- the outbox --

    async def feed(self) -> None:
        breaker = Breaker("outbox.redis_unavailable", vendor=self._vendor_uid)
        while not self._pipeline.ended.is_set():
            self._poked = False
            try:
                found = await self._take()
                breaker.worked()
            except AnyRedisError as error:
                breaker.failed(str(error))
                found = True
            if not (found or self._in_hand):
                return
            await self._pipeline.until(lambda: self._poked, max(POLL_S, breaker.wait_s))

    async def _take(self) -> bool:
        """Take what is due. Return whether there was anything that was not in hand."""
        room = MAX_IN_HAND - len(self._in_hand)
        if room <= 0:
            return True
        now = now_ms()
        # What ends while the outbox is read may still be in the answer.
        had = set(self._in_hand)
        due = await self._outbox.due(KIND, self._vendor_uid, now, MAX_IN_HAND)
        new = [queued for queued in due if queued.id not in had][:room]
        for queued in new:
            assert isinstance(queued.effect, SendMessage)
            self._in_hand[queued.id] = queued
            row = ClaimedSend(_row(queued, queued.effect), self._claim_uid)
            if now > self._expires_at(queued, queued.effect):
                why = f": {queued.reason}" if queued.reason else ""
                message = f"it had expired before it could be sent{why}"
                self._pipeline.fail(row, SendError(code=None, message=message))
            else:
                self._pipeline.put([row])
        return bool(new)

    def _expires_at(self, queued: Queued, effect: SendMessage) -> int:
        return effect.expires_at or queued.put_at + self._settings.reply_expiry_s * 1000

    # -- how they end --

    async def _tell(self, part: list[SendResult], halved: bool) -> list[contract.UpdateResult]:
        """Put back what waits, and tell PHP of the rest; what it has taken leaves the outbox before
        it leaves the ledger, for it must not be sent again."""
        waiting = [result for result in part if result.outcome is SendOutcome.REQUEUE]
        final = [result for result in part if result.outcome is not SendOutcome.REQUEUE]
        answers = await self._tell_php(final, halved) if final else []
        taken = [answer.id for answer in answers if answer.result in ("done", "ignored")]
        ended = [Ended(reply_uid, EffectState.DONE) for reply_uid in taken]
        ended += [again for result in waiting if (again := self._again(result))]
        try:
            await self._outbox.end(self._lease, KIND, self._vendor_uid, ended)
        except (LeaseLost, *AnyRedisError) as error:
            # PHP recognises what it is told again.
            raise BackendUnavailable(f"the outbox: {error}") from None
        for result in (*waiting, *final):
            if result in waiting or result.uid in taken:
                self._in_hand.pop(result.uid, None)
        self.poke()
        done = [contract.UpdateResult(id=result.uid, result="done") for result in waiting]
        return answers + done

    def _again(self, result: SendResult) -> Ended | None:
        queued = self._in_hand.get(result.uid)
        if queued is None:
            return None  # an earlier holder's; it is in the outbox as it was
        reason = result.error.message if result.error else queued.reason
        attempts = queued.attempts + int(result.attempted)
        kept = replace(queued, attempts=attempts, reason=reason)
        return Ended(result.uid, EffectState.WAITING, kept, result.due_at or now_ms())

    async def _shut_down(self) -> None:
        try:
            await self._release()
            await self._pipeline.drain()
            await self._release()
        except AnyRedisError as error:
            # The ledger and the outbox have it all; the reconciler has somebody come back.
            log.warning("replies.left_unsettled", vendor=self._vendor_uid, reason=str(error))
        finally:
            await self._pipeline.close()

    async def _release(self) -> None:
        """Leave what was not sent to the next run, which finds it in the outbox. If that was wiped,
        put it there again: nobody else can have begun with it until then."""
        unsent = [row.uid for row in await self._pipeline.take_unstarted()]
        if unsent and self._pipeline.holds_lease:
            await self._ledger.released(self._claim_uid, unsent)
        elif unsent and self._lease.kept_until > asyncio.get_running_loop().time():
            waiting = [queued for uid in unsent if (queued := self._in_hand[uid]) is not None]
            put = await self._outbox.put(self._vendor_uid, [*map(self._as_new, waiting)])
            log.warning("replies.kept", vendor=self._vendor_uid, taken=put.taken, known=put.known)

    def _as_new(self, queued: Queued) -> SendMessage:
        """Return a reply as PHP asked for it first; it expires as it would have."""
        assert isinstance(queued.effect, SendMessage)
        expires_at = self._expires_at(queued, queued.effect)
        return queued.effect.model_copy(update={"asked_at": None, "expires_at": expires_at})


def _row(queued: Queued, effect: SendMessage) -> ReplyRow:
    return ReplyRow(
        *(queued.id, effect.to, effect.message, queued.attempts, effect.phone_number_id),
        recipient=effect.recipient,
    )
