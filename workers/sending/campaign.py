"""Sending one campaign: claim, pace, send, settle.

Whoever sends holds the campaign's lease. The claimer stays one claim ahead; a pacer for each number
takes slots from the limiter, a quarter of a second ahead; each send starts at its slot; outcomes go
to the reporter. Nothing here is trusted to run once, alone or to its end: the ledger says at any
moment what is known of each row, and a new holder starts by settling what the last one has left.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from math import ceil

import structlog

from contracts import backend as contract
from contracts.backend import ErrorCode, SendError, SendOutcome, SendResult
from sidecar.clock import now_ms
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import UNAVAILABLE, Redis, RedisError
from sidecar.redis.lease import Lease
from sidecar.settings import Settings
from sidecar.tasks import cancel
from workers.sending.claimer import CampaignStopped, Claimer
from workers.sending.cloud_api import CloudApi
from workers.sending.error_actions import ErrorActions
from workers.sending.halt import Halt
from workers.sending.ledger import Halted, Ledger, NotTheHolder
from workers.sending.limiter import CampaignRests, Limiter, NumberPaused
from workers.sending.limits import Limits
from workers.sending.pacer import Blocked, Pacer
from workers.sending.pacers import Pacers
from workers.sending.release import Release
from workers.sending.results import Reporter, tell_php
from workers.sending.send_queue import ClaimedSend
from workers.sending.sender import Sender

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


class End(StrEnum):
    """Why a run ends before everything that is due was sent."""

    HALTED = "halted"
    MOVED = "moved"
    PAUSED = "paused"
    REFUSED = "refused"
    WAITING = "waiting"
    LEASE_LOST = "lease_lost"
    FAILED = "failed"


#: After these the campaign is not to be sent until somebody starts it again.
FINAL = (End.HALTED, End.MOVED, End.PAUSED, End.REFUSED)


class CampaignRun:
    """Sends a campaign under its lease. Use once. ``ours`` tells whether the vendor's campaigns are
    the sidecar's; a run ends when they are no more."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        backend: Backend,
        cloud_api: CloudApi,
        limiter: Limiter,
        config: contract.VendorConfig,
        lease: Lease,
        *,
        campaign_uid: str,
        stopping: Callable[[], bool],
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._backend = backend
        self._cloud_api = cloud_api
        self._limiter = limiter
        self._config = config
        self._lease = lease
        self._campaign_uid = campaign_uid
        self._vendor_uid = config.vendor_uid
        self._stopping = stopping
        self._ours = ours
        self._log = log.bind(vendor=self._vendor_uid, campaign=campaign_uid)
        self._ledger = Ledger(redis, campaign_uid, self._vendor_uid)
        self._claimer = Claimer(
            backend,
            self._ledger,
            lease,
            vendor_uid=self._vendor_uid,
            campaign_uid=campaign_uid,
        )
        self._reporter = Reporter(
            tell_php(backend), self._ledger, wait_s=settings.result_wait_ms / 1000
        )
        self._pacers = Pacers(self._number_of, self._make_pacer)
        self._pacing: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Task[None]] = set()
        self._release = Release(
            backend, self._ledger, vendor_uid=self._vendor_uid, campaign_uid=campaign_uid
        )
        self._halt = Halt(redis, self._release, campaign_uid)
        self._ended = asyncio.Event()
        self._end_reason: End | None = None
        self._pause_reason: str | None = None
        self._blocked: Blocked | None = None
        consequences = ErrorActions(settings, redis, limiter)
        self._suppressed = consequences.suppressed
        self._looking_up = False
        self._sender = Sender(
            cloud_api,
            limiter,
            self._ledger,
            config,
            consequences,
            campaign_uid=campaign_uid,
            report=self._sent_row,
            put_back=self._pacers.put_back,
            give_back=lambda row: self._release.add(row.uid, row.claim_uid),
            pause=self._pause,
            rest=lambda: self._end(End.WAITING),
        )
        self._claiming_until = time.monotonic() + MAX_RUN_S

    async def run(self) -> bool:
        """Send until nothing is due, or something ends it. Return whether rows are left that
        somebody should be woken for. Raises if PHP or Redis is away at the beginning."""
        await self._settle_leftovers()
        if await self._halt.stands():
            await self._halt.tell_php()
            self._end(End.HALTED)
            await self._leave()
            return False
        if not self._ours():
            self._end(End.MOVED)
            await self._leave()
            return False
        if await self._redis.exists(keys.wait(self._campaign_uid)):
            return False
        self._log.info("campaign.run_started", fence=self._lease.token)
        self._reporter.start()
        claiming = asyncio.create_task(self._claim())
        claiming.add_done_callback(self._work_ended)
        try:
            while not self._over():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), 0.05)
        finally:
            await cancel(self._pacing)
            # A claim that is under way is better finished than found again by the next holder.
            await asyncio.wait([claiming], timeout=self._settings.backend_timeout_s)
            await cancel([claiming])
            await cancel(self._pacing)  # those of numbers that it has brought
            self._log.info(
                "campaign.run_ended",
                reason=self._end_reason,
                lease_lost=self._lease.lost.is_set(),
                stopping=self._stopping(),
                exhausted=self._claimer.exhausted,
                rows_left=self._pacers.unstarted,
                under_way=len(self._sends),
            )
            await self._wind_up()
        return self._end_reason is None and not self._claimer.exhausted and not self._stopping()

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._log.error("campaign.work_failed", exc_info=error)
            self._end(End.FAILED)

    def _must_end(self) -> bool:
        return self._ended.is_set() or self._stopping() or self._lease.lost.is_set()

    def _over(self) -> bool:
        if not self._ours():
            self._end(End.MOVED)
        if self._must_end():
            return True
        if time.monotonic() >= self._claiming_until + GRACE_S:
            return True
        if self._sends or self._pacers.planned or self._looking_up:
            return False
        if blocked := self._pacers.blocked():
            self._blocked = blocked
            self._end(End.WAITING)
            return True
        return not (self._pacers.unstarted or self._may_claim())

    def _may_claim(self) -> bool:
        in_time = time.monotonic() < self._claiming_until
        return in_time and not self._claimer.exhausted and not self._must_end()

    def _end(self, reason: End) -> None:
        if self._end_reason is None:
            self._end_reason = reason
            self._ended.set()

    # -- claiming --

    async def _claim(self) -> None:
        breaker = Breaker("php.claims.unavailable")
        size = self._claim_size()
        try:
            while self._may_claim():
                if self._pacers.waiting > size // 2:
                    await asyncio.sleep(0.02)
                    continue
                try:
                    rows = await self._claimer.claim(size, now_ms())
                    self._pacers.append(await self._without_suppressed(rows))
                    if not rows and not self._claimer.exhausted:
                        await asyncio.sleep(NOTHING_CLAIMED_PAUSE_S)
                except (BackendError, *UNAVAILABLE, RedisError) as error:
                    breaker.failed(str(error))
                    await asyncio.sleep(breaker.wait_s)
                else:
                    breaker.worked()
        except CampaignStopped as error:
            self._log.info("claims.refused", reason=str(error))
            newer = str(error) == ErrorCode.FENCE_STALE
            self._end(End.LEASE_LOST if newer else End.REFUSED)

    async def _without_suppressed(self, rows: list[ClaimedSend]) -> list[ClaimedSend]:
        """Return those that may be sent; the others have failed."""
        self._looking_up = True  # the rows are nowhere else meanwhile
        try:
            errors = await self._suppressed.find(self._vendor_uid, [row.row.to for row in rows])
        finally:
            self._looking_up = False
        for row in rows:
            if error := errors.get(row.row.to):
                number = self._number_of(row)
                self._report(row.uid, row.claim_uid, number, SendOutcome.FAILED, error)
        return [row for row in rows if row.row.to not in errors]

    def _claim_size(self) -> int:
        limits = self._limits_of(self._config.current_phone_number_id or "")
        return max(10, min(int(limits.rate * self._settings.claim_s), contract.MAX_CLAIM))

    def _number_of(self, queued: ClaimedSend) -> str:
        return queued.row.from_phone_number_id or self._config.current_phone_number_id or ""

    def _limits_of(self, number: str) -> Limits:
        return Limits.of(self._config, number, self._settings)

    # -- pacing and sending --

    def _make_pacer(self, number: str) -> Pacer:
        limits = self._limits_of(number)
        pacer = Pacer(
            self._limiter,
            self._ledger,
            self._lease,
            self._campaign_uid,
            limits,
            room=lambda: self._settings.send_concurrency - len(self._sends) - self._pacers.planned,
            start=lambda row: self._start(row, limits),
            postpone=lambda row, wait_s: self._postpone(row, number, wait_s),
        )
        for work in (pacer.plan, pacer.begin_before_slots, pacer.start_at_slots):
            task = asyncio.create_task(self._keep_up(work))
            task.add_done_callback(self._work_ended)
            self._pacing.append(task)
        return pacer

    async def _keep_up(self, work: Callable[[], Awaitable[None]]) -> None:
        breaker = Breaker("campaign.redis_unavailable")
        while True:
            try:
                await work()
            except Halted:
                self._end(End.HALTED)
                return
            except NotTheHolder:
                self._end(End.LEASE_LOST)
                return
            except NumberPaused as error:
                self._pause(str(error))
                return
            except CampaignRests:
                self._end(End.WAITING)
                return
            except (*UNAVAILABLE, RedisError) as error:
                breaker.failed(str(error))
                await asyncio.sleep(breaker.wait_s)

    def _start(self, row: ClaimedSend, limits: Limits) -> None:
        task = asyncio.create_task(self._sender.send(row, limits))
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._pacers.there_is_room()
        if not task.cancelled() and (error := task.exception()):
            self._log.error("send.failed", exc_info=error)
            self._end(End.FAILED)

    def _sent_row(self, result: SendResult) -> None:
        if result.outcome is SendOutcome.ACCEPTED:
            self._claimer.accepted(result.uid)
        self._reporter.add(result)

    def _postpone(self, row: ClaimedSend, number: str, wait_s: float) -> None:
        """Have a row wait in PHP's queue, which counts no retry for it."""
        self._report(row.uid, row.claim_uid, number, SendOutcome.REQUEUE, wait_s=wait_s)

    def _pause(self, reason: str) -> None:
        if self._pause_reason is None:
            self._pause_reason = reason[:500]
            self._log.error("campaign.paused", reason=reason)
        self._end(End.PAUSED)

    # -- beginning and end --

    async def _settle_leftovers(self) -> None:
        """Settle what an earlier holder has left: release what was never tried, report what is
        known, and call unknown what was being sent. Raises if PHP or Redis is away."""
        for claim_uid in await self._ledger.open_claims():
            with suppress(CampaignStopped):
                await self._claimer.recover(claim_uid)
        state = await self._ledger.load()
        self._reporter.add_known(state.known)
        for row_uid, (claim_uid, number) in state.sending.items():
            error = SendError(code=None, message="the worker ended between the call and its record")
            self._report(row_uid, claim_uid, number, SendOutcome.UNKNOWN, error)
        for row_uid, claim_uid in state.claimed.items():
            self._release.add(row_uid, claim_uid)
        if state.claimed or state.sending or state.known:
            self._log.warning(
                "ledger.leftovers_found",
                claimed=len(state.claimed),
                sending=len(state.sending),
                known=len(state.known),
            )
        await self._reporter.flush(self._settings.backend_timeout_s)
        await self._release.commit()

    def _report(
        self,
        row_uid: str,
        claim_uid: str,
        number: str,
        outcome: SendOutcome,
        error: SendError | None = None,
        *,
        wait_s: float | None = None,
    ) -> None:
        now = now_ms()
        self._reporter.add(
            SendResult(
                uid=row_uid,
                vendor_uid=self._vendor_uid,
                campaign_uid=self._campaign_uid,
                claim_uid=claim_uid,
                outcome=outcome,
                attempted=wait_s is None,
                at=now,
                phone_number_id=number,
                error=error,
                due_at=None if wait_s is None else now + ceil(wait_s * 1000),
            )
        )

    async def _wind_up(self) -> None:
        """Give back what was not sent, while what is under way ends, and report it all."""
        giving_back = asyncio.create_task(self._give_back(self._pacers.take_unstarted()))
        try:
            if self._blocked is not None:
                await self._wait_for(self._blocked)
            if self._sends:
                await asyncio.wait(self._sends, timeout=self._settings.send_timeout_s + 1)
            await self._reporter.finish(self._settings.backend_timeout_s)
            if self._pause_reason is not None:
                await self._halt.pause(self._pause_reason)
            await giving_back
            await self._give_back(self._pacers.take_unstarted())
            await self._halt.tell_php()
            await self._leave()
        except (BackendError, *UNAVAILABLE, RedisError) as error:
            # The ledger has it all; the reconciler has somebody come back to it.
            self._log.warning("campaign.left_unsettled", reason=str(error))
        finally:
            await cancel([giving_back, *self._sends])
            await self._reporter.stop()

    async def _give_back(self, unsent: list[ClaimedSend]) -> None:
        self._release.add_rows(unsent)
        self._claimer.exhausted &= not unsent  # what goes back is due again
        mine = not (self._lease.lost.is_set() or self._end_reason is End.LEASE_LOST)
        if unsent and mine:
            # Some were written down as being sent, and then were not.
            with suppress(*UNAVAILABLE, RedisError):
                await self._ledger.not_sent(unsent)
        await self._release.commit(forget=mine)

    async def _wait_for(self, blocked: Blocked) -> None:
        """Have the campaign left alone for a while; it stays on the list."""
        wait_s = min(blocked.until - time.monotonic(), LONGEST_WAIT_S)
        self._log.warning("campaign.waiting", reason=blocked.reason, seconds=round(wait_s))
        wait_ms = max(1, ceil(wait_s * 1000))
        await self._redis.set(keys.wait(self._campaign_uid), blocked.reason, px=wait_ms)

    async def _leave(self) -> None:
        """Take the campaign off the list of those that are being sent, if nothing is left."""
        finished = self._end_reason in FINAL if self._end_reason else self._claimer.exhausted
        if finished and await self._ledger.empty():
            await self._redis.hdel(keys.CAMPAIGNS, self._campaign_uid)
