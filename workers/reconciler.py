"""Sends wake-ups for whatever is not finished, and finds what has fallen due.

A wake-up can be lost: with Dramatiq's keys, in a crash between a write and its wake-up, or on a
stalled worker (``docs/decisions/0001-wake-ups.md``). This costs only a delay: one process of all
looks every second for work that nobody holds. It also asks PHP for campaigns that are due, which
replaces the campaign cron; the same answer says whether PHP has stored webhooks to take over
(``workers/inbox/php_backlog.py``). What PHP has asked for and nobody has, after Redis was wiped
say, is found by ``workers/effects/pending.py``.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from contracts import backend as contract
from contracts.effects import EffectKind
from contracts.jobs import Job, Lane, do_effects, drain, send_campaign
from sidecar.clock import now_ms
from sidecar.effects.outbox import effects_lease, vendor_of_replies
from sidecar.inbox.partitions import drain_lease
from sidecar.logs import LogOnce
from sidecar.ops.history import HistoryWriter
from sidecar.ops.housekeeping import Housekeeping
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, RedisUnavailable, script
from sidecar.redis.lease import Lease, Leases
from sidecar.redis.letter_bounds import Bounds
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import Halts
from sidecar.settings import Settings
from sidecar.tasks import tick
from workers.due_times import DueTimes
from workers.effects.pending import PendingEffects
from workers.inbox.php_backlog import Backlog
from workers.stale_claims import StaleClaims

log = structlog.get_logger()

LEASE = "reconciler"

#: A halt that PHP acknowledged longer ago than this, and does not have, was lifted by PHP: whoever
#: resumed the campaign died before Redis knew. Longer than PHP may take to answer.
LIFTED_MS = 60_000

#: A campaign that nobody sends although workers were woken for so long is told of, and how many.
IN_VAIN_S = 10.0
MAX_IN_VAIN = 100


class Reconciler:
    """``wake`` wakes a worker for a job. While ``aside`` is set, others may reconcile."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        leases: Leases,
        wake: Callable[[Job], None],
        aside: asyncio.Event | None = None,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._halts = Halts(redis)
        self._backend = backend
        self._leases = leases
        self._wake_up = wake
        self._aside = aside or asyncio.Event()
        self._redis_outage = LogOnce("reconciler.redis_unavailable")
        self._php_outage = LogOnce("php.due_campaigns.unavailable")
        self._ask_php_at = 0.0
        self._stale = StaleClaims(settings.stale_claim_s)
        self._backlog = Backlog(
            redis,
            backend,
            wake,
            memory_share=settings.inbox_memory_share,
            vendor_share=settings.vendor_memory_share,
        )
        self._housekeeping = Housekeeping(redis, Bounds.of(settings))
        self._history = HistoryWriter(redis)
        self._due_times = DueTimes(redis)
        self._follow_clock = script(redis, "sending/waits")
        self._webhooks_wait = False
        self._pending = PendingEffects(settings, redis, backend, wake)
        self._lists_pending = False
        #: Since when workers have been woken in vain for a campaign (``time.monotonic``).
        self._woken: dict[str, float] = {}

    async def run(self) -> None:
        """Reconcile until cancelled, while no other process does."""
        while True:
            try:
                if not self._aside.is_set():
                    async with self._leases.hold(LEASE) as lease:
                        if lease is not None:
                            await self._reconcile(lease)
                self._redis_outage.worked()
            except RedisUnavailable as error:
                self._redis_outage.failed(str(error))
            except Exception:
                # Whatever it was: without the reconciler a lost wake-up would be lost for good.
                log.exception("reconciler.failed")
            self._woken = {}
            self._pending.unasked = {}
            await tick(self._settings.reconcile_interval_s)

    async def _reconcile(self, lease: Lease) -> None:
        while not (lease.lost.is_set() or self._aside.is_set()):
            await self._due_times.look()
            vendors = await self.wake_unfinished()
            if time.monotonic() >= self._ask_php_at:
                self._ask_php_at = time.monotonic() + self._settings.due_campaigns_interval_s
                await self.find_due_campaigns()
            await self._housekeeping.run(vendors)
            if self._webhooks_wait:
                self._webhooks_wait = await self._backlog.take_over(lease)
            if self._lists_pending:
                await self._pending.look()
            await self._history.run()
            await tick(self._settings.reconcile_interval_s)

    async def wake_unfinished(self) -> int:
        """Wake a worker for whatever nobody works on; one round trip tells that there is nothing.
        Return how many vendors have counters."""
        now = now_ms()
        pipeline = self._redis.pipeline(transaction=False)
        for lane in Lane:
            pipeline.exists(keys.ready(lane))
            pipeline.zcount(keys.deferred(lane), 0, now)
            pipeline.exists(keys.lease(drain_lease(lane)))
        pipeline.hgetall(keys.LEDGERS)
        pipeline.hgetall(keys.CAMPAIGNS)
        pipeline.exists(*map(keys.outbox, EffectKind))
        pipeline.scard(keys.VENDORS)
        pipeline.get(keys.MEMORY_SINCE)
        answers = await pipeline.execute(raise_on_error=False)
        *of_lanes, unsettled, listed, effects, vendors, since = answers
        self._wake_waiting_lanes(_sound(of_lanes))
        _sound(answers)  # what is wrong elsewhere has stopped no lane
        self._pending.noticed(since)
        await self._wake_listed_campaigns(unsettled, listed)
        if effects or unsettled:
            await self._wake_effects(unsettled)
        return int(vendors)

    def _wake_waiting_lanes(self, answers: list[Any]) -> None:
        """Wake a worker for every lane that has work and no drain."""
        for index, lane in enumerate(Lane):
            ready, due, held = answers[3 * index : 3 * index + 3]
            if (ready or due) and not held:
                self._wake_up(drain(lane))

    async def _wake_listed_campaigns(self, unsettled: Hash, listed: Hash) -> None:
        """Wake a worker for every campaign that nobody sends, and that is listed or has rows in its
        ledger (a stalled worker may have left them there late). A waiting campaign without such
        rows is left alone, unless it was halted and PHP has not acknowledged that."""
        pipeline = self._redis.pipeline(transaction=False)
        campaigns = [
            (campaign.decode(), vendor.decode())
            for campaign, vendor in {**unsettled, **listed}.items()
            if vendor_of_replies(campaign.decode()) is None
        ]
        if not campaigns:
            self._woken = {}
            return
        waits_of = [keys.wait(campaign_uid) for campaign_uid, _ in campaigns]
        await self._follow_clock(keys=[keys.CLOCK, *waits_of], args=[])
        for campaign_uid, _ in campaigns:
            pipeline.exists(keys.lease(campaign_lease(campaign_uid)))
            pipeline.exists(keys.wait(campaign_uid))
            pipeline.exists(
                keys.halt(campaign_uid), keys.ledger(campaign_uid), keys.claims(campaign_uid)
            )
        answers = await pipeline.execute()
        woken: dict[str, float] = {}
        for index, (campaign_uid, vendor_uid) in enumerate(campaigns):
            held, waits, something = answers[3 * index : 3 * index + 3]
            if not held and (something or not waits):
                self._wake_up(send_campaign(vendor_uid, campaign_uid))
                woken[campaign_uid] = self._woken.get(campaign_uid, time.monotonic())
        self._woken = woken

    def in_vain(self) -> dict[str, float]:
        """Return the campaigns for which workers were woken for long and which nobody sends, and
        for how many seconds, those for longest first."""
        now = time.monotonic()
        found = {uid: now - since for uid, since in self._woken.items() if now - since > IN_VAIN_S}
        return dict(sorted(found.items(), key=lambda one: -one[1])[:MAX_IN_VAIN])

    def unasked(self) -> dict[str, int]:
        """Return how many messages stand pending in PHP's log and are sent by nobody, and since
        when the oldest of them does (unix ms)."""
        return self._pending.unasked

    async def _wake_effects(self, ledgers: Iterable[bytes]) -> None:
        """Wake a worker for vendors' effects that are due and that nobody runs, and for replies in
        the ledger."""
        pipeline = self._redis.pipeline(transaction=False)
        for kind in EffectKind:
            pipeline.smembers(keys.outbox(kind))
        members = await pipeline.execute()
        found = {
            (kind, vendor.decode())
            for kind, vendors in zip(EffectKind, members, strict=True)
            for vendor in vendors
        }
        unsettled = {
            (EffectKind.SEND_MESSAGE, vendor_uid)
            for name in ledgers
            if (vendor_uid := vendor_of_replies(name.decode())) is not None
        }
        wanted = sorted(found | unsettled)
        if not wanted:
            return
        now = now_ms()
        for kind, vendor_uid in wanted:
            pipeline.zcount(keys.outbox_of(kind, vendor_uid), 0, now)
            pipeline.exists(keys.lease(effects_lease(kind, vendor_uid)))
        answers = await pipeline.execute()
        for index, key in enumerate(wanted):
            due, held = answers[2 * index : 2 * index + 2]
            if not held and (due or key in unsettled):
                self._wake_up(do_effects(*key))

    async def find_due_campaigns(self) -> None:
        """Ask PHP which campaigns are due, and list them; and whether stored webhooks wait."""
        try:
            answer = await self._backend.call(
                contract.DUE_CAMPAIGNS,
                contract.DueCampaignsRequest(stale_after_s=self._stale.after_s()),
                contract.DueCampaignsAnswer,
            )
        except BackendError as error:
            self._stale.failed()
            self._php_outage.failed(str(error))
            return
        self._stale.worked()
        self._php_outage.worked()
        self._webhooks_wait = answer.pending_webhooks > 0
        self._lists_pending = answer.lists_pending_effects
        if answer.made_unknown:
            log.warning("rows.outcome_unknown", rows=answer.made_unknown)
        for campaign in answer.campaigns:
            if campaign.due and campaign.state is contract.CampaignState.RUNNING:
                await self._list(campaign)

    async def _list(self, campaign: contract.DueCampaign) -> None:
        halt = await self._halts.find(campaign.campaign_uid)
        if halt is not None:
            if halt.acknowledged_at is None or halt.acknowledged_at > now_ms() - LIFTED_MS:
                return  # being paused at this moment, and PHP did not know yet
            if not await self._halts.lift(campaign.campaign_uid, halt):
                return
            log.warning("halt.expired", campaign=campaign.campaign_uid)
        if await self._redis.hsetnx(keys.CAMPAIGNS, campaign.campaign_uid, campaign.vendor_uid):
            self._wake_up(send_campaign(campaign.vendor_uid, campaign.campaign_uid))


def _sound(answers: list[Any]) -> list[Any]:
    """Return answers of Redis, or raise the first that is an error."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
