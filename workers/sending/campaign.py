"""Sending one campaign: claim, send, settle.

Whoever sends holds the campaign's lease. The claimer stays one claim ahead of the pipeline. Nothing
here is trusted to run once, alone or to its end: the ledger says at any moment what is known of
each row, and a new holder starts by settling what the last one has left.
"""

import asyncio
import time
from contextlib import suppress
from math import ceil

import structlog

from contracts import backend as contract
from contracts.backend import ErrorCode, SendOutcome, SendResult, VendorConfig
from sidecar.clock import now_ms
from sidecar.php.breaker import Breaker
from sidecar.php.client import BackendError
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError
from sidecar.redis.lease import Fenced, Lease, LeaseLost
from sidecar.sending.suppression import Suppressed
from sidecar.tasks import cancel
from workers.sending.claimer import CampaignStopped, Claimer
from workers.sending.halt import CampaignHalt
from workers.sending.ledger import Ledger
from workers.sending.pacer import Blocked
from workers.sending.pipeline import End, Pipeline
from workers.sending.release import Release
from workers.sending.results import Reporter, tell_php
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ClaimedSend
from workers.sending.services import Services

log = structlog.get_logger()

#: How long one run claims before it makes room for other campaigns.
MAX_RUN_S = 60.0
#: How long rows may wait after that, because their number is held, say. Then they go back: PHP
#: would take them for unknown if they stood in status 3 for minutes.
GRACE_S = 30.0
#: PHP says that rows are due and gives none (it found them unusable, or a cron was faster).
NOTHING_CLAIMED_PAUSE_S = 0.5
#: After this a campaign that waits for a hold or a budget looks again: either may have been lifted.
LONGEST_WAIT_S = 300.0

#: After these the campaign is not to be sent until somebody starts it again.
FINAL = (End.HALTED, End.MOVED, End.PAUSED, End.REFUSED)


class _Results(Reporter):
    """Tells PHP, and the claimer what it must never give out again."""

    def __init__(
        self, claimer: Claimer, services: Services, ledger: Ledger, *, wait_s: float
    ) -> None:
        super().__init__(tell_php(services.backend), ledger, wait_s=wait_s)
        self._claimer = claimer

    def add(self, result: SendResult) -> None:
        if result.outcome is SendOutcome.ACCEPTED:
            self._claimer.accepted(result.uid)
        super().add(result)


class CampaignRun:
    """Sends a campaign under its lease. Use once."""

    def __init__(
        self, services: Services, config: VendorConfig, lease: Lease, campaign_uid: str
    ) -> None:
        vendor_uid = config.vendor_uid
        uids = {"vendor_uid": vendor_uid, "campaign_uid": campaign_uid}
        self._settings = services.settings
        self._redis = services.redis
        self._fenced = Fenced(services.redis)
        self._config = SendConfig(services.settings, config, campaign_uid)
        self._lease = lease
        self._campaign_uid = campaign_uid
        self._log = log.bind(vendor=vendor_uid, campaign=campaign_uid)
        self._ledger = Ledger(services.redis, campaign_uid, vendor_uid, services.begun)
        self._claimer = Claimer(services.backend, self._ledger, lease, **uids)
        self._results = _Results(
            self._claimer, services, self._ledger, wait_s=self._config.result_wait_s
        )
        self._release = Release(services.backend, self._ledger, **uids)
        self._halt = CampaignHalt(services.redis, self._release, campaign_uid)
        self._suppressed = Suppressed(services.redis, services.settings.suppress_s)
        self._pipeline = Pipeline(
            services, self._config, lease, self._ledger, source=self, results=self._results
        )

    def follow(self, config: VendorConfig | None) -> None:
        """Take the vendor's current configuration. End the run if its campaigns are no longer the
        sidecar's, or the vendor is not active."""
        self._pipeline.follow(config)
        self._results.wait_for(self._config.result_wait_s)

    async def run(self) -> bool:
        """Send until nothing is due, or something ends it. Return whether rows are left that
        somebody should be woken for. Raises if PHP or Redis is away at the beginning."""
        try:
            await self._settle_leftovers()
        except LeaseLost:
            return False  # whoever holds it now does all this
        self.follow(self._config.vendor)
        if await self._halt.stands():
            await self._halt.tell_php()
            self._pipeline.end(End.HALTED)
        if self._pipeline.end_reason in FINAL:
            await self._leave()
            return False
        if self._pipeline.blocked is not None:
            await self._wait_for(self._pipeline.blocked)
            return False
        if await self._redis.exists(keys.wait(self._campaign_uid)):
            return False
        self._log.info("campaign.run_started", fence=self._lease.token)
        try:
            await self._pipeline.run(MAX_RUN_S + GRACE_S)
        finally:
            reason = self._pipeline.end_reason
            self._log.info("campaign.run_ended", reason=reason, exhausted=self._claimer.exhausted)
            await self._shut_down()
        return self._pipeline.end_reason is None and not self._claimer.exhausted

    # -- claiming --

    async def feed(self) -> None:
        until = time.monotonic() + MAX_RUN_S
        breaker = Breaker("php.claims.unavailable")
        try:
            while not self._claimer.exhausted:
                size = self._claim_size()
                await self._pipeline.has_room(size // 2)
                if self._pipeline.ended.is_set() or time.monotonic() >= until:
                    return
                try:
                    rows = await self._claimer.claim(size, now_ms())
                except (BackendError, *AnyRedisError) as error:
                    breaker.failed(str(error))
                    await self._pipeline.until(longest_s=breaker.wait_s)
                    continue
                breaker.worked()
                self._pipeline.put(await self._without_suppressed(rows))
                if not rows and not self._claimer.exhausted:
                    await self._pipeline.until(longest_s=NOTHING_CLAIMED_PAUSE_S)
        except LeaseLost:
            self._pipeline.end(End.LEASE_LOST)
        except CampaignStopped as error:
            self._log.info("claims.refused", reason=str(error))
            newer = str(error) == ErrorCode.FENCE_STALE
            self._pipeline.end(End.LEASE_LOST if newer else End.REFUSED)

    async def _without_suppressed(self, rows: list[ClaimedSend]) -> list[ClaimedSend]:
        """Return those that may be sent; the others have failed."""
        people = [row.addressee for row in rows]
        errors = await self._suppressed.find(self._config.vendor_uid, people)
        for row in rows:
            if error := errors.get(row.addressee):
                self._pipeline.fail(row, error)
        return [row for row in rows if row.addressee not in errors]

    def _claim_size(self) -> int:
        limits = self._config.limits_of(self._config.vendor.current_phone_number_id or "")
        return max(10, min(int(limits.rate * self._settings.claim_s), contract.MAX_CLAIM))

    # -- beginning and end --

    async def _settle_leftovers(self) -> None:
        """Settle what an earlier holder has left: release what was never tried, report what is
        known, and call unknown what was being sent. Raises if PHP or Redis is away, and
        :class:`LeaseLost`."""
        for claim_uid in await self._ledger.open_claims():
            with suppress(CampaignStopped):
                await self._claimer.recover(claim_uid)
        state = await self._pipeline.settle_leftovers()
        for row_uid, claim_uid in state.claimed.items():
            self._release.add(row_uid, claim_uid)
        await self._results.flush(self._settings.backend_timeout_s)
        await self._release.commit()

    async def _shut_down(self) -> None:
        """Give back what was not sent, while what is under way ends, and report it all."""
        giving_back = asyncio.create_task(self._give_back())
        try:
            if (blocked := self._pipeline.blocked) is not None:
                self._log.warning("campaign.waiting", reason=blocked.reason)
                await self._wait_for(blocked)
            await self._pipeline.drain()
            if self._pipeline.pause_reason is not None:
                await self._halt.pause(self._pipeline.pause_reason)
            await giving_back
            await self._give_back()
            await self._halt.tell_php()
            await self._leave()
        except (BackendError, *AnyRedisError) as error:
            # The ledger has it all; the reconciler has somebody come back to it.
            self._log.warning("campaign.left_unsettled", reason=str(error))
        finally:
            await cancel([giving_back])
            await self._pipeline.close()

    async def _give_back(self) -> None:
        unsent = await self._pipeline.take_unstarted()
        self._claimer.exhausted &= not unsent  # what goes back is due again
        self._release.add_rows(unsent)
        await self._release.commit(forget=self._pipeline.holds_lease)

    async def _wait_for(self, blocked: Blocked) -> None:
        """Have the campaign left alone for a while; it stays on the list."""
        wait_s = min(blocked.until - time.monotonic(), LONGEST_WAIT_S)
        wait_ms = max(1, ceil(wait_s * 1000))
        key = keys.wait(self._campaign_uid)
        with suppress(LeaseLost):  # and then it is for somebody else to say
            await self._fenced.run(self._lease, ("SET", key, blocked.reason, "PX", wait_ms))

    async def _leave(self) -> None:
        """Take the campaign off the list of those that are being sent, if nothing is left."""
        reason = self._pipeline.end_reason
        if reason in (None, End.STOPPING):
            over = self._claimer.exhausted or self._pipeline.pause_reason is not None
        else:
            over = reason in FINAL
        if over and await self._ledger.empty():
            with suppress(LeaseLost):
                await self._fenced.run(self._lease, ("HDEL", keys.CAMPAIGNS, self._campaign_uid))
