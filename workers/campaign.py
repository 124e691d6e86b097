"""Sending one campaign: claim, pace, send, settle.

Whoever sends holds the campaign's lease. The claimer stays one claim ahead; the pacer takes slots
from the number's limiter, a quarter of a second ahead; each send starts at its slot; outcomes go
to the reporter. Nothing here is trusted to run once, alone or to its end: the ledger says at any
moment what is known of each row, and a new holder starts by settling what the last one has left.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

import structlog

from contracts import backend as contract
from contracts.backend import CampaignState, SendError, SendOutcome, SendResult
from sidecar import keys
from sidecar.backend import Backend, BackendError
from sidecar.lease import Lease
from sidecar.redis_client import UNAVAILABLE, Redis, RedisError
from sidecar.settings import Settings
from workers.breaker import Breaker
from workers.claimer import CampaignStopped, Claimer
from workers.cloud_api import Accepted, Attempt, CloudApi, NotSent, Refused, template_message
from workers.ledger import Ledger
from workers.limiter import Halted, Limiter, NotTheHolder
from workers.outcomes import Decision, decide
from workers.pacer import Pacer
from workers.reporter import Reporter
from workers.rows import QueuedRow, Rows

log = structlog.get_logger()

#: How long one run claims before it makes room for other campaigns.
QUANTUM_S = 60.0


class End(StrEnum):
    """Why a run ends before everything that is due was sent."""

    HALTED = "halted"
    PAUSED = "paused"
    REFUSED = "refused"
    LEASE_LOST = "lease_lost"
    FAILED = "failed"


#: After these the campaign is not to be sent until somebody starts it again.
FINAL = (End.HALTED, End.PAUSED, End.REFUSED)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class CampaignRun:
    """Sends a campaign under its lease. Use once."""

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
        self._log = log.bind(vendor=self._vendor_uid, campaign=campaign_uid)
        self._ledger = Ledger(redis, campaign_uid)
        self._claimer = Claimer(
            backend,
            self._ledger,
            lease,
            vendor_uid=self._vendor_uid,
            campaign_uid=campaign_uid,
        )
        self._reporter = Reporter(backend, self._ledger, wait_s=settings.result_wait_ms / 1000)
        self._rows = Rows()
        self._pacer = Pacer(
            limiter,
            lease,
            campaign_uid,
            self._rows,
            number_of=self._number_of,
            rate_of=self._rate_of,
            room=lambda: settings.send_concurrency - len(self._sends),
            start=self._start,
        )
        self._sends: set[asyncio.Task[None]] = set()
        self._unsent: list[tuple[str, str]] = []
        self._ended = asyncio.Event()
        self._end_reason: End | None = None
        self._pause_reason: str | None = None
        self._throttled_in_a_row = 0
        self._like_errors: tuple[int, int] = (0, 0)
        self._claiming_until = time.monotonic() + QUANTUM_S

    async def run(self) -> bool:
        """Send until nothing is due, or something ends it. Return whether rows are left that
        somebody should be woken for. Raises if PHP or Redis is away at the beginning."""
        await self._settle_leftovers()
        if await self._redis.exists(keys.halt(self._campaign_uid)):
            self._end(End.HALTED)
            await self._leave()
            return False
        self._reporter.start()
        work = (self._claim(), self._take_slots(), self._pacer.start_at_slots())
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        try:
            while not self._over():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), 0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._wind_up()
        return self._end_reason is None and not self._claimer.exhausted and not self._stopping()

    def _over(self) -> bool:
        if self._ended.is_set() or self._stopping() or self._lease.lost.is_set():
            return True
        nothing_left = not (self._rows or self._pacer.planned or self._sends)
        return nothing_left and not self._may_claim()

    def _may_claim(self) -> bool:
        return not self._claimer.exhausted and time.monotonic() < self._claiming_until

    def _end(self, reason: End) -> None:
        if self._end_reason is None:
            self._end_reason = reason
            self._ended.set()

    # -- claiming --

    async def _claim(self) -> None:
        breaker = Breaker("claims_not_answered_by_php")
        size = self._claim_size()
        try:
            while self._may_claim():
                if len(self._rows) > size // 2:
                    await asyncio.sleep(0.02)
                    continue
                try:
                    self._rows.append(await self._claimer.claim(size, now_ms()))
                except (BackendError, *UNAVAILABLE, RedisError) as error:
                    breaker.failed(str(error))
                    await asyncio.sleep(breaker.wait_s)
                else:
                    breaker.worked()
        except CampaignStopped as error:
            self._log.info("claims_refused", reason=str(error))
            self._end(End.REFUSED)

    def _claim_size(self) -> int:
        rate = self._rate_of(self._config.current_phone_number_id or "")
        return max(10, min(int(rate * self._settings.claim_s), contract.MAX_CLAIM))

    def _number_of(self, queued: QueuedRow) -> str:
        return queued.row.from_phone_number_id or self._config.current_phone_number_id or ""

    def _rate_of(self, number: str) -> float:
        rates = {p.phone_number_id: p.messages_per_second for p in self._config.phone_numbers}
        return (rates.get(number) or self._settings.messages_per_second) * self._settings.rate_share

    # -- pacing and sending --

    async def _take_slots(self) -> None:
        breaker = Breaker("slots_not_given_by_redis")
        while True:
            try:
                await self._pacer.plan()
            except Halted:
                self._end(End.HALTED)
                return
            except NotTheHolder:
                self._end(End.LEASE_LOST)
                return
            except (*UNAVAILABLE, RedisError) as error:
                breaker.failed(str(error))
                await asyncio.sleep(breaker.wait_s)

    def _start(self, row: QueuedRow, number: str) -> None:
        task = asyncio.create_task(self._send(row, number))
        self._sends.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._rows.changed.set()  # there is room for one more
        if not task.cancelled() and (error := task.exception()):
            self._log.error("send_failed", exc_info=error)
            self._end(End.FAILED)

    async def _send(self, row: QueuedRow, number: str) -> None:
        if not number or not self._config.access_token:
            what = "access token" if number else "sending number"
            self._pause(f"the vendor has no {what}")
            self._unsent.append((row.claim_uid, row.uid))
            return
        attempt = await self._cloud_api.send(
            number, self._config.access_token, template_message(row.row)
        )
        throttled = isinstance(attempt, Refused) and attempt.rule.error_class == "retry_number"
        self._throttled_in_a_row = self._throttled_in_a_row + 1 if throttled else 0
        decision = decide(row.row, attempt, throttled_in_a_row=self._throttled_in_a_row)
        self._count_like_errors(attempt)
        if decision.pause_reason:
            self._pause(decision.pause_reason)
        if decision.outcome is None:
            await self._not_sent(row, number, attempt, decision)
        else:
            self._reporter.add(self._result(row, number, attempt, decision))

    async def _not_sent(
        self, row: QueuedRow, number: str, attempt: Attempt, decision: Decision
    ) -> None:
        if isinstance(attempt, Refused | NotSent):
            reason = attempt.reason if isinstance(attempt, NotSent) else attempt.error.message
            self._log.warning("not_sent", number=number, row=row.uid, reason=reason)
        try:
            await self._ledger.not_sent(row.uid, row.claim_uid)
            if decision.hold_number_s:
                await self._limiter.hold(number, decision.hold_number_s)
        finally:
            if decision.give_back:
                self._unsent.append((row.claim_uid, row.uid))
            else:
                self._rows.put_back(row)

    def _count_like_errors(self, attempt: Attempt) -> None:
        """Stop the campaign when one error comes many times in a row that looks like the
        message's own, and so must be the campaign's."""
        if not (isinstance(attempt, Refused) and attempt.rule.stop_when_repeated):
            if isinstance(attempt, Accepted):
                self._like_errors = (0, 0)
            return
        code, times = self._like_errors
        times = times + 1 if code == attempt.rule.code else 1
        self._like_errors = (attempt.rule.code, times)
        if times >= self._settings.stop_after_like_errors:
            self._pause(f"{times} times in a row: {attempt.rule.code} {attempt.error.message}")

    def _pause(self, reason: str) -> None:
        if self._pause_reason is None:
            self._pause_reason = reason[:500]
            self._log.error("campaign_paused", reason=reason)
        self._end(End.PAUSED)

    def _result(
        self, row: QueuedRow, number: str, attempt: Attempt, decision: Decision
    ) -> SendResult:
        assert decision.outcome is not None
        now = now_ms()
        accepted = attempt if isinstance(attempt, Accepted) else None
        return SendResult(
            uid=row.uid,
            vendor_uid=self._vendor_uid,
            campaign_uid=self._campaign_uid,
            claim_uid=row.claim_uid,
            outcome=decision.outcome,
            at=now,
            phone_number_id=number,
            wamid=accepted.wamid if accepted else None,
            message_status=accepted.message_status if accepted else None,
            wa_id=accepted.wa_id if accepted else None,
            response=accepted.response if accepted else None,
            error=decision.error,
            due_at=now + int(decision.due_in_s * 1000) if decision.due_in_s is not None else None,
        )

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
            self._reporter.add(self._unknown(row_uid, claim_uid, number))
        self._unsent += [(claim_uid, row_uid) for row_uid, claim_uid in state.claimed.items()]
        if state.claimed or state.sending or state.known:
            self._log.warning(
                "leftovers_found",
                claimed=len(state.claimed),
                sending=len(state.sending),
                known=len(state.known),
            )
        await self._reporter.flush(self._settings.backend_timeout_s)
        await self._release()

    def _unknown(self, row_uid: str, claim_uid: str, number: str) -> SendResult:
        return SendResult(
            uid=row_uid,
            vendor_uid=self._vendor_uid,
            campaign_uid=self._campaign_uid,
            claim_uid=claim_uid,
            outcome=SendOutcome.UNKNOWN,
            at=now_ms(),
            phone_number_id=number,
            error=SendError(code=None, message="the worker ended between the call and its record"),
        )

    async def _wind_up(self) -> None:
        """Give back what was not sent, wait for what is under way, and report it all."""
        self._give_back(self._pacer.take_unstarted())
        if self._sends:
            await asyncio.wait(self._sends, timeout=self._settings.send_timeout_s + 1)
        self._give_back(self._rows.take(len(self._rows)))
        try:
            if self._pause_reason is not None:
                await self._redis.set(keys.halt(self._campaign_uid), CampaignState.PAUSED.value)
            await self._reporter.finish(self._settings.backend_timeout_s)
            await self._release()
            await self._leave()
        except (BackendError, *UNAVAILABLE, RedisError) as error:
            # The ledger has it all; the reconciler has somebody come back to it.
            self._log.warning("campaign_left_unsettled", reason=str(error))

    def _give_back(self, rows: list[QueuedRow]) -> None:
        self._unsent += [(row.claim_uid, row.uid) for row in rows]

    async def _release(self) -> None:
        """Return what was not sent to PHP's queue. Each row goes back under its own claim, so
        that a late call cannot return a row that somebody else has claimed since."""
        by_claim: dict[str, list[str]] = {}
        for claim_uid, row_uid in self._unsent:
            by_claim.setdefault(claim_uid, []).append(row_uid)
        self._unsent = []
        for claim_uid, row_uids in by_claim.items():
            for start in range(0, len(row_uids), contract.MAX_CLAIM):
                chunk = row_uids[start : start + contract.MAX_CLAIM]
                await self._call_release(row_uids=chunk, claim_uid=claim_uid)
                await self._ledger.settled(chunk)
        if self._pause_reason is not None:
            await self._call_release(campaign_state=CampaignState.PAUSED, reason=self._pause_reason)

    async def _call_release(self, **fields: Any) -> None:
        request = contract.ReleaseMessagesRequest(
            vendor_uid=self._vendor_uid, campaign_uid=self._campaign_uid, **fields
        )
        await self._backend.call(contract.RELEASE_MESSAGES, request, contract.ReleaseMessagesAnswer)

    async def _leave(self) -> None:
        """Take the campaign off the list of those that are being sent, if nothing is left."""
        finished = self._end_reason in FINAL if self._end_reason else self._claimer.exhausted
        if finished and await self._ledger.empty():
            await self._redis.hdel(keys.CAMPAIGNS, self._campaign_uid)
